// Points on a manifold of known dimension, and what their nearest neighbours say of it, at every scale.
// Points are arrays of coordinates; all random numbers are counted, so that the same settings give the same points.

import { SEQUENTIAL, Stage, colour, element, fixed, floats, format, gradient, short } from "./stage.js";

export const MOST = 60;  // neighbours
const TURNS = [1.5 * Math.PI, 4.5 * Math.PI];
const TUBE = 0.4;
const TRUTH = { helix: 1, square: 2, sphere: 2, torus: 2, "Swiss roll": 2 };

/** The index-th number of a stream, uniform in [0, 1): mulberry32, whose state is a counter. */
export function uniform(seed, stream, index) {
  let t = (Math.imul(2 * seed + stream + 1, 0x9e3779b9) + Math.imul(index + 1, 0x6d2b79f5)) | 0;
  t = Math.imul(t ^ (t >>> 15), 1 | t);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

/** The index-th standard normal number of the stream of the noise (Box and Muller). */
export const normal = (seed, index) =>
  Math.sqrt(-2 * Math.log(1 - uniform(seed, 1, 2 * index))) * Math.cos(2 * Math.PI * uniform(seed, 1, 2 * index + 1));

const arc = (t) => 0.5 * (t * Math.hypot(1, t) + Math.asinh(t));

/** A point (u, v) of the unit square, placed on a manifold so that equal areas stay equal. */
export function place(shape, u, v) {
  if (shape === "helix") return [Math.cos(6 * Math.PI * u), Math.sin(6 * Math.PI * u), 2 * u - 1];
  if (shape === "square") return [2 * u - 1, 2 * v - 1, 0];
  const angle = 2 * Math.PI * v;
  if (shape === "sphere") {
    const z = 2 * u - 1;
    const width = Math.sqrt(1 - z * z);
    return [width * Math.cos(angle), width * Math.sin(angle), z];
  }
  if (shape === "torus") {  // θ + ρ sin θ is uniform
    let theta = 2 * Math.PI * u;
    for (let k = 0; k < 8; k++) theta -= (theta + TUBE * Math.sin(theta) - 2 * Math.PI * u) / (1 + TUBE * Math.cos(theta));
    const out = 1 + TUBE * Math.cos(theta);
    return [out * Math.cos(angle), out * Math.sin(angle), TUBE * Math.sin(theta)];
  }
  const wanted = arc(TURNS[0]) + (arc(TURNS[1]) - arc(TURNS[0])) * u;  // uniform in the length of the spiral
  let t = Math.sqrt(2 * wanted);
  for (let k = 0; k < 6; k++) t -= (arc(t) - wanted) / Math.hypot(1, t);
  return [t * Math.cos(t) / TURNS[1], 1.5 * v - 0.75, t * Math.sin(t) / TURNS[1]];
}

/** n points of a drawn manifold in `ambient` dimensions, or of the reader's `own`, with normal noise in every direction. */
export function points({ shape, n, ambient, noise, seed }, own) {
  const chosen = TRUTH[shape] ? null : own.slice(0, n);
  return Array.from({ length: chosen ? chosen.length : n }, (_, i) => {
    const clean = chosen ? chosen[i] : place(shape, uniform(seed, 0, 2 * i), uniform(seed, 0, 2 * i + 1));
    const x = Float64Array.from({ length: chosen ? clean.length : ambient }, (_, j) => clean[j] ?? 0);
    return noise ? x.map((value, j) => value + noise * normal(seed, 128 * i + j)) : x;
  });
}

/** For each point its distances to the `MOST` nearest other points, ascending. */
export function neighbourDistances(x) {
  const n = x.length;
  const square = Array.from({ length: n }, () => new Float64Array(n));
  for (let i = 0; i < n; i++) {
    square[i][i] = Infinity;
    for (let j = 0; j < i; j++) {
      let sum = 0;
      for (let c = 0; c < x[i].length; c++) sum += (x[i][c] - x[j][c]) ** 2;
      square[i][j] = square[j][i] = sum;
    }
  }
  return square.map((row) => row.sort().slice(0, MOST).map(Math.sqrt));
}

/** 1/m at each point, for every k from 2: the mean of log(r_k / r_j) over j < k. Row k holds all points. */
export function inverses(r) {
  const rows = Array.from({ length: MOST + 1 }, () => new Float64Array(r.length));
  r.forEach((distances, i) => {
    let logs = 0;
    for (let k = 1; k <= MOST; k++) {
      const log = Math.log(distances[k - 1]);
      if (k > 1) rows[k][i] = log - logs / (k - 1);
      logs += log;
    }
  });
  return rows;
}

const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

/** The slope of -log(1 - F(μ)) against log μ through the origin, without the largest tenth of the ratios μ = r₂/r₁. */
export function twoNN(r) {
  const logs = Float64Array.from(r, ([first, second]) => Math.log(second / first)).sort();
  let [above, below] = [0, 0];
  for (let i = 0; i < Math.trunc(logs.length * 0.9); i++) {
    above -= logs[i] * Math.log1p(-(i + 1) / logs.length);
    below += logs[i] ** 2;
  }
  return above / below;
}

/** (tr C)² / tr C² of the covariance matrix C. */
export function participation(x) {
  const [n, size] = [x.length, x[0].length];
  const centre = Array.from({ length: size }, (_, a) => mean(x.map((p) => p[a])));
  let [trace, squares] = [0, 0];
  for (let a = 0; a < size; a++) {
    for (let b = 0; b <= a; b++) {
      let entry = 0;
      for (let i = 0; i < n; i++) entry += (x[i][a] - centre[a]) * (x[i][b] - centre[b]);
      if (a === b) trace += entry;
      squares += (a === b ? 1 : 2) * entry * entry;
    }
  }
  return trace * trace / squares;
}

/** Everything that does not depend on k or on the view. */
export function survey(settings, own) {
  const x = points(settings, own);
  const r = neighbourDistances(x);
  const inverse = inverses(r);
  const curve = inverse.map((row, k) => (k < 2 ? NaN : 1 / mean(row)));
  return { x, r, inverse, curve, two_nn: twoNN(r), participation: participation(x) };
}

/** The numbers beside the picture. */
export function numbers({ r, inverse, curve, two_nn, participation }, { shape, k }) {
  const scales = r.map((distances) => distances[k - 1]).sort((a, b) => a - b);
  return {
    mle: curve[k],
    plain: (k - 2) / (k - 1) * mean(inverse[k].map((v) => 1 / v)),
    two_nn,
    participation,
    scale: (scales[(scales.length - 1) >> 1] + scales[scales.length >> 1]) / 2,
    ...(TRUTH[shape] ? { truth: TRUTH[shape] } : {}),
  };
}

const SETTINGS = ["shape", "n", "ambient", "noise", "k", "seed"];
const VIEW = ["turn", "tilt"];

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "dimension-estimate", label: "The dimension of a manifold from nearest neighbours" });
  const columns = model.get("columns");
  const rows = (name) => {
    const flat = floats(model.get(name));
    return Array.from({ length: flat.length / (columns || 1) }, (_, i) => flat.subarray(i * columns, (i + 1) * columns));
  };
  const [own, axes] = [rows("points"), rows("axes")];
  const title = model.get("title");
  let now;
  let known = "";

  // --- the controls

  const put = (name) => (value) => stage.put({ [name]: value });
  const shapes = [...Object.keys(TRUTH), ...(own.length ? [title] : [])];
  const shape = stage.select({ name: "shape", label: "manifold", options: shapes.map((s) => [s, s]) }, put("shape"));
  const n = stage.slider({ name: "n", label: "points", min: 100, max: 600, step: 50 }, put("n"));
  const ambient = stage.slider({ name: "ambient", label: "space ℝᴰ", min: 3, max: 12, step: 1 }, put("ambient"));
  const noise = stage.slider({ name: "noise", label: "noise σ", min: 0, max: 0.3, step: 0.01 }, put("noise"));
  const k = stage.slider({ name: "k", label: "scale k", min: 3, max: MOST, step: 1 }, put("k"));
  const turn = stage.slider({ name: "turn", label: "turn", min: -180, max: 180, step: 1 }, put("turn"));
  const tilt = stage.slider({ name: "tilt", label: "tilt", min: -90, max: 90, step: 1 }, put("tilt"));
  const again = stage.button("draw other points", () => stage.put({ seed: model.get("seed") + 1 }));
  const { list, tell } = stage.readout([
    ["dimension at scale k", "Levina and Bickel: 1 / mean of (Σ log(r_k / r_j)) / (k − 1) over the points"],
    ["truth", "the dimension of the manifold that the points are drawn on, before noise"],
    ["plain average", "the mean of (k − 2) / Σ log(r_k / r_j) over the points"],
    ["TwoNN", "from the two nearest neighbours alone: the smallest scale"],
    ["participation ratio", "(tr C)² / tr C² of the covariance matrix: it counts directions, not coordinates"],
    ["median distance", "to the k-th neighbour: the scale at which k looks"],
  ]);

  // --- the pictures

  const cloud = stage.canvas("points");
  cloud.style.touchAction = "pan-y";
  cloud.style.cursor = "grab";
  const chart = stage.canvas("chart");
  chart.style.aspectRatio = "2";
  const bar = element("div", { class: "gdl-bar" });
  bar.style.background = gradient(SEQUENTIAL);
  const ticks = element("div", { class: "gdl-ticks" });
  const key = element("p", { class: "gdl-key" });
  stage.root.append(
    element("div", { class: "gdl-columns" },
      element("div", { class: "gdl-picture" }, cloud, bar, ticks, key, turn.row, tilt.row),
      element("div", { class: "gdl-panel" },
        stage.group("Points", shape.row, n.row, ambient.row, noise.row, element("div", { class: "gdl-buttons" }, again)),
        stage.group("Neighbours", k.row),
        chart, list)));

  function update() {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    const { k: chosen, ...drawn } = settings;
    if (JSON.stringify(drawn) !== known) {
      now = survey(settings, own);
      known = JSON.stringify(drawn);
    }
    const shown = numbers(now, settings);

    shape.control.value = settings.shape;
    ambient.row.hidden = again.hidden = !TRUTH[settings.shape];
    n.show(settings.n, String(settings.n));
    ambient.show(settings.ambient, `D = ${settings.ambient}`);
    noise.show(settings.noise, short(settings.noise));
    k.show(chosen, String(chosen));
    turn.show(model.get("turn"), `${short(model.get("turn"))}°`);
    tilt.show(model.get("tilt"), `${short(model.get("tilt"))}°`);
    tell([
      fixed(shown.mle, 2),
      shown.truth ? String(shown.truth) : "not known",
      fixed(shown.plain, 2),
      fixed(shown.two_nn, 2),
      fixed(shown.participation, 2),
      format(shown.scale) + (settings.noise ? ` = ${format(shown.scale / settings.noise, 2)} σ` : ""),
    ], shown, { ...settings, ...Object.fromEntries(VIEW.map((name) => [name, model.get(name)])) });
    ticks.replaceChildren(...[0, 1, 2].map((t) => element("span", {}, fixed(t * shown.mle, 1))));
    key.textContent = "Colour: the estimate at each point. Rings: one point and its "
      + `${chosen} neighbours. Drag to turn.`
      + (now.x[0].length > 3 ? ` Shown: the first three of ${now.x[0].length} ${TRUTH[settings.shape] ? "coordinates" : "principal axes"}.` : "");
    cloud.setAttribute("aria-label", `${now.x.length} points, ${settings.shape}, noise ${short(settings.noise)}`);
    chart.setAttribute("aria-label", `Estimated dimension for k from 2 to ${MOST}: from ${fixed(now.curve[2], 1)} to `
      + `${fixed(now.curve[MOST], 1)}, ${fixed(shown.mle, 1)} at k = ${chosen}`);
    stage.paint(cloud, (context, size) => drawCloud(context, size, settings, shown));
    stage.paint(chart, (context, width, height) => drawChart(context, width, height, shown, chosen));
  }

  /** Coordinates on the screen, and depth, for each point. */
  function project(settings) {
    const seen = now.x.map((p) => (TRUTH[settings.shape] ? [p[0], p[1], p[2]]
      : axes.map((axis) => axis.reduce((sum, a, j) => sum + a * p[j], 0))));
    const centre = TRUTH[settings.shape] ? [0, 0, 0] : [0, 1, 2].map((c) => mean(seen.map((p) => p[c])));
    const [a, b] = [model.get("turn"), model.get("tilt")].map((degrees) => degrees * Math.PI / 180);
    return seen.map((p) => {
      const [x, y, z] = p.map((v, c) => v - centre[c]);
      const [across, along] = [Math.cos(a) * x - Math.sin(a) * y, Math.sin(a) * x + Math.cos(a) * y];
      return [across, Math.cos(b) * z + Math.sin(b) * along, Math.cos(b) * along - Math.sin(b) * z];
    });
  }

  function drawCloud(context, size, settings, { mle }) {
    const where = project(settings);
    const reach = 1.06 * Math.max(...where.map((p) => Math.hypot(...p)));
    const at = (p) => [size / 2 * (1 + p[0] / reach), size / 2 * (1 - p[1] / reach)];
    const near = now.x.map((p, i) => [p.reduce((sum, v, c) => sum + (v - now.x[0][c]) ** 2, 0), i])
      .sort((p, q) => p[0] - q[0]).slice(1, settings.k + 1).map(([, i]) => i);
    const order = where.map((p, i) => [p[2], i]).sort((p, q) => q[0] - p[0]);
    const disc = ([x, y], radius) => { context.beginPath(); context.arc(x, y, radius, 0, 2 * Math.PI); };
    for (const [depth, i] of order) {
      context.globalAlpha = 0.65 - 0.35 * depth / reach;
      disc(at(where[i]), 4 - 1.2 * depth / reach);
      context.fillStyle = `rgb(${colour(SEQUENTIAL, 0.5 / (now.inverse[settings.k][i] * mle))})`;
      context.fill();
      Object.assign(context, { strokeStyle: stage.theme.ink, lineWidth: 0.5 });
      context.stroke();
    }
    context.globalAlpha = 1;
    Object.assign(context, { strokeStyle: stage.theme.cycle[1], lineWidth: 1.5 });
    for (const i of near) { disc(at(where[i]), 6); context.stroke(); }
    context.lineWidth = 3;
    disc(at(where[0]), 9);
    context.stroke();
  }

  function drawChart(context, width, height, { mle, truth, two_nn }, chosen) {
    const [left, right, top, bottom] = [26, width - 10, 18, height - 32];
    const most = 1.12 * Math.max(3, truth ?? 0, two_nn, ...now.curve.slice(2));
    const x = (k) => left + (right - left) * (k - 2) / (MOST - 2);
    const y = (d) => bottom - (bottom - top) * d / most;
    const line = (from, to, style, wide, dash = []) => {
      context.setLineDash(dash);
      Object.assign(context, { strokeStyle: style, lineWidth: wide });
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
      context.setLineDash([]);
    };
    const { ink, muted, grid, cycle } = stage.theme;
    Object.assign(context, { font: "12px sans-serif", fillStyle: muted, textBaseline: "middle", textAlign: "right" });
    const step = most > 40 ? 20 : most > 16 ? 5 : most > 7 ? 2 : 1;
    for (let d = 0; d < most; d += step) {
      line([left, y(d)], [right, y(d)], grid, 1);
      context.fillText(String(d), left - 6, y(d));
    }
    context.textAlign = "center";
    for (const k of [2, 10, 20, 30, 40, 50, 60]) context.fillText(String(k), x(k), bottom + 11);
    context.fillText("neighbours k", (left + right) / 2, bottom + 25);
    context.textAlign = "left";
    context.fillText("estimated dimension", left, 8);
    if (truth) line([left, y(truth)], [right, y(truth)], ink, 1.5, [6, 4]);
    line([left, y(two_nn)], [right, y(two_nn)], cycle[1], 1.5, [2, 3]);
    Object.assign(context, { strokeStyle: cycle[0], lineWidth: 2.5 });
    context.beginPath();
    for (let k = 2; k <= MOST; k++) context.lineTo(x(k), y(now.curve[k]));
    context.stroke();
    context.fillStyle = cycle[0];
    context.beginPath();
    context.arc(x(chosen), y(mle), 5, 0, 2 * Math.PI);
    context.fill();
    context.textAlign = "right";
    const above = two_nn >= (truth ?? 0);  // each label on the far side of its line from the other
    const label = (text, d, style, up) => {
      Object.assign(context, { fillStyle: style, textBaseline: up ? "bottom" : "top" });
      context.fillText(text, right, y(d) + (up ? -2 : 3));
    };
    label("TwoNN", two_nn, cycle[1], above);
    if (truth) label("truth", truth, ink, !above);
  }

  // --- turning by hand

  const press = (event) => ({ x: event.clientX, y: event.clientY, turn: model.get("turn"), tilt: model.get("tilt") });
  stage.drag(cloud, (event, start) => {
    const turned = Math.round(start.turn + (event.clientX - start.x) / 2);
    const tilted = Math.round(start.tilt + (event.clientY - start.y) / 2);
    stage.put({ turn: ((turned + 540) % 360 + 360) % 360 - 180, tilt: Math.min(Math.max(tilted, -90), 90) });
  }, { press });

  stage.open([...SETTINGS, ...VIEW], update);
  return () => stage.close();
}

export default { render };
