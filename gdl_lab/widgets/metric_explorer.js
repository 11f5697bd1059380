// The metric that a flow induces on the plane: its ellipse at a point, and gradient ascents with and without it.

import { DIVERGING, Stage, element, fixed, floats, format, raster, short } from "./stage.js";
import { differentiate, logProb, pull, push, unpack } from "./flow.js";

const CELLS = 64;
const RADIUS = 0.25;  // of the circle in base space whose image is drawn
const LONGEST = { x: 0.1, z: 0.3 };  // longer steps of a path are shortened
const ENOUGH = 0.99;
const STEPS = 200;

const ACTIVATIONS = {
  tanh: (u) => { const t = Math.tanh(u); return [t, 1 - t * t]; },
  relu: (u) => (u > 0 ? [u, 1] : [0, 0]),
  silu: (u) => { const gate = 1 / (1 + Math.exp(-u)); return [u * gate, gate * (1 + u * (1 - gate))]; },
};

/** The network whose weights W₁, b₁, W₂, b₂, … come one after the other, W row by row as torch's linear layers have it. */
export function network(values, widths, activation) {
  let read = 0;
  const take = (count) => Float64Array.from(values.subarray(read, read += count));
  const layers = widths.slice(1).map((n, l) => ({ m: widths[l], n, W: take(n * widths[l]), b: take(n) }));
  return { layers, act: ACTIVATIONS[activation] };
}

/** log(1 + eᵘ) without overflow. */
const softplus = (u) => Math.max(u, 0) + Math.log1p(Math.exp(-Math.abs(u)));

/** At a point: p of the target class, and the gradient of f = log p. */
export function score({ layers, act }, [x, y], target) {
  let [values, byX, byY] = [[x, y], [1, 0], [0, 1]];
  layers.forEach(({ m, n, W, b }, l) => {
    const next = Array.from(b, (bias, j) => {
      let [u, ux, uy] = [bias, 0, 0];
      for (let i = 0, k = j * m; i < m; i++, k++) {
        u += W[k] * values[i];
        ux += W[k] * byX[i];
        uy += W[k] * byY[i];
      }
      if (l + 1 === layers.length) return [u, ux, uy];
      const [value, slope] = act(u);
      return [value, slope * ux, slope * uy];
    });
    [values, byX, byY] = [0, 1, 2].map((part) => next.map((unit) => unit[part]));
  });
  // The log-odds of class 1, from one logit or from two; those of class 0 are its negative.
  const odds = (list) => (target ? 1 : -1) * (list.length === 2 ? list[1] - list[0] : list[0]);
  const log = -softplus(-odds(values));
  const rest = Math.exp(-softplus(odds(values)));
  return { p: Math.exp(log), gradient: [rest * odds(byX), rest * odds(byY)] };
}

/** J Jᵀ for the Jacobian J. */
export const inverseMetric = ([[a, b], [c, d]]) => [[a * a + b * b, a * c + b * d], [a * c + b * d, c * c + d * d]];

/** Singular values of a 2 × 2 matrix, the larger first, and the unit direction that the larger one stretches into. */
export function singular([[a, b], [c, d]]) {
  const large = (Math.hypot(a + d, c - b) + Math.hypot(a - d, c + b)) / 2;
  const [[m, k], [, n]] = inverseMetric([[a, b], [c, d]]);
  const angle = Math.atan2(2 * k, m - n) / 2;
  return { sigma: [large, Math.abs(a * d - b * c) / large], axis: [Math.cos(angle), Math.sin(angle)] };
}

/** Distance of a point to the polyline x₁, y₁, x₂, y₂, …, and the direction of the line where it is nearest. */
export function nearest(curve, [x, y]) {
  let best = { distance: Infinity, tangent: [1, 0] };
  for (let k = 0; k + 3 < curve.length; k += 2) {
    const [u, v] = [curve[k + 2] - curve[k], curve[k + 3] - curve[k + 1]];
    const share = Math.min(Math.max(((x - curve[k]) * u + (y - curve[k + 1]) * v) / (u * u + v * v), 0), 1);
    const distance = Math.hypot(curve[k] + share * u - x, curve[k + 1] + share * v - y);
    if (distance < best.distance) best = { distance, tangent: [u, v] };
  }
  return best;
}

/** The angle between two lines, 0 to 90 degrees. */
export const angle = (a, b) =>
  Math.atan2(Math.abs(a[0] * b[1] - a[1] * b[0]), Math.abs(a[0] * b[0] + a[1] * b[1])) * 180 / Math.PI;

/** Plain gradient ascent from x, in base space if there is a flow: all points in X, the start first. */
export function ascent(flow, net, x, target, rate) {
  const longest = flow ? LONGEST.z : LONGEST.x;
  let at = flow ? [...pull(flow, x).points] : [...x];
  const path = [];
  for (let step = 0; ; step++) {
    const here = flow ? differentiate(flow, at) : { x: at };
    path.push(here.x);
    const { p, gradient: [u, v] } = score(net, here.x, target);
    if (p >= ENOUGH || step === STEPS) return path;
    const J = here.jacobian;
    const move = (J ? [J[0][0] * u + J[1][0] * v, J[0][1] * u + J[1][1] * v] : [u, v]).map((c) => rate * c);
    const share = Math.min(1, longest / Math.max(Math.hypot(...move), 1e-300));
    at = at.map((c, k) => c + share * move[k]);
  }
}

/** Everything that the picture shows at one point. */
export function survey({ flow, net, curve, delta }, { point, target, log_rate: rate, path_x: inX, path_z: inZ }) {
  const { jacobian } = differentiate(flow, pull(flow, point).points);
  const { sigma, axis } = singular(jacobian);
  const { p, gradient } = score(net, point, target);
  const [[m, k], [, n]] = inverseMetric(jacobian);
  const natural = [m * gradient[0] + k * gradient[1], k * gradient[0] + n * gradient[1]];
  const { distance, tangent } = nearest(curve, point);
  const paths = { x: inX ? ascent(null, net, point, target, 10 ** rate) : null, z: inZ ? ascent(flow, net, point, target, 10 ** rate) : null };
  const ends = Object.entries(paths).filter(([, path]) => path).flatMap(([space, path]) => {
    const end = path.at(-1);
    return Object.entries({ p: score(net, end, target).p, log_q: logProb(flow, Float64Array.from(end))[0],
      distance: nearest(curve, end).distance / delta, steps: path.length - 1 }).map(([name, value]) => [`${name}_${space}`, value]);
  });
  return {
    jacobian, gradient, natural, paths,
    numbers: {
      sigma_max: sigma[0], sigma_min: sigma[1],
      axis: angle(axis, tangent), gradient: angle(gradient, tangent), natural: angle(natural, tangent),
      p, log_q: logProb(flow, Float64Array.from(point))[0], distance: distance / delta,
      ...Object.fromEntries(ends),
    },
  };
}

const SETTINGS = ["flow", "index", "point", "target", "log_rate", "path_x", "path_z"];
const CIRCLE = Array.from({ length: 65 }, (_, k) => [Math.cos(k * Math.PI / 32), Math.sin(k * Math.PI / 32)]);

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "metric-explorer", label: "The metric that a flow induces" });
  const [names, deltas, classes] = ["names", "deltas", "classes"].map((name) => model.get(name));
  const flows = unpack(floats(model.get("weights")), model.get("layouts"));
  const net = network(floats(model.get("classifier")), model.get("widths"), model.get("activation"));
  const curve = Float64Array.from(floats(model.get("curve")));
  const all = floats(model.get("points"));
  const starts = model.get("counts").reduce((sums, count) => [...sums, sums.at(-1) + 2 * count], [0]);
  const sides = [0, 1].map((c) => curve.filter((_, k) => k % 2 === c));
  const centre = sides.map((side) => (Math.min(...side) + Math.max(...side)) / 2);
  const reach = 1.5 * Math.max(...sides.map((side, c) => Math.max(...side) - centre[c]), 0.1);
  const ellipses = new Map();  // along the curve, by flow
  let [now, field] = [null, null];

  // --- the controls

  const put = (name) => (value) => stage.put({ [name]: value });
  const index = stage.slider({ name: "index", label: "thickness δ", min: 0, max: deltas.length - 1, step: 1 }, put("index"));
  const which = stage.select({ name: "flow", label: "flow", options: names.map((name) => [name, name]) }, put("flow"));
  const coordinates = [0, 1].map((c) => stage.slider({
    name: `point_${c}`, label: `x${"₁₂"[c]}`, step: 0.01,
    min: Math.ceil(100 * (centre[c] - reach)) / 100, max: Math.floor(100 * (centre[c] + reach)) / 100,
  }, (value) => stage.put({ point: model.get("point").map((old, k) => (k === c ? value : old)) })));
  const target = stage.select({ name: "target", label: "climb to", options: classes.map((name, k) => [k, name]) },
    (value) => stage.put({ target: Number(value) }));
  const rate = stage.slider({ name: "log_rate", label: "step λ", min: -3, max: -0.5, step: 0.1 }, put("log_rate"));
  rate.control.setAttribute("aria-label", "length λ of a step, as a power of ten");
  const boxes = [["path_x", "path in X"], ["path_z", "path in Z"], ["field", "classifier"]]
    .map(([name, label]) => [name, stage.checkbox({ name, label }, put(name))]);
  const { list, tell } = stage.readout([
    ["singular values of J", "how far a step of length 1 in base space goes in X, along and across"],
    ["ellipse to curve", "angle between its long axis and the curve where it is nearest"],
    ["∂f to curve", "angle of the gradient of f = log p"],
    ["γ⁻¹∂f to curve", "angle of the gradient after the inverse metric J Jᵀ"],
  ]);
  const heads = ["", "p", "log q", "distance", "steps"].map((text) => element("th", { scope: "col" }, text));
  const rows = ["the point", "end in X", "end in Z"].map((text) => {
    const cells = Array.from({ length: 4 }, () => element("td"));
    return { cells, row: element("tr", {}, element("th", { scope: "row" }, text), ...cells) };
  });
  const table = element("table", { "aria-live": "polite" }, element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...rows.map(({ row }) => row)));

  // --- the picture

  const canvas = stage.canvas("plane");
  canvas.style.cursor = "crosshair";
  const key = element("p", { class: "gdl-key" });
  stage.root.append(
    element("div", { class: "gdl-columns" },
      element("div", { class: "gdl-picture" }, canvas, key),
      element("div", { class: "gdl-panel" },
        stage.group("Flow and point", ...(deltas.length > 1 ? [index.row] : []), ...(names.length > 1 ? [which.row] : []),
          ...coordinates.map(({ row }) => row)),
        stage.group("Gradient ascent of log p", target.row, rate.row,
          element("div", { class: "gdl-checks" }, ...boxes.map(([, { row }]) => row))),
        table, list)));

  function update() {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    const { index: k } = settings;
    const number = names.indexOf(settings.flow) * deltas.length + k;
    const parts = { flow: flows[number], net, curve, delta: deltas[k] };
    now = { number, ...parts, settings, data: all.subarray(starts[k], starts[k + 1]), ...survey(parts, settings) };
    const { numbers: n } = now;

    index.show(k, short(deltas[k]));
    which.control.value = settings.flow;
    target.control.value = settings.target;
    coordinates.forEach(({ show }, c) => show(settings.point[c], fixed(settings.point[c], 2)));
    rate.show(settings.log_rate, short(10 ** settings.log_rate, 2));
    rate.row.hidden = !(settings.path_x || settings.path_z);
    for (const [name, { control }] of boxes) control.checked = model.get(name);
    const degrees = (value) => `${value < 10 ? fixed(value, 1) : fixed(value, 0)}°`;
    ["", "_x", "_z"].forEach((end, r) => {
      const texts = `p${end}` in n ? [n[`p${end}`] < 0.0005 ? "< 0.001" : fixed(n[`p${end}`]), fixed(n[`log_q${end}`], 1), `${short(n[`distance${end}`], 2)} δ`,
        end ? String(n[`steps${end}`]) : ""] : ["–", "–", "–", "–"];
      rows[r].row.className = `p${end}` in n ? "gdl-done" : "";
      rows[r].cells.forEach((cell, c) => { if (cell.textContent !== texts[c]) cell.textContent = texts[c]; });
    });
    tell([
      `${format(n.sigma_max)} and ${format(n.sigma_min)}`,
      degrees(n.axis), degrees(n.gradient), degrees(n.natural),
    ], n, { ...settings, field: model.get("field") });
    key.textContent = `Ellipses: where J takes a circle of radius ${RADIUS} in Z; dashed: where the flow itself takes it. Arrows: `
      + "∂f orange, γ⁻¹∂f green, on one scale. Drag the point." + (model.get("field") ? ` Red: ${classes[1]}, blue: ${classes[0]}.` : "");
    canvas.setAttribute("aria-label", `The point (${settings.point.map((v) => fixed(v, 2)).join(", ")}) near the data of thickness `
      + `${short(deltas[k])}; its ellipse has half axes ${format(RADIUS * n.sigma_max)} and ${format(RADIUS * n.sigma_min)}, `
      + `${degrees(n.axis)} from the curve`);
    stage.paint(canvas, draw);
  }

  /** Ellipses along the curve, as lists of points. */
  function along() {
    if (!ellipses.has(now.number)) {
      const places = Array.from({ length: 15 }, (_, k) => Math.round((k + 0.5) / 15 * (curve.length / 2 - 1)));
      ellipses.set(now.number, places.map((k) => [curve[2 * k], curve[2 * k + 1]]).map((x) =>
        ellipse(x, differentiate(now.flow, pull(now.flow, x).points).jacobian)));
    }
    return ellipses.get(now.number);
  }
  const ellipse = (x, J) => CIRCLE.map(([u, v]) => x.map((c, k) => c + RADIUS * (J[k][0] * u + J[k][1] * v)));

  function draw(context, size) {
    const { flow, settings: { point }, jacobian, data, paths } = now;
    const { ink, muted, grid, paper, cycle } = stage.theme;
    const clip = (v) => Math.min(Math.max(v / reach, -9), 9);
    const place = ([x, y]) => [size / 2 * (1 + clip(x - centre[0])), size / 2 * (1 - clip(y - centre[1]))];
    const disc = (p, radius) => { context.beginPath(); context.arc(...place(p), radius, 0, 2 * Math.PI); };
    const line = (points, style, width, dash = [], alpha = 1) => {
      context.beginPath();
      points.forEach((p) => context.lineTo(...place(p)));
      context.setLineDash(dash);
      Object.assign(context, { strokeStyle: style, lineWidth: width, globalAlpha: alpha, lineJoin: "round", lineCap: "round" });
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 1;
    };
    if (model.get("field")) {
      field ??= sheet();
      context.globalAlpha = 0.35;
      context.drawImage(field, 0, 0, size, size);
      context.globalAlpha = 1;
    }
    Object.assign(context, { strokeStyle: grid, lineWidth: 1 });
    context.strokeRect(0.5, 0.5, size - 1, size - 1);

    context.fillStyle = ink;
    context.globalAlpha = 0.35;
    for (let k = 0; k < data.length; k += 2) { disc([data[k], data[k + 1]], 1.8); context.fill(); }
    context.globalAlpha = 1;
    for (const points of along()) line(points, cycle[0], 1.25, [], 0.75);

    const z = pull(flow, point).points;
    const around = push(flow, Float64Array.from(CIRCLE.flatMap(([u, v]) => [z[0] + RADIUS * u, z[1] + RADIUS * v]))).points;
    line(CIRCLE.map((_, k) => [around[2 * k], around[2 * k + 1]]), ink, 1.5, [4, 4]);
    const mine = ellipse(point, jacobian);
    context.beginPath();
    mine.forEach((p) => context.lineTo(...place(p)));
    Object.assign(context, { fillStyle: cycle[0], globalAlpha: 0.25 });
    context.fill();
    line(mine, cycle[0], 3);

    const styles = { x: cycle[1], z: cycle[2] };
    for (const [space, path] of Object.entries(paths)) {
      if (!path) continue;
      line(path, paper, 5, [], 0.8);
      line(path, styles[space], 2.5);
      disc(path.at(-1), 6);
      Object.assign(context, { fillStyle: styles[space], strokeStyle: paper, lineWidth: 2 });
      context.fill();
      context.stroke();
    }
    const scale = 0.34 * reach / Math.max(Math.hypot(...now.gradient), Math.hypot(...now.natural), 1e-300);
    for (const [vector, style] of [[now.gradient, styles.x], [now.natural, styles.z]]) {
      const tip = point.map((c, k) => c + scale * vector[k]);
      for (const [colour, width] of [[paper, 6.5], [style, 3]]) arrow(context, place(point), place(tip), colour, width);
    }
    disc(point, 6);
    Object.assign(context, { fillStyle: paper, strokeStyle: ink, lineWidth: 2.5 });
    context.fill();
    context.stroke();
    Object.assign(context, { fillStyle: muted, font: "12px sans-serif", textBaseline: "bottom", textAlign: "right" });
    const unit = size / 2 * 0.5 / reach;
    context.fillText("½", size - 12 - unit / 2, size - 14);
    line([[centre[0] + reach * (1 - 24 / size) - 0.5, centre[1] - reach * (1 - 20 / size)], [centre[0] + reach * (1 - 24 / size), centre[1] - reach * (1 - 20 / size)]], muted, 2);
  }

  /** p of class 1 as a picture; drawn once. */
  function sheet() {
    const values = Float64Array.from({ length: CELLS * CELLS }, (_, k) => score(net, [
      centre[0] + reach * (2 * ((k % CELLS) + 0.5) / CELLS - 1),
      centre[1] + reach * (1 - 2 * (Math.floor(k / CELLS) + 0.5) / CELLS)], 1).p);
    const cells = element("canvas", { width: CELLS, height: CELLS });
    raster(cells.getContext("2d"), values, CELLS, CELLS, DIVERGING, [-0.25, 1.25], [0, 0, CELLS, CELLS]);
    return cells;
  }

  function arrow(context, from, to, style, width) {
    const length = Math.hypot(to[0] - from[0], to[1] - from[1]);
    if (length < 1) return;
    const [u, v] = [(to[0] - from[0]) / length, (to[1] - from[1]) / length];
    const head = Math.min(11, length);
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    for (const side of [1, -1]) {
      context.moveTo(...to);
      context.lineTo(to[0] - head * (u + side * 0.5 * v), to[1] - head * (v - side * 0.5 * u));
    }
    Object.assign(context, { strokeStyle: style, lineWidth: width, lineCap: "round" });
    context.stroke();
  }

  // --- dragging the point

  const where = (event) => {
    const box = canvas.getBoundingClientRect();
    return [centre[0] + reach * (2 * (event.clientX - box.left) / box.width - 1),
      centre[1] + reach * (1 - 2 * (event.clientY - box.top) / box.height)];
  };
  const near = (event) => where(event).every((v, c) => Math.abs(v - model.get("point")[c]) < 56 * reach / canvas.clientWidth);
  const carry = (event) => stage.put({ point: where(event).map((v, c) => Math.min(Math.max(v, centre[c] - reach), centre[c] + reach)) });
  stage.drag(canvas, carry, { near });

  stage.open([...SETTINGS, "field"], update);
  return () => stage.close();
}

export default { render };
