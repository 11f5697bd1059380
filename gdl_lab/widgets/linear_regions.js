// A ReLU network R² → R under the reader's hands: its exact linear regions in the square [-1, 1]², its error and gradient.
// Weights are the flat list W₁, b₁, W₂, b₂, … of torch's `parameters()`, as nested arrays.

import { DIVERGING, Stage, element, fixed, floats, format, gradient, raster, short } from "./stage.js";

const SQUARE = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
const CELLS = 96;

/** Values of all layers at a point: x, z₁(x), …, f(x). ReLU in the hidden layers, the output is linear. */
export function forward(weights, point) {
  const values = [point];
  for (let l = 0; l < weights.length; l += 2) {
    const hidden = l + 2 < weights.length;
    const input = values[l / 2];
    values.push(weights[l].map((row, j) => {
      let sum = weights[l + 1][j];
      for (let i = 0; i < row.length; i++) sum += row[i] * input[i];
      return hidden && sum < 0 ? 0 : sum;
    }));
  }
  return values;
}

/** Error E = mean of (f(x) - y)² over the data, and its gradient in the format of the weights, by backpropagation. */
export function backprop(weights, points, labels) {
  const depth = weights.length / 2;
  const gradients = weights.map((w) => w.map((row) => (Array.isArray(row) ? row.map(() => 0) : 0)));
  let error = 0;
  points.forEach((point, n) => {
    const z = forward(weights, point);
    const miss = z[depth][0] - labels[n];
    error += miss * miss / points.length;
    let delta = [2 * miss / points.length];
    for (let l = depth - 1; l >= 0; l--) {
      const [W, dW, db] = [weights[2 * l], gradients[2 * l], gradients[2 * l + 1]];
      delta.forEach((d, j) => {
        db[j] += d;
        z[l].forEach((value, i) => { dW[j][i] += d * value; });
      });
      const above = delta;
      delta = z[l].map((value, i) => (value > 0 ? above.reduce((sum, d, j) => sum + d * W[j][i], 0) : 0));
    }
  });
  return { error, gradients };
}

/** The gradient step θ′ = θ - η ∇E. */
export function step(weights, gradients, eta) {
  const minus = (w, g) => (Array.isArray(w) ? w.map((part, i) => minus(part, g[i])) : w - eta * g);
  return minus(weights, gradients);
}

/** |∇E|² over all parameters. */
export const squareNorm = (gradients) => gradients.flat(2).reduce((sum, g) => sum + g * g, 0);

/** Cut a convex polygon along a x + b y + c = 0: the part above, the part below (null if empty) and the cut, if any. */
export function cut(polygon, [a, b, c]) {
  const values = polygon.map(([x, y]) => a * x + b * y + c);
  const close = 1e-10 * (Math.abs(a) + Math.abs(b) + Math.abs(c));
  if (Math.max(...values) <= close) return { above: null, below: polygon, edge: null };
  if (Math.min(...values) >= -close) return { above: polygon, below: null, edge: null };
  const [above, below, edge] = [[], [], []];
  polygon.forEach((p, i) => {
    const [q, v, w] = [polygon[(i + 1) % polygon.length], values[i], values[(i + 1) % polygon.length]];
    if (v >= 0) above.push(p);
    if (v <= 0) below.push(p);
    if (v === 0) edge.push(p);
    if (v * w < 0) {
      const crossing = p.map((x, k) => x + v / (v - w) * (q[k] - x));
      [above, below, edge].forEach((list) => list.push(crossing));
    }
  });
  return { above, below, edge: edge.length === 2 ? edge : null };
}

/**
 * The linear regions in the square, layer by layer: inside a region every unit is an affine map, so its zero line cuts
 * the region in two. Returns cells { polygon, pattern, map } with f(x, y) = map · (x, y, 1), and the segments
 * { layer, unit, edge } on which a hidden unit changes between off and on.
 */
export function regions(weights) {
  let cells = [{ polygon: SQUARE, pattern: "", maps: [[1, 0, 0], [0, 1, 0]] }];
  const edges = [];
  for (let l = 0; l < weights.length; l += 2) {
    const compose = (maps) => weights[l].map((row, j) => [0, 1, 2].map(
      (k) => row.reduce((sum, w, i) => sum + w * maps[i][k], k === 2 ? weights[l + 1][j] : 0)));
    if (l + 2 === weights.length) {
      cells = cells.map(({ polygon, pattern, maps }) => ({ polygon, pattern, map: compose(maps)[0] }));
      break;
    }
    cells = cells.flatMap(({ polygon, pattern, maps }) => {
      const units = compose(maps);
      let parts = [{ polygon, on: [] }];
      units.forEach((unit, j) => {
        parts = parts.flatMap((part) => {
          const { above, below, edge } = cut(part.polygon, unit);
          if (edge) edges.push({ layer: l / 2 + 1, unit: j + 1, edge });
          return [
            ...(below ? [{ polygon: below, on: [...part.on, 0] }] : []),
            ...(above ? [{ polygon: above, on: [...part.on, 1] }] : []),
          ];
        });
      });
      return parts.map((part) => ({
        polygon: part.polygon,
        pattern: pattern + part.on.join(""),
        maps: units.map((unit, j) => (part.on[j] ? unit : [0, 0, 0])),
      }));
    });
  }
  return { cells, edges };
}

/** The segments on which f equals a level. */
export const contour = (cells, level) =>
  cells.map(({ polygon, map: [a, b, c] }) => cut(polygon, [a, b, c - level]).edge).filter(Boolean);

/** The weights of the line through p and q, with the length and the side of the old ones. */
export function through(p, q, old) {
  const across = [p[1] - q[1], q[0] - p[0]];
  const side = across[0] * old[0] + across[1] * old[1] < 0 ? -1 : 1;
  const scale = side * Math.hypot(...old) / Math.hypot(...across);
  const row = across.map((x) => scale * x);
  return { row, bias: -row[0] * p[0] - row[1] * p[1] };
}

/** Two grips on the line of a first-layer unit, or null where it does not meet the square. */
export function grips(weights, unit) {
  const chord = cut(SQUARE, [...weights[0][unit], weights[1][unit]]).edge;
  return chord && [0.2, 0.8].map((t) => chord[0].map((x, k) => x + t * (chord[1][k] - x)));
}

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "linear-regions", label: "Linear regions of a ReLU network" });
  const widths = model.get("widths");
  const depth = widths.length + 1;
  const selected = () => model.get("unit").split(".").map(Number);
  const copy = () => structuredClone(model.get("weights"));
  let now;  // what the last drawing computed
  let held = null;  // the grips of a line while it is being dragged

  // --- the controls

  const names = widths.flatMap((width, l) => Array.from({ length: width }, (_, j) => [`${l + 1}.${j + 1}`,
    `layer ${l + 1}, unit ${j + 1}`]));
  const choice = stage.select({ name: "unit", label: "unit", options: [...names, [`${depth}.1`, "output f"]] },
    (unit) => stage.put({ unit }));
  const change = (i) => (value) => {
    const [layer, unit] = selected();
    const weights = copy();
    if (i === null) weights[2 * layer - 1][unit - 1] = value;
    else weights[2 * layer - 2][unit - 1][i] = value;
    held = null;
    stage.put({ weights });
  };
  const fanIn = Math.max(2, ...widths);
  const sliders = [...Array(fanIn).keys()].map((i) => stage.slider(
    { name: `weight_${i}`, label: `weight ${i + 1}`, min: -3, max: 3, step: 0.01 }, change(i)));
  sliders.push(stage.slider({ name: "bias", label: "bias", min: -3, max: 3, step: 0.01 }, change(null)));
  const slopes = sliders.map(({ row }) => row.appendChild(element("span", { class: "gdl-aside" })));
  const eta = stage.slider({ name: "log_eta", label: "η", min: -3, max: 0.5, step: 0.05 },
    (value) => stage.put({ log_eta: value }));
  eta.control.setAttribute("aria-label", "learning rate η, as a power of ten");
  const message = element("p", { class: "gdl-note", role: "status" });

  function descend(count) {
    let [weights, steps, last] = [model.get("weights"), model.get("steps"), model.get("last_step")];
    const rate = 10 ** model.get("log_eta");
    const [points, labels] = data();
    message.textContent = "";
    for (let k = 0; k < count; k++) {
      const { error, gradients } = backprop(weights, points, labels);
      const next = step(weights, gradients, rate);
      const change = backprop(next, points, labels).error - error;
      if (!(change < 1e6)) {
        message.textContent = "The step was not taken: the error would explode. Choose a smaller η.";
        break;
      }
      [weights, steps, last] = [next, steps + 1, [-rate * squareNorm(gradients), change]];
    }
    held = null;
    stage.put({ weights, steps, last_step: last });
  }
  function reset() {
    held = null;
    message.textContent = "";
    stage.put({ weights: structuredClone(model.get("start")), steps: 0, last_step: [] });
  }
  const { list, tell } = stage.readout([
    ["linear regions", "cells of the square in which no hidden unit changes between off and on"],
    ["points on their side", "points whose f lies on the same side of the decision line as their label"],
    ["error E", "mean over the data of (f(x) − y)²"],
    ["step promises −η|∇E|²", "the change of E to first order in η"],
    ["step gives E(θ′) − E(θ)", "with θ′ = θ − η∇E"],
    ["steps taken", "since the last reset"],
    ["last promised / gave", "the two changes of E in the last step that was taken"],
  ]);

  // --- the picture

  const canvas = stage.canvas("Output of the network on the square, with its linear regions and the data");
  const bar = element("div", { class: "gdl-bar" });
  bar.style.background = gradient(DIVERGING);
  const ticks = element("div", { class: "gdl-ticks" });
  const key = element("p", { class: "gdl-key" });
  stage.root.append(
    element("div", { class: "gdl-columns" },
      element("div", { class: "gdl-picture" }, canvas, bar, ticks, key),
      element("div", { class: "gdl-panel" },
        stage.group("Weights of a unit", choice.row, ...sliders.map(({ row }) => row)),
        stage.group("Gradient descent", eta.row, element("div", { class: "gdl-buttons" },
          stage.button("gradient step", () => descend(1)), stage.button("10 steps", () => descend(10)),
          stage.button("reset", reset)), message),
        list)));

  function data() {
    const flat = floats(model.get("points"));
    const labels = Array.from(floats(model.get("labels")));
    return [labels.map((_, n) => [flat[2 * n], flat[2 * n + 1]]), labels];
  }

  function update() {
    const weights = model.get("weights");
    const [points, labels] = data();
    const [layer, unit] = selected();
    const rate = 10 ** model.get("log_eta");
    const { error, gradients } = backprop(weights, points, labels);
    const predicted = -rate * squareNorm(gradients);
    const next = step(weights, gradients, rate);
    const actual = backprop(next, points, labels).error - error;
    const [low, high] = [Math.min(...labels), Math.max(...labels)];
    const level = (low + high) / 2;
    const right = points.filter((p, n) => (forward(weights, p)[depth][0] > level) === (labels[n] > level)).length;
    now = { weights, next, points, labels, layer, unit, level, span: 0.75 * (high - low), ...regions(weights) };

    choice.control.value = model.get("unit");
    const slope = [...gradients[2 * layer - 2][unit - 1], gradients[2 * layer - 1][unit - 1]];
    const values = [...weights[2 * layer - 2][unit - 1], weights[2 * layer - 1][unit - 1]];
    sliders.forEach((slider, i) => {
      const bias = i === fanIn;
      const k = bias ? values.length - 1 : i;
      slider.row.hidden = !bias && i >= values.length - 1;
      if (slider.row.hidden) return;
      slider.show(values[k], fixed(values[k]));
      slopes[i].textContent = `∇E ${fixed(slope[k])}`;
      slopes[i].title = "component of the gradient: derivative of E with respect to this number";
    });
    eta.show(model.get("log_eta"), format(rate));
    const last = model.get("last_step");
    tell([
      String(now.cells.length),
      `${right} of ${points.length}`,
      format(error, 4),
      format(predicted),
      format(actual),
      String(model.get("steps")),
      last.length ? last.map((change) => format(change, 2)).join(" / ") : "–",
    ], {
      regions: now.cells.length, right, error, predicted, actual,
      ...Object.fromEntries(slope.map((g, k) => [k + 1 < slope.length ? `gradient_${k}` : "gradient_bias", g])),
    }, { weights, unit: model.get("unit"), log_eta: model.get("log_eta") });
    ticks.replaceChildren(...[-1, 0, 1].map((t) => element("span", {}, `f = ${short(level + t * now.span)}`)));
    key.textContent = "Drag a line of the first layer by its rings, or move the sliders. Thick line: decision line; "
      + "dashed: where a gradient step moves it. Thin lines: edges of the linear regions"
      + `${layer < depth ? `; green: where unit ${unit} of layer ${layer} turns on` : ""}. `
      + `Discs: label ${short(high)}; triangles: label ${short(low)}.`;
    stage.paint(canvas, draw);
  }

  function draw(context, size) {
    const place = ([x, y]) => [(x + 1) / 2 * size, (1 - y) / 2 * size];
    const { weights, next, points, labels, layer, unit, level, span, cells, edges } = now;
    const field = new Float32Array(CELLS * CELLS);
    for (let k = 0; k < field.length; k++) {
      const x = ((k % CELLS) + 0.5) / CELLS * 2 - 1;
      const y = 1 - (Math.floor(k / CELLS) + 0.5) / CELLS * 2;
      field[k] = forward(weights, [x, y])[depth][0];
    }
    raster(context, field, CELLS, CELLS, DIVERGING, [level - span, level + span], [0, 0, size, size], true);

    const stroke = (segments, style, width) => {
      context.beginPath();
      for (const [p, q] of segments) { context.moveTo(...place(p)); context.lineTo(...place(q)); }
      Object.assign(context, { strokeStyle: style, lineWidth: width, lineCap: "round" });
      context.stroke();
    };
    // The field has the same colours in both themes, hence so has what is drawn on it.
    stroke(edges.map(({ edge }) => edge), "rgba(27, 31, 36, 0.55)", 1);
    stroke(contour(cells, level), "#ffffff", 5.5);
    stroke(contour(cells, level), "#1b1f24", 3);
    context.setLineDash([2, 5]);
    stroke(contour(regions(next).cells, level), "#1b1f24", 2);
    context.setLineDash([]);
    const chosen = edges.filter((e) => e.layer === layer && e.unit === unit).map(({ edge }) => edge);
    stroke(chosen, "#ffffff", 5);
    stroke(chosen, "#007a5a", 2.5);

    points.forEach((point, n) => {
      const [x, y] = place(point);
      context.beginPath();
      if (labels[n] > level) context.arc(x, y, 4.5, 0, 2 * Math.PI);
      else [[0, -5.5], [5, 3.8], [-5, 3.8]].forEach(([dx, dy]) => context.lineTo(x + dx, y + dy));
      context.closePath();
      Object.assign(context, { fillStyle: labels[n] > level ? "#b2182b" : "#2166ac", strokeStyle: "#ffffff", lineWidth: 1.5 });
      context.fill();
      context.stroke();
    });
    weights[0].forEach((_, j) => {
      const here = layer === 1 && unit === j + 1;
      for (const grip of (here && held) || grips(weights, j) || []) {
        context.beginPath();
        context.arc(...place(grip), here ? 8 : 4, 0, 2 * Math.PI);
        Object.assign(context, { fillStyle: here ? "#007a5a" : "#ffffff", strokeStyle: here ? "#ffffff" : "#1b1f24" });
        context.lineWidth = here ? 2 : 1.25;
        context.fill();
        context.stroke();
      }
    });
  }

  // --- dragging a line of the first layer

  /** What lies under the pointer: a grip (turn the line) or the line itself (move it). */
  function target(event) {
    const box = canvas.getBoundingClientRect();
    const reach = (event.pointerType === "mouse" ? 12 : 24) * 2 / box.width;
    const at = [2 * (event.clientX - box.left) / box.width - 1, 1 - 2 * (event.clientY - box.top) / box.height];
    const far = (p) => Math.hypot(p[0] - at[0], p[1] - at[1]);
    const found = [];
    now.weights[0].forEach((row, j) => {
      const ends = (now.layer === 1 && now.unit === j + 1 && held) || grips(now.weights, j);
      if (!ends) return;
      ends.forEach((grip, end) => found.push({ unit: j + 1, ends, end, distance: far(grip) }));
      const away = Math.abs(row[0] * at[0] + row[1] * at[1] + now.weights[1][j]) / Math.hypot(...row);
      found.push({ unit: j + 1, ends, end: null, distance: away + 0.5 * reach });
    });
    // The line that is already chosen is the one meant, where two are equally near.
    const rank = (f) => f.distance - (now.layer === 1 && f.unit === now.unit ? 0.5 * reach : 0);
    const best = found.filter((f) => f.distance < reach).sort((f, g) => rank(f) - rank(g))[0];
    return { at, best };
  }
  let drag = null;
  stage.on(canvas, "pointerdown", (event) => {
    const { at, best } = target(event);
    if (!best) return;
    canvas.setPointerCapture(event.pointerId);
    drag = { ...best, from: at };
    held = best.ends;
    stage.put({ unit: `1.${best.unit}` });
  });
  stage.on(canvas, "pointermove", (event) => {
    if (!drag) {
      canvas.style.cursor = target(event).best ? "grab" : "default";
      return;
    }
    const at = target(event).at.map((x) => Math.min(Math.max(x, -1), 1));
    const old = now.weights[0][drag.unit - 1];
    held = drag.end === null
      ? drag.ends.map((grip) => grip.map((x, k) => x + at[k] - drag.from[k]))
      : drag.ends.map((grip, end) => (end === drag.end ? at : grip));
    if (Math.hypot(held[0][0] - held[1][0], held[0][1] - held[1][1]) < 0.05) return;
    const { row, bias } = through(held[0], held[1], old);
    const weights = copy();
    weights[0][drag.unit - 1] = row;
    weights[1][drag.unit - 1] = bias;
    stage.put({ weights });
  });
  for (const type of ["pointerup", "pointercancel"]) stage.on(canvas, type, () => { drag = null; held = null; stage.update(); });
  // A finger on a line drags it, a finger elsewhere scrolls the page.
  stage.on(canvas, "touchstart", (event) => {
    const touch = event.touches[0];
    if (target({ clientX: touch.clientX, clientY: touch.clientY, pointerType: "touch" }).best) event.preventDefault();
  }, { passive: false });

  stage.open(["weights", "unit", "log_eta", "points", "labels", "steps", "last_step"], update);
  return () => stage.close();
}

export default { render };
