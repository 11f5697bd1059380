// What every widget stands on: colours, labelled controls, sharp canvases, a read-out, and the wiring to the model.
// A page of the book has no kernel, so everything that reacts to the reader happens here and in the widgets' own files.

// The colours of gdl_lab.figures.style; a test holds them equal.
export const PALETTE = {
  light: {
    ink: "#1b1f24", muted: "#57606a", grid: "#d8dee4", paper: "#ffffff",
    cycle: ["#0072b2", "#c04b00", "#007a5a", "#a8447f", "#5f1f00", "#9467ff", "#444444", "#1d1d5e"],
  },
  dark: {
    ink: "#e6edf3", muted: "#9aa4af", grid: "#30363d", paper: "#121212",
    cycle: ["#56b4e9", "#ff9a52", "#3ccb9c", "#e19bc4", "#b0413e", "#5b8cff", "#f0f0f0", "#fff3b0"],
  },
};

/** [r, g, b] in 0 … 255 of "#rrggbb", with the sign or without. */
export const rgb = (hex) => [0, 2, 4].map((i) => parseInt(hex.replace("#", "").slice(i, i + 2), 16));
const hexes = (text) => text.split(" ").map(rgb);

// matplotlib's RdBu_r and cividis, as equally spaced stops.
export const DIVERGING = hexes("053061 2065ab 4393c3 90c4dd d1e5f0 f7f6f6 fddbc7 f3a481 d6604d b1182b 67001f");
export const SEQUENTIAL = hexes(
  "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838",
);

// One turn of the hue at equal lightness, for what comes back after a turn: t = 0 and 1 are ±180°, t = 1/2 is 0°.
export const PHASE = hexes("00b9d0 50aeeb 86a0f3 b192e7 d087ca e482a1 e88575 dd904d c3a03a 9bb050 66ba7a 21bea8 00b9d0");

/** Colour [r, g, b] in 0 … 255 at t in [0, 1] of a scale; t outside is clamped. */
export function colour(scale, t) {
  const x = Math.min(Math.max(t, 0), 1) * (scale.length - 1);
  const i = Math.min(Math.floor(x), scale.length - 2);
  return scale[i].map((c, k) => c + (x - i) * (scale[i + 1][k] - c));
}

/** A CSS gradient from the low to the high end of a scale. */
export const gradient = (scale) => `linear-gradient(to right, ${scale.map((c) => `rgb(${c})`).join(", ")})`;

/** float32 values of a Bytes trait; copied, since its byte offset need not be a multiple of four. */
export function floats(view) {
  return new Float32Array(new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice().buffer);
}

/** A number for reading: `digits` significant digits, a true minus, powers of ten where they help. */
export function format(value, digits = 3) {
  const text = Number(value).toPrecision(digits);
  const small = value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6);
  const [mantissa, exponent] = (small ? Number(value).toExponential(digits - 1) : text).split("e");
  const power = exponent && [...String(Number(exponent))].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
  return (power ? `${mantissa} × 10${power}` : mantissa).replace("-", "−");
}

/** A number with a fixed count of decimals, so that columns stay in line; falls back to `format` where it is large. */
export function fixed(value, decimals = 3) {
  if (Math.abs(value) >= 1000) return format(value, 2);
  const text = Number(value).toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

/** A number as short as `digits` significant digits allow: 0, −1.5, 0.94. */
export const short = (value, digits = 3) => String(Number(Number(value).toPrecision(digits))).replace("-", "−");

/** Complex numbers are pairs: their product, and e^{i·angle}. */
export const times = ([a, b], [c, d]) => [a * c - b * d, a * d + b * c];
export const phase = (angle) => [Math.cos(angle), Math.sin(angle)];

/** A round step that cuts a range into `most` parts or fewer. */
export function roundStep(range, most) {
  const power = 10 ** Math.floor(Math.log10(range / most));
  return [1, 2, 2.5, 5, 10].map((k) => k * power).find((unit) => range / unit <= most);
}

/** "light" or "dark": JupyterLab says so on the body, the book on the root, other pages leave it to the system. */
export function appearance() {
  const lab = document.body.dataset.jpThemeLight;
  if (lab) return lab === "true" ? "light" : "dark";
  const book = document.documentElement.dataset.theme;
  if (book === "light" || book === "dark") return book;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** An element with attributes and children; `class`, `aria-…` and `data-…` are attributes like any other. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Draw values (row by row, top row first) as an image in the rectangle x, y, width, height. */
export function raster(context, values, rows, columns, scale, [low, high], [x, y, width, height], smooth = false) {
  const image = new ImageData(columns, rows);
  for (let k = 0; k < rows * columns; k++) {
    const [r, g, b] = colour(scale, (values[k] - low) / (high - low));
    image.data.set([r, g, b, 255], 4 * k);
  }
  const cells = element("canvas", { width: columns, height: rows });
  cells.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = smooth;
  context.drawImage(cells, x, y, width, height);
}

/** A line through points, in the present colour and width. */
export function path(context, points) {
  context.beginPath();
  points.forEach((p) => context.lineTo(...p));
  context.stroke();
}

/** A filled disc; a `context.stroke()` after it gives it a rim. */
export function disc(context, [x, y], radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/** An arrow from one point to another in the present colours and width; `head` is the length of its head in pixels. */
export function arrow(context, [x0, y0], [x1, y1], head = 6) {
  const size = Math.hypot(x1 - x0, y1 - y0);
  if (size < 0.5) return;
  const [dx, dy] = [(x1 - x0) / size, (y1 - y0) / size];
  const h = Math.min(head, 0.6 * size);
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1 - 0.8 * h * dx, y1 - 0.8 * h * dy);
  context.stroke();
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x1 - h * dx + 0.45 * h * dy, y1 - h * dy - 0.45 * h * dx);
  context.lineTo(x1 - h * dx - 0.45 * h * dy, y1 - h * dy + 0.45 * h * dx);
  context.fill();
}

/** One view of one model. `update` draws everything anew from the model's traits. */
export class Stage {
  constructor({ model, el, name, label }) {
    this.model = model;
    this.root = element("div", { class: "gdl-widget", "data-widget": name, role: "group", "aria-label": label });
    this.leaving = [];
    this.setting = false;
    el.append(this.root);
  }

  /** Listen until the view closes. */
  on(target, type, handler, options) {
    target.addEventListener(type, handler, options);
    this.leaving.push(() => target.removeEventListener(type, handler, options));
  }

  /** Begin: draw now and whenever a trait, the theme or the size of the picture changes. */
  open(traits, update) {
    this.update = update;
    const changed = () => this.setting || update();
    const recolour = () => { this.dress(); update(); };
    for (const trait of traits) {
      this.model.on(`change:${trait}`, changed);
      this.leaving.push(() => this.model.off(`change:${trait}`, changed));
    }
    const themes = new MutationObserver(recolour);
    themes.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
    themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.on(matchMedia("(prefers-color-scheme: dark)"), "change", recolour);
    // In JupyterLab a view is made before it is on the page: its first size comes from here.
    const sizes = new ResizeObserver(update);
    this.root.querySelectorAll("canvas").forEach((canvas) => sizes.observe(canvas));
    this.leaving.push(() => themes.disconnect(), () => sizes.disconnect());
    recolour();
  }

  close() {
    this.leaving.splice(0).forEach((leave) => leave());
    this.root.remove();
  }

  /** Set several traits, draw once, and tell the kernel if there is one. */
  put(traits) {
    this.setting = true;
    try {
      for (const [name, value] of Object.entries(traits)) this.model.set(name, value);
    } finally {
      this.setting = false;
    }
    this.update();
    this.model.save_changes();
  }

  dress() {
    const name = appearance();
    this.theme = PALETTE[name];
    const { ink, muted, grid, paper, cycle } = this.theme;
    for (const [key, value] of Object.entries({ ink, muted, grid, paper, accent: cycle[0], second: cycle[1] })) {
      this.root.style.setProperty(`--gdl-${key}`, value);
    }
    this.root.style.colorScheme = name;
  }

  /** Whether the page is dark at present. */
  get dark() {
    return this.root.style.colorScheme === "dark";
  }

  group(legend, ...children) {
    return element("fieldset", {}, element("legend", {}, legend), ...children);
  }

  /** A row "label, control, output". The name tells the tests which setting it is; the output is the caller's. */
  row(label, control, ...more) {
    control.setAttribute("aria-label", label);
    const output = element("output", { "aria-hidden": "true" });
    const title = element("span", {}, label);
    const row = element("label", { class: "gdl-row" }, title, control, output, ...more);
    return { row, control, output, title };
  }

  slider({ name, label, min, max, step }, act) {
    const control = element("input", { type: "range", "data-name": name, min, max, step });
    const made = this.row(label, control);
    this.on(control, "input", () => act(Number(control.value)));
    /** Another range, where it depends on what else is set. */
    made.limit = (low, high) => { [min, max] = [low, high]; };
    /** Show a value, with its text also for screen readers; the range widens where the value has left it. */
    made.show = (value, text = format(value)) => {
      const held = control.matches(":focus");  // a range that shrinks under the finger would jump
      control.min = Math.min(held ? control.min : min, Math.floor(value));
      control.max = Math.max(held ? control.max : max, Math.ceil(value));
      control.value = value;
      control.setAttribute("aria-valuetext", text);
      made.output.textContent = text;
    };
    return made;
  }

  select({ name, label, options }, act) {
    const control = element("select", { "data-name": name });
    control.append(...options.map(([value, text]) => element("option", { value }, text)));
    this.on(control, "change", () => act(control.value));
    return this.row(label, control);
  }

  checkbox({ name, label }, act) {
    const control = element("input", { type: "checkbox", "data-name": name });
    const row = element("label", { class: "gdl-check" }, control, label);
    this.on(control, "change", () => act(control.checked));
    return { row, control };
  }

  /** A number box; what is not a number inside its range is marked and not taken. */
  number({ name, label, min, max, step }, act) {
    const control = element("input", { type: "number", "data-name": name, "aria-label": label, min, max, step });
    this.on(control, "input", () => {
      const value = control.value.trim() === "" ? NaN : Number(control.value);
      const good = value >= min && value <= max;
      control.setAttribute("aria-invalid", String(!good));
      if (good) act(value);
    });
    const show = (value) => {
      // Not while the reader is typing the same number: "1." must not become "1" under the cursor.
      if (control.value === "" || Number(control.value) !== value) control.value = Number(value.toPrecision(6));
      control.setAttribute("aria-invalid", "false");
    };
    return { control, show };
  }

  button(label, act) {
    const control = element("button", { type: "button" }, label);
    this.on(control, "click", act);
    return control;
  }

  canvas(label) {
    return element("canvas", { role: "img", "aria-label": label });
  }

  /** Follow the pointer while it is held: `carry(event, start)` at the press and at every move, where `start` is what `press`
   *  gave at the press. With `near`, a finger drags only there; elsewhere it scrolls the page. */
  drag(canvas, carry, { press = () => null, near = null } = {}) {
    let held = false;
    let start = null;
    this.on(canvas, "pointerdown", (event) => {
      if (near && event.pointerType === "touch" && !near(event)) return;
      canvas.setPointerCapture(event.pointerId);
      [held, start] = [true, press(event)];
      carry(event, start);
    });
    this.on(canvas, "pointermove", (event) => { if (held) carry(event, start); });
    for (const type of ["pointerup", "pointercancel"]) this.on(canvas, type, () => { held = false; });
    if (near) this.on(canvas, "touchstart", (event) => { if (near(event.touches[0])) event.preventDefault(); }, { passive: false });
  }

  /** Draw in CSS pixels, sharp on every screen; `draw(context, width, height)` waits until the canvas has a size. */
  paint(canvas, draw) {
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    draw(context, width, height);
  }

  /** The text beside the picture: a list of terms; `tell` fills it and keeps the full-precision numbers as data. */
  readout(terms) {
    const cells = terms.map(([term, about]) => [element("dt", { title: about }, term), element("dd")]);
    const list = element("dl", { "aria-live": "polite" }, ...cells.flat());
    const tell = (texts, numbers, settings) => {
      texts.forEach((text, k) => { if (cells[k][1].textContent !== text) cells[k][1].textContent = text; });
      this.root.dataset.readout = JSON.stringify(numbers);
      this.root.dataset.settings = JSON.stringify(settings);
    };
    /** Whether a screen reader is told of changes: not while the widget moves by itself. */
    const announce = (on) => list.setAttribute("aria-live", on ? "polite" : "off");
    return { list, tell, announce };
  }
}
