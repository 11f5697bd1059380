// Harmonics, grids and rotations on the sphere. A spectrum is e3nn's: degrees in order, m from −l to l, polar axis y, harmonics
// whose mean square is 1; points are x, y, z.

export const MOST = 16;  // the largest bandlimit
export const RADIANS = Math.PI / 180;

/**
 * The harmonics of degrees below L at points x, y, z, …: Y[p · L² + l² + l + m]. The factor sin^m β stands in the powers of
 * z + ix, so that the recursion in l, which is stable upwards, runs over polynomials of y = cos β.
 */
export function harmonics(L, points) {
  const count = points.length / 3;
  const Y = new Float64Array(count * L * L);
  for (let p = 0; p < count; p++) {
    const [x, y, z] = [points[3 * p], points[3 * p + 1], points[3 * p + 2]];
    let [cos, sin, start] = [1, 0, 1];
    for (let m = 0; m < L; m++) {
      if (m) {
        [cos, sin] = [cos * z - sin * x, sin * z + cos * x];
        start *= Math.sqrt((2 * m + 1) / (2 * m)) * (m === 1 ? Math.SQRT2 : 1);
      }
      let [before, now] = [0, start];
      for (let l = m; l < L; l++) {
        const at = p * L * L + l * l + l;
        Y[at + m] = now * cos;
        if (m) Y[at - m] = now * sin;
        const k = l + 1;
        const a = Math.sqrt((4 * k * k - 1) / (k * k - m * m));
        const b = Math.sqrt((l * l - m * m) / (4 * l * l - 1));
        [before, now] = [now, a * (y * now - (l > m ? b * before : 0))];
      }
    }
  }
  return Y;
}

/** Gauss–Legendre: nodes of [−1, 1] from high to low, and weights of sum 1. */
export function quadrature(n) {
  const [nodes, weights] = [new Float64Array(n), new Float64Array(n)];
  for (let k = 0; k < n; k++) {
    let [x, slope] = [Math.cos(Math.PI * (k + 0.75) / (n + 0.5)), 1];
    for (let step = 0; step < 8; step++) {
      let [before, now] = [1, x];
      for (let l = 1; l < n; l++) [before, now] = [now, ((2 * l + 1) * x * now - l * before) / (l + 1)];
      slope = n * (before - x * now) / (1 - x * x);
      x -= now / slope;
    }
    [nodes[k], weights[k]] = [x, 1 / ((1 - x * x) * slope * slope)];
  }
  return { nodes, weights };
}

const grids = new Map();

/** n latitudes × 2n azimuths: weights, harmonics on the meridian α = 0, waves along the circles, and the points. */
export function grid(n) {
  if (!grids.has(n)) {
    const { nodes, weights } = quadrature(n);
    const radii = nodes.map((y) => Math.sqrt(1 - y * y));
    const azimuths = Array.from({ length: 2 * n }, (_, k) => Math.PI * k / n);
    const wave = (f) => Array.from({ length: MOST }, (_, m) => Float64Array.from(azimuths, (a) => f(m * a)));
    grids.set(n, {
      n, weights, cos: wave(Math.cos), sin: wave(Math.sin),
      meridian: harmonics(MOST, [...nodes].flatMap((y, k) => [0, y, radii[k]])),
      points: Float64Array.from([...nodes].flatMap((y, k) => azimuths.flatMap((a) => [radii[k] * Math.sin(a), y, radii[k] * Math.cos(a)]))),
    });
  }
  return grids.get(n);
}

/** Values on a grid, latitude after latitude from the north. */
export function synthesise(spectrum, L, { n, meridian, cos, sin }) {
  const values = new Float64Array(2 * n * n);
  for (let b = 0; b < n; b++) {
    for (let m = 0; m < L; m++) {
      let [even, odd] = [0, 0];
      for (let l = m; l < L; l++) {
        const Y = meridian[b * MOST * MOST + l * l + l + m];
        even += Y * spectrum[l * l + l + m];
        if (m) odd += Y * spectrum[l * l + l - m];
      }
      for (let a = 0; a < 2 * n; a++) values[2 * n * b + a] += even * cos[m][a] + odd * sin[m][a];
    }
  }
  return values;
}

/** The spectrum below L of values on a grid. */
export function analyse(values, L, { n, weights, meridian, cos, sin }) {
  const spectrum = new Float64Array(L * L);
  for (let b = 0; b < n; b++) {
    for (let m = 0; m < L; m++) {
      let [even, odd] = [0, 0];
      for (let a = 0; a < 2 * n; a++) {
        even += values[2 * n * b + a] * cos[m][a];
        odd += values[2 * n * b + a] * sin[m][a];
      }
      const weight = weights[b] / (2 * n);
      for (let l = m; l < L; l++) {
        const Y = weight * meridian[b * MOST * MOST + l * l + l + m];
        spectrum[l * l + l + m] += Y * even;
        if (m) spectrum[l * l + l - m] += Y * odd;
      }
    }
  }
  return spectrum;
}

/** R_y(α) R_x(β) R_y(γ), angles in degrees. */
export function rotation(alpha, beta, gamma) {
  const [ca, cb, cc] = [alpha, beta, gamma].map((d) => Math.cos(d * RADIANS));
  const [sa, sb, sc] = [alpha, beta, gamma].map((d) => Math.sin(d * RADIANS));
  return multiply(multiply([[ca, 0, sa], [0, 1, 0], [-sa, 0, ca]], [[1, 0, 0], [0, cb, -sb], [0, sb, cb]]),
    [[cc, 0, sc], [0, 1, 0], [-sc, 0, cc]]);
}

export const multiply = (A, B) => A.map((row) => [0, 1, 2].map((k) => row[0] * B[0][k] + row[1] * B[1][k] + row[2] * B[2][k]));
const transpose = (A) => [0, 1, 2].map((k) => A.map((row) => row[k]));

/** The angles α, β, γ of a rotation, in degrees; γ = 0 where only α ± γ counts. */
export function angles(R) {
  const across = Math.hypot(R[0][1], R[2][1]);
  const beta = Math.atan2(across, R[1][1]);
  const [alpha, gamma] = across < 1e-9 ? [Math.atan2(-R[2][0], R[0][0]), 0]
    : [Math.atan2(R[0][1], R[2][1]), Math.atan2(R[1][0], -R[1][2])];
  return [alpha, beta, gamma].map((v) => v / RADIANS);
}

/** Points x, y, z, … under a matrix. */
export function moved([a, b, c], points) {
  const out = new Float64Array(points.length);
  for (let p = 0; p < out.length; p += 3) {
    const [x, y, z] = [points[p], points[p + 1], points[p + 2]];
    out[p] = a[0] * x + a[1] * y + a[2] * z;
    out[p + 1] = b[0] * x + b[1] * y + b[2] * z;
    out[p + 2] = c[0] * x + c[1] * y + c[2] * z;
  }
  return out;
}

/**
 * Wigner's matrices D^l(R), l below L, each row by row: D_mn = mean of Y_m(p) Y_n(R⁻¹p). A product of two harmonics has a
 * degree below 2L, so that a grid of L latitudes takes this mean exactly.
 */
export function wigner(L, R) {
  const { n, weights, points } = grid(L);
  const [Y, turned] = [harmonics(L, points), harmonics(L, moved(transpose(R), points))];
  const D = Array.from({ length: L }, (_, l) => new Float64Array((2 * l + 1) ** 2));
  for (let p = 0; p < 2 * n * n; p++) {
    const weight = weights[Math.floor(p / (2 * n))] / (2 * n);
    for (let l = 0; l < L; l++) {
      const [size, from] = [2 * l + 1, p * L * L + l * l];
      for (let i = 0; i < size; i++) {
        const share = weight * Y[from + i];
        for (let j = 0; j < size; j++) D[l][i * size + j] += share * turned[from + j];
      }
    }
  }
  return D;
}

/** The spectrum of a signal turned about the axis y, by so many degrees. */
function aboutAxis(spectrum, degrees) {
  const out = Float64Array.from(spectrum);
  for (let l = 1; l * l < spectrum.length; l++) {
    for (let m = 1; m <= l; m++) {
      const [c, s] = [Math.cos(m * degrees * RADIANS), Math.sin(m * degrees * RADIANS)];
      const [even, odd] = [l * l + l + m, l * l + l - m];
      out[even] = c * spectrum[even] - s * spectrum[odd];
      out[odd] = s * spectrum[even] + c * spectrum[odd];
    }
  }
  return out;
}

let quarter = null;  // the matrices of S, which takes the axis y to x

/** The spectrum of the turned signal: R_y(α) R_x(β) R_y(γ) with R_x(β) = S R_y(β) S⁻¹, so that S is all that mixes orders. */
export function turn(spectrum, [alpha, beta, gamma]) {
  quarter ??= wigner(MOST, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]);
  const mix = (x, forth) => {
    const out = new Float64Array(x.length);
    for (let l = 0; l * l < x.length; l++) {
      const size = 2 * l + 1;
      for (let i = 0; i < size; i++) {
        for (let j = 0; j < size; j++) out[l * l + i] += quarter[l][forth ? i * size + j : j * size + i] * x[l * l + j];
      }
    }
    return out;
  };
  return aboutAxis(mix(aboutAxis(mix(aboutAxis(spectrum, gamma), false), beta), true), alpha);
}
