// The U(1) gauge field on a torus of L×L sites, and what its plaquettes should be distributed like.
// θ_μ(x) lies at (μ·L + i)·L + j for x = (i, j); direction 0 is drawn to the right, direction 1 upwards.

export const TURN = 2 * Math.PI;
const LEVELS = 256;  // of an angle on the page
export const BINS = 32;
export const radians = (degrees) => degrees * Math.PI / 180;

/** The same angle in [−π, π). */
export const wrap = (angle) => angle - TURN * Math.floor(angle / TURN + 0.5);

/** θ after the gauge transformation ω: θ_μ(x) + ω(x) − ω(x + μ̂). */
export function regauge(theta, omega, size) {
  return Float64Array.from(theta, (angle, k) => {
    const [mu, i, j] = [Math.floor(k / (size * size)), Math.floor(k / size) % size, k % size];
    const next = mu ? i * size + (j + 1) % size : (i + 1) % size * size + j;
    return angle + omega[i * size + j] - omega[next];
  });
}

/** P(x) = θ₀(x) + θ₁(x + 0̂) − θ₀(x + 1̂) − θ₁(x), in [−π, π). */
export function plaquettes(theta, size) {
  const area = size * size;
  return Float64Array.from({ length: area }, (_, k) => {
    const [i, j] = [Math.floor(k / size), k % size];
    const [right, up] = [(i + 1) % size * size + j, i * size + (j + 1) % size];
    return wrap(theta[k] + theta[area + right] - theta[up] - theta[area + k]);
  });
}

/** The links of a rectangle from (i, j), anticlockwise, as [index, sign, i, j, direction]; places may lie beyond the seam. */
export function rectangle(size, corner, width, height) {
  const [i, j] = [Math.floor(corner / size), corner % size];
  const index = (mu, a, b) => (mu * size + a % size) * size + b % size;
  const along = Array.from({ length: width }, (_, k) => i + k);
  const across = Array.from({ length: height }, (_, k) => j + k);
  return [
    ...along.map((a) => [index(0, a, j), 1, a, j, 0]), ...across.map((b) => [index(1, i + width, b), 1, i + width, b, 1]),
    ...along.map((a) => [index(0, a, j + height), -1, a, j + height, 0]), ...across.map((b) => [index(1, i, b), -1, i, b, 1]),
  ];
}

/** The Wilson loop along a rectangle, [re, im], and the sum of the plaquettes in it. */
export function loop(theta, P, size, { corner, width, height }) {
  const angle = rectangle(size, corner, width, height).reduce((sum, [k, sign]) => sum + sign * theta[k], 0);
  const [i, j] = [Math.floor(corner / size), corner % size];
  let inside = 0;
  for (let a = i; a < i + width; a++) for (let b = j; b < j + height; b++) inside += P[a % size * size + b % size];
  return { re: Math.cos(angle), im: Math.sin(angle), inside };
}

/** All that is said of one field: as it was drawn, and as the reader has made it. */
export function compare(theta, gauge, size, settings) {
  const { amount, site, turn, link, change } = settings;
  const changed = Float64Array.from(theta, (angle, k) => angle + (k === link ? radians(change) : 0));
  const omega = Float64Array.from(gauge, (angle, k) => amount * angle + (k === site ? radians(turn) : 0));
  const now = regauge(changed, omega, size);
  const [before, P] = [plaquettes(theta, size), plaquettes(now, size)];
  const moved = Array.from(now, (angle, k) => Math.abs(wrap(angle - theta[k])) > 1e-9);
  const turned = Array.from(P, (angle, k) => Math.abs(wrap(angle - before[k])));
  const sum = (values) => values.reduce((total, v) => total + v, 0);
  const W = loop(now, P, size, settings);
  return {
    theta: now, omega, P, before, moved, turned: turned.map((by) => by > 1e-9), was: loop(theta, before, size, settings),
    numbers: {
      plaquette: sum(P.map(Math.cos)) / P.length,
      charge: sum(P) / TURN,
      loop_re: W.re, loop_im: W.im, inside: W.inside / TURN,
      links_moved: sum(moved), squares_changed: sum(turned.map((by) => by > 1e-9)), largest: Math.max(...turned),
    },
  };
}

/** e^{−β} I_n(β), I_n the Bessel function, by the trapezoidal rule, whose error is of the order of I_{steps − n}(β). */
export function bessel(n, beta) {
  const steps = 128 + 16 * Math.ceil(Math.sqrt(beta));
  let sum = 0;
  for (let k = 0; k < steps; k++) sum += Math.exp(beta * (Math.cos(TURN * k / steps) - 1)) * Math.cos(n * TURN * k / steps);
  return sum / steps;
}

/** ⟨cos P⟩ on the torus of V plaquettes: Σ I_n′ I_nᵛ⁻¹ / Σ I_nᵛ over all n. */
export function exactMean(beta, volume) {
  const most = 40 + Math.ceil(4 * Math.sqrt(beta));
  const I = Array.from({ length: most + 2 }, (_, n) => bessel(n, beta));
  let [top, bottom] = [0, 0];
  for (let n = -most; n <= most; n++) {
    const share = (I[Math.abs(n)] / I[0]) ** volume;
    if (!(share > 1e-300)) continue;
    top += share * (I[Math.abs(n - 1)] + I[Math.abs(n + 1)]) / (2 * I[Math.abs(n)]);
    bottom += share;
  }
  return top / bottom;
}

/** exp(β cos P) / 2πI₀(β). */
export const density = (P, beta, normal = bessel(0, beta)) => Math.exp(beta * (Math.cos(P) - 1)) / (TURN * normal);

/** What a sampler's fields say: squares are levels row by row, field after field; weights are shares that add up to 1. */
export function weigh(squares, weights, area, beta) {
  const share = new Float64Array(BINS);
  const means = weights.map((weight, n) => {
    let sum = 0;
    for (let k = n * area; k < (n + 1) * area; k++) {
      share[Math.floor((squares[k] + LEVELS / 2) * BINS / LEVELS)] += weight / area;
      sum += Math.cos((squares[k] + 0.5) * TURN / LEVELS);
    }
    return sum / area;
  });
  const sampled = means.reduce((sum, m, n) => sum + weights[n] * m, 0);
  const width = TURN / BINS;
  const normal = bessel(0, beta);
  // Gauss's rule of three points in parts of each bin, which are short beside the width of the density
  const parts = Math.ceil(Math.sqrt(beta) / 2);
  const cell = width / parts;
  const within = (c) => [[-(0.6 ** 0.5), 5], [0, 8], [0.6 ** 0.5, 5]].reduce(
    (sum, [at, w]) => sum + w / 18 * cell * density(-Math.PI + (c + 0.5 + at / 2) * cell, beta, normal), 0);
  const wanted = share.map((_, b) => Array.from({ length: parts }, (_, k) => within(b * parts + k)).reduce((sum, p) => sum + p, 0));
  return {
    share,
    numbers: {
      sampled,
      error: Math.hypot(...means.map((m, n) => weights[n] * (m - sampled))),
      exact: exactMean(beta, area),
      ess: 1 / (weights.length * weights.reduce((sum, w) => sum + w * w, 0)),
      distance: share.reduce((sum, s, b) => sum + Math.abs(s - wanted[b]), 0) / 2,
    },
  };
}

/** Shares from log-weights. */
export function softmax(logs) {
  const top = Math.max(...logs);
  const raw = Array.from(logs, (log) => Math.exp(log - top));
  const sum = raw.reduce((total, w) => total + w, 0);
  return raw.map((w) => w / sum);
}
