// Surfaces {F = 0} in space: frames, geodesics, parallel transport and curvature, as gdl_lab.bundles has them.
// Points and vectors are [x, y, z], a frame is [e₁, e₂], coefficients are pairs [along e₁, along e₂], angles are radians.

export const dot = ([a, b, c], [x, y, z]) => a * x + b * y + c * z;
export const add = ([a, b, c], [x, y, z], k = 1) => [a + k * x, b + k * y, c + k * z];
export const scale = ([a, b, c], k) => [k * a, k * b, k * c];
export const cross = ([a, b, c], [x, y, z]) => [b * z - c * y, c * x - a * z, a * y - b * x];
export const unit = (v) => scale(v, 1 / Math.sqrt(dot(v, v)));

const [A, B, C] = [1, 1.3, 0.7];  // half-axes of the ellipsoid
const [RING, TUBE] = [2, 0.8];  // radii of the torus
const HEIGHT = 0.15;  // of the bumps

const product = ([x, y, z]) => {  // sin 4x · sin 3y · cos 3z, factor by factor with two derivatives each
  const [sx, cx, sy, cy, sz, cz] = [4 * x, 3 * y, 3 * z].flatMap((t) => [Math.sin(t), Math.cos(t)]);
  return [[sx, 4 * cx, -16 * sx], [sy, 3 * cy, -9 * sy], [cz, -3 * sz, -9 * cz]];
};
const polar = (a, b, c) => (lon, lat) => [a * Math.cos(lat) * Math.cos(lon), b * Math.cos(lat) * Math.sin(lon), c * Math.sin(lat)];
const polarArea = (a, b, c) => (lon, lat) => Math.abs(Math.cos(lat)) * Math.hypot(
  b * c * Math.cos(lat) * Math.cos(lon), a * c * Math.cos(lat) * Math.sin(lon), a * b * Math.sin(lat));
const polarInverse = (a, b, c) => ([x, y, z]) => [Math.atan2(y / b, x / a), Math.atan2(z / c, Math.hypot(x / a, y / b))];

/**
 * F, ∇F and the Hessian as a map v ↦ Hv; the largest distance from the origin; a chart from longitude and latitude, its area
 * element, and the way back. The bumpy ball's chart has to go along its ray to the surface.
 */
export const SHAPES = {
  sphere: {
    F: (x) => (dot(x, x) - 1) / 2, gradient: (x) => x, hessian: (x, v) => v, extent: 1,
    chart: polar(1, 1, 1), area: polarArea(1, 1, 1), inverse: polarInverse(1, 1, 1), convex: true, round: true,
  },
  torus: {
    F: ([x, y, z]) => (Math.hypot(x, y) - RING) ** 2 + z * z - TUBE * TUBE,
    gradient: ([x, y, z]) => {
      const share = 2 * (1 - RING / Math.hypot(x, y));
      return [share * x, share * y, 2 * z];
    },
    hessian: ([x, y], [a, b, c]) => {
      const r = Math.hypot(x, y);
      const [share, out] = [2 * (1 - RING / r), 2 * RING / r ** 3 * (x * a + y * b)];
      return [share * a + out * x, share * b + out * y, 2 * c];
    },
    extent: RING + TUBE,
    chart: (lon, lat) => {
      const r = RING + TUBE * Math.cos(lat);
      return [r * Math.cos(lon), r * Math.sin(lon), TUBE * Math.sin(lat)];
    },
    area: (_, lat) => TUBE * (RING + TUBE * Math.cos(lat)),
    inverse: ([x, y, z]) => [Math.atan2(y, x), Math.atan2(z, Math.hypot(x, y) - RING)],
    closed: true,  // its latitude goes all the way round
  },
  ellipsoid: {
    F: ([x, y, z]) => (x / A) ** 2 + (y / B) ** 2 + (z / C) ** 2 - 1,
    gradient: ([x, y, z]) => [2 * x / A ** 2, 2 * y / B ** 2, 2 * z / C ** 2],
    hessian: (_, [a, b, c]) => [2 * a / A ** 2, 2 * b / B ** 2, 2 * c / C ** 2],
    extent: B, chart: polar(A, B, C), area: polarArea(A, B, C), inverse: polarInverse(A, B, C), convex: true,
  },
  "bumpy ball": {
    F: (x) => {
      const [[f], [g], [h]] = product(x);
      return dot(x, x) - 1 - HEIGHT * f * g * h;
    },
    gradient: (x) => {
      const [[f, df], [g, dg], [h, dh]] = product(x);
      return add(scale(x, 2), [df * g * h, f * dg * h, f * g * dh], -HEIGHT);
    },
    hessian: (x, v) => {
      const [[f, df, ddf], [g, dg, ddg], [h, dh, ddh]] = product(x);
      const [xy, xz, yz] = [df * dg * h, df * g * dh, f * dg * dh];
      const bumps = [dot([ddf * g * h, xy, xz], v), dot([xy, f * ddg * h, yz], v), dot([xz, yz, f * g * ddh], v)];
      return add(scale(v, 2), bumps, -HEIGHT);
    },
    extent: 1.08,
    chart: (lon, lat) => {
      const d = polar(1, 1, 1)(lon, lat);
      let r = 1;
      const { F, gradient } = SHAPES["bumpy ball"];
      for (let step = 0; step < 12; step++) r -= F(scale(d, r)) / dot(gradient(scale(d, r)), d);
      return scale(d, r);
    },
    inverse: polarInverse(1, 1, 1),
  },
};

export const normal = (shape, x) => unit(shape.gradient(x));

/** One step of Newton's method along ∇F. */
function nearer(shape, x) {
  const g = shape.gradient(x);
  return add(x, g, -shape.F(x) / dot(g, g));
}

/** The x- and y-axes, taken to the tangent plane by the shortest rotation of the z-axis to n; a choice where n = −z. */
export function frameAlong([x, y, z]) {
  if (x * x + y * y < 1e-30) x = 1e-15;
  const share = z > 0 ? 1 / (1 + z) : (1 - z) / (x * x + y * y);
  return [[1 - x * x * share, -x * y * share, -x], [-x * y * share, 1 - y * y * share, -y]];
}

export const frame = (shape, x) => frameAlong(normal(shape, x));

/** p ◁ g: both vectors of a frame turned, from e₁ towards e₂. */
export function turned([e1, e2], angle) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return [add(scale(e1, c), e2, s), add(scale(e2, c), e1, -s)];
}

export const components = (v, [e1, e2]) => [dot(v, e1), dot(v, e2)];
export const vector = ([a, b], [e1, e2]) => add(scale(e1, a), e2, b);

/** The g with other = frame ◁ g. */
export const angleBetween = (one, other) => Math.atan2(dot(other[0], one[1]), dot(other[0], one[0]));

/** Gauss's curvature. */
export function curvature(shape, x) {
  const g = shape.gradient(x);
  const gg = dot(g, g);
  const [e1, e2] = frameAlong(scale(g, 1 / Math.sqrt(gg)));
  const [one, two] = [shape.hessian(x, e1), shape.hessian(x, e2)];
  return (dot(e1, one) * dot(e2, two) - dot(e1, two) ** 2) / gg;
}

/** Time derivatives of y = (x, ẋ, J, J̇): ẍ bends along ∇F alone, and J̈ = −K|ẋ|²J. */
function rates(shape, y, out) {
  const [x, v] = [[y[0], y[1], y[2]], [y[3], y[4], y[5]]];
  const g = shape.gradient(x);
  const gg = dot(g, g);
  const w = cross(g, v);  // |∇F| times as long as ẋ
  const [Hv, Hw] = [shape.hessian(x, v), shape.hessian(x, w)];
  const bend = dot(v, Hv) / gg;
  for (let k = 0; k < 3; k++) {
    out[k] = v[k];
    out[3 + k] = -bend * g[k];
  }
  out[6] = y[7];
  out[7] = -(bend * dot(w, Hw) / gg - (dot(v, Hw) / gg) ** 2) / (dot(v, v) || 1) * y[6];
}

/** The geodesic t ↦ exp_x(tX) at t = 1/steps, …, 1 by the classical Runge–Kutta method: point, velocity, and J/|X|. */
export function march(shape, x, X, steps) {
  const speed = Math.sqrt(dot(X, X));
  if (shape.round && speed) {  // great circles of the unit sphere
    return Array.from({ length: steps }, (_, k) => {
      const t = (k + 1) / steps;
      const [c, s] = [Math.cos(speed * t), Math.sin(speed * t)];
      return { q: add(scale(x, c), X, s / speed), v: add(scale(X, c), x, -speed * s), J: s / speed };
    });
  }
  const y = Float64Array.of(...x, ...X, 0, 1);
  const [k1, k2, k3, k4, trial] = Array.from({ length: 5 }, () => new Float64Array(8));
  const h = 1 / steps;
  const from = (k, reach) => {
    for (let i = 0; i < 8; i++) trial[i] = y[i] + reach * k[i];
    return trial;
  };
  return Array.from({ length: steps }, () => {
    rates(shape, y, k1);
    rates(shape, from(k1, h / 2), k2);
    rates(shape, from(k2, h / 2), k3);
    rates(shape, from(k3, h), k4);
    for (let i = 0; i < 8; i++) y[i] += h / 6 * (k1[i] + 2 * (k2[i] + k3[i]) + k4[i]);
    return { q: [y[0], y[1], y[2]], v: [y[3], y[4], y[5]], J: y[6] };
  });
}

/** exp_x X, the frame of x carried there, and √det g of normal coordinates. */
export function exp(shape, x, X, at, steps = 8) {
  if (!dot(X, X)) return { q: x, frame: at, det: 1 };
  const { q: end, v, J } = march(shape, x, X, shape.round ? 1 : steps).at(-1);
  const q = nearer(shape, end);
  const n = normal(shape, q);
  const e1 = unit(add(v, n, -dot(v, n)));
  const [a, b] = components(X, at);
  return { q, frame: turned([e1, cross(n, e1)], -Math.atan2(b, a)), det: J };
}

/** A vector that is tangent at the first of some points, carried along them: the shortest rotation of n to the next n. */
export function transport(shape, points, v) {
  let before = normal(shape, points[0]);
  return points.map((x) => {
    const n = normal(shape, x);
    const share = dot(v, n) / (1 + dot(before, n));
    v = add(v, add(before, n), -share);
    before = n;
    return v;
  });
}

/** The angle in (−π, π] by which a vector has turned when it is back, on a closed curve of an even number of steps.
 *  The error of a polygon goes with the square of its steps: Richardson's extrapolation takes the first term away. */
export function holonomy(shape, points) {
  const at = frame(shape, points[0]);
  const angle = (curve) => {
    const [a, b] = components(transport(shape, curve, at[0]).at(-1), at);
    return Math.atan2(b, a);
  };
  const [fine, coarse] = [angle(points), angle(points.filter((_, k) => k % 2 === 0))];
  return wrapped(fine + wrapped(fine - coarse) / 3);
}

/** An angle, brought to (−π, π]. */
export const wrapped = (angle) => angle - 2 * Math.PI * Math.ceil(angle / (2 * Math.PI) - 0.5);

/** X with exp_x X = y for points near to each other: Newton's method from the straight line. */
export function log(shape, x, y, steps = 16) {
  const at = frame(shape, x);
  const straight = add(y, x, -1);
  let X = vector(components(straight, at), at);
  X = scale(X, Math.sqrt(dot(straight, straight) / (dot(X, X) || 1)));
  for (let k = 0; k < 8; k++) {
    const end = exp(shape, x, X, at, steps);
    const [a, b] = components(X, at);
    const size = Math.hypot(a, b) || 1;
    const [p, q] = components(add(y, end.q, -1), end.frame);
    // the differential of exp is 1 along the geodesic, and √det g across
    const [along, across] = [(p * a + q * b) / size, (q * a - p * b) / size / (end.det || 1)];
    X = add(X, vector([(along * a - across * b) / size, (across * a + along * b) / size], at));
  }
  return X;
}

/** The first point where the ray from `origin` along the unit vector `d` meets the surface from outside, or null. */
export function hit(shape, origin, d, from = -1.1 * shape.extent, to = 1.1 * shape.extent) {
  const F = (t) => shape.F(add(origin, d, t));
  const step = shape.extent / 40;
  for (let t = from; t < to; t += step) {
    if (F(t + step) > 0) continue;
    let [outside, inside] = [t, t + step];
    for (let k = 0; k < 40; k++) {
      const middle = (outside + inside) / 2;
      if (F(middle) > 0) outside = middle; else inside = middle;
    }
    return add(origin, d, inside);
  }
  return null;
}

/** Whether nothing of the surface stands between one of its points and an eye far away in the direction `eye`. */
export function inSight(shape, x, n, eye) {
  if (dot(n, eye) <= 0) return false;
  if (shape.convex) return true;
  const step = shape.extent / 20;
  for (let t = step; t < 2.1 * shape.extent; t += step) if (shape.F(add(x, eye, t)) < 0) return false;
  return true;
}

/** Nodes of [0, 1] and weights of sum 1 by Gauss and Legendre. */
export function quadrature(n) {
  return Array.from({ length: n }, (_, k) => {
    let [x, slope] = [Math.cos(Math.PI * (k + 0.75) / (n + 0.5)), 1];
    for (let step = 0; step < 8; step++) {
      let [before, now] = [1, x];
      for (let l = 1; l < n; l++) [before, now] = [now, ((2 * l + 1) * x * now - l * before) / (l + 1)];
      slope = n * (before - x * now) / (1 - x * x);
      x -= now / slope;
    }
    return { node: (1 + x) / 2, weight: 1 / ((1 - x * x) * slope * slope) };
  }).reverse();
}
