// A U(1) lattice gauge field: links as arrows on the edges of a torus, plaquettes as squares, and what a gauge leaves of them.

import { PHASE, Stage, arrow, colour, disc, element, fixed, floats, format, path, rgb, short } from "./stage.js";
import { BINS, TURN, bessel, compare, density, radians, softmax, weigh, wrap } from "./lattice.js";

const SETTINGS = ["coupling", "field", "amount", "gauge", "site", "turn", "link", "change", "corner", "width", "height", "sampler", "weighted", "count"];

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "scrambled-lattice", label: "A lattice gauge field, its links and its plaquettes" });
  const [betas, samplers, [many, shown, size]] = ["betas", "samplers", "shape"].map((name) => model.get(name));
  const area = size * size;
  const links = floats(model.get("links"));
  const gauges = floats(model.get("gauges"));
  const logs = floats(model.get("log_w"));
  const bytes = model.get("squares");
  const squares = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const weighed = new Map();  // what a sampler's fields say, by coupling, sampler, weights and count
  let now;

  // --- the controls

  const put = (name, kind = Number) => (value) => stage.put({ [name]: kind(value) });
  const coupling = stage.select({ name: "coupling", label: "coupling", options: betas.map((beta, k) => [k, `β = ${short(beta)}`]) }, put("coupling"));
  const field = stage.slider({ name: "field", label: "field", min: 0, max: shown - 1, step: 1 }, put("field"));
  const amount = stage.slider({ name: "amount", label: "scramble", min: 0, max: 1, step: 0.01 }, put("amount"));
  const another = stage.button("another gauge", () => stage.put({ gauge: (model.get("gauge") + 1) % (gauges.length / area), amount: model.get("amount") || 1 }));
  const back = stage.button("put all back", () => stage.put({ amount: 0, turn: 0, change: 0 }));
  const range = (name, label, min, max) => stage.slider({ name, label, min, max, step: 1 }, put(name));
  const [site, turn] = [range("site", "site", 0, area - 1), range("turn", "turn site", -180, 180)];
  const [link, change] = [range("link", "link", 0, 2 * area - 1), range("change", "turn link", -180, 180)];
  const [corner, wide, high] = [range("corner", "corner", 0, area - 1), range("width", "width", 1, size - 1), range("height", "height", 1, size - 1)];
  const field_ = stage.readout([
    ["links that moved", "their angle is not that of the field as it was drawn"],
    ["squares that changed", "their P is not that of the field as it was drawn"],
    ["⟨cos P⟩", "mean over all squares"],
    ["charge Q", "the sum of all P, over 2π"],
    ["Wilson loop", "size 1, and the angle that is left after walking round the rectangle"],
    ["P inside", "the sum over the squares in the rectangle; but for whole turns it is the angle of the loop"],
  ]);
  const sampler = stage.select({ name: "sampler", label: "drawn by", options: [] }, put("sampler", String));
  const weighted = stage.checkbox({ name: "weighted", label: "weigh every field by p / q" }, put("weighted", Boolean));
  const count = stage.slider({ name: "count", label: "fields", min: 2, max: Math.max(...samplers.flat().map((row) => row.count)), step: 1 }, put("count"));
  const sample_ = stage.readout([
    ["⟨cos P⟩", "mean over the fields, with its standard error if they are independent"],
    ["exact", "on this torus, by expansion in characters"],
    ["effective fields", "what is left of their number by unequal weights"],
    ["off the curve", "half of ∫ |histogram − density|"],
  ]);

  // --- the pictures

  const lattice = stage.canvas("lattice");
  Object.assign(lattice.style, { cursor: "grab" });
  const plot = stage.canvas("histogram");
  Object.assign(plot.style, { aspectRatio: "1.8", marginTop: "12px" });
  const key = element("p", { class: "gdl-key" });
  stage.root.append(element("div", { class: "gdl-columns" },
    element("div", { class: "gdl-picture" }, lattice, key, plot,
      element("p", { class: "gdl-key" }, "Angles P of many fields, and the line that they should follow. Ticks: the squares above.")),
    element("div", { class: "gdl-panel" },
      stage.group("Field", ...(many > 1 ? [coupling.row] : []), field.row),
      stage.group("All sites: a gauge transformation", amount.row, element("div", { class: "gdl-buttons" }, another, back)),
      stage.group("One site: a gauge transformation", site.row, turn.row),
      stage.group("One link: another field", link.row, change.row),
      stage.group("Wilson loop", corner.row, wide.row, high.row), field_.list,
      stage.group("Many fields", sampler.row, weighted.row, count.row), sample_.list)));

  const place = (k) => `${Math.floor(k / size) % size}, ${k % size}`;
  const degrees = (value) => `${short(value)}°`;

  function update() {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    const from = (settings.coupling * shown + settings.field) * 2 * area;
    const theta = Float64Array.from(links.subarray(from, from + 2 * area));
    now = { settings, ...compare(theta, gauges.subarray(settings.gauge * area, (settings.gauge + 1) * area), size, settings) };
    const chosen = samplers[settings.coupling].find(({ name }) => name === settings.sampler) ?? samplers[settings.coupling][0];
    now.sample = ask(settings, chosen);
    const numbers = { ...now.numbers, ...now.sample.numbers };

    coupling.control.value = settings.coupling;
    field.show(settings.field, `${settings.field + 1}/${shown}`);
    amount.show(settings.amount, fixed(settings.amount, 2));
    site.show(settings.site, place(settings.site));
    turn.show(settings.turn, degrees(settings.turn));
    link.show(settings.link, `${place(settings.link)} ${settings.link < area ? "→" : "↑"}`);
    change.show(settings.change, degrees(settings.change));
    corner.show(settings.corner, place(settings.corner));
    wide.show(settings.width, String(settings.width));
    high.show(settings.height, String(settings.height));
    const names = samplers[settings.coupling].map(({ name }) => name);
    if (names.join() !== [...sampler.control.options].map(({ value }) => value).join()) {
      sampler.control.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    }
    sampler.control.value = chosen.name;
    weighted.control.checked = settings.weighted;
    weighted.row.hidden = !chosen.weighted;
    count.show(Math.min(settings.count, chosen.count), String(now.sample.count));

    const left = ({ re, im }) => degrees(Math.round(Math.atan2(im, re) * 180 / Math.PI));
    const [walked, before] = [left({ re: numbers.loop_re, im: numbers.loop_im }), left(now.was)];
    field_.tell([
      `${numbers.links_moved} of ${2 * area}`, `${numbers.squares_changed} of ${area}`, fixed(numbers.plaquette, 4), short(Math.round(numbers.charge)),
      walked === before ? `${walked}, as before` : `${walked}, was ${before}`, degrees(Math.round(360 * numbers.inside)),
    ], numbers, settings);
    sample_.tell([
      `${fixed(numbers.sampled, 4)} ± ${fixed(numbers.error, 4)}`, fixed(numbers.exact, 4),
      `${format(numbers.ess * now.sample.count)} of ${now.sample.count}`, `${fixed(100 * numbers.distance, 1)} %`,
    ], numbers, settings);
    key.textContent = numbers.links_moved === 0 ? "Arrows: links; squares: P, red for 0°, blue for ±180°. Opposite sides are one. Drag a dot to turn a site, an arrow to change a link, a square to draw a loop."
      : numbers.squares_changed === 0 ? "The links in blue have moved. No square has changed: what a site does to one of its links, the next link of the square undoes."
        : "The links in blue have moved, the framed squares have changed: no gauge can do what one link alone has done.";
    lattice.setAttribute("aria-label", `${size} × ${size} lattice: ${numbers.links_moved} of ${2 * area} links have moved, ${numbers.squares_changed} of ${area} squares have changed`);
    plot.setAttribute("aria-label", `Histogram of the angles P of ${now.sample.count} fields drawn by ${chosen.name}, ${fixed(100 * numbers.distance, 1)} % off the exact density at β = ${short(betas[settings.coupling])}`);
    stage.paint(lattice, drawLattice);
    stage.paint(plot, drawHistogram);
  }

  function ask({ coupling: at, weighted: weigh_, count: most }, { name, count: all, weighted: can, at: [start, first] }) {
    const n = Math.min(most, all);
    const id = JSON.stringify([at, name, weigh_ && can, n]);
    if (!weighed.has(id)) {
      const weights = softmax(weigh_ && can ? logs.subarray(first, first + n) : new Float64Array(n));
      weighed.set(id, { count: n, ...weigh(squares.subarray(start, start + n * area), weights, area, betas[at]) });
    }
    return weighed.get(id);
  }

  const shade = (P) => {
    const hue = colour(PHASE, P / TURN + 0.5);
    return `rgb(${rgb(stage.theme.paper).map((p, i) => p + (stage.dark ? 0.75 : 0.85) * (hue[i] - p))})`;
  };

  /** Pixels of the lattice: the length of a link, and where a site is drawn. */
  const geometry = (width) => {
    const cell = width / (size + 0.7);
    return { cell, at: (i, j) => [(i + 0.35) * cell, width - (j + 0.35) * cell] };
  };

  function drawLattice(context, width) {
    const { ink, muted, grid, paper, cycle } = stage.theme;
    const { cell, at } = geometry(width);
    const { settings, theta, omega, P, moved, turned } = now;
    const gap = 0.14 * cell;
    for (let k = 0; k < area; k++) {
      const [x, y] = at(Math.floor(k / size), k % size + 1);
      context.fillStyle = shade(P[k]);
      context.fillRect(x + gap, y + gap, cell - 2 * gap, cell - 2 * gap);
      if (!turned[k]) continue;
      Object.assign(context, { strokeStyle: cycle[1], lineWidth: 3 });
      context.strokeRect(x + gap, y + gap, cell - 2 * gap, cell - 2 * gap);
    }
    Object.assign(context, { strokeStyle: grid, lineWidth: 1.5 });
    for (let k = 0; k <= size; k++) {
      path(context, [at(0, k), at(size, k)]);
      path(context, [at(k, 0), at(k, size)]);
    }
    // the loop, and its copies beyond the seams
    context.save();
    context.beginPath();
    context.rect(...at(-0.2, size + 0.2), (size + 0.4) * cell, (size + 0.4) * cell);
    context.clip();
    Object.assign(context, { strokeStyle: cycle[2], lineWidth: 5, lineJoin: "round" });
    const [i, j] = [Math.floor(settings.corner / size), settings.corner % size];
    for (const a of [i, i - size]) for (const b of [j, j - size]) {
      const [x, y] = at(a, b + settings.height);
      context.strokeRect(x, y, settings.width * cell, settings.height * cell);
    }
    context.restore();
    // the links: a dial on every edge, those on the far sides once more
    const radius = 0.25 * cell;
    for (let mu = 0; mu < 2; mu++) for (let a = 0; a <= size; a++) for (let b = 0; b <= size; b++) {
      if ((mu === 0 ? a : b) === size) continue;
      const k = (mu * size + a % size) * size + b % size;
      const [x, y] = at(a + (mu ? 0 : 0.5), b + (mu ? 0.5 : 0));
      const held = k === settings.link;
      context.globalAlpha = a === size || b === size ? 0.55 : 1;
      Object.assign(context, { fillStyle: paper, strokeStyle: held ? cycle[1] : grid, lineWidth: held ? 3 : 1 });
      disc(context, [x, y], radius);
      context.stroke();
      const tint = moved[k] ? cycle[0] : ink;
      Object.assign(context, { strokeStyle: tint, fillStyle: tint, lineWidth: moved[k] ? 2 : 1.5, lineCap: "round" });
      const [dx, dy] = [0.8 * radius * Math.cos(theta[k]), -0.8 * radius * Math.sin(theta[k])];
      arrow(context, [x - dx, y - dy], [x + dx, y + dy], 0.2 * cell);
    }
    // the sites, each with a hand that shows by how much the gauge has turned it
    for (let a = 0; a <= size; a++) for (let b = 0; b <= size; b++) {
      const k = a % size * size + b % size;
      const held = k === settings.site;
      const [x, y] = at(a, b);
      context.globalAlpha = a === size || b === size ? 0.55 : 1;
      Object.assign(context, { fillStyle: held ? paper : muted, strokeStyle: held ? cycle[3] : muted, lineWidth: held ? 3 : 1 });
      disc(context, [x, y], held ? 0.2 * cell : 0.08 * cell);
      context.stroke();
      if (held || Math.abs(wrap(omega[k])) > 1e-9) {
        Object.assign(context, { strokeStyle: held ? cycle[3] : muted, lineWidth: held ? 3 : 1.5 });
        path(context, [[x, y], [x + 0.19 * cell * Math.cos(omega[k]), y - 0.19 * cell * Math.sin(omega[k])]]);
      }
    }
    context.globalAlpha = 1;
  }

  const margin = { left: 8, right: 8, top: 6, bottom: 34 };

  function drawHistogram(context, width, height) {
    const { ink, muted, grid } = stage.theme;
    const [beta, step] = [betas[now.settings.coupling], TURN / BINS];
    const normal = bessel(0, beta);
    const most = Math.max(1.1 * density(0, beta, normal), ...now.sample.share.map((share) => share / step));
    const x = (P) => margin.left + (width - margin.left - margin.right) * (P / TURN + 0.5);
    const y = (value) => height - margin.bottom - (height - margin.top - margin.bottom) * value / most;
    now.sample.share.forEach((share, b) => {
      const P = -Math.PI + b * step;
      context.fillStyle = shade(P + step / 2);
      context.fillRect(x(P) + 0.5, y(share / step), x(P + step) - x(P) - 1, y(0) - y(share / step));
    });
    Object.assign(context, { strokeStyle: grid, lineWidth: 1 });
    path(context, [[x(-Math.PI), y(0)], [x(Math.PI), y(0)]]);
    Object.assign(context, { strokeStyle: ink, lineWidth: 2, lineJoin: "round" });
    const across = Array.from({ length: 181 }, (_, k) => -Math.PI + TURN * k / 180);
    path(context, across.map((P) => [x(P), y(density(P, beta, normal))]));
    // the squares above
    Object.assign(context, { strokeStyle: ink, lineWidth: 1, globalAlpha: 0.6 });
    for (const P of now.P) path(context, [[x(P), y(0) + 3], [x(P), y(0) + 10]]);
    Object.assign(context, { globalAlpha: 1, font: "12px sans-serif", fillStyle: muted, textBaseline: "middle", textAlign: "center" });
    for (const d of [-180, -90, 0, 90, 180]) context.fillText(`${short(d)}°`, Math.min(Math.max(x(radians(d)), 18), width - 18), height - 10);
  }

  // --- by hand

  const point = (event) => {
    const box = lattice.getBoundingClientRect();
    const { cell } = geometry(box.width);
    return [(event.clientX - box.left) / cell - 0.35, (box.bottom - event.clientY) / cell - 0.35];
  };
  const modulo = (k) => ((k % size) + size) % size;
  const away = ([u, v], [a, b]) => Math.hypot(u - a, v - b);
  const middle = (k) => [Math.floor(k / size) % size + (k < area ? 0.5 : 0), k % size + (k < area ? 0 : 0.5)];
  /** The copy of a place that is nearest to the pointer. */
  const nearest = (at, [i, j]) => [i + size * Math.round((at[0] - i) / size), j + size * Math.round((at[1] - j) / size)];
  /** What lies under the pointer: a site, a link, or else a square. */
  const pick = (at) => {
    const [u, v] = at;
    const node = [Math.round(u), Math.round(v)];
    if (away(at, node) < 0.25) return { name: "site", index: modulo(node[0]) * size + modulo(node[1]), angle: "turn", place: node };
    const [flat, upright] = [[Math.floor(u) + 0.5, Math.round(v)], [Math.round(u), Math.floor(v) + 0.5]];
    const mu = away(at, upright) < away(at, flat) ? 1 : 0;
    const place = mu ? upright : flat;
    if (away(at, place) > 0.27) return { name: "square" };
    return { name: "link", index: (mu * size + modulo(Math.floor(place[0]))) * size + modulo(Math.floor(place[1])), angle: "change", place };
  };
  const bearing = (at, place) => Math.atan2(at[1] - place[1], at[0] - place[0]) * 180 / Math.PI;
  const press = (event) => {
    const at = point(event);
    const found = pick(at);
    const { name, index, angle, place } = found;
    if (name === "square") return { ...found, from: at.map(Math.floor) };
    // What was turned before goes back: one site, one link.
    stage.put({ [name]: index, [angle]: index === now.settings[name] ? now.settings[angle] : 0 });
    return { ...found, start: now.settings[angle] - bearing(at, place) };
  };
  const carry = (event, { from, start, angle, place }) => {
    const at = point(event);
    if (from) {
      const side = (k) => Math.min(Math.abs(Math.floor(at[k]) - from[k]) + 1, size - 1);
      const [i, j] = [0, 1].map((k) => Math.min(Math.floor(at[k]), from[k]));
      stage.put({ corner: modulo(i) * size + modulo(j), width: side(0), height: side(1) });
      return;
    }
    const by = Math.round(start + bearing(at, place));
    stage.put({ [angle]: by - 360 * Math.round(by / 360) });
  };
  // A finger takes what is marked already, and else scrolls the page.
  const near = (event) => {
    const at = point(event);
    const marked = [[Math.floor(now.settings.site / size), now.settings.site % size], middle(now.settings.link)];
    return marked.some((place) => away(at, nearest(at, place)) * geometry(lattice.clientWidth).cell < 24);
  };
  stage.drag(lattice, carry, { press, near });

  stage.open(SETTINGS, update);
  return () => stage.close();
}

export default { render };
