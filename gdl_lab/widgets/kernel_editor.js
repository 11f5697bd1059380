// A 3 × 3 kernel under the reader's hands: does the convolution commute with shifts of the picture?
// Pictures are { values, rows, columns }, row by row.

import { DIVERGING, SEQUENTIAL, Stage, element, floats, format, raster, short } from "./stage.js";

/** Move a picture circularly, dx to the right and dy down. */
export function shift({ values, rows, columns }, dx, dy) {
  const from = (k, size) => ((k % size) + size) % size;
  return {
    rows,
    columns,
    values: Float64Array.from(values, (_, k) => {
      const row = Math.floor(k / columns);
      return values[from(row - dy, rows) * columns + from(k - row * columns - dx, columns)];
    }),
  };
}

/** z(x) = Σ_y κ(y - x) f(y) on every stride-th pixel, with one ring of padding ("circular" or "zeros"). */
export function convolve({ values, rows, columns }, kernel, stride, padding) {
  const [height, width] = [rows, columns].map((size) => Math.floor((size - 1) / stride) + 1);
  const out = new Float64Array(height * width);
  for (let r = 0; r < height; r++) {
    for (let c = 0; c < width; c++) {
      let sum = 0;
      for (let k = 0; k < 9; k++) {
        let [y, x] = [r * stride + Math.floor(k / 3) - 1, c * stride + (k % 3) - 1];
        if (padding === "circular") [y, x] = [(y + rows) % rows, (x + columns) % columns];
        if (y >= 0 && y < rows && x >= 0 && x < columns) sum += kernel[k] * values[y * columns + x];
      }
      out[r * width + c] = sum;
    }
  }
  return { values: out, rows: height, columns: width };
}

/** The largest value of each 2 × 2 block; an odd last row or column is left out. */
export function maxPool({ values, rows, columns }) {
  const [height, width] = [Math.floor(rows / 2), Math.floor(columns / 2)];
  const out = Float64Array.from({ length: height * width }, (_, k) => {
    const at = 2 * Math.floor(k / width) * columns + 2 * (k % width);
    return Math.max(values[at], values[at + 1], values[at + columns], values[at + columns + 1]);
  });
  return { values: out, rows: height, columns: width };
}

/** The whole layer: convolution, then ReLU and pooling if asked. */
export function layer(picture, { kernel, stride, padding, relu, pool }) {
  let z = convolve(picture, kernel, stride, padding);
  if (relu) z = { ...z, values: z.values.map((v) => Math.max(v, 0)) };
  return pool ? maxPool(z) : z;
}

/** Shift of the output that belongs to a shift of the input: divided by the stride, rounded, halves up. */
export const coarse = (by, stride) => Math.floor(by / stride + 0.5);

/**
 * The first and one past the last output index that neither the border nor the wrap-around reached, along one axis of
 * `size` pixels and `outputs` outputs, for an input shift `by`. Output p sees the inputs from step·p - 1 to step·p + reach.
 */
export function interior(size, outputs, by, { stride, pool }) {
  const step = stride * (pool ? 2 : 1);
  const reach = pool ? stride + 1 : 1;
  const moved = coarse(by, step);
  const seen = (p, low, high) => step * p - 1 >= low && step * p + reach < high;
  const clean = [...Array(outputs).keys()].filter((p) => seen(p, Math.max(0, by), Math.min(size, size + by))
    && p - moved >= 0 && p - moved < outputs && seen(p - moved, 0, size));
  return clean.length ? [clean[0], clean[clean.length - 1] + 1] : [0, 0];
}

const norm = (values) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));

/** Both orders of shift and layer, their difference, and how large it is. */
export function compare(picture, settings) {
  const { dx, dy, stride, pool } = settings;
  const step = stride * (pool ? 2 : 1);
  const [outX, outY] = [coarse(dx, step), coarse(dy, step)];
  const shifted = shift(picture, dx, dy);
  const plain = layer(picture, settings);
  const after = layer(shifted, settings);
  const before = shift(plain, outX, outY);
  const difference = { ...after, values: after.values.map((v, k) => v - before.values[k]) };
  const [left, right] = interior(picture.columns, after.columns, dx, settings);
  const [top, bottom] = interior(picture.rows, after.rows, dy, settings);
  const inside = difference.values.filter((_, k) => {
    const [r, c] = [Math.floor(k / after.columns), k % after.columns];
    return r >= top && r < bottom && c >= left && c < right;
  });
  const size = norm(plain.values) || 1;
  return {
    shifted, after, before, difference, box: [left, top, right, bottom],
    numbers: {
      error: norm(difference.values) / size,
      interior_error: norm(inside) / size,
      pixels: after.values.length,
      interior_pixels: inside.length,
      shift_x: outX,
      shift_y: outY,
    },
  };
}

const SETTINGS = ["image", "kernel", "dx", "dy", "stride", "padding", "relu", "pool"];

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "kernel-editor", label: "Shifts and a convolution with a kernel you edit" });
  const presets = model.get("presets");
  const [, rows, columns] = model.get("shape");
  let now;

  // --- the controls

  const image = stage.select({ name: "image", label: "picture", options: model.get("names").map((n, k) => [k, n]) },
    (value) => stage.put({ image: Number(value) }));
  const preset = stage.select({ name: "preset", label: "kernel", options: [...Object.keys(presets), "your own"].map((n) => [n, n]) },
    (name) => (presets[name] ? stage.put({ kernel: [...presets[name]] }) : stage.update()));
  const where = ["above left", "above", "above right", "left", "centre", "right", "below left", "below", "below right"];
  const entries = where.map((place, k) => stage.number(
    { name: `kernel_${k}`, label: `kernel entry ${place}`, min: -9, max: 9, step: 0.25 },
    (value) => stage.put({ kernel: model.get("kernel").map((old, i) => (i === k ? value : old)) })));
  const most = (size) => Math.min(6, Math.floor(size / 2));
  const dy = stage.slider({ name: "dy", label: "shift down", min: -most(rows), max: most(rows), step: 1 },
    (value) => stage.put({ dy: value }));
  const dx = stage.slider({ name: "dx", label: "shift right", min: -most(columns), max: most(columns), step: 1 },
    (value) => stage.put({ dx: value }));
  const stride = stage.select({ name: "stride", label: "stride", options: [1, 2, 3].map((s) => [s, s]) },
    (value) => stage.put({ stride: Number(value) }));
  const padding = stage.select({ name: "padding", label: "padding", options: [["circular", "circular"], ["zeros", "zeros"]] },
    (value) => stage.put({ padding: value }));
  const relu = stage.checkbox({ name: "relu", label: "ReLU" }, (value) => stage.put({ relu: value }));
  const pool = stage.checkbox({ name: "pool", label: "2 × 2 max pooling" }, (value) => stage.put({ pool: value }));
  const { list, tell } = stage.readout([
    ["equivariance error", "‖layer(T f) − T layer(f)‖ / ‖layer(f)‖ over the whole output"],
    ["in the interior", "the same, over the pixels that neither the border nor the wrap-around has reached"],
    ["output", "its size, and how many of its pixels are in the interior"],
    ["shift of the output", "(down, right): the shift of the picture divided by the stride; pooling doubles the stride"],
  ]);

  // --- the pictures

  const pictures = ["shifted", "after", "before", "difference"].map((name) => {
    const canvas = stage.canvas(name);
    const title = element("span");
    const range = element("small");
    return { name, canvas, title, range, figure: element("figure", {}, canvas, element("figcaption", {}, title, range)) };
  });
  const key = element("p", { class: "gdl-key" }, "Blue is negative, white zero, red positive. The dashed frame in the "
    + "difference is the interior: no pixel in it has seen the border or what the shift has wrapped around.");
  stage.root.append(
    element("div", { class: "gdl-gallery" }, ...pictures.map(({ figure }) => figure)), key,
    element("div", { class: "gdl-trio" },
      stage.group("Kernel κ", preset.row, element("div", { class: "gdl-matrix" }, ...entries.map((e) => e.control))),
      element("div", { class: "gdl-panel" },
        stage.group("Picture and shift", image.row, dy.row, dx.row),
        stage.group("Layer", stride.row, padding.row, element("div", { class: "gdl-checks" }, relu.row, pool.row))),
      list));

  function update() {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    const values = floats(model.get("images")).subarray(settings.image * rows * columns, (settings.image + 1) * rows * columns);
    now = compare({ values, rows, columns }, settings);
    const { numbers, after } = now;

    image.control.value = settings.image;
    const same = (name) => presets[name].every((v, k) => v === settings.kernel[k]);
    preset.control.value = Object.keys(presets).find(same) ?? "your own";
    entries.forEach((entry, k) => entry.show(settings.kernel[k]));
    dx.show(settings.dx, short(settings.dx));
    dy.show(settings.dy, short(settings.dy));
    stride.control.value = settings.stride;
    padding.control.value = settings.padding;
    relu.control.checked = settings.relu;
    pool.control.checked = settings.pool;

    const step = settings.stride * (settings.pool ? 2 : 1);
    const rounded = settings.dx % step || settings.dy % step;
    const percent = (error) => (error === 0 ? "0" : error < 1e-4 ? format(error) : `${format(100 * error)} %`);
    tell([
      percent(numbers.error),
      numbers.interior_pixels ? percent(numbers.interior_error) : "no pixel is left",
      `${after.rows} × ${after.columns} pixels, ${numbers.interior_pixels} inside`,
      `(${short(numbers.shift_y)}, ${short(numbers.shift_x)})`
        + (rounded ? `, rounded from (${short(settings.dy / step)}, ${short(settings.dx / step)})` : ""),
    ], numbers, settings);

    const top = Math.max(...[now.after, now.before].flatMap(({ values: v }) => Array.from(v, Math.abs))) || 1;
    const most = Math.max(...now.difference.values.map(Math.abs)) || 1;
    const by = `(${short(settings.dy)}, ${short(settings.dx)})`; // (rows, columns), the order of the chapter
    const [low, high] = [Math.min(0, ...values), Math.max(1e-9, ...values)];
    const looks = {
      shifted: [`f, shifted by ${by}`, `dark ${short(low, 2)} to yellow ${short(high, 2)}`, SEQUENTIAL, [low, high]],
      after: ["layer(T f)", `colours ±${format(top)}`, DIVERGING, [-top, top]],
      before: ["T layer(f)", `colours ±${format(top)}`, DIVERGING, [-top, top]],
      difference: ["their difference", numbers.error ? `colours ±${format(most)}` : "zero everywhere", DIVERGING, [-most, most]],
    };
    for (const { name, canvas, title, range } of pictures) {
      [title.textContent, range.textContent] = looks[name];
      canvas.setAttribute("aria-label", `${looks[name][0]}, ${looks[name][1]}`);
      stage.paint(canvas, (context, size) => draw(context, size, now[name], looks[name][2], looks[name][3],
        name === "difference" && numbers.interior_pixels ? now.box : null));
    }
  }

  function draw(context, size, picture, scale, range, box) {
    const cell = size / Math.max(picture.rows, picture.columns);
    const [width, height] = [cell * picture.columns, cell * picture.rows];
    const [x, y] = [(size - width) / 2, (size - height) / 2];
    raster(context, picture.values, picture.rows, picture.columns, scale, range, [x, y, width, height]);
    context.strokeStyle = stage.theme.muted;
    context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
    if (!box) return;
    const [left, top, right, bottom] = box.map((k) => k * cell);
    context.setLineDash([5, 4]);
    Object.assign(context, { strokeStyle: "#1b1f24", lineWidth: 1.5 });
    context.strokeRect(x + left + 1, y + top + 1, right - left - 2, bottom - top - 2);
    context.setLineDash([]);
  }

  stage.open([...SETTINGS, "images"], update);
  return () => stage.close();
}

export default { render };
