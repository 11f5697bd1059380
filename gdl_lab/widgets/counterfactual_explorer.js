// Gradient ascent from a picture to a target in base space Z and in data space X: both pictures at once, what has
// changed in them, and how likely a flow finds them. Paths were climbed in Python; every frame is a step of one.

import { DIVERGING, Stage, element, fixed, floats, format, gradient, raster, rgb, roundStep, short } from "./stage.js";

export const SPACES = ["z", "x"];
const CURVES = ["output", "log_q", "norm", "largest", "steps"];
const TITLES = { z: "path in Z", x: "path in X" };
const ENDS = { z: "counter\u00adfactual", x: "adver\u00adsarial" };  // with soft hyphens, for narrow pages
const LEVELS = 127;  // the largest change of a frame, in its own units

const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** What the page stores, by the names of the traits. */
export function unpack(get) {
  const [count, channels, rows, columns] = get("shape");
  const sizes = get("step_sizes");
  const changes = bytes(get("changes"));
  return {
    count, channels, rows, columns, frames: get("frames"), goals: get("goals").length, optimisers: Object.keys(sizes),
    pairs: Object.values(sizes)[0].length, originals: bytes(get("originals")), curves: floats(get("curves")),
    changes: new Int8Array(changes.buffer, changes.byteOffset, changes.length), reached: bytes(get("reached")),
  };
}

/** The place of a path among all. */
export function place({ goals, optimisers, pairs }, space, { picture, target, optimiser, step }) {
  return (((picture * goals + target) * optimisers.length + optimisers.indexOf(optimiser)) * pairs + step) * SPACES.length
    + SPACES.indexOf(space);
}

/** One of `CURVES` along a path, a number for each position. */
export function curve(stored, space, what, settings) {
  const at = (place(stored, space, settings) * CURVES.length + CURVES.indexOf(what)) * stored.frames;
  return stored.curves.subarray(at, at + stored.frames);
}

/** x(t) − x(0), the channels one after the other, in units of the grey values 0 … 1. */
export function change(stored, space, settings) {
  const size = stored.channels * stored.rows * stored.columns;
  if (settings.t === 0) return new Float64Array(size);
  const at = (place(stored, space, settings) * (stored.frames - 1) + settings.t - 1) * size;
  const unit = curve(stored, space, "largest", settings)[settings.t] / LEVELS;
  return Float64Array.from(stored.changes.subarray(at, at + size), (level) => level * unit);
}

/** x(t), not clipped. */
export function frame(stored, space, settings) {
  const moved = change(stored, space, settings);
  const start = settings.picture * moved.length;
  return moved.map((by, k) => stored.originals[start + k] / 255 + by);
}

/** What is drawn of a change: its mean over the channels. */
export function difference(stored, space, settings) {
  const moved = change(stored, space, settings);
  const size = stored.rows * stored.columns;
  return Float64Array.from({ length: size }, (_, k) => {
    let sum = 0;
    for (let c = 0; c < stored.channels; c++) sum += moved[c * size + k];
    return sum / stored.channels;
  });
}

/** The largest value that the map of a path takes at any position. */
export function reach(stored, space, settings) {
  let most = 0;
  for (let t = 1; t < stored.frames; t++) {
    for (const value of difference(stored, space, { ...settings, t })) most = Math.max(most, Math.abs(value));
  }
  return most;
}

/** The numbers beside the pictures. */
export function numbers(stored, settings) {
  return Object.fromEntries(SPACES.flatMap((space) => CURVES.map(
    (what) => [`${what}_${space}`, curve(stored, space, what, settings)[settings.t]])));
}

const SETTINGS = ["picture", "target", "optimiser", "step", "t"];

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "counterfactual-explorer", label: "Counterfactual and adversarial example" });
  const stored = unpack((name) => model.get(name));
  const { channels, rows, columns, frames } = stored;
  const [names, goals, values, regression, sizes] = ["names", "goals", "values", "regression", "step_sizes"].map((name) => model.get(name));
  const reaches = new Map();

  // --- the controls

  const put = (name, kind) => (value) => stage.put({ [name]: kind(value) });
  const list = (options) => options.map((text, k) => [k, text]);
  const position = stage.slider({ name: "t", label: "position", min: 0, max: frames - 1, step: 1 }, put("t", Number));
  const picture = stage.select({ name: "picture", label: "picture", options: list(names) }, put("picture", Number));
  const target = stage.select({ name: "target", label: "target", options: list(goals) }, put("target", Number));
  const optimiser = stage.select({ name: "optimiser", label: "optimiser",
    options: stored.optimisers.map((name) => [name, name]) }, put("optimiser", String));
  const step = stage.select({ name: "step", label: "step size",
    options: list(Object.values(sizes)[0].map(String)) }, put("step", Number));
  for (const { row, control } of [picture, target, optimiser]) row.hidden = control.options.length === 1;
  const magnify = stage.checkbox({ name: "magnify", label: "magnify the change in X" }, (on) => stage.put({ magnify: on }));
  const { list: told, tell } = stage.readout([
    [regression ? "value" : "p of the target", regression ? "what the regressor says" : "the classifier's probability of the target class"],
    ["log q / D", "the log-density of the picture under the flow, divided by the number of its values"],
    ["largest change", "of any value of the picture; values run from 0 to 1"],
    ["length of change", "the Euclidean distance from the original"],
    ["steps", "of gradient ascent up to here, and on the whole path"],
  ].map(([term, about]) => [`${term}, in Z | X`, about]));

  // --- the pictures

  const square = (label) => {
    const canvas = stage.canvas(label);
    canvas.style.aspectRatio = `${columns} / ${rows}`;
    const [title, small] = [element("strong"), element("small")];
    return { canvas, title, small, figure: element("figure", {}, canvas, element("figcaption", {}, title, small)) };
  };
  const original = square("original");
  const sides = SPACES.map((space) => ({ space, shown: square(space), map: square(`change in ${space}`) }));
  const bar = element("div", { class: "gdl-bar" });
  bar.style.background = gradient(DIVERGING);
  const ticks = [0, 1].map(() => element("span"));
  const about = element("small");
  const scale = element("figure", {}, bar, element("div", { class: "gdl-ticks" }, ...ticks), element("figcaption", {}, element("strong", {}, "change"), about));
  const plot = stage.canvas("curves");
  Object.assign(plot.style, { aspectRatio: "1.35", marginTop: "14px", touchAction: "pan-y", cursor: "ew-resize" });
  const key = element("p", { class: "gdl-key" }, "Every position is an equal part of the way of the "
    + (regression ? "value to the target" : "log-odds of the target to the end of the paths")
    + ", and shows the first step that has come so far. Z: solid, round; X: dashed, square. Drag along the curves.");
  const layout = { gridTemplateColumns: "repeat(auto-fit, minmax(min(100%, 285px), 1fr))" };  // three pictures want room
  const page = element("div", { class: "gdl-columns" },
    element("div", { class: "gdl-picture" },
      element("div", { class: "gdl-three" }, original.figure, ...sides.map(({ shown }) => shown.figure),
        scale, ...sides.map(({ map }) => map.figure)), plot, key),
    element("div", { class: "gdl-panel" },
      stage.group("Along both paths", position.row),
      stage.group("The paths", picture.row, target.row, optimiser.row, step.row),
      stage.group("The changes", magnify.row), told));
  Object.assign(page.style, layout);
  stage.root.append(page);

  const said = (value) => (regression ? fixed(value, 2) : value < 1e-3 && value > 0 ? format(value, 2) : fixed(value, 3));
  const share = (t) => `${Math.round(100 * t / (frames - 1))} %`;

  function update() {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    const [magnified, t] = [model.get("magnify"), settings.t];
    const shown = numbers(stored, settings);
    const goal = goals[settings.target];
    const output = regression ? "value" : `p of ${goal}`;
    picture.control.value = settings.picture;
    target.control.value = settings.target;
    optimiser.control.value = settings.optimiser;
    sizes[settings.optimiser].forEach(([inZ, inX], k) => { step.control.options[k].textContent = `λ = ${short(inZ)} in Z, ${short(inX)} in X`; });
    step.control.value = settings.step;
    magnify.control.checked = magnified;
    position.show(t, share(t));

    const last = { ...settings, t: frames - 1 };
    const [end, start] = [numbers(stored, last), numbers(stored, { ...settings, t: 0 })];
    const both = (text) => SPACES.map((space) => text(space)).join(" | ");
    tell([
      both((space) => said(shown[`output_${space}`])),
      both((space) => fixed(shown[`log_q_${space}`], 2)),
      both((space) => format(shown[`largest_${space}`], 2)),
      both((space) => format(shown[`norm_${space}`], 2)),
      both((space) => `${shown[`steps_${space}`]} / ${end[`steps_${space}`]}`),
    ], shown, { ...settings, magnify: magnified });

    const colours = { z: stage.theme.cycle[0], x: stage.theme.cycle[1] };
    original.title.textContent = "original";
    original.small.textContent = `${names[settings.picture]}: ${output} = ${said(start.output_z)}`;
    original.canvas.setAttribute("aria-label", `The original, ${names[settings.picture]}: ${output} is ${said(start.output_z)}`);
    stage.paint(original.canvas, (context, width, height) => draw(context, frame(stored, "z", { ...settings, t: 0 }), width, height));

    const most = Object.fromEntries(SPACES.map((space) => {
      const path = place(stored, space, settings);
      if (!reaches.has(path)) reaches.set(path, reach(stored, space, settings));
      return [space, reaches.get(path)];
    }));
    const range = (magnified ? most.z : Math.max(most.z, most.x)) || most.x || 1;
    [-range, range].forEach((v, k) => { ticks[k].textContent = short(v, 2); });  // three would run into each other
    about.textContent = channels === 1 ? "of the grey values" : "mean of the three colours";
    for (const { space, shown: large, map } of sides) {
      const there = stored.reached[place(stored, space, settings)];
      const note = !there && t === frames - 1 ? ", not reached" : there && !end[`steps_${space}`] ? ", from the start" : "";
      large.title.style.color = colours[space];
      large.title.textContent = t === frames - 1 && there ? ENDS[space] : TITLES[space];
      large.small.textContent = `${regression ? "value" : "p"} = ${said(shown[`output_${space}`])}${note}`;
      large.canvas.setAttribute("aria-label", `${TITLES[space]} from ${names[settings.picture]} to ${goal}, after ${share(t)} of the way: `
        + `${output} is ${said(shown[`output_${space}`])}, log q / D is ${fixed(shown[`log_q_${space}`], 2)}${note}`);
      stage.paint(large.canvas, (context, width, height) => draw(context, frame(stored, space, settings), width, height));

      const factor = magnified && space === "x" && most.x ? range / most.x : 1;
      map.small.textContent = `largest ${format(shown[`largest_${space}`], 2)}${factor === 1 ? "" : `, × ${short(factor, 2)}`}`;
      map.canvas.setAttribute("aria-label", `What has changed in ${space.toUpperCase()}${factor === 1 ? "" : `, ${short(factor, 2)} times as strong`}: `
        + `the largest change is ${format(shown[`largest_${space}`], 2)}`);
      stage.paint(map.canvas, (context, width, height) => {
        const moved = difference(stored, space, settings).map((v) => factor * v);
        raster(context, moved, rows, columns, DIVERGING, [-range, range], [0, 0, width, height]);
        border(context, width, height);
      });
    }
    plot.setAttribute("aria-label", `${output} and log q / D along both paths. In Z they go from ${said(start.output_z)} to ${said(end.output_z)} and from `
      + `${fixed(start.log_q_z, 2)} to ${fixed(end.log_q_z, 2)}, in X to ${said(end.output_x)} and ${fixed(end.log_q_x, 2)}`);
    stage.paint(plot, (context, width, height) => drawCurves(context, width, height, settings, colours));
  }

  function border(context, width, height) {
    Object.assign(context, { strokeStyle: stage.theme.grid, lineWidth: 2 });
    context.strokeRect(0, 0, width, height);
  }

  /** Grey values as ink on paper, in the theme's colours; colours as they are. */
  function draw(context, picture, width, height) {
    if (channels === 1) {
      const inks = [stage.theme.paper, stage.theme.ink].map(rgb);
      raster(context, picture, rows, columns, inks, [0, 1], [0, 0, width, height]);
    } else {
      const [size, image] = [rows * columns, new ImageData(columns, rows)];  // whose bytes are clamped and rounded
      for (let k = 0; k < size; k++) image.data.set([255 * picture[k], 255 * picture[size + k], 255 * picture[2 * size + k], 255], 4 * k);
      const cells = element("canvas", { width: columns, height: rows });
      cells.getContext("2d").putImageData(image, 0, 0);
      context.imageSmoothingEnabled = false;
      context.drawImage(cells, 0, 0, width, height);
    }
    border(context, width, height);
  }

  // --- the curves

  const [LEFT, RIGHT] = [46, 10];
  const across = (width) => (t) => LEFT + (width - LEFT - RIGHT) * t / (frames - 1);

  function drawCurves(context, width, height, settings, colours) {
    const { ink, muted, grid, paper } = stage.theme;
    const x = across(width);
    const tall = (height - 24) / 2;
    const goal = values[settings.target];
    const panels = [
      { what: "output", title: regression ? "value; dashes: the target" : `p of ${goals[settings.target]}`, also: regression ? [goal] : [0, 1] },
      { what: "log_q", title: "log q / D: higher is likelier", also: [] },
    ];
    panels.forEach(({ what, title, also }, row) => {
      const curves = SPACES.map((space) => curve(stored, space, what, settings));
      const all = [...curves.flatMap((values) => [...values]), ...also];
      const pad = 0.08 * (Math.max(...all) - Math.min(...all)) || 0.1;
      const [low, high] = [Math.min(...all) - pad, Math.max(...all) + pad];
      const [top, bottom] = [row * tall + 22, (row + 1) * tall];
      const y = (v) => bottom - (bottom - top) * (v - low) / (high - low);
      const unit = roundStep(high - low, 4);
      Object.assign(context, { font: "12px sans-serif", textBaseline: "middle", textAlign: "right", lineWidth: 1, strokeStyle: grid, fillStyle: muted });
      for (let v = Math.ceil(low / unit) * unit; v <= high; v += unit) {
        line([[LEFT, y(v)], [width, y(v)]]);
        context.fillText(short(Math.abs(v) < unit / 1e6 ? 0 : v, 3), LEFT - 6, y(v));
      }
      context.textAlign = "left";
      context.fillText(title, LEFT, top - 10);
      if (what === "output" && regression) {
        context.strokeStyle = muted;
        line([[LEFT, y(goal)], [width, y(goal)]], [6, 4]);
      }
      Object.assign(context, { strokeStyle: ink, lineWidth: 1.25 });
      line([[x(settings.t), top], [x(settings.t), bottom]], [4, 4]);
      SPACES.forEach((space, s) => {
        Object.assign(context, { strokeStyle: colours[space], lineWidth: space === "z" ? 3 : 2, lineJoin: "round" });
        line([...curves[s]].map((v, t) => [x(t), y(v)]), space === "z" ? [] : [6, 5]);
      });
      SPACES.forEach((space, s) => {
        const [cx, cy] = [x(settings.t), y(curves[s][settings.t])];
        context.beginPath();
        if (space === "z") context.arc(cx, cy, 6.5, 0, 2 * Math.PI);
        else context.rect(cx - 3.5, cy - 3.5, 7, 7);
        Object.assign(context, { fillStyle: colours[space], strokeStyle: paper, lineWidth: 1.5 });
        context.fill();
        context.stroke();
      });
    });
    Object.assign(context, { fillStyle: muted, textAlign: "center" });
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      context.textAlign = part === 1 ? "right" : "center";
      context.fillText(`${100 * part} %`, x(part * (frames - 1)) + (part === 1 ? RIGHT : 0), height - 10);
    }

    function line(points, dash = []) {
      context.setLineDash(dash);
      context.beginPath();
      points.forEach(([px, py]) => context.lineTo(px, py));
      context.stroke();
      context.setLineDash([]);
    }
  }

  // --- dragging along the curves

  stage.drag(plot, (event) => {
    const box = plot.getBoundingClientRect();
    const x = across(box.width);
    const t = Math.round((event.clientX - box.left - x(0)) / (x(1) - x(0)));
    stage.put({ t: Math.min(Math.max(t, 0), frames - 1) });
  });

  stage.open([...SETTINGS, "magnify"], update);
  return () => stage.close();
}

export default { render };
