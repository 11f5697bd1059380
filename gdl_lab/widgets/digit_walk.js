// From one picture to another on three ways: the line in data space X, the line and the great circle in base space Z.
// The frames of the ways through Z and all curves were computed by the flow; pictures are bytes, 0 … 255.

import { Stage, element, fixed, floats, raster, rgb, roundStep, short } from "./stage.js";

export const WAYS = ["x", "z", "arc"];
const TITLES = { x: "line in X", z: "line in Z", arc: "arc in Z" };
const STRIP = 9;  // frames in a film

const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** The place of the pair a < b among all pairs of `count` pictures, and whether it is walked backwards. */
export function pair(count, a, b) {
  const [low, high] = [Math.min(a, b), Math.max(a, b)];
  return { index: low * (2 * count - low - 1) / 2 + high - low - 1, backwards: a > b };
}

/** Frame t of `steps` on a way from picture a to picture b. */
export function frame({ count, size, steps, pictures, frames }, way, a, b, t) {
  const picture = (k) => pictures.subarray(k * size, (k + 1) * size);
  if (way === "x") {
    const [from, to] = [picture(a), picture(b)];
    return Float64Array.from(from, (v, k) => v + (to[k] - v) * t / (steps - 1));
  }
  if (a === b || t === 0) return picture(a);
  if (t === steps - 1) return picture(b);
  const { index, backwards } = pair(count, a, b);
  const at = (index * 2 + WAYS.indexOf(way) - 1) * (steps - 2) + (backwards ? steps - 2 - t : t - 1);
  return frames.subarray(at * size, (at + 1) * size);
}

/** The curve `what` (0: log q / D or bits per dimension, 1: |z| / √D) of a way, from a to b. */
export function curve({ count, steps, curves }, way, what, a, b) {
  if (a === b) {  // one picture: the end of a way to any other
    const [start] = curve({ count, steps, curves }, way, what, a, (a + 1) % count);
    return new Float64Array(steps).fill(start);
  }
  const { index, backwards } = pair(count, a, b);
  const at = ((index * WAYS.length + WAYS.indexOf(way)) * 2 + what) * steps;
  const values = Float64Array.from(curves.subarray(at, at + steps));
  return backwards ? values.reverse() : values;
}

/** The numbers beside the pictures. */
export function numbers(stored, { a, b, t }) {
  return Object.fromEntries(WAYS.flatMap((way) => ["log_q", "norm"].map(
    (name, what) => [`${name}_${way}`, curve(stored, way, what, a, b)[t]])));
}

const SETTINGS = ["a", "b", "t"];

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "digit-walk", label: "Three ways from one picture to another" });
  const [count, rows, columns] = model.get("shape");
  const [names, steps, bits] = ["names", "steps", "bits"].map((name) => model.get(name));
  const stored = {
    count, steps, size: rows * columns, pictures: bytes(model.get("pictures")), frames: bytes(model.get("frames")),
    curves: floats(model.get("curves")),
  };
  const quantity = bits ? "bits per dimension" : "log q / D";

  const value = (shown, way) => (bits ? `${fixed(shown[`log_q_${way}`], 2)} bits` : fixed(shown[`log_q_${way}`], 2));

  // --- the controls

  const choices = names.map((name, k) => [k, name]);
  const [from, to] = [["a", "from"], ["b", "to"]].map(([name, label]) => stage.select({ name, label, options: choices },
    (value) => stage.put({ [name]: Number(value) })));
  const time = stage.slider({ name: "t", label: "t", min: 0, max: steps - 1, step: 1 }, (t) => stage.put({ t }));
  const kind = stage.select({ name: "curve", label: "curves of",
    options: [["log_q", quantity], ["norm", "|z| / √D"]] }, (value) => stage.put({ curve: value }));
  const swap = stage.button("there and back", () => stage.put(
    { a: model.get("b"), b: model.get("a"), t: steps - 1 - model.get("t") }));
  const { list, tell } = stage.readout(WAYS.map((way) => [`on the ${TITLES[way]}`,
    (bits ? "−log₂ of the model's probability of the picture, divided by the number of pixels"
      : "the log-density of the picture under the flow, divided by the number of pixels")
      + ", and the distance of its base point from the origin, which is close to √D for samples of the base"]));

  // --- the pictures

  const large = WAYS.map((way) => {
    const canvas = stage.canvas(way);
    canvas.style.aspectRatio = `${columns} / ${rows}`;
    const title = element("strong", {}, TITLES[way]);
    const small = element("small");
    return { way, canvas, title, small, figure: element("figure", {}, canvas, element("figcaption", {}, title, small)) };
  });
  const film = stage.canvas("film");
  Object.assign(film.style, { aspectRatio: "1.15", marginTop: "14px", touchAction: "pan-y", cursor: "ew-resize" });
  const key = element("p", { class: "gdl-key" }, "The pictures at t, the three ways as films, and curves over the same t. "
    + "Drag along the films.");
  stage.root.append(
    element("div", { class: "gdl-columns" },
      element("div", { class: "gdl-picture" },
        element("div", { class: "gdl-three" }, ...large.map(({ figure }) => figure)), film, key),
      element("div", { class: "gdl-panel" },
        stage.group("The walk", from.row, to.row, time.row, element("div", { class: "gdl-buttons" }, swap)),
        stage.group("Below the films", kind.row), list)));

  function update() {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    const { a, b, t } = settings;
    const shown = numbers(stored, settings);
    from.control.value = a;
    to.control.value = b;
    kind.control.value = model.get("curve");
    time.show(t, short(t / (steps - 1), 2));
    tell(WAYS.map((way) => `${value(shown, way)}, |z| = ${fixed(shown[`norm_${way}`], 2)} √D`), shown,
      { ...settings, curve: model.get("curve") });
    const style = { x: stage.theme.cycle[1], z: stage.theme.cycle[0], arc: stage.theme.cycle[2] };
    for (const { way, canvas, title, small } of large) {
      title.style.color = style[way];
      small.textContent = bits ? `${value(shown, way)}/dim` : `log q / D = ${value(shown, way)}`;
      canvas.setAttribute("aria-label", `${TITLES[way]} from ${names[a]} to ${names[b]} at t = ${short(t / (steps - 1), 2)}`);
      stage.paint(canvas, (context, width, height) => {
        picture(context, frame(stored, way, a, b, t), [0, 0, width, height]);
        Object.assign(context, { strokeStyle: stage.theme.grid, lineWidth: 2 });
        context.strokeRect(0, 0, width, height);
      });
    }
    film.setAttribute("aria-label", `Films of the three ways from ${names[a]} to ${names[b]}, and ${quantity} along them: at t = `
      + `${short(t / (steps - 1), 2)}, ${WAYS.map((way) => `${fixed(shown[`log_q_${way}`], 2)} on the ${TITLES[way]}`).join(", ")}`);
    stage.paint(film, (context, width, height) => drawFilm(context, width, height, settings, style));
  }

  /** Ink on paper, in the theme's colours. */
  function picture(context, values, box) {
    const scale = [stage.theme.paper, stage.theme.ink].map(rgb);
    raster(context, values, rows, columns, scale, [0, 255], box);
  }

  const margin = 38;
  /** Where t = 0 and t = 1 are: the middle of the first and of the last picture of a film. */
  const ends = (width) => {
    const cell = (width - margin) / STRIP;
    return [margin + cell / 2, width - cell / 2];
  };

  function drawFilm(context, width, height, { a, b, t }, style) {
    const { ink, muted, grid, paper } = stage.theme;
    const cell = (width - margin) / STRIP;
    const tall = cell * rows / columns;
    const [first, last] = ends(width);
    const x = (k) => first + (last - first) * k / (steps - 1);
    WAYS.forEach((way, w) => {
      const y = w * (tall + 4);
      for (let k = 0; k < STRIP; k++) {
        const at = Math.round(k * (steps - 1) / (STRIP - 1));
        picture(context, frame(stored, way, a, b, at), [margin + k * cell + 1, y, cell - 2, tall]);
      }
      Object.assign(context, { strokeStyle: grid, lineWidth: 1 });
      for (let k = 0; k < STRIP; k++) context.strokeRect(margin + k * cell + 1.5, y + 0.5, cell - 3, tall - 1);
      const here = Math.round(t * (STRIP - 1) / (steps - 1));
      Object.assign(context, { strokeStyle: style[way], lineWidth: 2.5 });
      context.strokeRect(margin + here * cell + 1.5, y + 1, cell - 3, tall - 2);
      Object.assign(context, { fillStyle: style[way], font: "600 13px sans-serif", textBaseline: "middle", textAlign: "left" });
      context.fillText(way === "arc" ? "arc" : way.toUpperCase(), 2, y + tall / 2);
    });

    const what = model.get("curve") === "norm" ? 1 : 0;
    const curves = WAYS.map((way) => curve(stored, way, what, a, b));
    const all = curves.flatMap((values) => [...values]).concat(what ? [1] : []);
    const pad = 0.08 * (Math.max(...all) - Math.min(...all)) || 0.1;
    const [low, high] = [Math.min(...all) - pad, Math.max(...all) + pad];
    const [top, bottom] = [3 * (tall + 4) + 26, height - 18];
    const y = (v) => bottom - (bottom - top) * (v - low) / (high - low);
    const unit = roundStep(high - low, 5);
    Object.assign(context, { font: "12px sans-serif", textBaseline: "middle", textAlign: "right", lineWidth: 1, strokeStyle: grid, fillStyle: muted });
    for (let v = Math.ceil(low / unit) * unit; v <= high; v += unit) {
      context.beginPath();
      context.moveTo(margin, y(v));
      context.lineTo(width, y(v));
      context.stroke();
      context.fillText(short(v, 3), margin - 6, y(v));
    }
    context.textAlign = "left";
    context.fillText(what ? "|z| / √D: samples of the base have about 1" : bits ? `${quantity}: lower is likelier` : `${quantity}: higher is likelier`, margin, top - 12);
    context.textAlign = "center";
    for (const part of [0, 0.25, 0.5, 0.75, 1]) context.fillText(short(part), first + (last - first) * part, bottom + 11);
    if (what) {
      context.setLineDash([6, 4]);
      context.beginPath();
      context.moveTo(margin, y(1));
      context.lineTo(width, y(1));
      context.strokeStyle = muted;
      context.stroke();
      context.setLineDash([]);
    }
    context.setLineDash([4, 4]);
    Object.assign(context, { strokeStyle: ink, lineWidth: 1.25 });
    context.beginPath();
    context.moveTo(x(t), top);
    context.lineTo(x(t), bottom);
    context.stroke();
    context.setLineDash([]);
    WAYS.forEach((way, w) => {
      Object.assign(context, { strokeStyle: style[way], fillStyle: style[way], lineWidth: 2.5, lineJoin: "round" });
      context.beginPath();
      curves[w].forEach((v, k) => context.lineTo(x(k), y(v)));
      context.stroke();
      context.beginPath();
      context.arc(x(t), y(curves[w][t]), 5, 0, 2 * Math.PI);
      context.fill();
      Object.assign(context, { strokeStyle: paper, lineWidth: 1.5 });
      context.stroke();
    });
  }

  // --- dragging along the films

  stage.drag(film, (event) => {
    const box = film.getBoundingClientRect();
    const [first, last] = ends(box.width);
    const t = Math.round((event.clientX - box.left - first) / (last - first) * (steps - 1));
    stage.put({ t: Math.min(Math.max(t, 0), steps - 1) });
  });

  stage.open([...SETTINGS, "curve"], update);
  return () => stage.close();
}

export default { render };
