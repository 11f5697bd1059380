// Arrows on a surface, and frames that the reader turns: components change, arrows do not, and neither does a convolution that
// carries its arrows along. Coefficients are complex numbers as pairs.

import { DIVERGING, Stage, arrow, colour, disc, element, fixed, format, path, phase, times } from "./stage.js";
import { Backdrop, camera, drawCross, globeMesh, turnByHand } from "./scene.js";
import { SHAPES, add, angleBetween, components, exp, frame, inSight, normal, quadrature, scale, turned, vector } from "./surfaces.js";

const RINGS = 3;
const RADIUS = { sphere: 0.6, torus: 0.8, ellipsoid: 0.5, "bumpy ball": 0.4 };  // of the discs
const [RADIAL, RAYS] = [4, 12];

/** Σ a cos(k·x/extent + φ) over rows [k, φ, a₁, a₂, a₃, s] of a table: a vector of space, its last entry a number. */
export function wave(rows, x, extent) {
  return rows.reduce((sum, [kx, ky, kz, shift, ...sizes]) => {
    const c = Math.cos((kx * x[0] + ky * x[1] + kz * x[2]) / extent + shift);
    return sum.map((value, i) => value + c * sizes[i]);
  }, [0, 0, 0, 0]);
}

/** By how much of a whole turn each choice of frames is turned at x, between −1 and 1. */
export function profile(kind, x, extent, seed) {
  if (kind === "one angle") return 1;
  const [k, shift] = kind === "smooth" ? [[1.3, 2.1, -1.7], 2.4 * seed] : [[47, 61, 53], 2.4 * seed];
  return Math.sin((k[0] * x[0] + k[1] * x[1] + k[2] * x[2]) / extent + shift);
}

/** R_j(r) for the rings of a kernel. */
export const radial = (t, frequency, radius) => Array.from({ length: RINGS }, (_, j) =>
  Math.exp(-(((t - (j + 0.5) / RINGS) * RINGS) ** 2)) * (1 - t * t) ** 2 * (frequency ? t : 1) / (Math.PI * radius * radius));

/** Around each point: where the convolution looks, in frames that nobody has turned yet; ray after ray on circle after circle. */
export function geometry(surface, points) {
  const [shape, radius] = [SHAPES[surface], RADIUS[surface]];
  const nodes = quadrature(RADIAL);
  return points.map((x) => {
    const at = frame(shape, x);
    const near = nodes.flatMap(({ node, weight }) => Array.from({ length: RAYS }, (_, k) => {
      const [r, theta] = [radius * node, 2 * Math.PI * k / RAYS];
      const { q, frame: carried, det } = exp(shape, x, scale(turned(at, theta)[0], r), at);
      const own = frame(shape, q);
      return { q, own, r, theta, weight: radius * weight * 2 * Math.PI / RAYS * det * r, angle: angleBetween(own, carried) };
    }));
    return { x, at, n: normal(shape, x), near };
  });
}

/** The field's coefficients at the points and at all nodes around them, in frames that nobody has turned; spin 0 or 1. */
export function sample(places, rows, extent, spin) {
  const read = (x, own) => {
    const value = wave(rows, x, extent);
    return spin ? components(value, own) : [value[3], 0];
  };
  return { here: places.map(({ x, at }) => read(x, at)), there: places.map(({ near }) => near.map(({ q, own }) => read(q, own))) };
}

/**
 * The convolution's coefficients at all points, in frames turned by `turn(x)`. `weights` are the real and then the imaginary
 * parts on the rings; `spin` is that of the input, the output has spin 1.
 */
export function convolve(places, field, weights, turn, { spin, forget, wrong, radius }) {
  const frequency = 1 - spin + (wrong ? 1 : 0);
  const kernels = Array.from({ length: RADIAL }, (_, ring) => {
    const R = radial(places[0].near[ring * RAYS].r / radius, frequency, radius);
    return [0, RINGS].map((from) => R.reduce((sum, value, j) => sum + value * weights[from + j], 0));
  });
  return places.map(({ x, near }, i) => {
    const a = turn(x);
    return near.reduce((sum, { q, theta, weight, angle }, k) => {
      const g = turn(q);
      let c = times(field.there[i][k], phase(-spin * g));  // in the turned frame of q
      if (!forget) c = times(c, phase(-spin * (angle + a - g)));  // carried to x
      const [re, im] = times(times(kernels[Math.floor(k / RAYS)], phase(frequency * (theta - a))), c);
      return [sum[0] + weight * re, sum[1] + weight * im];
    }, [0, 0]);
  });
}

/** The largest distance of arrows from those in other frames, relative to the longest: coefficients, and the turns between. */
export function gaugeError(after, before, angles) {
  const most = Math.max(...before.map(([re, im]) => Math.hypot(re, im)));
  const apart = after.map((c, i) => {
    const [re, im] = times(c, phase(angles[i]));
    return Math.hypot(re - before[i][0], im - before[i][1]);
  });
  return Math.max(...apart) / (most || 1);
}

const SETTINGS = ["surface", "layer", "gauge", "amount", "seed", "forget", "wrong", "point"];
const [SMALLEST, LARGEST] = [-17, 0.5];  // powers of ten on the bar
const MARGIN = 14;  // of the surface in its picture
const REACH = { sphere: 0.34, torus: 0.55, ellipsoid: 0.34, "bumpy ball": 0.32 };  // of the longest arrow

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "gauge-slider", label: "Arrows on a surface, in frames that the reader turns" });
  const [points, rows, weights] = ["points", "waves", "weights"].map((name) => model.get(name));
  const known = new Map();  // what does not depend on the frames, by surface and layer
  const recall = (key, make) => {
    const id = JSON.stringify(key);
    if (!known.has(id)) known.set(id, make());
    return known.get(id);
  };
  let now;

  // --- the controls

  const put = (name, kind = String) => (value) => stage.put({ [name]: kind(value) });
  const surface = stage.select({ name: "surface", label: "surface", options: Object.keys(points).map((n) => [n, n]) }, put("surface"));
  const layer = stage.select({ name: "layer", label: "layer Φ", options: [
    ["arrows", "arrows → arrows: average"], ["numbers", "numbers → arrows: slope"]] }, put("layer"));
  const gauge = stage.select({ name: "gauge", label: "turn them", options: [
    ["one angle", "all by one angle"], ["smooth", "smoothly"], ["rough", "each at random"]] }, put("gauge"));
  const amount = stage.slider({ name: "amount", label: "amount", min: 0, max: 1, step: 0.01 }, put("amount", Number));
  const another = stage.button("other frames", () => stage.put({ seed: (model.get("seed") + 1) % 100 }));
  const back = stage.button("turn back", () => stage.put({ amount: 0 }));
  const forget = stage.checkbox({ name: "forget", label: "forget the transport" }, put("forget", Boolean));
  const wrong = stage.checkbox({ name: "wrong", label: "a kernel that breaks the constraint" }, put("wrong", Boolean));
  const point = stage.slider({ name: "point", label: "read point", min: 0, max: 0, step: 1 }, put("point", Number));
  const views = [["azimuth", "eye round", -180, 180], ["elevation", "eye up", -90, 90]].map(([name, label, min, max]) =>
    [name, stage.slider({ name, label, min, max, step: 1 }, put(name, Number))]);
  const { list, tell } = stage.readout([
    ["gauge error", "the largest change of an output arrow when the frames turn, relative to the longest"],
    ["frame turned by", "at the point that is read"],
    ["s in this frame", "components of the input there"],
    ["length of s", "does not know of frames"],
    ["Φs in this frame", "components of the output there"],
    ["length of Φs", "knows of frames only if the layer is wrong"],
  ]);
  const note = element("p", { class: "gdl-note" });

  // --- the pictures

  const shows = ["input", "output"].map((name) => {
    const canvas = stage.canvas(name);
    const [title, small] = [element("span"), element("small")];
    return { name, canvas, title, small, figure: element("figure", {}, canvas, element("figcaption", {}, title, small)) };
  });
  const plane = stage.canvas("tangent plane");
  plane.style.aspectRatio = "1.35";
  const bar = stage.canvas("gauge error");
  Object.assign(bar.style, { aspectRatio: "auto", height: "52px", marginTop: "10px" });
  const gallery = element("div", { class: "gdl-gallery" }, ...shows.map(({ figure }) => figure));
  gallery.style.gridTemplateColumns = "repeat(auto-fit, minmax(min(260px, 100%), 1fr))";
  const about = element("p", { class: "gdl-key" }, "Crosses are the frames: e₁ ends in a dot. Drag to go round, click a point to read it.");
  const key = element("p", { class: "gdl-key" }, "The tangent plane at the ringed point: arrows, frame and components.");
  const columns = element("div", { class: "gdl-columns" },
    element("div", { class: "gdl-panel" }, element("div", {}, plane, key, bar, note), list),
    element("div", { class: "gdl-panel" },
      stage.group("Field and layer", surface.row, layer.row),
      stage.group("Frames", gauge.row, amount.row, element("div", { class: "gdl-buttons" }, another, back)),
      stage.group("Break it", forget.row, wrong.row),
      stage.group("Look", point.row, ...views.map(([, { row }]) => row))));
  columns.style.marginTop = "16px";
  stage.root.append(gallery, about, columns);

  const scene = (name) => recall(["scene", name], () => {
    const shape = SHAPES[name];
    const flat = points[name];
    const list = Array.from({ length: flat.length / 3 }, (_, k) => flat.slice(3 * k, 3 * k + 3));
    const whole = globeMesh(shape, 64, 40);
    const heights = Array.from({ length: whole.count }, (_, k) => wave(rows, whole.points.subarray(3 * k, 3 * k + 3), shape.extent)[3]);
    const top = Math.max(...heights.map(Math.abs)) || 1;
    const coloured = Float64Array.from(heights.flatMap((h) => colour(DIVERGING, 0.5 + 0.5 * h / top)));
    return { shape, whole, coloured, places: geometry(name, list) };
  });

  function update() {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    const view = { azimuth: model.get("azimuth"), elevation: model.get("elevation") };
    const { surface: name, layer: kind, gauge: choice, seed } = settings;
    const { shape, whole, coloured, places } = scene(name);
    const spin = kind === "arrows" ? 1 : 0;
    const chosen = Math.min(settings.point, places.length - 1);
    const field = recall(["field", name, kind], () => sample(places, rows, shape.extent, spin));
    const options = { spin, forget: settings.forget, wrong: settings.wrong, radius: RADIUS[name] };
    const before = recall(["before", name, kind, options], () => convolve(places, field, weights[kind], () => 0, options));
    const turn = (x) => 2 * Math.PI * settings.amount * profile(choice, x, shape.extent, seed);
    const angles = places.map(({ x }) => turn(x));
    const after = convolve(places, field, weights[kind], turn, options);
    const error = gaugeError(after, before, angles);
    const s = spin ? times(field.here[chosen], phase(-angles[chosen])) : field.here[chosen];
    const out = after[chosen];
    const numbers = {
      error, angle: angles[chosen] * 180 / Math.PI, s_1: s[0], s_2: s[1], length: Math.hypot(...s),
      out_1: out[0], out_2: out[1], out_length: Math.hypot(...out),
    };
    const longest = (list) => Math.max(...list.map((c) => Math.hypot(...c))) || 1;
    const top = longest(field.here);
    const { eye } = camera(view, 1, 1, 1);
    const sight = places.map(({ x, n }) => inSight(shape, x, n, eye));
    now = { ...settings, shape, whole, coloured, places, spin, chosen, field, before, after, angles, numbers, top, size: longest(before), view, sight };

    surface.control.value = name;
    layer.control.value = kind;
    gauge.control.value = choice;
    amount.show(settings.amount, fixed(settings.amount, 2));
    another.disabled = choice === "one angle";
    forget.control.checked = settings.forget;
    forget.row.hidden = !spin;  // a number has nothing to be carried
    wrong.control.checked = settings.wrong;
    point.limit(0, places.length - 1);
    point.show(chosen, String(chosen + 1));
    for (const [key, slider] of views) slider.show(view[key], `${fixed(view[key], 0)}°`);
    const exact = error < 1e-9;
    const pair = ([a, b]) => `(${fixed(a)}, ${fixed(b)})`;
    tell([error === 0 ? "0" : format(error, 2), `${fixed(numbers.angle, 1)}°`, spin ? pair(s) : `${fixed(s[0])}, a number`, fixed(numbers.length),
      pair(out), fixed(numbers.out_length)], numbers, { ...settings, ...view });
    note.textContent = verdict(exact);
    note.style.color = exact ? stage.theme.cycle[2] : stage.theme.cycle[1];

    const texts = {
      input: spin ? ["s: an arrow at every point", "turning the frames does not touch it"] : ["s: a number at every point", "red is high, blue is low"],
      output: ["Φs: what the layer makes of it", exact ? "the same in all frames" : "thin: in the frames as they were"],
    };
    for (const show of shows) {
      [show.title.textContent, show.small.textContent] = texts[show.name];
      show.canvas.setAttribute("aria-label", `${texts[show.name].join(", ")}; ${name}, frames turned ${choice}, amount ${fixed(settings.amount, 2)}`);
      stage.paint(show.canvas, (context, width, height) => drawSurface(context, width, height, show));
    }
    plane.setAttribute("aria-label", `Tangent plane at point ${chosen + 1}: s has components ${pair(s)}, Φs ${pair(out)}, the frame is turned by ${fixed(numbers.angle, 1)}°`);
    stage.paint(plane, drawPlane);
    bar.setAttribute("aria-label", `Gauge error ${format(error, 2)} on a logarithmic scale from 10⁻¹⁶ to 1`);
    stage.paint(bar, drawBar);
  }

  /** What the reader sees, in words. */
  function verdict(exact) {
    const { amount: much, forget: no, wrong: off, spin } = now;
    if (much === 0) return "Nobody has turned the frames yet.";
    if (!exact) return off ? "The kernel notices the frame at x: the output depends on a choice that nobody made." : "Arrows from different points were added up as if their frames agreed.";
    if (off || no && spin) return "All frames turn as one, and even this layer does not notice.";
    return spin ? "Components have changed, arrows have not: zero, to rounding."
      : "A number has nothing to be carried. The components of Φs have changed, its arrows have not: zero, to rounding.";
  }

  // --- drawing

  const backdrops = { plain: new Backdrop(), coloured: new Backdrop() };

  function drawSurface(context, width, height, { name }) {
    const { ink, cycle } = stage.theme;
    const { shape, whole, coloured, places, surface: kind, spin, field, before, after, angles, chosen, top, size, numbers, view: seen, sight } = now;
    const view = camera(seen, width, height, shape.extent, MARGIN);
    const painted = name === "input" && spin === 0;
    const plain = stage.dark ? [70, 79, 91] : [240, 243, 246];
    backdrops[painted ? "coloured" : "plain"].paint(context, width, seen, shape.extent, MARGIN, [kind, stage.dark], () => [{
      ...whole, shade: stage.dark ? 0.75 : 0.4,
      colours: painted ? coloured : Float64Array.from({ length: 3 * whole.count }, (_, k) => plain[k % 3]),
    }]);
    const reach = REACH[kind];
    const onPaper = painted ? "#1b1f24" : ink;
    for (const i of places.map((_, k) => k).sort((p, q) => sight[p] - sight[q])) {  // what is hidden first
      const { x, at } = places[i];
      const own = turned(at, angles[i]);
      const draw = (c, unit, basis, head = 8) => arrow(context, view.place(x), view.place(add(x, vector(c, basis), reach / unit)), head);
      context.globalAlpha = sight[i] ? 0.7 : 0.08;
      Object.assign(context, { strokeStyle: onPaper, fillStyle: onPaper, lineWidth: 1.2 });
      drawCross(context, x, own, 0.27 * reach, view);
      context.globalAlpha = sight[i] ? 1 : 0.1;
      if (name === "output" && numbers.error > 1e-3) {
        Object.assign(context, { strokeStyle: cycle[1], fillStyle: cycle[1], lineWidth: 1 });
        context.globalAlpha *= 0.55;
        draw(before[i], size, at, 5);
        context.globalAlpha /= 0.55;
      }
      const [tone, c, unit, basis] = name === "input" ? [cycle[0], field.here[i], top, at] : [cycle[1], after[i], size, own];
      Object.assign(context, { strokeStyle: tone, fillStyle: tone, lineWidth: 2.2 });
      if (name === "output" || spin) draw(c, unit, basis);
      if (i === chosen) {
        Object.assign(context, { strokeStyle: onPaper, lineWidth: 2 });
        context.beginPath();
        context.arc(...view.place(x), 9, 0, 2 * Math.PI);
        context.stroke();
      }
    }
    context.globalAlpha = 1;
  }

  function drawPlane(context, width, height) {
    const { ink, grid, cycle } = stage.theme;
    const { places, chosen, angles, spin, field, before, after, top, size, view: seen } = now;
    const { at, n } = places[chosen];
    const view = camera(seen, width, height, 1);
    const tilt = add(view.up, n, -view.up.reduce((sum, v, i) => sum + v * n[i], 0));
    const long = Math.hypot(...tilt);
    const up = long > 1e-6 ? scale(tilt, 1 / long) : at[1];
    const right = [up[1] * n[2] - up[2] * n[1], up[2] * n[0] - up[0] * n[2], up[0] * n[1] - up[1] * n[0]];
    const unit = height / 2 - 24;
    const place = (v) => {
      const [a, b] = components(v, [right, up]);
      return [width / 2 + unit * a, height / 2 - unit * b];
    };
    const own = turned(at, angles[chosen]);
    Object.assign(context, { fillStyle: grid, globalAlpha: 0.35 });
    disc(context, [width / 2, height / 2], unit);
    Object.assign(context, { globalAlpha: 1, font: "14px sans-serif", textAlign: "center", textBaseline: "middle", lineWidth: 1.5, strokeStyle: ink, fillStyle: ink });
    own.forEach((e, k) => {
      arrow(context, place(scale(e, -1)), place(e), 9);
      context.fillText(`e${"₁₂"[k]}`, ...place(scale(e, 1 + 14 / unit)));
    });
    const s = times(field.here[chosen], phase(-spin * angles[chosen]));
    const longer = Math.max(spin * Math.hypot(...s) / top, Math.hypot(...before[chosen]) / size) || 1;
    const marked = (c, tone, largest, label, low) => {
      const share = 0.8 / (largest * longer);
      const shown = scale(vector(c, own), share);
      Object.assign(context, { strokeStyle: tone, fillStyle: tone, lineWidth: 1.2 });
      context.setLineDash([4, 3]);
      own.forEach((e, k) => path(context, [place(shown), place(scale(e, share * c[k]))]));
      context.setLineDash([]);
      own.forEach((e, k) => disc(context, place(scale(e, share * c[k])), 3));
      context.lineWidth = 3.5;
      arrow(context, place([0, 0, 0]), place(shown), 12);
      context.textAlign = "left";
      context.fillText(label, 4, low);
    };
    if (spin) marked(s, cycle[0], top, "s", height - 30);
    marked(after[chosen], cycle[1], size, "Φs", height - 10);
  }

  function drawBar(context, width, height) {
    const { muted, grid, cycle } = stage.theme;
    const { error } = now.numbers;
    const x = (power) => 6 + (width - 12) * (Math.min(Math.max(power, SMALLEST), LARGEST) - SMALLEST) / (LARGEST - SMALLEST);
    const top = 18;
    context.fillStyle = grid;
    context.fillRect(x(SMALLEST), top, x(LARGEST) - x(SMALLEST), 12);
    context.fillStyle = error < 1e-9 ? cycle[2] : cycle[1];
    context.fillRect(x(SMALLEST), top, x(Math.log10(error || 1e-99)) - x(SMALLEST), 12);
    Object.assign(context, { font: "12px sans-serif", textBaseline: "middle", textAlign: "left", fillStyle: muted });
    context.fillText("gauge error", 4, 8);
    context.textAlign = "center";
    for (const [power, text] of [[-16, "10⁻¹⁶"], [-12, "10⁻¹²"], [-8, "10⁻⁸"], [-4, "10⁻⁴"], [0, "1"]]) {
      context.fillRect(x(power) - 0.5, top, 1, 15);
      context.fillText(text, Math.max(x(power), 18), height - 9);
    }
  }

  for (const { canvas } of shows) {
    turnByHand(stage, canvas, { click: ([x, y]) => {
      const view = camera(now.view, canvas.clientWidth, canvas.clientHeight, now.shape.extent, MARGIN);
      const away = now.places.map(({ x: p }, i) => {
        const [px, py] = view.place(p);
        return now.sight[i] ? Math.hypot(px - x, py - y) : Infinity;
      });
      const nearest = away.indexOf(Math.min(...away));
      if (away[nearest] < 30) stage.put({ point: nearest });
    } });
  }

  stage.open([...SETTINGS, "azimuth", "elevation"], update);
  return () => stage.close();
}

export default { render };
