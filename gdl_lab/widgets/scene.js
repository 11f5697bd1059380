// A surface seen from far away by an eye that goes round it: the mesh in light and shade, and arrows, crosses and curves on it.
// Points are [x, y, z]; the eye is given by azimuth and elevation in degrees.

const RADIANS = Math.PI / 180;
const dot = (p, q) => p[0] * q[0] + p[1] * q[1] + p[2] * q[2];

/** Where things are in a picture of so many pixels that shows all within `extent` of the origin. */
export function camera({ azimuth, elevation }, width, height, extent, margin = 8) {
  const [ca, sa] = [Math.cos(azimuth * RADIANS), Math.sin(azimuth * RADIANS)];
  const [ce, se] = [Math.cos(elevation * RADIANS), Math.sin(elevation * RADIANS)];
  const [right, up, eye] = [[-sa, ca, 0], [-se * ca, -se * sa, ce], [ce * ca, ce * sa, se]];
  const zoom = (Math.min(width, height) / 2 - margin) / extent;
  return {
    right, up, eye, zoom,
    place: (p) => [width / 2 + zoom * dot(p, right), height / 2 - zoom * dot(p, up)],
    /** The point in the plane through the origin that is seen at a pixel. */
    behind: ([x, y]) => [0, 1, 2].map((i) => ((x - width / 2) * right[i] - (y - height / 2) * up[i]) / zoom),
  };
}

/** A grid of triangles: points x and normals n, which `at(i/columns, j/rows)` gives. Seen from outside, the first number grows to
 *  the right of the second. */
export function mesh(at, columns, rows) {
  const count = (columns + 1) * (rows + 1);
  const [points, normals] = [new Float64Array(3 * count), new Float64Array(3 * count)];
  for (let k = 0; k < count; k++) {
    const { x, n } = at(k % (columns + 1) / columns, Math.floor(k / (columns + 1)) / rows);
    points.set(x, 3 * k);
    normals.set(n, 3 * k);
  }
  const triangles = new Uint32Array(6 * columns * rows);
  for (let k = 0; k < columns * rows; k++) {
    const corner = k + Math.floor(k / columns);
    const [right, above] = [corner + 1, corner + columns + 1];
    triangles.set([corner, right, above + 1, corner, above + 1, above], 6 * k);
  }
  return { points, normals, triangles, count };
}

/** The whole surface: longitudes × latitudes of its chart. */
export function globeMesh({ chart, gradient, closed }, columns, rows) {
  return mesh((u, v) => {
    const x = chart(2 * Math.PI * u, (closed ? 2 : 1) * Math.PI * (v - 0.5));
    const g = gradient(x);
    const size = Math.sqrt(dot(g, g));
    return { x, n: g.map((value) => value / size) };
  }, columns, rows);
}

/**
 * Meshes in light and shade, what is near before what is far, as an image of side × side pixels. Each has colours [r, g, b] by
 * point in full light, `shade` that is lost in the dark, and `lift`, by how much it is held above where its points are.
 */
export function rasterise(meshes, view, side) {
  const image = new ImageData(side, side);
  const pixels = new Uint32Array(image.data.buffer);
  const near = new Float32Array(side * side).fill(-Infinity);
  const lamp = [0, 1, 2].map((i) => -0.4 * view.right[i] + 0.55 * view.up[i] + 0.73 * view.eye[i]);
  for (const { points, normals, triangles, count, colours, shade, lift = 0 } of meshes) {
    const [X, Y, Z, R, G, B] = Array.from({ length: 6 }, () => new Float64Array(count));
    for (let k = 0; k < count; k++) {
      const n = [normals[3 * k], normals[3 * k + 1], normals[3 * k + 2]];
      const p = [0, 1, 2].map((i) => points[3 * k + i] + lift * n[i]);
      [X[k], Y[k]] = view.place(p);
      Z[k] = dot(p, view.eye);
      const light = 1 - shade * (1 - dot(n, lamp)) / 2;
      R[k] = light * colours[3 * k];
      G[k] = light * colours[3 * k + 1];
      B[k] = light * colours[3 * k + 2];
    }
    for (let k = 0; k < triangles.length; k += 3) {
      const [a, b, c] = [triangles[k], triangles[k + 1], triangles[k + 2]];
      const area = (X[b] - X[a]) * (Y[c] - Y[a]) - (X[c] - X[a]) * (Y[b] - Y[a]);
      if (area >= 0) continue;  // seen from inside
      const [left, right] = [Math.max(0, Math.ceil(Math.min(X[a], X[b], X[c]))), Math.min(side - 1, Math.floor(Math.max(X[a], X[b], X[c])))];
      const [top, bottom] = [Math.max(0, Math.ceil(Math.min(Y[a], Y[b], Y[c]))), Math.min(side - 1, Math.floor(Math.max(Y[a], Y[b], Y[c])))];
      const [stepB, stepC] = [(Y[c] - Y[a]) / area, (Y[a] - Y[b]) / area];  // of the shares of b and c from pixel to pixel
      for (let y = top; y <= bottom; y++) {
        let shareB = ((left - X[a]) * (Y[c] - Y[a]) - (X[c] - X[a]) * (y - Y[a])) / area;
        let shareC = ((X[b] - X[a]) * (y - Y[a]) - (left - X[a]) * (Y[b] - Y[a])) / area;
        for (let x = left; x <= right; x++, shareB += stepB, shareC += stepC) {
          const shareA = 1 - shareB - shareC;
          if (shareA < -1e-6 || shareB < -1e-6 || shareC < -1e-6) continue;
          const z = shareA * Z[a] + shareB * Z[b] + shareC * Z[c];
          const at = y * side + x;
          if (z <= near[at]) continue;
          near[at] = z;
          pixels[at] = 0xff000000 | (shareA * B[a] + shareB * B[b] + shareC * B[c]) << 16
            | (shareA * G[a] + shareB * G[b] + shareC * G[c]) << 8 | (shareA * R[a] + shareB * R[b] + shareC * R[c]);
        }
      }
    }
  }
  return image;
}

/** A picture of meshes that is made anew only when its key changes. */
export class Backdrop {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.key = null;
  }

  paint(context, size, eye, extent, margin, key, meshes) {
    const side = Math.min(Math.round(1.4 * size), 600);  // finer than the picture, so that its rim is smooth
    const full = JSON.stringify([key, eye, side]);
    if (this.key !== full) {
      Object.assign(this.canvas, { width: side, height: side });
      const view = camera(eye, side, side, extent, margin * side / size);
      this.canvas.getContext("2d").putImageData(rasterise(meshes(), view, side), 0, 0);
      this.key = full;
    }
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.canvas, 0, 0, size, size);
    context.save();  // a soft rim
    Object.assign(context, { globalCompositeOperation: "destination-over", globalAlpha: 0.3 });
    for (const [dx, dy] of [[0.6, 0], [-0.6, 0], [0, 0.6], [0, -0.6]]) context.drawImage(this.canvas, dx, dy, size, size);
    context.restore();
  }
}

/** A curve through points, of which `shown[k]` says whether it is in front; the hidden parts are faint. */
export function drawCurve(context, points, shown, view, faint = 0.2) {
  const alpha = context.globalAlpha;
  for (let k = 0; k + 1 < points.length;) {
    const start = k;
    context.beginPath();
    context.moveTo(...view.place(points[k]));
    for (; k + 1 < points.length && shown[k] === shown[start]; k++) context.lineTo(...view.place(points[k + 1]));
    context.globalAlpha = shown[start] ? alpha : faint * alpha;
    context.stroke();
  }
  context.globalAlpha = alpha;
}

/** A frame as a little cross: half-axes along e₁ and e₂, that of e₁ longer and with a dot at its end. */
export function drawCross(context, p, [e1, e2], size, view) {
  const end = (e, k) => view.place([0, 1, 2].map((i) => p[i] + k * size * e[i]));
  context.beginPath();
  context.moveTo(...end(e1, -0.35));
  context.lineTo(...end(e1, 1));
  context.moveTo(...end(e2, -0.35));
  context.lineTo(...end(e2, 0.7));
  context.stroke();
  context.beginPath();
  context.arc(...end(e1, 1), 1.8, 0, 2 * Math.PI);
  context.fill();
}

/**
 * Dragging a canvas turns the eye round the surface; `click([x, y])` hears a press that moves nothing. Where `grip([x, y])`
 * gives a function, that is called with the pointer's places instead, as long as it is held.
 */
export function turnByHand(stage, canvas, { click = null, grip = () => null } = {}) {
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const near = (event) => {
    const [x, y] = place(event);
    return Math.hypot(x - canvas.clientWidth / 2, y - canvas.clientHeight / 2) < 0.4 * canvas.clientWidth;
  };
  let held = null;
  const press = (event) => {
    const at = place(event);
    held = { at, moved: false, carry: grip(at), azimuth: stage.model.get("azimuth"), elevation: stage.model.get("elevation") };
    return held;
  };
  const carry = (event, start) => {
    const at = place(event);
    if (start.carry) return start.carry(at);
    const [dx, dy] = [at[0] - start.at[0], at[1] - start.at[1]];
    start.moved ||= Math.hypot(dx, dy) > 4;
    if (!start.moved) return null;
    const pace = 180 / canvas.clientWidth;
    const azimuth = ((start.azimuth - pace * dx + 540) % 360 + 360) % 360 - 180;
    return stage.put({ azimuth, elevation: Math.min(Math.max(start.elevation + pace * dy, -90), 90) });
  };
  stage.drag(canvas, carry, { near, press });
  stage.on(canvas, "pointerup", (event) => {
    if (held && !held.moved && !held.carry) click?.(place(event));
    held = null;
  });
  stage.on(canvas, "pointercancel", () => { held = null; });
  canvas.style.cursor = "grab";
}
