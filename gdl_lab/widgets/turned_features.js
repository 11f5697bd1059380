// A picture that the reader turns, and whether the feature maps of a network turn with it.
// Maps are { values, count, side }: `count` square maps one after the other, row by row.

import { DIVERGING, SEQUENTIAL, Stage, disc, element, fixed, floats, format, path, raster, short } from "./stage.js";

/** Square maps turned anticlockwise about their middle, bilinear between pixels, zero from outside. */
export function turn({ values, count, side }, degrees) {
  // At right angles exactly: cos 90° is 6 × 10⁻¹⁷ in floating point.
  const [c, s] = degrees % 90 ? [Math.cos, Math.sin].map((f) => f(degrees * Math.PI / 180))
    : [[1, 0], [0, 1], [-1, 0], [0, -1]][(degrees / 90 % 4 + 4) % 4];
  const out = new Float64Array(values.length);
  const middle = (side - 1) / 2;
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const [x, y] = [column - middle, row - middle];
      const [fromX, fromY] = [c * x - s * y + middle, s * x + c * y + middle];
      const [left, top] = [Math.floor(fromX), Math.floor(fromY)];
      for (const [r, share] of [[top, top + 1 - fromY], [top + 1, fromY - top]]) {
        for (const [k, part] of [[left, left + 1 - fromX], [left + 1, fromX - left]]) {
          if (share * part === 0 || r < 0 || k < 0 || r >= side || k >= side) continue;
          const [to, from] = [row * side + column, r * side + k];
          for (let m = 0; m < count * side * side; m += side * side) out[m + to] += share * part * values[m + from];
        }
      }
    }
  }
  return { values: out, count, side };
}

/** The correlation of torch's conv2d, k >> 1 rings of zeros around, on every stride-th pixel. */
export function correlate({ values, count, side }, weights, { n, k, at }, stride) {
  const [out, half] = [Math.floor((side - 1) / stride) + 1, k >> 1];
  const sum = new Float64Array(n * out * out);
  const bias = at + n * count * k * k;
  for (let o = 0; o < n; o++) {
    sum.fill(weights[bias + o], o * out * out, (o + 1) * out * out);
    for (let i = 0; i < count; i++) {
      for (let tap = 0; tap < k * k; tap++) {
        const weight = weights[at + (o * count + i) * k * k + tap];
        if (weight === 0) continue;
        const [up, across] = [Math.floor(tap / k) - half, tap % k - half];
        const first = Math.max(0, Math.ceil(-across / stride));
        const last = Math.min(out - 1, Math.floor((side - 1 - across) / stride));
        for (let r = 0; r < out; r++) {
          const row = r * stride + up;
          if (row < 0 || row >= side) continue;
          let [to, from] = [(o * out + r) * out, (i * side + row) * side + across];
          for (let c = first; c <= last; c++) sum[to + c] += weight * values[from + c * stride];
        }
      }
    }
  }
  return { values: sum, count: n, side: out };
}

/** The mean of each 2 × 2 block; an odd last row and column are left out. */
export function meanPool({ values, count, side }) {
  const half = side >> 1;
  const out = Float64Array.from({ length: count * half * half }, (_, k) => {
    const [map, rest] = [Math.floor(k / (half * half)), k % (half * half)];
    const at = (map * side + 2 * Math.floor(rest / half)) * side + 2 * (rest % half);
    return (values[at] + values[at + 1] + values[at + side] + values[at + side + 1]) / 4;
  });
  return { values: out, count, side: half };
}

/** All maps of a network; the stride is that of the first convolution. */
export function run({ layers }, weights, picture, stride) {
  return layers.reduce((maps, layer, k) => {
    const z = correlate(layer.pool ? meanPool(maps) : maps, weights, layer, k ? 1 : stride);
    if (layer.relu) z.values.forEach((v, i) => { if (v < 0) z.values[i] = 0; });
    return z;
  }, picture);
}

/** The largest over the `size` orientations of each channel. */
export function pool({ values, count, side }, size) {
  const area = side * side;
  const out = new Float64Array(count / size * area).fill(-Infinity);
  values.forEach((v, k) => {
    const to = Math.floor(k / (size * area)) * area + k % area;
    if (v > out[to]) out[to] = v;
  });
  return { values: out, count: count / size, side };
}

/** Orientation h takes what was at h − steps, linear in between; every `turns` maps are one cycle. */
export function move({ values, count, side }, turns, steps) {
  const [area, whole] = [side * side, Math.floor(steps)];
  const out = new Float64Array(values.length);
  for (let map = 0; map < count; map++) {
    const [start, h] = [map - map % turns, map % turns];
    for (const [shift, share] of [[whole, whole + 1 - steps], [whole + 1, steps - whole]]) {
      const from = (start + ((h - shift) % turns + turns) % turns) * area;
      if (share) for (let k = 0; k < area; k++) out[map * area + k] += share * values[from + k];
    }
  }
  return { values: out, count, side };
}

const norm = (values) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
const minus = (a, b) => ({ ...a, values: a.values.map((v, k) => v - b.values[k]) });

/** f(x): all maps, or the largest over the orientations. */
export function features(program, weights, picture, { stride, orientations }) {
  const maps = run(program, weights, picture, stride);
  return orientations === "pooled" ? pool(maps, program.size) : maps;
}

/** Both ways round the square, and how far apart their ends are; `plain` is f(x), which does not depend on the angle. */
export function compare(program, weights, picture, settings, plain = features(program, weights, picture, settings)) {
  const [{ turns }, { angle, orientations }] = [program, settings];
  const turned = turn(picture, angle);
  const after = features(program, weights, turned, settings);
  let before = turn(plain, angle);
  if (orientations === "move") before = move(before, turns, angle * turns / 360);
  const difference = minus(after, before);
  return { picture, turned, plain, after, before, difference, error: norm(difference.values) / (norm(plain.values) || 1) };
}

/** One more row and column of zeros, below and on the right. */
export function grow({ values, count, side }) {
  const out = new Float64Array(count * (side + 1) ** 2);
  values.forEach((v, k) => { out[Math.floor(k / (side * side)) * (side + 1) ** 2 + Math.floor(k % (side * side) / side) * (side + 1) + k % side] = v; });
  return { values: out, count, side: side + 1 };
}

const SETTINGS = ["network", "image", "angle", "stride", "grown", "orientations", "channel"];
const STEP = 5;  // degrees between the points of the curves
const FLOOR = -17;  // the lowest power of ten that is drawn

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "turned-features", label: "A picture that turns, and its feature maps" });
  const [, side] = model.get("shape");
  const [programs, names] = [model.get("programs"), model.get("names")];
  const networks = Object.keys(programs);
  const weights = Float64Array.from(floats(model.get("weights")));
  const images = floats(model.get("images"));
  const curves = new Map();  // f(x), and the errors at 0°, 5°, …, by everything else that is set
  let now;

  // --- the controls

  const put = (name, kind = Number) => (value) => stage.put({ [name]: kind(value) });
  const image = stage.select({ name: "image", label: "picture", options: names.map((n, k) => [k, n]) }, put("image"));
  const angle = stage.slider({ name: "angle", label: "turned by", min: 0, max: 360, step: 1 }, put("angle"));
  const turns = [["− 90°", 270], ["+ 90°", 90]].map(([text, by]) => stage.button(text,
    () => stage.put({ angle: (model.get("angle") + by) % 360 })));
  const network = stage.select({ name: "network", label: "network", options: networks.map((n) => [n, n]) }, put("network", String));
  const orientations = stage.select({ name: "orientations", label: "orientations", options: [
    ["move", "turn and move on"], ["stay", "turn, do not move on"], ["pooled", "pooled: the largest"]] }, put("orientations", String));
  const channel = stage.slider({ name: "channel", label: "channel", min: 0, max: 0, step: 1 }, put("channel"));
  const stride = stage.select({ name: "stride", label: "stride", options: [[1, "1"], [2, "2: every other pixel"]] }, put("stride"));
  const grown = stage.checkbox({ name: "grown", label: `picture of ${side + 1} × ${side + 1}: one more row and column` }, put("grown", Boolean));
  const { list, tell } = stage.readout([
    ["equivariance error", "‖f(ρ(g)x) − σ(g)f(x)‖ / ‖f(x)‖ over all maps of the network"],
    ["largest difference", "of a pixel of the channel that is shown"],
    ["turning there and back", "‖ρ(g⁻¹)ρ(g)x − x‖ / ‖x‖: what interpolation loses of the picture itself"],
    ["output", "side of the maps"],
  ]);

  // --- the pictures: two ways round a square

  const figures = ["picture", "turned", "after", "plain", "before", "difference"].map((name) => {
    const canvas = stage.canvas(name);
    const title = element("span");
    const small = element("small");
    return { name, canvas, title, small, figure: element("figure", {}, canvas, element("figcaption", {}, title, small)) };
  });
  const plot = stage.canvas("error against angle");
  Object.assign(plot.style, { aspectRatio: "2.2", marginTop: "14px", touchAction: "pan-y", cursor: "ew-resize" });
  const key = element("p", { class: "gdl-key" });
  stage.root.append(
    element("div", { class: "gdl-columns" },
      element("div", { class: "gdl-picture" },
        element("div", { class: "gdl-three" }, ...figures.map(({ figure }) => figure)), plot, key),
      element("div", { class: "gdl-panel" },
        stage.group("Picture", ...(names.length > 1 ? [image.row] : []), angle.row,
          element("div", { class: "gdl-buttons" }, ...turns)),
        stage.group("Network f and action σ(g) on its maps", ...(networks.length > 1 ? [network.row] : []), orientations.row, channel.row),
        stage.group("Break it", stride.row, grown.row), list)));

  const original = (index, more) => {
    const x = { values: images.subarray(index * side * side, (index + 1) * side * side), count: 1, side };
    return more ? grow(x) : x;
  };

  function update() {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    const program = programs[settings.network];
    const x = original(settings.image, settings.grown);
    now = compare(program, weights, x, settings, known(settings.network, settings).plain);
    const { size } = program;
    const each = settings.orientations === "pooled" ? 1 : size;
    const channels = now.after.count / each;
    const shown = Math.min(settings.channel, channels - 1);
    const area = now.after.side ** 2;
    const part = ({ values }) => values.subarray(shown * each * area, (shown + 1) * each * area);
    const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const back = turn(now.turned, 360 - settings.angle);
    const numbers = {
      error: now.error, largest: largest(part(now.difference)), side: now.after.side,
      blur: norm(minus(back, x).values) / (norm(x.values) || 1),
    };

    image.control.value = settings.image;
    angle.show(settings.angle, `${settings.angle}°`);
    network.control.value = settings.network;
    orientations.control.value = settings.orientations;
    orientations.row.hidden = size === 1;
    channel.limit(0, channels - 1);
    channel.show(shown, `${shown + 1}/${channels}`);
    channel.row.hidden = channels === 1;
    stride.control.value = settings.stride;
    grown.control.checked = settings.grown;
    const percent = (error) => (error === 0 ? "0" : error < 1e-4 ? format(error, 2) : `${format(100 * error)} %`);
    tell([percent(numbers.error), numbers.largest === 0 ? "0" : numbers.largest < 0.01 ? format(numbers.largest, 2) : fixed(numbers.largest),
      percent(numbers.blur), `${channels} ${channels > 1 ? "channels" : "channel"}${each > 1 ? ` × ${each} orientations` : ""}, ${numbers.side} × ${numbers.side} pixels`], numbers, settings);

    const top = Math.max(largest(part(now.after)), largest(part(now.before))) || 1;
    const low = Math.min(0, ...x.values);
    const high = Math.max(low + 1e-9, ...x.values);
    const sigma = settings.orientations === "move" && size > 1 ? "turn, move on" : "turn";
    const looks = {
      picture: ["x", "the picture"],
      turned: ["ρ(g)x", `turned by ${settings.angle}°`],
      after: ["f(ρ(g)x)", "turn, then map"],
      plain: ["f(x)", "mapped"],
      before: ["σ(g)f(x)", `map, then ${sigma}`],
      difference: ["difference", numbers.largest < 1e-12 ? "zero, to rounding" : `at most ${format(numbers.largest, 2)} of ${format(top, 2)}`],
    };
    for (const { name, canvas, title, small } of figures) {
      [title.textContent, small.textContent] = looks[name];
      canvas.setAttribute("aria-label", looks[name].join(", "));
      stage.paint(canvas, (context, width) => (name === "picture" || name === "turned"
        ? maps(context, width, now[name].values, now[name].side, 1, SEQUENTIAL, [low, high])
        : maps(context, width, part(now[name]), now[name].side, each, DIVERGING, [-top, top])));
    }
    key.replaceChildren(...networks.map((name) => {
      const label = element(name === settings.network ? "strong" : "span", {}, name);
      label.style.color = style(name);
      return label;
    }).flatMap((label) => [label, "  ·  "]).slice(0, -1), ". Dots: right angles. Drag to turn.");
    sweep(settings);
    drawPlot(settings);
  }

  /** The maps of one channel as tiles, each with an arrow for its orientation. */
  function maps(context, width, values, rows, count, scale, range) {
    const across = Math.ceil(Math.sqrt(count));
    const down = Math.ceil(count / across);
    const cell = width / across;
    const size = Math.min(cell, width / down);
    const { turns } = programs[model.get("network")];
    for (let k = 0; k < count; k++) {
      const [x, y] = [k % across * cell + (cell - size) / 2, Math.floor(k / across) * size + (width - down * size) / 2];
      const box = [x + 0.5, y + 0.5, size - 1, size - 1];
      raster(context, values.subarray(k * rows * rows, (k + 1) * rows * rows), rows, rows, scale, range, box);
      Object.assign(context, { strokeStyle: stage.theme.muted, lineWidth: 1 });
      context.strokeRect(...box);
      if (count === 1) continue;
      const turned = 2 * Math.PI * (k % turns) / turns;
      const [dx, dy] = [-5 * Math.sin(turned), -5 * Math.cos(turned)];
      const [cx, cy] = [x + 11, y + 11];
      for (const [colour, thick] of [["#ffffff", 4], ["#1b1f24", 1.5]]) {
        context.beginPath();
        context.moveTo(cx - dx, cy - dy);
        context.lineTo(cx + dx, cy + dy);
        for (const s of [1, -1]) {
          context.moveTo(cx + dx, cy + dy);
          context.lineTo(cx + 0.2 * dx + 0.5 * s * dy, cy + 0.2 * dy - 0.5 * s * dx);
        }
        Object.assign(context, { strokeStyle: colour, lineWidth: thick, lineCap: "round" });
        context.stroke();
      }
    }
  }

  // --- the error against the angle, worked out between frames

  let waiting = 0;
  const style = (name) => stage.theme.cycle[networks.indexOf(name) % stage.theme.cycle.length];

  function known(name, settings) {
    const { image: index, stride: step, grown: more, orientations: kind } = settings;
    const id = JSON.stringify([name, index, step, more, kind]);
    if (!curves.has(id)) curves.set(id, { plain: features(programs[name], weights, original(index, more), settings), errors: [] });
    return curves.get(id);
  }

  function sweep(settings) {
    cancelAnimationFrame(waiting);
    const order = [settings.network, ...networks.filter((name) => name !== settings.network)];
    const open = () => order.find((name) => known(name, settings).errors.length * STEP <= 360);
    const work = () => {
      const began = performance.now();
      const x = original(settings.image, settings.grown);
      for (let name = open(); name && performance.now() - began < 8; name = open()) {
        const { plain, errors } = known(name, settings);
        errors.push(compare(programs[name], weights, x, { ...settings, angle: errors.length * STEP }, plain).error);
      }
      drawPlot(settings);
      if (open()) waiting = requestAnimationFrame(work);
    };
    if (open()) waiting = requestAnimationFrame(work);
  }
  stage.leaving.push(() => cancelAnimationFrame(waiting));

  const margin = { left: 44, right: 10, top: 22, bottom: 22 };

  function drawPlot(settings) {
    plot.setAttribute("aria-label", `Equivariance error against the angle, on a logarithmic scale: ${settings.network} has `
      + `${format(now.error, 2)} at ${settings.angle}°`);
    stage.paint(plot, (context, width, height) => {
      const { ink, muted, grid, paper } = stage.theme;
      const x = (degrees) => margin.left + (width - margin.left - margin.right) * degrees / 360;
      const y = (error) => {
        const power = Math.min(Math.max(Math.log10(error || 1e-99), FLOOR), 0.5);
        return height - margin.bottom - (height - margin.top - margin.bottom) * (power - FLOOR) / (0.5 - FLOOR);
      };
      Object.assign(context, { font: "12px sans-serif", textBaseline: "middle", textAlign: "right", fillStyle: muted, strokeStyle: grid, lineWidth: 1 });
      for (const [value, text] of [[1, "1"], [1e-4, "10⁻⁴"], [1e-8, "10⁻⁸"], [1e-12, "10⁻¹²"], [1e-16, "10⁻¹⁶"]]) {
        path(context, [[x(0), y(value)], [x(360), y(value)]]);
        context.fillText(text, margin.left - 6, y(value));
      }
      context.textAlign = "center";
      for (let d = 0; d <= 360; d += 90) {
        path(context, [[x(d), margin.top], [x(d), height - margin.bottom]]);
        context.fillText(`${d}°`, Math.min(x(d), width - 14), height - 9);
      }
      context.textAlign = "left";
      context.fillText("equivariance error against angle", margin.left, 9);
      for (const name of [...networks.filter((n) => n !== settings.network), settings.network]) {
        const { errors } = known(name, settings);
        const chosen = name === settings.network;
        Object.assign(context, { strokeStyle: style(name), fillStyle: style(name), lineWidth: chosen ? 3 : 1.5, lineJoin: "round" });
        for (let d = 0; d < 360; d += 90) {
          path(context, errors.map((e, k) => [k * STEP, e]).filter(([at]) => at > d && at < d + 90).map(([at, e]) => [x(at), y(e)]));
        }
        errors.forEach((e, k) => { if (k * STEP % 90 === 0) disc(context, [x(k * STEP), y(e)], chosen ? 4.5 : 3); });
      }
      context.setLineDash([4, 4]);
      Object.assign(context, { strokeStyle: ink, lineWidth: 1.25 });
      path(context, [[x(settings.angle), margin.top], [x(settings.angle), height - margin.bottom]]);
      context.setLineDash([]);
      context.fillStyle = paper;
      disc(context, [x(settings.angle), y(now.error)], 7);
      Object.assign(context, { strokeStyle: ink, lineWidth: 2.5 });
      context.stroke();
    });
  }

  const degrees = (event) => {
    const box = plot.getBoundingClientRect();
    const at = 360 * (event.clientX - box.left - margin.left) / (box.width - margin.left - margin.right);
    const near = Math.round(at / 90) * 90;  // right angles hold on to the pointer
    return Math.min(Math.max(Math.abs(at - near) < 4 ? near : Math.round(at), 0), 360);
  };
  stage.drag(plot, (event) => stage.put({ angle: degrees(event) }));

  stage.open([...SETTINGS, "images"], update);
  return () => stage.close();
}

export default { render };
