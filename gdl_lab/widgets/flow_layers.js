// A flow on the plane, layer by layer: the base grid, the samples or the data on their way, and the sum of log|det|.
// "Pushed" points start in base space at level 0, "pulled" ones in data space at the last level.

import { DIVERGING, SEQUENTIAL, Stage, colour, element, fixed, floats, gradient, roundStep, short } from "./stage.js";
import { between, depth, logNormal, push, pull, toBase, trace, unpack } from "./flow.js";

const LINES = Array.from({ length: 13 }, (_, k) => k / 2 - 3);
const TICKS = Array.from({ length: 97 }, (_, k) => k / 16 - 3);

/** The base grid as points, line after line: first those of constant z₁, then those of constant z₂. */
export const grid = () => Float64Array.from([
  ...LINES.flatMap((c) => TICKS.flatMap((t) => [c, t])), ...LINES.flatMap((c) => TICKS.flatMap((t) => [t, c]))]);

/** log|det| since the start of each point, from what `trace` or `between` counts from level 0. */
export function sinceStart(direction, here, whole) {
  return direction === "push" ? here : here.map((sum, i) => sum - whole[i]);
}

export const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

/** The standard deviation of all values (not an estimate from a sample). */
export const spread = (values) => {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((v) => (v - middle) ** 2)));
};

/** The numbers beside the picture, from the traces of the point and of the cloud. */
export function numbers(flow, direction, level, point, cloud) {
  const last = depth(flow);
  const [z, x] = [point.points[0], point.points[last]];
  const here = between(flow, point, level);
  const many = sinceStart(direction, between(flow, cloud, level).logDet, cloud.logDet[last]);
  return {
    log_q: logNormal(z[0], z[1]) - point.logDet[last][0],
    log_q_z: logNormal(z[0], z[1]),
    log_det: sinceStart(direction, here.logDet, point.logDet[last])[0],
    mean: mean(many),
    spread: spread(many),
    x: here.points[0],
    y: here.points[1],
  };
}

/** Half the side of the picture at each level: so large that it holds nearly all of the traced points. */
export function reaches(traces) {
  return traces[0].points.map((_, l) => {
    const sizes = traces.map(({ points }) => points[l].map(Math.abs)).flatMap((all) => [...all]).sort((a, b) => a - b);
    return 1.15 * sizes[Math.floor(0.99 * (sizes.length - 1))];
  });
}

/** The same between the levels. */
export function reachAt(all, level) {
  const j = Math.min(Math.floor(level), all.length - 2);
  return all[j] * (all[j + 1] / all[j]) ** (level - j);
}

const SETTINGS = ["flow", "direction", "layer", "point"];
const VIEW = ["colour", "grid", "cloud", "goal"];

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "flow-layers", label: "A flow on the plane, layer by layer" });
  const names = model.get("names");
  const flows = unpack(floats(model.get("weights")), model.get("layouts"));
  const last = depth(flows[0]);
  const { couplings } = flows[0];
  const lattice = grid();
  const clouds = { push: floats(model.get("base")), pull: floats(model.get("points")) };
  const traces = new Map();  // those that no slider changes: the grid and the clouds, by flow
  const far = clouds.pull.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  const edges = { push: 3, pull: Math.ceil(2 * far) / 2 };
  let now;

  const chosen = () => flows[names.indexOf(model.get("flow"))];
  const pushing = () => model.get("direction") === "push";
  function traced(kind) {
    const key = `${model.get("flow")} ${kind}`;
    if (!traces.has(key)) {
      traces.set(key, kind === "reach" ? reaches([traced("push"), traced("pull")])
        : kind === "grid" ? trace(chosen(), lattice) : trace(chosen(), clouds[kind], kind === "pull" ? 1 : 0));
    }
    return traces.get(key);
  }

  // --- the controls

  const put = (name) => (value) => stage.put({ [name]: value });
  const layer = stage.slider({ name: "layer", label: "level", min: 0, max: last, step: 0.05 }, put("layer"));
  const way = stage.select({ name: "direction", label: "direction",
    options: [["push", "push: z ↦ x = g(z)"], ["pull", "pull: x ↦ z = g⁻¹(x)"]] }, turn);
  const which = stage.select({ name: "flow", label: "flow", options: names.map((name) => [name, name]) }, put("flow"));
  const paint = stage.select({ name: "colour", label: "colour by",
    options: [["start", "where points start"], ["log_det", "log|det| so far"]] }, put("colour"));
  const checks = [["grid", "base grid"], ["cloud", "points"], ["goal", "target"]]
    .map(([name, label]) => [name, stage.checkbox({ name, label }, put(name))]);
  const coordinates = [0, 1].map((k) => stage.slider(
    { name: `point_${k}`, label: `z${"₁₂"[k]}`, min: -3, max: 3, step: 0.01 },
    (value) => stage.put({ point: model.get("point").map((old, i) => (i === k ? value : old)) })));
  const { list, tell } = stage.readout([
    ["log q(x)", "of the chosen point: the log-density of its base point minus the sum of s over all layers"],
    ["log|det| so far", "of the map from where the point starts to this level"],
    ["over the points", "mean ± standard deviation of the same"],
    ["the point is at", "its coordinates at this level"],
  ]);

  /** The same point, seen from the other end. */
  function turn(direction) {
    const go = direction === "pull" ? push : pull;
    const other = direction === model.get("direction") ? model.get("point") : [...go(chosen(), model.get("point")).points];
    stage.put({ direction, point: other });
  }

  // --- the pictures

  const canvas = stage.canvas("plane");
  canvas.style.cursor = "crosshair";
  const bar = element("div", { class: "gdl-bar" });
  const ticks = element("div", { class: "gdl-ticks" });
  const key = element("p", { class: "gdl-key" });
  const chart = stage.canvas("sum");
  Object.assign(chart.style, { aspectRatio: "2.4", marginTop: "14px" });
  const rows = Array.from({ length: last }, (_, j) => {
    const cells = Array.from({ length: 3 }, () => element("td"));
    cells[0].textContent = j === couplings.length ? "whitening" : couplings[j].moved ? "2nd" : "1st";
    return { cells, row: element("tr", {}, element("th", { scope: "row" }, String(j + 1)), ...cells) };
  });
  const heads = ["layer", "moves", "s", "sum so far"].map((text) => element("th", { scope: "col" }, text));
  const body = element("tbody");
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body);
  stage.root.append(
    element("div", { class: "gdl-columns" },
      element("div", { class: "gdl-picture" }, canvas, bar, ticks, key, chart),
      element("div", { class: "gdl-panel" },
        stage.group("Through the layers", layer.row, way.row, ...(names.length > 1 ? [which.row] : [])),
        stage.group("Show", paint.row, element("div", { class: "gdl-checks" }, ...checks.map(([, { row }]) => row))),
        stage.group("One point, also by dragging", ...coordinates.map(({ row }) => row)),
        table, list)));

  function update() {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    const flow = chosen();
    const level = Math.min(settings.layer, last);
    const point = trace(flow, settings.point, pushing() ? 0 : 1);
    const cloud = traced(settings.direction);
    const shown = numbers(flow, settings.direction, level, point, cloud);
    now = { flow, level, point, cloud, shown };

    const from = pushing() ? "z" : "x";
    const where = level === 0 ? "0: base space Z" : level === last ? `${last}: data space X`
      : Number.isInteger(level) ? `after layer ${level}` : `inside layer ${Math.ceil(level)}`;
    layer.show(level, short(level));
    layer.control.setAttribute("aria-valuetext", where);
    way.control.value = settings.direction;
    which.control.value = settings.flow;
    paint.control.value = model.get("colour");
    for (const [name, { control }] of checks) control.checked = model.get(name);
    coordinates.forEach(({ show, limit, title: text, control }, k) => {
      text.textContent = `${from}${"₁₂"[k]}`;
      control.setAttribute("aria-label", `${from}${"₁₂"[k]} of the point`);
      limit(-edges[settings.direction], edges[settings.direction]);
      show(settings.point[k], fixed(settings.point[k], 2));
    });
    const total = point.logDet[last][0];
    tell([
      `${fixed(shown.log_q_z)} ${total < 0 ? "+" : "−"} ${fixed(Math.abs(total))} = ${fixed(shown.log_q)}`,
      fixed(shown.log_det),
      `${fixed(shown.mean, 2)} ± ${fixed(shown.spread, 2)}`,
      `(${fixed(shown.x, 2)}, ${fixed(shown.y, 2)})`,
    ], shown, { ...settings, ...Object.fromEntries(VIEW.map((name) => [name, model.get(name)])) });

    heads[2].textContent = pushing() ? "s" : "−s";
    const sums = sinceStart(settings.direction, point.logDet.map((at) => at[0]), point.logDet.map(() => total));
    rows.forEach(({ row, cells }, j) => {
      cells[1].textContent = fixed((pushing() ? 1 : -1) * (point.logDet[j + 1][0] - point.logDet[j][0]));
      cells[2].textContent = fixed(sums[pushing() ? j + 1 : j]);
      row.className = (pushing() ? level >= j + 1 : level <= j) ? "gdl-done" : level > j && level < j + 1 ? "gdl-now" : "";
    });
    body.replaceChildren(...(pushing() ? rows : [...rows].reverse()).map(({ row }) => row));

    const byStart = model.get("colour") === "start";
    now.range = byStart ? (pushing() ? 2 : far) : span();
    bar.style.background = gradient(byStart ? SEQUENTIAL : DIVERGING);
    ticks.replaceChildren(...[-1, 0, 1].map((t) => element("span", {},
      `${byStart ? `start ${from}₁` : "log|det|"} ${t ? "≤≥"[t < 0 ? 0 : 1] : "="} ${short(t * now.range, 2)}`)));
    key.textContent = (pushing() ? "Discs: samples of the base on their way to X, where the grey data are." : "Discs: data on their "
      + "way to Z, where the grey rings show 1, 2 and 3 standard deviations of the base.")
      + " Drag the orange point; its path runs along one axis at a time. The picture zooms with the level.";
    canvas.setAttribute("aria-label", `${where}; ${clouds[settings.direction].length / 2} points, `
      + `the chosen one at (${fixed(shown.x, 2)}, ${fixed(shown.y, 2)})`);
    chart.setAttribute("aria-label", `log|det| from ${from} to each level: ${fixed(shown.log_det, 2)} so far for the chosen `
      + `point, ${fixed(shown.mean, 2)} ± ${fixed(shown.spread, 2)} over the points`);
    stage.paint(canvas, draw);
    stage.paint(chart, drawChart);
  }

  /** The largest |log|det|| of the cloud on any level, without the outermost of a hundred points. */
  function span() {
    const { cloud } = now;
    const all = cloud.logDet.flatMap((at) => [...sinceStart(model.get("direction"), at, cloud.logDet[last])]).map(Math.abs).sort((a, b) => a - b);
    return Math.max(0.1, all[Math.floor(0.99 * (all.length - 1))]);
  }

  const disc = (context, [x, y], radius) => { context.beginPath(); context.arc(x, y, radius, 0, 2 * Math.PI); };

  function draw(context, size) {
    const { flow, level, point, cloud } = now;
    const { ink, muted, grid: faint, cycle, paper } = stage.theme;
    const reach = reachAt(traced("reach"), level);
    // Far outside, a long dashed line would cost more than the whole picture.
    const clip = (v) => Math.min(Math.max(v / reach, -9), 9);
    const place = (x, y) => [size / 2 * (1 + clip(x)), size / 2 * (1 - clip(y))];
    Object.assign(context, { strokeStyle: faint, lineWidth: 1 });
    context.strokeRect(0.5, 0.5, size - 1, size - 1);

    if (model.get("goal")) {
      if (pushing()) {
        Object.assign(context, { fillStyle: muted, globalAlpha: 0.45 });
        const data = clouds.pull;
        for (let i = 0; i < data.length; i += 2) { disc(context, place(data[i], data[i + 1]), 2); context.fill(); }
      } else {
        Object.assign(context, { strokeStyle: muted, globalAlpha: 0.6, lineWidth: 1.25 });
        for (const radius of [1, 2, 3]) { disc(context, place(0, 0), size / 2 * radius / reach); context.stroke(); }
      }
      context.globalAlpha = 1;
    }
    if (model.get("grid")) {
      const { points } = between(flow, traced("grid"), level);
      const lines = [...LINES, ...LINES];
      lines.forEach((c, line) => {
        context.beginPath();
        for (let t = 0; t < TICKS.length; t++) {
          const k = 2 * (line * TICKS.length + t);
          context.lineTo(...place(points[k], points[k + 1]));
        }
        Object.assign(context, { strokeStyle: cycle[line < LINES.length ? 0 : 2], lineWidth: c === 0 ? 2 : 1 });
        context.globalAlpha = c === 0 ? 0.9 : 0.4;
        context.stroke();
      });
      context.globalAlpha = 1;
    }
    if (model.get("cloud")) {
      const here = between(flow, cloud, level);
      const start = cloud.points[pushing() ? 0 : last];
      const byStart = model.get("colour") === "start";
      const change = sinceStart(model.get("direction"), here.logDet, cloud.logDet[last]);
      Object.assign(context, { strokeStyle: ink, lineWidth: 0.5 });
      for (let i = 0; i < change.length; i++) {
        const value = byStart ? start[2 * i] : change[i];
        context.fillStyle = `rgb(${colour(byStart ? SEQUENTIAL : DIVERGING, 0.5 + value / (2 * now.range))})`;
        disc(context, place(here.points[2 * i], here.points[2 * i + 1]), 3.4);
        context.fill();
        context.stroke();
      }
    }
    // The path of the point: whole so far, dashed from here on.
    const here = [now.shown.x, now.shown.y];
    const stops = point.points.map((p) => [p[0], p[1]]);
    const below = [...stops.filter((_, l) => l <= level), here];
    const above = [here, ...stops.filter((_, l) => l > level)];
    for (const [path, dash] of [[pushing() ? below : above, []], [pushing() ? above : below, [3, 4]]]) {
      context.setLineDash(dash);
      context.beginPath();
      path.forEach((p) => context.lineTo(...place(...p)));
      for (const [style, width] of [[paper, 4.5], [cycle[1], 2]]) {
        Object.assign(context, { strokeStyle: style, lineWidth: width, globalAlpha: style === paper ? 0.7 : 1, lineJoin: "round" });
        context.stroke();
      }
    }
    context.setLineDash([]);
    disc(context, place(...here), 7);
    Object.assign(context, { fillStyle: paper, strokeStyle: cycle[1], lineWidth: 3 });
    context.fill();
    context.stroke();

    Object.assign(context, { font: "600 13px sans-serif", fillStyle: ink, textBaseline: "top", textAlign: "left" });
    const text = level === 0 ? "Z" : level === last ? "X" : `level ${short(level)} of ${last}`;
    context.globalAlpha = 0.75;
    context.fillStyle = paper;
    context.fillRect(4, 4, context.measureText(text).width + 10, 22);
    Object.assign(context, { globalAlpha: 1, fillStyle: ink });
    context.fillText(text, 9, 8);
    const unit = roundStep(2 * reach, 5);
    Object.assign(context, { font: "11px sans-serif", fillStyle: muted, strokeStyle: muted, lineWidth: 1 });
    for (let v = Math.ceil(-reach / unit) * unit; v < reach; v += unit) {
      const [x, y] = place(v, v);
      context.beginPath();
      context.moveTo(x, size);
      context.lineTo(x, size - 5);
      context.moveTo(0, y);
      context.lineTo(5, y);
      context.stroke();
      if (x < 30 || x > size - 16) continue;
      Object.assign(context, { textBaseline: "bottom", textAlign: "center" });
      context.fillText(short(v, 2), x, size - 6);
      Object.assign(context, { textBaseline: "middle", textAlign: "left" });
      if (y > 34) context.fillText(short(v, 2), 8, y);
    }
  }

  function drawChart(context, width, height) {
    const { level, point, cloud, shown } = now;
    const { ink, muted, grid: faint, cycle } = stage.theme;
    const direction = model.get("direction");
    const bands = cloud.logDet.map((at) => sinceStart(direction, at, cloud.logDet[last])).map((at) => [mean(at), spread(at)]);
    const path = point.logDet.map((at) => sinceStart(direction, at, point.logDet[last])[0]);
    const values = [0, ...path, ...bands.flatMap(([m, s]) => [m - s, m + s])];
    const pad = 0.08 * (Math.max(...values) - Math.min(...values)) || 0.5;
    const [low, high] = [Math.min(...values) - pad, Math.max(...values) + pad];
    const [left, right, top, bottom] = [34, width - 8, 18, height - 20];
    const x = (l) => left + (right - left) * l / last;
    const y = (v) => bottom - (bottom - top) * (v - low) / (high - low);
    Object.assign(context, { font: "12px sans-serif", fillStyle: muted, textBaseline: "middle", textAlign: "right", lineWidth: 1 });
    const unit = roundStep(high - low, 5);
    context.strokeStyle = faint;
    for (let v = Math.ceil(low / unit) * unit; v <= high; v += unit) {
      context.beginPath();
      context.moveTo(left, y(v));
      context.lineTo(right, y(v));
      context.stroke();
      context.fillText(short(v, 2), left - 5, y(v));
    }
    context.textAlign = "center";
    for (let l = 0; l <= last; l++) context.fillText(l === 0 ? "Z" : l === last ? "X" : String(l), x(l), bottom + 11);
    context.textAlign = "left";
    let at = left;
    for (const [text, style] of [[`log|det| since ${pushing() ? "Z" : "X"}: `, muted], ["chosen point, ", cycle[1]], ["mean ± s.d.", cycle[0]]]) {
      context.fillStyle = style;
      context.fillText(text, at, 8);
      at += context.measureText(text).width;
    }

    context.beginPath();
    bands.forEach(([m, s], l) => context.lineTo(x(l), y(m + s)));
    [...bands.entries()].reverse().forEach(([l, [m, s]]) => context.lineTo(x(l), y(m - s)));
    Object.assign(context, { fillStyle: cycle[0], globalAlpha: 0.22 });
    context.fill();
    context.globalAlpha = 1;
    const line = (ys, style, wide) => {
      context.beginPath();
      ys.forEach((v, l) => context.lineTo(x(l), y(v)));
      Object.assign(context, { strokeStyle: style, lineWidth: wide });
      context.stroke();
    };
    line(bands.map(([m]) => m), cycle[0], 2);
    line(path, cycle[1], 2.5);
    context.setLineDash([4, 4]);
    Object.assign(context, { strokeStyle: ink, lineWidth: 1.25 });
    context.beginPath();
    context.moveTo(x(level), top);
    context.lineTo(x(level), bottom);
    context.stroke();
    context.setLineDash([]);
    for (const [value, style] of [[shown.mean, cycle[0]], [shown.log_det, cycle[1]]]) {
      disc(context, [x(level), y(value)], 4.5);
      context.fillStyle = style;
      context.fill();
    }
  }

  // --- dragging the point: wherever it is put on this level, it has come from one place at the start

  const where = (event) => {
    const box = canvas.getBoundingClientRect();
    const reach = reachAt(traced("reach"), now.level);
    return [reach * (2 * (event.clientX - box.left) / box.width - 1), reach * (1 - 2 * (event.clientY - box.top) / box.height)];
  };
  function carry(event) {
    const z = toBase(now.flow, where(event), now.level);
    const point = pushing() ? z : [...push(now.flow, z).points];
    if (point.every((v) => Math.abs(v) < 1e4)) stage.put({ point });
  }
  const near = (event) => {
    const [x, y] = where(event);
    return Math.hypot(x - now.shown.x, y - now.shown.y) < 56 * reachAt(traced("reach"), now.level) / canvas.clientWidth;
  };
  stage.drag(canvas, carry, { near });

  stage.open([...SETTINGS, ...VIEW], update);
  return () => stage.close();
}

export default { render };
