// A kernel κ(X) = R(r)e^{ifθ} between fields of two spins, and both sides of its constraint. Complex numbers are pairs.

import { PHASE, Stage, arrow, colour, disc, element, fixed, format, gradient, path, phase, rgb, short, times } from "./stage.js";

const RINGS = 3;
const POINT = [0.6, Math.PI / 6];  // where both sides are read
const [LOW, HIGH] = [-4, 4];  // frequencies
const [RADIAL, RAYS] = [12, 24];

const away = ([a, b], [c, d]) => Math.hypot(a - c, b - d);
const radians = (degrees) => degrees * Math.PI / 180;

/** R(r): three rings, Gaussian around their radii and smooth at the rim, with complex weights. */
export function radial(r, { frequency, inner, middle, outer, twist }) {
  const size = (1 - r * r) ** 2 * (frequency ? r : 1) / Math.PI;
  return [inner, middle, outer].reduce(([re, im], weight, j) => {
    const ring = weight * size * Math.exp(-(((r - (j + 0.5) / RINGS) * RINGS) ** 2));
    return [re + ring * Math.cos(radians(j * twist)), im + ring * Math.sin(radians(j * twist))];
  }, [0, 0]);
}

/** κ at X = r(cos θ e₁ + sin θ e₂). */
export const kernel = (r, theta, settings) => times(radial(r, settings), phase(settings.frequency * theta));

/** Where the left-hand side reads κ: the angle of k▷X. */
export const moved = (theta, angle, reading) => theta + (reading === "components" ? -angle : angle);

/** Both sides of the constraint at X, k in radians: κ(k▷X), and η(k)κ(X)ρ(k⁻¹) or, in the talk's line, η(k⁻¹)κ(X)ρ(k). */
export function sides(r, theta, settings, angle, R = radial(r, settings)) {
  const { n_in, n_out, frequency, reading } = settings;
  const g = reading === "rotation" ? angle : -angle;
  return {
    left: times(R, phase(frequency * moved(theta, angle, reading))),
    right: times(phase(n_out * g), times(times(R, phase(frequency * theta)), phase(-n_in * g))),
  };
}

// Four points, each on a ray of its own.
const PROBES = Array.from({ length: 4 }, (_, i) => [(i + 0.5) / 4, 2.4 * i]);

const isZero = ({ inner, middle, outer }) => !(inner || middle || outer);

/** How far the sides are apart, relative to the largest |κ|; k in radians. */
export function difference(settings, angle, R = PROBES.map(([r]) => radial(r, settings))) {
  if (isZero(settings)) return 0;
  let [apart, top] = [0, 0];
  PROBES.forEach(([r, theta], i) => {
    const { left, right } = sides(r, theta, settings, angle, R[i]);
    apart = Math.max(apart, away(left, right));
    top = Math.max(top, Math.hypot(...right));
  });
  return apart / top;
}

/** The largest difference over turns by whole degrees. */
export function worst(settings) {
  const R = PROBES.map(([r]) => radial(r, settings));
  let most = 0;
  for (let degrees = 0; degrees <= 180; degrees++) most = Math.max(most, difference(settings, radians(degrees), R));
  return most;
}

/** The field that is convolved, in the frame at the middle: of all frequencies. */
const field = (x, y) => {
  const size = Math.exp(0.46 * x - 1.16 * y);
  return [size * Math.cos(1.12 * y - 0.3 * x), size * Math.sin(1.12 * y - 0.3 * x)];
};

/** ∫ κ(X) s dX over the plane's unit disc, worked out in the frame turned by `angle`: its coefficient there. */
export function convolve(settings, angle) {
  let [re, im] = [0, 0];
  for (let i = 0; i < RADIAL; i++) {
    const r = (i + 0.5) / RADIAL;
    for (let j = 0; j < RAYS; j++) {
      const theta = 2 * Math.PI * j / RAYS;  // in the turned frame
      const s = field(r * Math.cos(theta + angle), r * Math.sin(theta + angle));
      const [a, b] = times(kernel(r, theta, settings), times(phase(-settings.n_in * angle), s));
      [re, im] = [re + a * r, im + b * r];
    }
  }
  const area = 2 * Math.PI / (RADIAL * RAYS);
  return [re * area, im * area];
}

/** All numbers beside the pictures. */
export function compare(settings) {
  const k = radians(settings.angle);
  const { left, right } = sides(...POINT, settings, k);
  const before = convolve(settings, 0);
  const after = times(phase(settings.n_out * k), convolve(settings, k));
  const wanted = settings.n_out - settings.n_in;
  return {
    before, after,
    numbers: {
      difference: difference(settings, k),
      worst: worst(settings),
      passes: (settings.reading === "literal" ? -wanted : wanted) || 0,
      left_re: left[0], left_im: left[1], right_re: right[0], right_im: right[1],
      gauge_error: isZero(settings) ? 0 : away(after, before) / Math.hypot(...before),
    },
  };
}

const SETTINGS = ["n_in", "n_out", "frequency", "angle", "reading", "inner", "middle", "outer", "twist"];
const SPINS = [[0, "0: numbers"], [1, "1: arrows"], [2, "2: lines without a head"], [3, "3"]];
const READINGS = [
  ["rotation", "κ(k▷X) = η(k) κ(X) ρ(k⁻¹)"], ["components", "talk’s line, frame turned"], ["literal", "talk’s line, X turned"]];
const HUES = Array.from({ length: 361 }, (_, degrees) => colour(PHASE, degrees / 360));
const MARGIN = 18;  // of the discs, for the names of the frame
const GRID = [[0, 0], ...[1, 2, 3, 4].flatMap((ring) => Array.from({ length: 6 * ring }, (_, j) => [ring / 5.2, 2 * Math.PI * j / (6 * ring)]))];

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "kernel-constraint", label: "A kernel and the constraint that frames put on it" });
  const worsts = new Map();  // by all that is set but k
  let now;

  // --- the controls

  const put = (name, kind = Number) => (value) => stage.put({ [name]: kind(value) });
  const nIn = stage.select({ name: "n_in", label: "from spin n", options: SPINS }, put("n_in"));
  const nOut = stage.select({ name: "n_out", label: "to spin m", options: SPINS }, put("n_out"));
  const frequency = stage.slider({ name: "frequency", label: "frequency f", min: LOW, max: HIGH, step: 1 }, put("frequency"));
  const take = stage.button("f = m − n", () => stage.put({ frequency: model.get("n_out") - model.get("n_in") }));
  const angle = stage.slider({ name: "angle", label: "turn k", min: -180, max: 180, step: 1 }, put("angle"));
  const reading = stage.select({ name: "reading", label: "constraint", options: READINGS }, put("reading", String));
  const rings = ["inner", "middle", "outer"].map((name) =>
    stage.slider({ name, label: `${name} ring`, min: -1, max: 1, step: 0.05 }, put(name)));
  const twist = stage.slider({ name: "twist", label: "phase", min: -90, max: 90, step: 1 }, put("twist"));
  const verdict = element("p", { class: "gdl-note", "aria-live": "polite" });
  const { list, tell } = stage.readout([
    ["left − right", "the largest difference of both sides on the disc, relative to the largest |κ|, at this k"],
    ["at the worst k", "the same, the largest over all turns by whole degrees"],
    ["wanted", "the only frequency that passes for every k"],
    ["left at X", "size and phase of κ(k▷X) at the dot"],
    ["right at X", "size and phase of the right-hand side at the dot"],
    ["frame noticed", "how far the result of the convolution in the turned frame is from the one in the frame itself, relative to it"],
  ]);

  // --- the pictures

  const figures = ["kernel", "left", "right", "difference"].map((name) => {
    const canvas = stage.canvas(name);
    const title = element("span");
    const small = element("small");
    return { name, canvas, title, small, figure: element("figure", {}, canvas, element("figcaption", {}, title, small)) };
  });
  const [bars, dial] = ["bars", "result"].map((name) => stage.canvas(name));
  const captions = [element("figcaption"), element("figcaption")];
  const pair = "display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 14px 12px";
  const bar = element("div", { class: "gdl-bar" });
  bar.style.background = gradient(PHASE);
  stage.root.append(element("div", { class: "gdl-columns" },
    element("div", { class: "gdl-picture" },
      element("div", { style: pair }, ...figures.map(({ figure }) => figure),
        element("figure", {}, bars, captions[0]), element("figure", {}, dial, captions[1])), bar,
      element("div", { class: "gdl-ticks" }, ...["−180°", "phase of κ(X): colour and arrow", "180°"].map((text) => element("span", {}, text)))),
    element("div", { class: "gdl-panel" },
      stage.group("Fields", nIn.row, nOut.row),
      stage.group(element("span", {}, "Kernel κ(X) = R(r) e", element("sup", {}, "ifθ")), frequency.row, element("div", { class: "gdl-buttons" }, take)),
      stage.group("Turn", angle.row, reading.row, verdict), list,
      stage.group("R(r): free, and complex", ...rings.map(({ row }) => row), twist.row))));
  Object.assign(figures[0].canvas.style, { cursor: "grab" });
  bars.style.cursor = "pointer";

  const degrees = (value) => `${short(value)}°`;
  const polar = ([re, im]) => (Math.hypot(re, im) < 1e-12 ? "0" : `${fixed(Math.hypot(re, im))} ∠ ${degrees(Math.round(Math.atan2(im, re) * 180 / Math.PI))}`);
  const size = (value) => (value === 0 ? "0" : value < 1e-9 ? format(value, 1) : fixed(value, 2));

  function update() {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    now = { settings, ...compare(settings) };
    const { numbers } = now;
    const { n_in: n, n_out: m, reading: kind } = settings;

    nIn.control.value = n;
    nOut.control.value = m;
    frequency.show(settings.frequency, short(settings.frequency));
    angle.show(settings.angle, degrees(settings.angle));
    reading.control.value = kind;
    rings.forEach((ring, j) => ring.show(settings[["inner", "middle", "outer"][j]], fixed(settings[["inner", "middle", "outer"][j]], 2)));
    twist.show(settings.twist, degrees(settings.twist));
    tell([`${size(numbers.difference)} of |κ|`, `${size(numbers.worst)} of |κ|`,
      `f = ${short(numbers.passes)} = ${kind === "literal" ? "n − m" : "m − n"}`,
      polar([numbers.left_re, numbers.left_im]), polar([numbers.right_re, numbers.right_im]),
      numbers.gauge_error < 1e-9 ? `no: ${size(numbers.gauge_error)}` : `yes: ${size(numbers.gauge_error)}`], numbers, settings);

    const by = degrees(settings.angle);
    const inverse = kind === "rotation" ? ["", "⁻¹"] : ["⁻¹", ""];
    const looks = {
      kernel: ["κ(X)", `spin ${n} → ${m}, f = ${short(settings.frequency)}`],
      left: ["left: κ(k▷X)", kind === "components" ? `frame turned by ${by}` : `X turned by ${by}`],
      right: [`right: η(k${inverse[0]}) κ(X) ρ(k${inverse[1]})`, `phase ${degrees((kind === "rotation" ? 1 : -1) * (m - n) * settings.angle || 0)}`],
      difference: ["left − right", numbers.difference < 1e-9 ? "zero, to rounding" : `${size(numbers.difference)} of |κ|`],
    };
    verdict.textContent = say(settings, numbers);
    verdict.className = numbers.worst < 1e-9 && settings.frequency === m - n ? "gdl-key" : "gdl-note";
    const profile = Array.from({ length: 201 }, (_, i) => radial(i / 200, settings));
    const top = Math.max(1e-9, ...profile.map((R) => Math.hypot(...R)));
    const k = radians(settings.angle);
    const both = (r, theta) => sides(r, theta, settings, k, profile[Math.round(200 * r)]);
    const values = {
      kernel: (r, theta) => times(profile[Math.round(200 * r)], phase(settings.frequency * theta)),
      left: (r, theta) => both(r, theta).left,
      right: (r, theta) => both(r, theta).right,
      difference: (r, theta) => {
        const { left, right } = both(r, theta);
        return [left[0] - right[0], left[1] - right[1]];
      },
    };
    for (const { name, canvas, title, small } of figures) {
      [title.textContent, small.textContent] = looks[name];
      canvas.setAttribute("aria-label", looks[name].join(", "));
      stage.paint(canvas, (context, width) => drawDisc(context, width, values[name], top, name));
    }
    captions[0].textContent = "left − right at every f: filled at this k, framed at the worst";
    captions[1].textContent = numbers.gauge_error < 1e-9 ? "result of the convolution: one in both frames" : "results in the frame and in the turned one";
    const others = Array.from({ length: HIGH - LOW + 1 }, (_, j) => ({ ...settings, frequency: LOW + j }));
    const heights = others.map((other) => [difference(other, k), known(other)]);
    bars.setAttribute("aria-label", `Difference of both sides for frequencies ${short(LOW)} to ${HIGH}: zero for every k at ${short(numbers.passes)} only`);
    dial.setAttribute("aria-label", `Convolution in the frame: ${polar(now.before)}; in the turned frame, written in the first: ${polar(now.after)}`);
    stage.paint(bars, (context, width, height) => drawBars(context, width, height, heights));
    stage.paint(dial, drawDial);
  }

  function known(settings) {
    const id = JSON.stringify({ ...settings, angle: 0 });
    if (worsts.size > 2000) worsts.clear();
    if (!worsts.has(id)) worsts.set(id, worst(settings));
    return worsts.get(id);
  }

  /** What the numbers mean, in a sentence. */
  function say({ n_in, n_out, frequency: f }, { difference: here, worst: most, gauge_error }) {
    const free = f === n_out - n_in;
    if (most < 1e-9) {
      return free ? "Both sides agree for every k, and no frame is noticed."
        : "This line holds, and yet the frame is noticed: it cannot be what the talk means.";
    }
    if (free) return "No frame is noticed, and yet this line fails: it cannot be what the talk means.";
    if (here < 1e-9) return "Both sides agree at this k, and not at others.";
    return gauge_error < 1e-9 ? "The sides part." : "The sides part, and the convolution notices the frame.";
  }

  function drawDisc(context, width, value, top, name) {
    const { ink, muted, grid, cycle } = stage.theme;
    const [middle, rim] = [width / 2, width / 2 - MARGIN];
    const apart = name === "difference" ? now.numbers.difference : 1;
    const pixels = 64;
    const image = new ImageData(pixels, pixels);
    const paper = rgb(stage.theme.paper);
    for (let j = 0; j < pixels * pixels; j++) {
      const [x, y] = [2 * (j % pixels + 0.5) / pixels - 1, 1 - 2 * (Math.floor(j / pixels) + 0.5) / pixels];
      const r = Math.hypot(x, y);
      if (r > 1.04) continue;
      const [re, im] = value(Math.min(r, 1), Math.atan2(y, x));
      const hue = HUES[Math.round(Math.atan2(im, re) * 180 / Math.PI) + 180];
      const share = Math.min(Math.hypot(re, im) / top, 1) ** 0.7 * (stage.dark ? 0.6 : 0.9);
      for (let i = 0; i < 3; i++) image.data[4 * j + i] = paper[i] + share * (hue[i] - paper[i]);
      image.data[4 * j + 3] = 255;
    }
    const cells = element("canvas", { width: pixels, height: pixels });
    cells.getContext("2d").putImageData(image, 0, 0);
    context.save();
    context.beginPath();
    context.arc(middle, middle, rim, 0, 2 * Math.PI);
    context.clip();
    context.drawImage(cells, middle - rim, middle - rim, 2 * rim, 2 * rim);
    context.restore();
    Object.assign(context, { strokeStyle: grid, lineWidth: 1.5 });
    context.beginPath();
    context.arc(middle, middle, rim, 0, 2 * Math.PI);
    context.stroke();

    Object.assign(context, { strokeStyle: ink, fillStyle: ink, lineWidth: 1.3, lineCap: "round" });
    const longest = 0.3 * rim / Math.max(1, apart);
    for (const [r, theta] of GRID) {
      const [x, y] = [middle + rim * r * Math.cos(theta), middle - rim * r * Math.sin(theta)];
      const [dx, dy] = value(r, theta).map((part) => part / top * longest / 2);
      if (Math.hypot(dx, dy) > 1) arrow(context, [x - dx, y + dy], [x + dx, y - dy], 5.5);
    }
    if (name === "difference") {
      if (apart > 1e-9) return;
      Object.assign(context, { fillStyle: muted, font: "28px sans-serif", textAlign: "center", textBaseline: "middle" });
      context.fillText("0", middle, middle);
      return;
    }
    // X, where both sides are read, and k▷X, where the left one takes its value from
    const k = radians(model.get("angle"));
    const at = (r, theta) => [middle + rim * r * Math.cos(theta), middle - rim * r * Math.sin(theta)];
    const to = moved(POINT[1], k, model.get("reading"));
    if (name === "kernel") {
      Object.assign(context, { strokeStyle: cycle[0], lineWidth: 2 });
      context.beginPath();
      context.arc(middle, middle, POINT[0] * rim, -POINT[1], -to, to > POINT[1]);
      context.stroke();
      mark(context, at(POINT[0], to), 6, cycle[0]);
      axes(context, middle, rim, 0, muted);
      if (model.get("angle")) axes(context, middle, rim, k, cycle[1]);
    }
    mark(context, at(...POINT), 4, ink, ink);
  }

  function mark(context, place, radius, stroke, fill = stage.theme.paper) {
    Object.assign(context, { fillStyle: fill, strokeStyle: stroke, lineWidth: 2 });
    disc(context, place, radius);
    context.stroke();
  }

  /** The frame e₁, e₂ as marks outside of the rim. */
  function axes(context, middle, rim, turned, colour) {
    Object.assign(context, { strokeStyle: colour, fillStyle: colour, lineWidth: 2, font: "11px sans-serif", textAlign: "center", textBaseline: "middle" });
    [0, Math.PI / 2].forEach((quarter, j) => {
      const [c, s] = phase(turned + quarter);
      path(context, [-3, 3].map((d) => [middle + (rim + d) * c, middle - (rim + d) * s]));
      context.fillText(["e₁", "e₂"][j], middle + (rim + 11) * c, middle - (rim + 11) * s);
    });
  }

  const edge = { left: 8, right: 8, top: 12, bottom: 22 };

  function drawBars(context, width, height, heights) {
    const { ink, muted, grid, cycle } = stage.theme;
    const step = (width - edge.left - edge.right) / heights.length;
    const y = (v) => height - edge.bottom - (height - edge.top - edge.bottom) * Math.min(v, 2) / 2;
    Object.assign(context, { font: "12px sans-serif", textAlign: "center", textBaseline: "middle", strokeStyle: grid, lineWidth: 1 });
    for (const v of [0, 1, 2]) path(context, [[edge.left, y(v)], [width - edge.right, y(v)]]);
    heights.forEach(([here, most], j) => {
      const f = LOW + j;
      const chosen = f === model.get("frequency");
      const x = edge.left + j * step;
      context.fillStyle = cycle[chosen ? 1 : 0];
      context.globalAlpha = chosen ? 1 : 0.55;
      context.fillRect(x + 0.2 * step, y(here), 0.6 * step, y(0) - y(here));
      context.globalAlpha = 1;
      Object.assign(context, { strokeStyle: muted, lineWidth: 1 });
      context.strokeRect(x + 0.2 * step, y(most), 0.6 * step, y(0) - y(most));
      Object.assign(context, { fillStyle: chosen ? ink : muted, font: `${chosen ? "bold " : ""}12px sans-serif` });
      context.fillText(short(f), x + step / 2, height - 10);
      if (most < 1e-9) context.fillText("✓", x + step / 2, y(0) - 10);
    });
  }

  function drawDial(context, width, height) {
    const { muted, grid, cycle } = stage.theme;
    const [x, y, rim] = [width / 2, height / 2, Math.min(width, height) / 2 - MARGIN];
    Object.assign(context, { strokeStyle: grid, lineWidth: 1.5 });
    context.beginPath();
    context.arc(x, y, rim, 0, 2 * Math.PI);
    context.stroke();
    axes(context, x, rim, 0, muted);
    if (model.get("angle")) axes(context, x, rim, radians(model.get("angle")), cycle[1]);
    const unit = 0.85 * rim / (Math.hypot(...now.before) || 1);
    [[now.before, cycle[0], 6, 15], [now.after, cycle[1], 2, 10]].forEach(([[re, im], stroke, lineWidth, head]) => {
      Object.assign(context, { strokeStyle: stroke, fillStyle: stroke, lineWidth });
      arrow(context, [x, y], [x + unit * re, y - unit * im], head);
    });
  }

  // --- turning by hand, choosing a frequency

  const place = (event, canvas) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left - box.width / 2, box.top + box.height / 2 - event.clientY, box.width];
  };
  const first = figures[0].canvas;
  const near = (event) => {
    const [x, y, width] = place(event, first);
    const [c, s] = phase(moved(POINT[1], radians(model.get("angle")), model.get("reading")));
    return Math.hypot(x - POINT[0] * (width / 2 - MARGIN) * c, y - POINT[0] * (width / 2 - MARGIN) * s) < 28;
  };
  const direction = (event) => { const [x, y] = place(event, first); return Math.atan2(y, x) * 180 / Math.PI; };
  stage.drag(first, (event, start) => {
    const by = (direction(event) - start.direction) * (model.get("reading") === "components" ? -1 : 1);
    const angle = Math.round(start.angle + by);
    stage.put({ angle: angle - 360 * Math.round(angle / 360) });
  }, { press: (event) => ({ direction: direction(event), angle: model.get("angle") }), near });
  stage.on(bars, "click", (event) => {
    const box = bars.getBoundingClientRect();
    const j = Math.floor((event.clientX - box.left - edge.left) / (box.width - edge.left - edge.right) * (HIGH - LOW + 1));
    stage.put({ frequency: LOW + Math.min(Math.max(j, 0), HIGH - LOW) });
  });

  stage.open(SETTINGS, update);
  return () => stage.close();
}

export default { render };
