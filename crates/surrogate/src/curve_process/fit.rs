//! The parameters of a [`super::CurveProcess`]: maximum a posteriori, with analytic gradients.

use super::{
    Axis, JITTER, L1, L2, LEAST_NOISE, MAX_RUNGS, NOISE, Observation, PRIOR, Parameters, S0, S1, S2, S3,
    SCALES, SQRT_5, WIDEST, log_times, matern, squared_difference, squared_distance, weight_prior,
};
use crate::factor::{cholesky, dot};
use crate::lbfgs::minimize;

/// Parameters that make the observations likely under the prior: maximum a posteriori by L-BFGS from `start`. Cubic in
/// the observations: some hundreds at most.
pub fn fit(
    axes: &[Axis],
    steps: &[u64],
    configurations: &[Vec<f64>],
    observations: &[Observation],
    start: &Parameters,
    iterations: usize,
) -> Parameters {
    let likelihood = Likelihood::new(axes, steps, configurations, observations);
    let best = minimize(|logs| likelihood.evaluate(&Parameters(logs.to_vec())), &start.0, iterations);
    if best.iter().all(|log| log.is_finite()) { Parameters(best) } else { start.clone() }
}

/// The negative logarithm of the posterior density of the parameters, with its gradient.
pub(super) struct Likelihood<'a> {
    axes: &'a [Axis],
    times: Vec<f64>,
    observations: &'a [Observation],
    /// The configurations that were observed.
    distinct: Vec<&'a [f64]>,
    /// The place of each observation's configuration among them.
    place: Vec<usize>,
}

impl<'a> Likelihood<'a> {
    pub(super) fn new(
        axes: &'a [Axis],
        steps: &[u64],
        configurations: &'a [Vec<f64>],
        observations: &'a [Observation],
    ) -> Self {
        let mut trials: Vec<usize> = observations.iter().map(|seen| seen.trial).collect();
        trials.sort_unstable();
        trials.dedup();
        let find = |seen: &Observation| trials.partition_point(|trial| *trial < seen.trial);
        Self {
            axes,
            times: log_times(steps),
            observations,
            place: observations.iter().map(find).collect(),
            distinct: trials.iter().map(|trial| configurations[*trial].as_slice()).collect(),
        }
    }

    /// Rasmussen and Williams 2006, equations 5.8 and 5.9, plus the prior.
    pub(super) fn evaluate(&self, parameters: &Parameters) -> (f64, Vec<f64>) {
        let (n, m, d) = (self.observations.len(), self.distinct.len(), self.axes.len());
        let mut gradient = vec![0.0; parameters.0.len()];
        if parameters.0.iter().any(|log| log.abs() > 2.0 * WIDEST) {
            return (f64::INFINITY, gradient);
        }
        let weights: Vec<f64> = parameters.0[..d].iter().map(|log| log.exp()).collect();
        let scales: [f64; SCALES] = std::array::from_fn(|which| parameters.scale(which));
        let noise = scales[NOISE].max(LEAST_NOISE);

        // By pairs of rungs: Matern, its derivative by log l1, the residual's decay.
        let mut time = [[[0.0; 3]; MAX_RUNGS]; MAX_RUNGS];
        for (a, t) in self.times.iter().enumerate() {
            for (b, u) in self.times.iter().enumerate() {
                let distance = (t - u).abs();
                let q = SQRT_5 * distance / scales[L1];
                time[a][b] =
                    [matern(q), q * q * (1.0 + q) * (-q).exp() / 3.0, (-distance / scales[L2]).exp()];
            }
        }
        // By pairs of configurations: Matern, and its derivative by the squared distance.
        let (mut near, mut slope) = (vec![0.0; m * m], vec![0.0; m * m]);
        for a in 0..m {
            for b in 0..=a {
                let r =
                    SQRT_5 * squared_distance(self.axes, &weights, self.distinct[a], self.distinct[b]).sqrt();
                near[a * m + b] = matern(r);
                slope[a * m + b] = -(5.0 / 6.0) * (1.0 + r) * (-r).exp();
            }
        }
        let pair = |i: usize, j: usize| {
            let (p, q) = (self.place[i], self.place[j]);
            if p >= q { p * m + q } else { q * m + p }
        };
        let mut k = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let [matern, _, decay] = time[self.observations[i].rung][self.observations[j].rung];
                let own = if self.place[i] == self.place[j] { scales[S2] * decay } else { 0.0 };
                k[i * n + j] =
                    (scales[S0] + scales[S1] * matern) * near[pair(i, j)] + scales[S3] * matern + own;
            }
            k[i * n + i] += noise + JITTER;
        }
        if !cholesky(&mut k, n) {
            return (f64::INFINITY, gradient);
        }
        let factor = k;
        let mut alpha: Vec<f64> = self.observations.iter().map(|seen| seen.value).collect();
        for i in 0..n {
            alpha[i] = (alpha[i] - dot(&factor[i * n..i * n + i], &alpha[..i])) / factor[i * n + i];
        }
        let fit = 0.5 * dot(&alpha, &alpha);
        let volume: f64 = (0..n).map(|i| factor[i * n + i].ln()).sum();
        for i in (0..n).rev() {
            alpha[i] /= factor[i * n + i];
            let known = alpha[i];
            alpha[..i].iter_mut().zip(&factor[i * n..]).for_each(|(a, l)| *a -= l * known);
        }
        let inverse = inverse_columns(&factor, n);
        // Per pair of configurations, the weight of its slope in the gradients of all length scales.
        let mut pull = vec![0.0; m * m];
        let scale_gradient = &mut gradient[d..];
        for i in 0..n {
            for j in 0..=i {
                let precision = dot(&inverse[i * n + i..(i + 1) * n], &inverse[j * n + i..(j + 1) * n]);
                let weight = (alpha[i] * alpha[j] - precision) * if i == j { 0.5 } else { 1.0 };
                let (a, b) = (self.observations[i].rung, self.observations[j].rung);
                let ([matern, by_l1, decay], at) = (time[a][b], pair(i, j));
                pull[at] += weight * (scales[S0] + scales[S1] * matern) * slope[at];
                scale_gradient[S1] -= weight * scales[S1] * near[at] * matern;
                scale_gradient[L1] -= weight * (scales[S1] * near[at] + scales[S3]) * by_l1;
                scale_gradient[S0] -= weight * scales[S0] * near[at];
                scale_gradient[S3] -= weight * scales[S3] * matern;
                if self.place[i] == self.place[j] {
                    let own = weight * scales[S2] * decay;
                    scale_gradient[S2] -= own;
                    scale_gradient[L2] -= own * (self.times[a] - self.times[b]).abs() / scales[L2];
                }
                if i == j && scales[NOISE] > LEAST_NOISE {
                    scale_gradient[NOISE] -= weight * noise;
                }
            }
        }
        for a in 0..m {
            for b in 0..a {
                let pull = pull[a * m + b];
                for j in 0..d {
                    let apart = squared_difference(self.axes[j], self.distinct[a][j], self.distinct[b][j]);
                    gradient[j] -= pull * weights[j] * apart;
                }
            }
        }
        let mut value = fit + volume;
        let weight_prior = weight_prior(d);
        for (at, log) in parameters.0.iter().enumerate() {
            let (mode, spread) = if at < d { weight_prior } else { PRIOR[at - d] };
            let off = (log - mode) / spread;
            value += 0.5 * off * off;
            gradient[at] += off / spread;
        }
        (value, gradient)
    }
}

/// The columns of `L⁻¹`, one a row: column `j` is at `j * n`, its entries before `j` are zero.
fn inverse_columns(factor: &[f64], n: usize) -> Vec<f64> {
    let mut columns = vec![0.0; n * n];
    for j in 0..n {
        let column = &mut columns[j * n..(j + 1) * n];
        column[j] = 1.0 / factor[j * n + j];
        for i in j + 1..n {
            column[i] = -dot(&factor[i * n + j..i * n + i], &column[j..i]) / factor[i * n + i];
        }
    }
    columns
}
