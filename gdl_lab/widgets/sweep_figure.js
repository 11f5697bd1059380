// The results of a sweep as a figure to ask: which axis, which families, and what it costs to get as far as this point.

import { Stage, disc, element, path, roundStep, short } from "./stage.js";

const SLACK = 1e-9;  // means that are nearer than this are as good as one another

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

/** All points: family after family, and by the columns `at` in each, numbers before words. */
export function gather(rows, { family, at, families }, x, y) {
  const order = (a, b) => {
    if (isNumber(a) !== isNumber(b)) return isNumber(a) ? -1 : 1;
    return a < b ? -1 : a > b ? 1 : 0;
  };
  const sorted = [...rows].sort((a, b) => families.indexOf(a[family]) - families.indexOf(b[family])
    || at.reduce((found, column) => found || order(a[column], b[column]), 0));
  const groups = new Map();
  for (const row of sorted) {
    const id = JSON.stringify([row[family], ...at.map((column) => row[column])]);
    if (!groups.has(id)) groups.set(id, { family: row[family], at: at.map((column) => row[column]), rows: [] });
    if (isNumber(row[x]) && isNumber(row[y])) groups.get(id).rows.push(row);
  }
  return [...groups.values()].map((point, index) => {
    const [xs, ys] = [x, y].map((column) => point.rows.map((row) => row[column]));
    const ends = (values) => [Math.min(...values), Math.max(...values)];
    return { ...point, index, x: mean(xs), y: mean(ys), xEnds: ends(xs), yEnds: ends(ys) };
  });
}

/** The points that are shown, the chosen one, and for each family the least x that is as good in the mean. */
export function ask(points, { shown, point, lower, families }) {
  const seen = points.filter(({ family, rows }) => shown.includes(family) && rows.length);
  if (!seen.length) return { seen, chosen: null, numbers: { points: 0 } };
  const chosen = seen.find(({ index }) => index === point) ?? seen[0];
  const slack = SLACK * Math.max(1, Math.abs(chosen.y));
  const numbers = { points: seen.length, x: chosen.x, y: chosen.y, rows: chosen.rows.length, y_low: chosen.yEnds[0], y_high: chosen.yEnds[1] };
  for (const name of families) {
    const good = seen.filter(({ family, y }) => family === name && (lower ? chosen.y - y : y - chosen.y) >= -slack);
    if (good.length) numbers[`reach_${name}`] = Math.min(...good.map(({ x }) => x));
  }
  return { seen, chosen, numbers };
}

/** Round values of an axis from low to high: decades with 2 and 5 where there is room, or equal steps. */
export function ticks(low, high, log, most) {
  if (!log) {
    const unit = roundStep(high - low, most);
    return Array.from({ length: Math.floor(high / unit + 1e-9) - Math.ceil(low / unit - 1e-9) + 1 }, (_, k) => (Math.ceil(low / unit - 1e-9) + k) * unit);
  }
  const decades = Math.log10(high / low);
  const parts = decades * 3 <= most ? [1, 2, 5] : [1];
  const skip = Math.max(1, Math.ceil(decades / most));
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += skip) {
    found.push(...parts.map((k) => k * 10 ** power).filter((v) => v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9)));
  }
  return found.length > 1 ? found : [low, high];
}

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "sweep-figure", label: "Results of a sweep" });
  const [rows, xs, ys, family, at, seed, lower, labels, families] = [
    "rows", "x_columns", "y_columns", "family", "at", "seed", "lower", "labels", "families"].map((name) => model.get(name));
  const label = (column) => labels[column] ?? column;
  const number = (value) => (isNumber(value) ? short(value, Math.abs(value) >= 1000 ? 6 : 3) : String(value));
  let now;

  // --- the controls

  const put = (name, kind) => (value) => stage.put({ [name]: kind ? kind(value) : value });
  const options = (columns) => columns.map((column) => [column, label(column)]);
  const [across, up] = [["x", "across", xs], ["y", "up", ys]].map(([name, text, columns]) =>
    stage.select({ name, label: text, options: options(columns) }, put(name)));
  const [logX, logY] = [["log_x", "logarithmic across"], ["log_y", "logarithmic up"]].map(([name, text]) =>
    stage.checkbox({ name, label: text }, put(name)));
  const boxes = families.map((name, k) => stage.checkbox({ name: `family_${k}`, label: name }, (on) => {
    const left = families.filter((other) => (other === name ? on : model.get("shown").includes(other)));
    stage.put({ shown: left.length ? left : families.filter((other) => other !== name) });  // an empty figure says nothing
  }));
  for (const { row } of boxes) row.prepend(element("span", { style: "width: 14px; height: 4px; border-radius: 2px" }));
  const rank = stage.slider({ name: "point", label: "point", min: 0, max: 0, step: 1 }, (k) => stage.put({ point: now.seen[k]?.index ?? 0 }));
  const { list, tell } = stage.readout([
    ["chosen", "family and the columns that tell the point from the others"],
    ["mean", "over its seeds, with the lowest and the highest"],
    ["at", "mean on the axis across"],
    ["points shown", "of all points with a number on both axes"],
  ]);
  const reach = element("tbody");
  const reachHead = element("th", { scope: "col" });
  const runs = element("tbody");
  const heads = [seed, "x", "y"].map(() => element("th", { scope: "col" }));
  const tables = [
    element("table", { "aria-live": "polite" }, element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "as good or better"), reachHead)), reach),
    element("table", {}, element("thead", {}, element("tr", {}, ...heads)), runs)];

  // --- the picture

  const canvas = stage.canvas("figure");
  Object.assign(canvas.style, { aspectRatio: "1.25", cursor: "crosshair", touchAction: "pan-y" });
  const key = element("p", { class: "gdl-key" }, "Point at a mark to read it, or move the slider. Bars: lowest to highest seed; "
    + "small marks: single runs. The dashed line is as good as the chosen point.");
  stage.root.append(element("div", { class: "gdl-columns" },
    element("div", { class: "gdl-picture" }, canvas, key),
    element("div", { class: "gdl-panel" },
      stage.group("Axes", ...(xs.length > 1 ? [across.row] : []), ...(ys.length > 1 ? [up.row] : []), element("div", { class: "gdl-checks" }, logX.row, logY.row)),
      ...(families.length > 1 ? [stage.group(label(family), element("div", { class: "gdl-checks" }, ...boxes.map(({ row }) => row)))] : []),
      stage.group("Point", rank.row), list, ...tables)));

  const line = (cells, th) => element("tr", { class: "gdl-done" },
    ...cells.map((text, k) => element(th && k === 0 ? "th" : "td", th && k === 0 ? { scope: "row" } : {}, text)));

  function update() {
    const settings = Object.fromEntries(["x", "y", "shown", "point"].map((name) => [name, model.get(name)]));
    const { x, y, shown } = settings;
    const less = lower.includes(y);
    const points = gather(rows, { family, at, families }, x, y);
    const { seen, chosen, numbers } = ask(points, { ...settings, lower: less, families });
    const positive = { x: seen.every((p) => p.xEnds[0] > 0), y: seen.every((p) => p.yEnds[0] > 0) };
    now = { x, y, seen, chosen, shown, logX: model.get("log_x") && positive.x, logY: model.get("log_y") && positive.y };

    across.control.value = x;
    up.control.value = y;
    logX.control.checked = now.logX;
    logY.control.checked = now.logY;
    logX.row.hidden = !positive.x;
    logY.row.hidden = !positive.y;
    boxes.forEach(({ control, row }, k) => {
      control.checked = shown.includes(families[k]);
      row.firstChild.style.background = stage.theme.cycle[k];
    });
    rank.row.hidden = !seen.length;
    rank.limit(0, Math.max(seen.length - 1, 0));
    const place = chosen ? seen.indexOf(chosen) : 0;
    const name = chosen ? `${chosen.family}, ${at.map((column, k) => `${label(column)} ${number(chosen.at[k])}`).join(", ")}` : "none";
    rank.show(place, String(place + 1));
    rank.control.setAttribute("aria-valuetext", name);
    tell([name,
      chosen ? `${label(y)} ${number(chosen.y)}${chosen.rows.length > 1 ? ` (${number(chosen.yEnds[0])} to ${number(chosen.yEnds[1])})` : ""}` : "–",
      chosen ? `${label(x)} ${number(chosen.x)}` : "–", `${seen.length} of ${points.length}`],
    numbers, { ...settings, log_x: model.get("log_x"), log_y: model.get("log_y") });

    reachHead.textContent = `least ${label(x)}`;
    reach.replaceChildren(...(chosen ? families.filter((f) => shown.includes(f)).map((f) =>
      line([f, `reach_${f}` in numbers ? number(numbers[`reach_${f}`]) : "none here"], true)) : []));
    [seed, x, y].forEach((column, k) => { heads[k].textContent = label(column); });
    runs.replaceChildren(...(chosen?.rows ?? []).slice(0, 12).map((row) => line([seed, x, y].map((column) => number(row[column])), true)));
    tables.forEach((table) => { table.hidden = !chosen; });
    canvas.setAttribute("aria-label", `${label(y)} against ${label(x)}, ${seen.length} points`
      + (chosen ? `; chosen: ${name}, ${label(y)} ${number(chosen.y)} at ${number(chosen.x)}` : ""));
    stage.paint(canvas, draw);
  }

  /** The scale of one axis: where a value lies in pixels, and its ticks. */
  function axis(ends, log, from, to, most) {
    let [low, high] = [Math.min(...ends), Math.max(...ends)];
    if (!ends.length) [low, high] = [0, 1];
    const through = (v) => (log ? Math.log(v) : v);
    const back = (v) => (log ? Math.exp(v) : v);
    const pad = 0.07 * (through(high) - through(low)) || (log ? 0.5 : 0.1 * Math.abs(high) || 1);
    [low, high] = [back(through(low) - pad), back(through(high) + pad)];
    const at = (v) => from + (to - from) * (through(v) - through(low)) / (through(high) - through(low));
    return { at, ticks: ticks(low, high, log, most) };
  }

  function draw(context, width, height) {
    const { ink, muted, grid, cycle } = stage.theme;
    const box = { left: 52, right: width - 12, top: 28, bottom: height - 40 };
    const { seen, chosen } = now;
    const x = axis(seen.flatMap((p) => p.xEnds), now.logX, box.left, box.right, Math.max(3, Math.floor(width / 75)));
    const y = axis(seen.flatMap((p) => p.yEnds), now.logY, box.bottom, box.top, 6);
    Object.assign(context, { font: "12px sans-serif", textBaseline: "middle", fillStyle: muted, strokeStyle: grid, lineWidth: 1, textAlign: "right" });
    for (const v of y.ticks) {
      path(context, [[box.left, y.at(v)], [box.right, y.at(v)]]);
      context.fillText(number(v), box.left - 6, y.at(v));
    }
    context.textAlign = "center";
    for (const v of x.ticks) {
      path(context, [[x.at(v), box.top], [x.at(v), box.bottom]]);
      context.fillText(number(v), Math.min(x.at(v), width - 16), box.bottom + 12);
    }
    context.fillText(label(now.x), (box.left + box.right) / 2, height - 9);
    context.textAlign = "left";
    context.fillText(label(now.y), 4, 10);

    now.spots = seen.map((p) => ({ point: p, at: [x.at(p.x), y.at(p.y)] }));
    if (chosen) {
      context.setLineDash([5, 4]);
      context.strokeStyle = ink;
      path(context, [[box.left, y.at(chosen.y)], [box.right, y.at(chosen.y)]]);
      context.setLineDash([]);
    }
    const lines = new Map();
    for (const spot of now.spots) {
      const id = JSON.stringify([spot.point.family, ...spot.point.at.slice(1)]);
      lines.set(id, [...(lines.get(id) ?? []), spot]);
    }
    for (const spots of lines.values()) {
      const k = families.indexOf(spots[0].point.family);
      Object.assign(context, { strokeStyle: cycle[k], lineWidth: 2, lineJoin: "round", globalAlpha: 0.6 });
      path(context, spots.map(({ at: where }) => where));
      context.globalAlpha = 1;
    }
    for (const { point: p, at: [px, py] } of now.spots) {
      const k = families.indexOf(p.family);
      Object.assign(context, { strokeStyle: cycle[k], fillStyle: cycle[k], lineWidth: 1.5 });
      path(context, [[px, y.at(p.yEnds[0])], [px, y.at(p.yEnds[1])]]);
      path(context, [[x.at(p.xEnds[0]), py], [x.at(p.xEnds[1]), py]]);
      for (const end of p.rows.length > 1 ? p.yEnds : []) path(context, [[px - 4, y.at(end)], [px + 4, y.at(end)]]);
      context.globalAlpha = 0.5;
      for (const row of p.rows.length > 1 ? p.rows : []) disc(context, [x.at(row[now.x]), y.at(row[now.y])], 2);
      context.globalAlpha = 1;
      mark(context, k, px, py, 5.5);
      if (p === chosen) {
        Object.assign(context, { strokeStyle: ink, lineWidth: 2.5 });
        context.beginPath();
        context.arc(px, py, 10, 0, 2 * Math.PI);
        context.stroke();
      }
    }
    if (!seen.length) {
      Object.assign(context, { fillStyle: muted, textAlign: "center" });
      context.fillText("nothing is shown", width / 2, height / 2);
    }
  }

  /** Families differ in shape as well as in colour. */
  function mark(context, family, x, y, r) {
    const corners = [null, 4, 3, 4, 3, null, 4, 3][family];
    if (!corners) return disc(context, [x, y], r);
    const start = [0, Math.PI / 4, -Math.PI / 2, 0, Math.PI / 2, 0, Math.PI / 4, 0][family];
    context.beginPath();
    for (let k = 0; k < corners; k++) context.lineTo(x + 1.25 * r * Math.cos(start + 2 * Math.PI * k / corners), y + 1.25 * r * Math.sin(start + 2 * Math.PI * k / corners));
    context.fill();
  }

  // --- reading a point under the pointer

  const read = (event) => {
    const box = canvas.getBoundingClientRect();
    const away = ({ at: [x, y] }) => Math.hypot(event.clientX - box.left - x, event.clientY - box.top - y);
    const nearest = (now.spots ?? []).reduce((best, spot) => (!best || away(spot) < away(best) ? spot : best), null);
    if (nearest && away(nearest) < 28 && nearest.point !== now.chosen) stage.put({ point: nearest.point.index });
  };
  stage.on(canvas, "pointermove", read);
  stage.on(canvas, "pointerdown", read);

  stage.open(["x", "y", "shown", "point", "log_x", "log_y"], update);
  return () => stage.close();
}

export default { render };
