// A signal on a globe that the reader turns: before a layer, after it, and how far apart the two ends are.

import { DIVERGING, SEQUENTIAL, Stage, colour, disc, element, floats, format, path, short } from "./stage.js";
import { MOST, RADIANS, analyse, angles, grid, harmonics, moved, multiply, rotation, synthesise, turn } from "./sphere.js";

const PIXELS = 104;  // of a globe's picture, across

/** A 3 × 3 correlation on the chart of a grid; beyond a pole the opposite meridian goes on. */
export function correlate(values, kernel, n) {
  const width = 2 * n;
  return values.map((_, k) => {
    const [row, column] = [Math.floor(k / width), k % width];
    let sum = 0;
    for (let tap = 0; tap < 9; tap++) {
      let [b, a] = [row + Math.floor(tap / 3) - 1, column + tap % 3 - 1];
      if (b < 0 || b >= n) [b, a] = [b < 0 ? 0 : n - 1, a + n];
      sum += kernel[tap] * values[b * width + (a + width) % width];
    }
    return sum;
  });
}

export const latitudes = (L, s) => Math.ceil(L * s);

/** One layer, from a spectrum to a spectrum. */
export function apply(layer, spectrum, s, { zonal, kernel }) {
  const L = Math.sqrt(spectrum.length);
  const points = grid(latitudes(L, s));
  const x = layer === "zonal" || layer === "both" ? spectrum.map((v, k) => v * zonal[Math.floor(Math.sqrt(k))]) : spectrum;
  if (layer === "zonal") return x;
  const values = synthesise(x, L, points);
  return analyse(layer === "chart" ? correlate(values, kernel, points.n) : values.map((v) => Math.max(v, 0)), L, points);
}

const norm = (values) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));

/** f(Λx), Λf(x), their difference, and how far apart they are; `plain` is f(x). */
export function compare(layer, x, euler, s, fixed, plain = apply(layer, x, s, fixed)) {
  const [after, before] = [apply(layer, turn(x, euler), s, fixed), turn(plain, euler)];
  const difference = after.map((v, k) => v - before[k]);
  const size = norm(plain);
  return { after, before, difference, error: size > 1e-9 * norm(x) ? norm(difference) / size : 0 };
}

const SETTINGS = ["signal", "bandlimit", "layer", "oversample", "alpha", "beta", "gamma"];
const FLOOR = -17;  // the lowest power of ten that is drawn
// A quarter of the pixels of a globe, seen from α = 180° on the equator, where digits are painted: u to the left is x, v up is y.
// Mirrors x → −x and y → −y give the other three: a harmonic changes its sign in them if m < 0, and if l + m is odd.
const HALF = PIXELS / 2;
const PLACES = Array.from({ length: HALF * HALF }, (_, k) => [k % HALF, Math.floor(k / HALF)])
  .map(([left, up]) => ({ u: (left + 0.5) / HALF, v: (up + 0.5) / HALF, column: HALF - 1 - left, row: HALF - 1 - up }))
  .filter(({ u, v }) => u * u + v * v < 1);
const signs = (k) => {
  const l = Math.floor(Math.sqrt(k));
  const m = k - l * l - l;
  return (m < 0 ? 1 : 0) + ((l + m) % 2 ? 2 : 0);
};
const SORTED = Array.from({ length: MOST * MOST }, (_, k) => k).sort((a, b) => signs(a) - signs(b) || a - b);
const ENDS = [0, 1, 2, 3].map((kind) => SORTED.filter((k) => signs(k) <= kind).length);
let visible = null;  // harmonics at those pixels, those of equal signs together

/** The values of a spectrum at the pixels of a globe, row by row; outside of it zero. */
export function look(spectrum) {
  const all = MOST * MOST;
  if (!visible) {
    const Y = harmonics(MOST, PLACES.flatMap(({ u, v }) => [u, v, -Math.sqrt(1 - u * u - v * v)]));
    visible = Float32Array.from(Y, (_, at) => Y[at - at % all + SORTED[at % all]]);
  }
  const sorted = Float64Array.from(SORTED, (k) => spectrum[k] ?? 0);
  const values = new Float32Array(PIXELS * PIXELS);
  const sums = new Float64Array(4);
  PLACES.forEach(({ column, row }, p) => {
    for (let kind = 0, i = 0; kind < 4; kind++) {
      let sum = 0;
      for (; i < ENDS[kind]; i++) sum += sorted[i] * visible[p * all + i];
      sums[kind] = sum;
    }
    const [even, x, y, both] = sums;
    const [across, down] = [PIXELS - 1 - column, PIXELS - 1 - row];
    values[row * PIXELS + column] = even + x + y + both;
    values[row * PIXELS + across] = even - x + y - both;
    values[down * PIXELS + column] = even + x - y - both;
    values[down * PIXELS + across] = even - x - y + both;
  });
  return values;
}

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "globe", label: "A signal on a globe, turned before and after a layer" });
  const [names, layers, scales] = ["names", "layers", "oversamples"].map((name) => model.get(name));
  const fixed = { zonal: model.get("zonal"), kernel: model.get("kernel") };
  const all = Float64Array.from(floats(model.get("spectra")));
  let R;  // the present rotation
  let plain = {};  // what does not depend on the rotation: f(x) for every layer and oversampling, and the input's range
  let now;

  // --- the controls

  const put = (name, kind = Number) => (value) => stage.put({ [name]: kind(value) });
  const signal = stage.select({ name: "signal", label: "signal", options: names.map((n, k) => [k, n]) }, put("signal"));
  const limit = stage.slider({ name: "bandlimit", label: "bandlimit L", min: 1, max: MOST, step: 1 }, put("bandlimit"));
  const turns = [["alpha", "α", -180], ["beta", "β", 0], ["gamma", "γ", -180]].map(([name, label, min]) =>
    [name, stage.slider({ name, label: `turn ${label}`, min, max: 180, step: 1 }, put(name))]);
  const layer = stage.select({ name: "layer", label: "layer f", options: Object.entries(layers) }, put("layer", String));
  const density = stage.slider({ name: "oversample", label: "sampled", min: 0, max: scales.length - 1, step: 1 }, put("oversample"));
  const dots = stage.checkbox({ name: "dots", label: "dots at the points of the grid" }, put("dots", Boolean));
  const upright = stage.button("upright", () => stage.put({ alpha: 0, beta: 0, gamma: 0 }));
  const axis = stage.button("about the axis only", () => stage.put({ beta: 0, gamma: 0 }));
  const { list, tell } = stage.readout([
    ["equivariance error", "‖f(Λx) − Λf(x)‖ / ‖f(x)‖, from the spectra"],
    ["grid", "Gauss–Legendre latitudes × azimuths on which the layer is evaluated"],
    ["kept below L", "share of the signal's mean square in the degrees below the bandlimit"],
  ]);

  // --- the pictures

  const globes = ["input", "after", "before", "difference"].map((name) => {
    const canvas = stage.canvas(name);
    canvas.style.cursor = "grab";
    const title = element("span");
    const small = element("small");
    return { name, canvas, title, small, figure: element("figure", {}, canvas, element("figcaption", {}, title, small)) };
  });
  const plot = stage.canvas("error against oversampling");
  Object.assign(plot.style, { aspectRatio: "1.3" });
  const key = element("p", { class: "gdl-key" });
  const about = element("p", { class: "gdl-key" }, "Drag a globe; Λ turns it. Red is positive, blue negative, white zero; the input from dark to yellow. "
    + "Lines: equator and meridians of the signal. Dots: where the layer takes its values.");
  const gallery = element("div", { class: "gdl-gallery" }, ...globes.map(({ figure }) => figure));
  const columns = element("div", { class: "gdl-columns" },
    element("div", { class: "gdl-picture" }, plot, key),
    element("div", { class: "gdl-panel" },
      stage.group("Signal x and rotation", ...(names.length > 1 ? [signal.row] : []), limit.row, ...turns.map(([, { row }]) => row),
        element("div", { class: "gdl-buttons" }, upright, axis)),
      stage.group("Layer", layer.row, density.row, dots.row), list));
  columns.style.marginTop = "16px";
  stage.root.append(gallery, about, columns);

  function update() {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    const { signal: index, bandlimit: L, alpha, beta, gamma } = settings;
    const euler = [alpha, beta, gamma];
    R = rotation(...euler);
    const whole = all.subarray(index * MOST * MOST, (index + 1) * MOST * MOST);
    const x = whole.slice(0, L * L);
    const what = `${index} ${L}`;
    if (plain.id !== what) {
      const values = synthesise(whole, MOST, grid(MOST));
      plain = {
        id: what, range: [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))],
        f: Object.fromEntries(Object.keys(layers).map((name) => [name, scales.map((s) => apply(name, x, s, fixed))])),
      };
    }
    const curves = Object.fromEntries(Object.keys(layers).map((name) =>
      [name, scales.map((s, k) => compare(name, x, euler, s, fixed, plain.f[name][k]))]));
    const found = curves[settings.layer][settings.oversample];
    const s = scales[settings.oversample];
    const n = latitudes(L, s);
    now = { settings, curves, n, x };
    const numbers = {
      error: found.error,
      ...Object.fromEntries(scales.map((scale, k) => [`error_${scale}`, curves[settings.layer][k].error])),
      kept: norm(x) ** 2 / norm(whole) ** 2, points: 2 * n * n,
    };

    signal.control.value = index;
    limit.show(L, String(L));
    for (const [name, { show }] of turns) show(settings[name], `${short(settings[name], 3)}°`);
    layer.control.value = settings.layer;
    density.show(settings.oversample, `× ${s}`);
    dots.control.checked = model.get("dots");
    const percent = (error) => (error === 0 ? "0" : error < 1e-4 ? format(error, 2) : `${format(100 * error)} %`);
    tell([percent(found.error), settings.layer === "zonal" ? "none: it acts on the spectrum" : `${n} × ${2 * n}`, percent(numbers.kept)],
      numbers, { ...settings, dots: model.get("dots") });

    const [input, after, before, difference] = [turn(x, euler), found.after, found.before, found.difference].map(look);
    const pictures = { input, after, before, difference };
    const most = (values) => values.reduce((top, v) => Math.max(top, Math.abs(v)), 0);
    const top = Math.max(most(pictures.after), most(pictures.before)) || 1;
    const apart = most(pictures.difference);
    const exact = apart <= 1e-6 * top;
    // The colours of the input do not change as it turns: they come from all of the globe.
    const looks = {
      input: ["Λx, turned", `x below L = ${L}`, SEQUENTIAL, plain.range],
      after: ["f(Λx)", "turn, then layer", DIVERGING, [-top, top]],
      before: ["Λf(x)", "layer, then turn", DIVERGING, [-top, top]],
      difference: ["difference", exact ? "zero, to rounding" : `colours ±${format(apart, 2)} of ±${format(top, 2)}`, DIVERGING, exact ? [-1, 1] : [-apart, apart]],
    };
    const still = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    const grids = { input: still, after: still, before: R };
    for (const { name, canvas, title, small } of globes) {
      const [text, more, scale, ends] = looks[name];
      [title.textContent, small.textContent] = [text, more];
      canvas.setAttribute("aria-label", `Globe ${text}, ${more}, R = (${euler.map((d) => `${short(d, 3)}°`).join(", ")})`);
      const marked = model.get("dots") && settings.layer !== "zonal" ? grids[name] : null;
      stage.paint(canvas, (context, width) => drawGlobe(context, width, pictures[name], scale, ends, marked));
    }
    key.replaceChildren(...Object.entries(layers).flatMap(([name, text]) => {
      const label = element(name === settings.layer ? "strong" : "span", {}, text);
      label.style.color = style(name);
      return [label, "  ·  "];
    }).slice(0, -1));
    plot.setAttribute("aria-label", `Equivariance error against oversampling, logarithmic: ${layers[settings.layer]} has `
      + scales.map((scale, k) => `${format(curves[settings.layer][k].error, 2)} at ${scale}`).join(", "));
    stage.paint(plot, drawPlot);
  }

  const style = (name) => stage.theme.cycle[Object.keys(layers).indexOf(name)];
  const picture = element("canvas", { width: PIXELS, height: PIXELS });
  // One colour for each of 256 levels: four globes have 34,000 pixels.
  const levels = new Map([SEQUENTIAL, DIVERGING].map((scale) => [scale,
    new Uint32Array(Uint8ClampedArray.from({ length: 1024 }, (_, k) => (k % 4 === 3 ? 255 : colour(scale, (k >> 2) / 255)[k % 4])).buffer)]));

  function drawGlobe(context, width, values, scale, [low, high], marked) {
    const image = new ImageData(PIXELS, PIXELS);
    const [pixels, colours] = [new Uint32Array(image.data.buffer), levels.get(scale)];
    for (let p = 0; p < values.length; p++) {
      pixels[p] = colours[Math.min(Math.max(Math.round(255 * (values[p] - low) / (high - low)), 0), 255)];
    }
    picture.getContext("2d").putImageData(image, 0, 0);
    const radius = width / 2 - 2;
    context.save();
    context.beginPath();
    context.arc(width / 2, width / 2, radius - 0.5, 0, 2 * Math.PI);
    context.clip();
    context.imageSmoothingEnabled = true;
    context.drawImage(picture, width / 2 - radius - 1, width / 2 - radius - 1, 2 * radius + 2, 2 * radius + 2);
    context.restore();
    const place = ([x, y]) => [width / 2 - radius * x, width / 2 - radius * y];
    const line = (point) => {  // a circle of the signal, where it is in front
      context.beginPath();
      for (let d = 0; d <= 360; d += 6) {
        const p = moved(R, point(d * RADIANS));
        if (p[2] < 0) context.lineTo(...place(p));
        else { context.stroke(); context.beginPath(); }
      }
      context.stroke();
    };
    const dark = scale === SEQUENTIAL;
    Object.assign(context, { strokeStyle: dark ? "#ffffff" : "#1b1f24", lineWidth: 1, globalAlpha: dark ? 0.4 : 0.3 });
    line((t) => [Math.sin(t), 0, Math.cos(t)]);
    for (const a of [0, 60, 120]) line((t) => [Math.sin(t) * Math.sin(a * RADIANS), Math.cos(t), Math.sin(t) * Math.cos(a * RADIANS)]);
    Object.assign(context, { fillStyle: dark ? "#ffffff" : "#1b1f24", globalAlpha: 0.6 });
    if (marked) {
      const { points } = grid(now.n);
      const size = now.n > 30 ? 1 : 1.6;
      const seen = moved(marked, points);
      for (let k = 0; k < seen.length; k += 3) {
        if (seen[k + 2] >= -0.05) continue;
        context.fillRect(width / 2 - radius * seen[k] - size / 2, width / 2 - radius * seen[k + 1] - size / 2, size, size);
      }
    }
    context.globalAlpha = 1;
    Object.assign(context, { strokeStyle: stage.theme.muted, lineWidth: 1.5 });
    context.beginPath();
    context.arc(width / 2, width / 2, radius, 0, 2 * Math.PI);
    context.stroke();
  }

  function drawPlot(context, width, height) {
    const { ink, muted, grid: faint, paper } = stage.theme;
    const { settings: { layer: chosen, oversample }, curves } = now;
    const [left, right, top, bottom] = [44, width - 16, 24, height - 26];
    const x = (s) => left + 10 + (right - left - 20) * (s - scales[0]) / (scales.at(-1) - scales[0]);
    const y = (error) => bottom - (bottom - top) * (Math.min(Math.max(Math.log10(error || 1e-99), FLOOR), 0.5) - FLOOR) / (0.5 - FLOOR);
    Object.assign(context, { font: "12px sans-serif", textBaseline: "middle", textAlign: "right", fillStyle: muted, strokeStyle: faint, lineWidth: 1 });
    for (const [value, text] of [[1, "1"], [1e-2, "10⁻²"], [1e-4, "10⁻⁴"], [1e-8, "10⁻⁸"], [1e-12, "10⁻¹²"], [1e-16, "10⁻¹⁶"]]) {
      path(context, [[left, y(value)], [right, y(value)]]);
      context.fillText(text, left - 6, y(value));
    }
    context.textAlign = "center";
    for (const s of scales) context.fillText(`× ${s}`, x(s), height - 10);
    context.textAlign = "left";
    context.fillText("equivariance error against oversampling", left, 9);
    for (const name of [...Object.keys(layers).filter((k) => k !== chosen), chosen]) {
      const thick = name === chosen;
      const points = curves[name].map(({ error }, k) => [x(scales[k]), y(error)]);
      Object.assign(context, { strokeStyle: style(name), fillStyle: style(name), lineWidth: thick ? 3 : 1.5, lineJoin: "round" });
      path(context, points);
      for (const p of points) disc(context, p, thick ? 4.5 : 3);
    }
    context.fillStyle = paper;
    disc(context, [x(scales[oversample]), y(curves[chosen][oversample].error)], 7);
    Object.assign(context, { strokeStyle: ink, lineWidth: 2.5 });
    context.stroke();
  }

  // --- dragging: the point under the pointer goes with it, about the axes of the screen

  for (const { canvas } of globes) {
    const near = (event) => {
      const box = canvas.getBoundingClientRect();
      return Math.hypot(event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2) < 0.4 * box.width;
    };
    const carry = (event, { start, x, y }) => {
      const unit = 2 / canvas.clientWidth;
      const [across, up] = [(event.clientX - x) * unit, (y - event.clientY) * unit].map((v) => v / RADIANS);
      const [alpha, beta, gamma] = angles(multiply(multiply(rotation(across, 0, 0), rotation(0, up, 0)), start));
      stage.put({ alpha, beta, gamma });
    };
    stage.drag(canvas, carry, { near, press: (event) => ({ start: R, x: event.clientX, y: event.clientY }) });
  }

  stage.open([...SETTINGS, "dots", "spectra"], update);
  return () => stage.close();
}

export default { render };
