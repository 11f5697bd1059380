// A RealNVP with affine couplings on the plane, as gdl_lab.flows computes it: both directions, every layer, Jacobians.
// Many points are one Float64Array x₁, y₁, x₂, y₂, …; a level counts the layers passed, 0 in base space Z.
//
// Between two levels a coupling acts with τs and τt in place of s and t, 0 < τ < 1: again a coupling, of log-det τs. The
// whitening, where there is one, is the last layer; between the levels it is the τ-th power of its matrix.

const sigmoid = (u) => 1 / (1 + Math.exp(-u));

/** The flows whose state dictionaries `weights` holds, one tensor after the other, as gdl_lab.widgets.flow packs them. */
export function unpack(weights, layouts) {
  let read = 0;
  const take = (count) => Float64Array.from(weights.subarray(read, read += count));
  return layouts.map((layout) => build(take, layout));
}

function build(take, { layers, hidden, cap, whitening }) {
  const widths = [1, ...hidden, 2];
  const couplings = Array.from({ length: layers }, (_, j) => ({
    moved: j % 2 ? 0 : 1,
    cap,
    net: widths.slice(1).map((n, l) => padded(widths[l], n, take(widths[l] * n), take(n))),
  }));
  if (!whitening) return { couplings, whitening: null };
  const [mean, V, S] = [take(2), take(2 * whitening), take(whitening)];
  const rest = take(1)[0];
  // Only the first direction is read: the second is across it, and both are orthonormal beyond single precision.
  const [c, d] = [V[0], V[whitening]];
  const [x, y] = [c / Math.hypot(c, d), d / Math.hypot(c, d)];
  return { couplings, whitening: { mean, axes: [[x, y], [-y, x]], scales: [S[0], S[1] ?? rest] } };
}

/** A linear layer from m to n units, its n rounded up to a multiple of four by units that are zero. */
function padded(m, n, weights, biases) {
  const wide = 4 * Math.ceil(n / 4);
  const [W, b] = [new Float64Array(m * wide), new Float64Array(wide)];
  for (let i = 0; i < m; i++) W.set(weights.subarray(i * n, (i + 1) * n), i * wide);
  b.set(biases);
  return { m, n: wide, W, b };
}

/** How many layers the flow has. */
export const depth = ({ couplings, whitening }) => couplings.length + (whitening ? 1 : 0);

/** [s, t, ds/da, dt/da] of a coupling at the coordinate a that stays. */
export function conditioner({ net, cap }, a) {
  let [values, tangents] = [Float64Array.of(a), Float64Array.of(1)];
  for (const [l, { m, n, W, b }] of net.entries()) {
    const [next, moved] = [new Float64Array(n), new Float64Array(n)];
    // Four units at a time: their sums stay in registers, which halves the time, and the slopes come for nothing.
    for (let j = 0; j < n; j += 4) {
      let u0 = b[j], u1 = b[j + 1], u2 = b[j + 2], u3 = b[j + 3], d0 = 0, d1 = 0, d2 = 0, d3 = 0;
      for (let i = 0, k = j; i < m; i++, k += n) {
        const value = values[i], tangent = tangents[i];
        u0 += value * W[k];
        u1 += value * W[k + 1];
        u2 += value * W[k + 2];
        u3 += value * W[k + 3];
        d0 += tangent * W[k];
        d1 += tangent * W[k + 1];
        d2 += tangent * W[k + 2];
        d3 += tangent * W[k + 3];
      }
      next[j] = u0;
      next[j + 1] = u1;
      next[j + 2] = u2;
      next[j + 3] = u3;
      moved[j] = d0;
      moved[j + 1] = d1;
      moved[j + 2] = d2;
      moved[j + 3] = d3;
    }
    if (l + 1 < net.length) {  // SiLU
      for (let j = 0; j < n; j++) {
        const gate = sigmoid(next[j]);
        moved[j] *= gate * (1 + next[j] * (1 - gate));
        next[j] *= gate;
      }
    }
    [values, tangents] = [next, moved];
  }
  const tanh = Math.tanh(values[0]);
  return [cap * tanh, values[1], cap * (1 - tanh * tanh) * tangents[0], tangents[1]];
}

/** x ↦ V S^τ Vᵀ (x − before) + after. */
function stretch({ axes, scales }, tau, [x, y], before, after) {
  const out = [after[0], after[1]];
  axes.forEach((v, k) => {
    const along = scales[k] ** tau * (v[0] * (x - before[0]) + v[1] * (y - before[1]));
    out[0] += along * v[0];
    out[1] += along * v[1];
  });
  return out;
}

/** Forward through layer j, or a part τ of it: the point [x, y] and what is added to log|det|. */
export function forward(flow, j, point, tau = 1) {
  const { couplings, whitening: w } = flow;
  if (j === couplings.length) {
    const after = [tau * w.mean[0], tau * w.mean[1]];
    return [stretch(w, tau, point, [0, 0], after), tau * (Math.log(w.scales[0]) + Math.log(w.scales[1]))];
  }
  const { moved } = couplings[j];
  const [s, t] = conditioner(couplings[j], point[1 - moved]);
  const out = [point[0], point[1]];
  out[moved] = point[moved] * Math.exp(tau * s) + tau * t;
  return [out, tau * s];
}

/** The inverse of `forward`. */
export function backward(flow, j, point, tau = 1) {
  const { couplings, whitening: w } = flow;
  if (j === couplings.length) {
    const before = [tau * w.mean[0], tau * w.mean[1]];
    return [stretch(w, -tau, point, before, [0, 0]), -tau * (Math.log(w.scales[0]) + Math.log(w.scales[1]))];
  }
  const { moved } = couplings[j];
  const [s, t] = conditioner(couplings[j], point[1 - moved]);
  const out = [point[0], point[1]];
  out[moved] = (point[moved] - tau * t) * Math.exp(-tau * s);
  return [out, -tau * s];
}

/** Every level of points given at level 0, or with `from` at the last one: { points, logDet } with one array a level.
 *  logDet[l] is log|det| of the layers below level l. */
export function trace(flow, given, from = 0) {
  const [last, n] = [depth(flow), given.length / 2];
  const points = Array.from({ length: last + 1 }, () => new Float64Array(2 * n));
  const logDet = points.map(() => new Float64Array(n));
  points[from ? last : 0].set(given);
  for (let step = 0; step < last; step++) {
    const j = from ? last - 1 - step : step;
    const [source, target] = from ? [j + 1, j] : [j, j + 1];
    for (let i = 0; i < n; i++) {
      const [p, change] = (from ? backward : forward)(flow, j, [points[source][2 * i], points[source][2 * i + 1]]);
      points[target].set(p, 2 * i);
      logDet[j + 1][i] = from ? -change : change;
    }
  }
  for (let l = 1; l <= last; l++) for (let i = 0; i < n; i++) logDet[l][i] += logDet[l - 1][i];
  return { points, logDet };
}

/** Positions and log|det| of traced points at any level, whole or not. */
export function between(flow, { points, logDet }, level) {
  const j = Math.min(Math.floor(level), depth(flow) - 1);
  const tau = level - j;
  const [start, end] = [points[j], points[j + 1]];
  const at = Float64Array.from(start);
  const change = logDet[j].map((sum, i) => sum + tau * (logDet[j + 1][i] - sum));
  for (let i = 0; i < change.length; i++) {
    if (j === flow.couplings.length) at.set(forward(flow, j, [start[2 * i], start[2 * i + 1]], tau)[0], 2 * i);
    else {
      const k = 2 * i + flow.couplings[j].moved;
      const s = logDet[j + 1][i] - logDet[j][i];
      at[k] = start[k] * Math.exp(tau * s) + tau * (end[k] - start[k] * Math.exp(s));
    }
  }
  return { points: at, logDet: change };
}

/** The base point whose image at a level is the given point. */
export function toBase(flow, point, level) {
  const j = Math.min(Math.floor(level), depth(flow) - 1);
  let [at] = backward(flow, j, point, level - j);
  for (let l = j - 1; l >= 0; l--) [at] = backward(flow, l, at);
  return at;
}

/** g, with log|det ∂x/∂z|. */
export function push(flow, points) {
  const { points: levels, logDet } = trace(flow, points);
  return { points: levels.at(-1), logDet: logDet.at(-1) };
}

/** g⁻¹, with log|det ∂z/∂x|. */
export function pull(flow, points) {
  const { points: levels, logDet } = trace(flow, points, 1);
  return { points: levels[0], logDet: logDet.at(-1).map((change) => -change) };
}

/** The log-density of the standard normal on the plane. */
export const logNormal = (z1, z2) => -0.5 * (z1 * z1 + z2 * z2) - Math.log(2 * Math.PI);

/** log q(x) = log q_Z(g⁻¹(x)) + log|det ∂z/∂x|, point by point. */
export function logProb(flow, points) {
  const { points: z, logDet } = pull(flow, points);
  return logDet.map((change, i) => change + logNormal(z[2 * i], z[2 * i + 1]));
}

/** At one base point: { x, jacobian } with jacobian [[∂x₁/∂z₁, ∂x₁/∂z₂], [∂x₂/∂z₁, ∂x₂/∂z₂]]. */
export function differentiate({ couplings, whitening: w }, z) {
  let [x, rows] = [[z[0], z[1]], [[1, 0], [0, 1]]];
  for (const coupling of couplings) {
    const { moved } = coupling;
    const [kept, old] = [x[1 - moved], x[moved]];
    const [s, t, ds, dt] = conditioner(coupling, kept);
    const slope = Math.exp(s);
    const across = old * slope * ds + dt;
    x[moved] = old * slope + t;
    rows[moved] = rows[moved].map((entry, c) => slope * entry + across * rows[1 - moved][c]);
  }
  if (w) {
    x = stretch(w, 1, x, [0, 0], w.mean);
    const columns = [0, 1].map((c) => stretch(w, 1, [rows[0][c], rows[1][c]], [0, 0], [0, 0]));
    rows = [0, 1].map((r) => [columns[0][r], columns[1][r]]);
  }
  return { x, jacobian: rows };
}
