// An arrow that is carried round a loop on a surface: how far it has turned, and the curvature inside.
// A loop runs in a map x(s, w) of a patch, oriented by s and then w: from the base s = 0, a point or a geodesic, lines of constant w
// fan out. What the loop has swept up to now lies between the base and itself.

import { DIVERGING, Stage, arrow, colour, disc, element, fixed, format, path } from "./stage.js";
import { Backdrop, camera, drawCurve, globeMesh, mesh, turnByHand } from "./scene.js";
import { SHAPES, add, components, curvature, dot, exp, frame, hit, holonomy, inSight, log, march, normal, quadrature, scale, transport, turned, vector, wrapped } from "./surfaces.js";

const STEPS = 24;  // of a geodesic, and of a line of the fan
const STOPS = 60;  // of the arrow on its way
const RADIANS = Math.PI / 180;
export const LONGEST = { sphere: 3, torus: 1.5, ellipsoid: 1.1 };  // radii of circles
const BOOLE = [7, 32, 12, 32];  // and again; times 2h/45

/** The patch of a loop: its map, K and the area element ds dw at (s, w), and the corners (s, w) of the loop in it. */
export function patch({ surface, loop, size, longitude, latitude }) {
  const shape = SHAPES[surface];
  if (loop === "circle") {
    const centre = shape.chart(longitude * RADIANS, latitude * RADIANS);
    const radius = size * LONGEST[surface];
    const at = frame(shape, centre);
    const direction = (w) => scale(turned(at, 2 * Math.PI * w)[0], radius);
    return {
      shape, centre, radius, direction, point: true, corners: [[1, 0], [1, 1]],
      map: (s, w) => exp(shape, centre, scale(direction(w), s), at, STEPS).q,
    };
  }
  const torus = surface === "torus";
  const long = loop === "octant" ? Math.PI / 2 : torus ? -2 * Math.PI : 2 * Math.PI;
  const high = loop === "octant" ? (torus ? Math.PI : Math.PI / 2) : size * Math.PI;
  const place = torus && loop === "octant" ? (s, w) => [long * s, high * w]
    : torus ? (s, w) => [long * w, high * s] : (s, w) => [long * w, Math.PI / 2 - high * s];
  const around = [[0, 0], [1, 0], [1, 1], [0, 1], ...(torus ? [[0, 0]] : [])];
  return {
    shape, high, place, point: !torus, corners: loop === "octant" ? around : [[1, 0], [1, 1]],
    map: (s, w) => shape.chart(...place(s, w)),
    element: (s, w) => Math.abs(long * high) * shape.area(...place(s, w)),
  };
}

/** Where the loop is at time t in [0, 1]: as long for every side. */
export function along({ corners }, t) {
  const side = Math.min(Math.floor(t * (corners.length - 1) + 1e-9), corners.length - 2);
  const share = t * (corners.length - 1) - side;
  return [0, 1].map((i) => corners[side][i] + share * (corners[side + 1][i] - corners[side][i]));
}

const between = ([s, w], [a, b], steps) => Array.from({ length: steps + 1 }, (_, k) => [s + (a - s) * k / steps, w + (b - w) * k / steps]);

/** The way from the loop's beginning to its present place by the base and the fan, as places (s, w). */
export function directWay(patch, t) {
  const [[s0, w0], [s, w]] = [along(patch, 0), along(patch, t)];
  return [...between([s0, w0], [0, w0], STEPS), ...between([0, w0], [0, w], STEPS), ...between([0, w], [s, w], STEPS)];
}

/** ∫K dA and ∫dA over what has been swept when the loop is at w on its far side s = 1; Gauss and Legendre, 24 × 24. */
export function swept(patch, w) {
  const sums = [0, 0];
  for (const { node: v, weight } of quadrature(24)) {
    if (patch.direction) {
      const { shape, centre, direction, radius } = patch;
      march(shape, centre, direction(w * v), STEPS).forEach(({ q, J }, k) => {  // at s = 0 the circle is a point
        const part = 2 / (45 * STEPS) * (k + 1 === STEPS ? 7 : BOOLE[(k + 1) % 4] * ((k + 1) % 4 ? 1 : 2));
        const area = weight * w * part * 2 * Math.PI * radius ** 2 * J;
        sums[0] += curvature(shape, q) * area;
        sums[1] += area;
      });
    } else {
      for (const { node: s, weight: share } of quadrature(24)) {
        const area = weight * w * share * patch.element(s, w * v);
        sums[0] += curvature(patch.shape, patch.map(s, w * v)) * area;
        sums[1] += area;
      }
    }
  }
  return sums;
}

/** The w up to which the far side has been walked at time t. */
export function reached({ corners }, t) {
  const sides = corners.length - 1;
  return sides === 1 ? t : Math.min(Math.max(t * sides - 1, 0), 1);
}

/** The angle by which an arrow that came through `points` has turned against one that came by `way`, to the same place; the
 *  whole turns as ∫K dA has them. */
export function angleOf({ shape }, points, way, integral) {
  const angle = holonomy(shape, [...points, ...[...way].reverse().slice(1)]);
  return integral + wrapped(angle - integral);
}

const SETTINGS = ["surface", "loop", "size", "longitude", "latitude", "along"];
const MARGIN = 14;

function render({ model, el }) {
  const stage = new Stage({ model, el, name: "holonomy-loop", label: "An arrow carried round a loop on a surface" });
  let now;
  let running = 0;  // the frame of the animation that comes next
  let memory = {};  // of the present loop
  const remember = (name, key, make) => {
    const id = JSON.stringify(key);
    if (memory[name]?.id !== id) memory[name] = { id, value: make() };
    return memory[name].value;
  };

  // --- the controls

  const put = (name, kind = Number) => (value) => stage.put({ [name]: kind(value) });
  const surface = stage.select({ name: "surface", label: "surface", options: Object.keys(LONGEST).map((n) => [n, n]) }, put("surface", String));
  const loop = stage.select({ name: "loop", label: "loop", options: [
    ["circle", "circle about a point"], ["latitude", "circle of latitude"], ["octant", "octant x, y, z ≥ 0"]] }, put("loop", String));
  const size = stage.slider({ name: "size", label: "size", min: 3, max: 97, step: 1 }, (percent) => stage.put({ size: percent / 100 }));
  const centre = [["longitude", -180, 180], ["latitude", -90, 90]].map(([name, min, max]) =>
    [name, stage.slider({ name, label: name, min, max, step: 1 }, put(name))]);
  const carried = stage.slider({ name: "along", label: "carry", min: 0, max: STOPS, step: 1 }, (stop) => { halt(); stage.put({ along: stop }); });
  const views = [["azimuth", "eye round", -180, 180], ["elevation", "eye up", -90, 90]].map(([name, label, min, max]) =>
    [name, stage.slider({ name, label, min, max, step: 1 }, put(name))]);
  const walk = stage.button("carry it round", () => (running ? halt() : go()));
  const { list, tell, announce } = stage.readout([
    ["arrow has turned by", "against one that came by the direct way, from the base of the fan"],
    ["∫ K dA so far", "curvature times area over the deep patch"],
    ["they differ by", "polygon and quadrature, nothing else"],
    ["∫ K dA once round", "over the whole patch"],
    ["area so far", "of the deep patch"],
  ]);
  const note = element("p", { class: "gdl-note" });

  // --- the pictures

  const canvas = stage.canvas("surface");
  const dial = stage.canvas("dial and meter");
  dial.style.aspectRatio = "1.7";
  const key = element("p", { class: "gdl-key" }, "Red: K > 0, blue: K < 0; deep: what the loop has swept. Thin: the arrow at its start, and on its way. "
    + "Dashed: the same arrow by the direct way. Drag the surface to go round it, the middle or the rim of a loop to change it.");
  stage.root.append(element("div", { class: "gdl-columns" },
    element("div", { class: "gdl-panel" }, element("div", {}, canvas, key), list),
    element("div", { class: "gdl-panel" }, element("div", {}, dial, note),
      stage.group("Loop", surface.row, loop.row, size.row, ...centre.map(([, { row }]) => row)),
      stage.group("Arrow and eye", carried.row, element("div", { class: "gdl-buttons" }, walk), ...views.map(([, { row }]) => row)))));

  const wholes = new Map();  // mesh and colours of each surface
  const tone = (K, most) => 0.5 + 0.31 * Math.sign(K) * Math.sqrt(Math.min(Math.abs(K) / most, 1));  // the ends of the scale are too dark
  function whole(name) {
    if (!wholes.has(name)) {
      const grid = globeMesh(SHAPES[name], 64, 40);
      const K = Array.from({ length: grid.count }, (_, k) => curvature(SHAPES[name], grid.points.slice(3 * k, 3 * k + 3)));
      const most = Math.max(...K.map(Math.abs));
      wholes.set(name, { grid, K, most });
    }
    return wholes.get(name);
  }

  function update() {
    const settings = Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
    const { surface: name, loop: kind, along: stop, ...where } = settings;
    const shaped = [name, kind, where];
    const area = remember("patch", shaped, () => patch(settings));
    const { shape } = area;
    const points = remember("points", shaped, () => Array.from({ length: 2 * STOPS + 1 }, (_, k) => area.map(...along(area, k / (2 * STOPS)))));
    const [total] = remember("total", shaped, () => swept(area, 1));
    const t = stop / STOPS;
    const [integral, size2] = swept(area, reached(area, t));
    const way = directWay(area, t).map(([s, w]) => area.map(s, w));
    const angle = angleOf(area, points.slice(0, 2 * stop + 1), way, integral);
    const start = startingArrow(area, points[0]);
    const arrows = transport(shape, points, start);
    const direct = transport(shape, way, start).at(-1);
    const eye = { azimuth: model.get("azimuth"), elevation: model.get("elevation") };
    const numbers = { angle: angle / RADIANS, curvature: integral / RADIANS, whole: total / RADIANS, area: size2 };
    now = { ...settings, shape, area, points, t, stop, arrows, direct, eye, numbers, shaped };

    surface.control.value = name;
    loop.control.value = kind;
    size.row.hidden = kind === "octant";
    size.title.textContent = kind === "circle" ? "radius" : "latitude";
    const height = area.high / RADIANS;
    size.show(100 * where.size, kind === "circle" ? fixed(area.radius, 2) : kind === "latitude" ? `${fixed(name === "torus" ? height : 90 - height, 0)}°` : "");
    for (const [each, slider] of centre) {
      slider.row.hidden = kind !== "circle";
      if (each === "latitude") slider.limit(...(name === "torus" ? [-180, 180] : [-90, 90]));
      slider.show(where[each], `${fixed(where[each], 0)}°`);
    }
    carried.show(stop, `${Math.round(100 * t)} %`);
    for (const [each, slider] of views) slider.show(eye[each], `${fixed(eye[each], 0)}°`);
    const degrees = (value) => `${fixed(value, 2)}°`;
    const apart = Math.abs(numbers.angle - numbers.curvature);
    tell([degrees(numbers.angle), degrees(numbers.curvature), apart < 1e-9 ? "0, to rounding" : `${format(apart, 1)}°`, degrees(numbers.whole), fixed(size2)],
      numbers, { ...settings, ...eye });
    note.textContent = stop === 0 ? "Carry the arrow: never turn it, only keep it tangent."
      : Math.abs(integral) < 1e-6 ? "No curvature swept yet, or as much positive as negative: the arrow has not turned."
        : integral > 0 ? "∫ K dA > 0: the arrow turns the way the loop runs." : "∫ K dA < 0: the arrow turns against the way the loop runs.";
    canvas.setAttribute("aria-label", `${name} with ${kind === "circle" ? "a circle" : kind === "latitude" ? "a circle of latitude" : "an octant"}, the arrow carried `
      + `${Math.round(100 * t)} per cent of the way round, turned by ${degrees(numbers.angle)}`);
    dial.setAttribute("aria-label", `Dial at ${degrees(numbers.angle)}, meter of the curvature inside at ${degrees(numbers.curvature)}, ${degrees(numbers.whole)} once round`);
    stage.paint(canvas, drawSurface);
    stage.paint(dial, drawDial);
  }

  /** Away from the base of the fan, where the loop begins there; else along its first side. */
  function startingArrow({ shape, map, corners }, x) {
    const [s, w] = corners[0];
    const to = s ? add(x, map(s - 1e-4, w), -1) : add(map(s + 1e-4, w), x, -1);
    const at = frame(shape, x);
    const v = vector(components(to, at), at);
    return scale(v, 1 / Math.sqrt(dot(v, v)));
  }

  // --- drawing

  const backdrop = new Backdrop();
  const mixed = (K, most, share) => {
    const plain = stage.dark ? [58, 66, 76] : [240, 243, 246];
    return colour(DIVERGING, tone(K, most)).map((c, i) => plain[i] + share * (c - plain[i]));
  };

  function drawSurface(context, width, height) {
    const { ink, cycle, paper } = stage.theme;
    const { shape, area, points, stop, arrows, direct, eye, surface: name, t, shaped } = now;
    const view = camera(eye, width, height, shape.extent, MARGIN);
    const w = reached(area, t);
    backdrop.paint(context, width, eye, shape.extent, MARGIN, [shaped, stage.dark, w], () => {
      const { grid, K, most } = whole(name);
      const shade = stage.dark ? 0.75 : 0.4;
      const inside = remember("inside", shaped, () => sheet(area));
      const done = { ...inside.grid, triangles: inside.grid.triangles.subarray(0, 6 * STEPS * Math.round(STOPS * w)) };
      return [[grid, K, 0.3, 0], [inside.grid, inside.K, 0.55, 0.003], [done, inside.K, 1, 0.006]].map(([part, values, share, lift]) => ({
        ...part, shade, lift: lift * shape.extent, colours: Float64Array.from(values.flatMap((v) => mixed(v, most, share))),
      }));
    });
    const shown = remember("shown", [shaped, eye], () => points.map((x) => inSight(shape, x, normal(shape, x), view.eye)));
    Object.assign(context, { strokeStyle: ink, lineWidth: 2.5, lineJoin: "round" });
    drawCurve(context, points, shown, view, 0.25);

    const reach = 0.3 * shape.extent;
    const at = (k, v, alpha, lineWidth, tint, head = 7) => {
      context.globalAlpha = shown[k] ? alpha : 0.25 * alpha;
      Object.assign(context, { strokeStyle: tint, fillStyle: tint, lineWidth });
      arrow(context, view.place(points[k]), view.place(add(points[k], v, reach)), head);
    };
    for (let k = 0; k < 2 * stop; k += 10) at(k, arrows[k], k ? 0.5 : 0.9, 1.2, ink);
    context.setLineDash([5, 4]);
    at(2 * stop, direct, 1, 1.8, ink);
    context.setLineDash([]);
    at(2 * stop, arrows[2 * stop], 1, 6.5, paper, 12);
    at(2 * stop, arrows[2 * stop], 1, 3.5, cycle[2], 12);
    context.globalAlpha = 1;
    Object.assign(context, { fillStyle: ink });
    disc(context, view.place(points[2 * stop]), 4);
    if (area.centre) {
      context.globalAlpha = inSight(shape, area.centre, normal(shape, area.centre), view.eye) ? 1 : 0.25;
      Object.assign(context, { fillStyle: paper, strokeStyle: ink, lineWidth: 2 });
      disc(context, view.place(area.centre), 5);
      context.stroke();
      context.globalAlpha = 1;
    }
  }

  /** The patch as a mesh, with K at its points; a row for every stop, so that what has been swept is the first rows of it. */
  function sheet({ shape, map, centre, direction }) {
    const rays = direction && Array.from({ length: STOPS + 1 }, (_, k) => [{ q: centre }, ...march(shape, centre, direction(k / STOPS), STEPS)]);
    const grid = mesh((s, w) => {
      const x = rays ? rays[Math.round(w * STOPS)][Math.round(s * STEPS)].q : map(s, w);
      return { x, n: normal(shape, x) };
    }, STEPS, STOPS);
    return { grid, K: Array.from({ length: grid.count }, (_, k) => curvature(shape, grid.points.slice(3 * k, 3 * k + 3))) };
  }

  function drawDial(context, width, height) {
    const { ink, muted, grid, cycle } = stage.theme;
    const { angle, curvature: K, whole: total } = now.numbers;
    const [x, y, radius] = [0.32 * width, height / 2 + 8, height / 2 - 26];
    const tint = `rgb(${mixed(Math.sign(K), 1, 1)})`;
    const at = (degrees, r) => [x - r * Math.sin(degrees * RADIANS), y - r * Math.cos(degrees * RADIANS)];
    Object.assign(context, { font: "12px sans-serif", textBaseline: "middle", textAlign: "left", fillStyle: muted, strokeStyle: grid, lineWidth: 2 });
    context.fillText("turned by", 4, 9);
    const scaleTop = Math.max(90, 90 * Math.ceil(Math.abs(total) / 90 - 1e-6), 90 * Math.ceil(Math.abs(K) / 90 - 1e-6));
    context.textAlign = "right";
    context.fillText("∫ K dA", width - 4, 9);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
    for (let d = 0; d < 360; d += 30) path(context, [at(d, radius), at(d, radius - (d % 90 ? 4 : 8))]);
    context.fillStyle = tint;  // the angle, each whole turn deeper
    for (let left = Math.abs(angle), k = 0; left > 0; left -= 360, k++) {
      context.globalAlpha = Math.min(0.35 + 0.25 * k, 1);
      context.beginPath();
      context.moveTo(x, y);
      for (let d = 0; d <= Math.min(left, 360); d += Math.min(3, Math.max(left / 40, 0.1))) context.lineTo(...at(Math.sign(angle) * d, 0.7 * radius));
      context.lineTo(...at(Math.sign(angle) * Math.min(left, 360), 0.7 * radius));
      context.fill();
    }
    context.globalAlpha = 1;
    Object.assign(context, { strokeStyle: ink, fillStyle: ink, lineWidth: 1.5 });
    context.setLineDash([5, 4]);
    arrow(context, [x, y], at(0, radius - 4), 8);
    context.setLineDash([]);
    Object.assign(context, { strokeStyle: cycle[2], fillStyle: cycle[2], lineWidth: 3.5 });
    arrow(context, [x, y], at(angle, radius - 4), 12);

    const [left, wide, low, high] = [0.78 * width, 26, y + radius, y - radius];
    const level = (value) => low - (low - high) * (value + scaleTop) / (2 * scaleTop);
    context.fillStyle = grid;
    context.fillRect(left, high, wide, low - high);
    context.fillStyle = tint;
    context.fillRect(left, Math.min(level(0), level(K)), wide, Math.abs(level(K) - level(0)));
    Object.assign(context, { fillStyle: muted, strokeStyle: muted, lineWidth: 1, textAlign: "left" });
    for (const value of [-scaleTop, -scaleTop / 2, 0, scaleTop / 2, scaleTop]) {
      path(context, [[left, level(value)], [left + wide + 4, level(value)]]);
      context.fillText(`${fixed(value, 0)}°`, left + wide + 7, level(value));
    }
    Object.assign(context, { strokeStyle: ink, lineWidth: 1.5 });
    context.strokeRect(left, level(total) - 1, wide, 2);
    context.fillStyle = cycle[2];  // the dial's angle on the meter's scale
    context.beginPath();
    [[-2, 0], [-12, -6], [-12, 6]].forEach(([dx, dy]) => context.lineTo(left + dx, level(angle) + dy));
    context.fill();
  }

  // --- by hand: the eye goes round, or the middle or the rim of the loop is moved

  const grip = ([x, y]) => {
    const { shape, area, points, loop: kind, surface: name, eye } = now;
    const view = camera(eye, canvas.clientWidth, canvas.clientHeight, shape.extent, MARGIN);
    const under = (at) => hit(shape, view.behind(at), scale(view.eye, -1));
    const away = (p) => {
      const [px, py] = view.place(p);
      return inSight(shape, p, normal(shape, p), view.eye) ? Math.hypot(px - x, py - y) : Infinity;
    };
    const resize = (value) => stage.put({ size: Math.min(Math.max(Math.round(100 * value), 3), 97) / 100 });
    if (area.centre && away(area.centre) < 14) {
      return (at) => {
        const p = under(at);
        if (!p) return;
        const [longitude, latitude] = shape.inverse(p).map((v) => Math.round(v / RADIANS));
        stage.put({ longitude, latitude });
      };
    }
    if (kind === "octant" || Math.min(...points.map(away)) > 9) return null;
    return (at) => {
      const p = under(at);
      if (!p) return;
      if (area.centre) {
        const X = log(shape, area.centre, p);
        const length = Math.sqrt(dot(X, X));
        if (Number.isFinite(length)) resize(length / LONGEST[name]);
      } else {
        const latitude = shape.inverse(p)[1];
        resize((name === "torus" ? Math.abs(latitude) : Math.PI / 2 - latitude) / Math.PI);
      }
    };
  };
  turnByHand(stage, canvas, { grip });

  // --- by itself: 60 ms a stop, or at once for those who want nothing to move

  function halt() {
    cancelAnimationFrame(running);
    running = 0;
    walk.textContent = "carry it round";
    announce(true);
  }

  function go() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      stage.put({ along: STOPS });
      return;
    }
    const began = performance.now();
    walk.textContent = "stop";
    announce(false);
    const tick = (time) => {
      const stop = Math.min(Math.max(Math.round((time - began) / 60), 0), STOPS);
      if (stop === STOPS) halt();  // so that the last numbers are read out
      else running = requestAnimationFrame(tick);
      if (stop !== model.get("along")) stage.put({ along: stop });
    };
    running = requestAnimationFrame(tick);
  }
  stage.leaving.push(halt);

  stage.open([...SETTINGS, "azimuth", "elevation"], update);
  return () => stage.close();
}

export default { render };
