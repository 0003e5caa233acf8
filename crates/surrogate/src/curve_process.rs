//! A Gaussian process over learning curves: configurations and rungs in, a joint forecast of the rungs ahead out.
//!
//! The covariance of two observations, `x` a configuration and `t` the logarithm of one plus the step:
//!
//! ```text
//! k = M(x, x') (s0 + s1 M(t, t')) + s3 M(t, t') + [same trial] s2 exp(-|t - t'| / l2) + [same observation] noise
//! ```
//!
//! with `M` Matern 5/2 (Rasmussen and Williams 2006, equation 4.17). The part that is constant in time (`s0`) keeps late
//! forecasts of good trials from falling back to the mean; the shared curve (`s3`) is what all trials do with time; the
//! residual (`s2`) is what is peculiar to one trial. A product of configuration and time with a per-trial residual is the
//! model of Lin, Ament, Balandat and Bakshy (2024), "Scaling Gaussian Processes for Learning Curve Prediction via Latent
//! Kronecker Structure"; the extra terms are ours.

mod fit;
mod means;
use serde::{Deserialize, Serialize};

use crate::factor::{Factor, WIDTH, cholesky, dot};
pub use fit::fit;
pub use means::Means;

/// The most rungs of a curve.
pub const MAX_RUNGS: usize = WIDTH;

const SQRT_5: f64 = 2.236_067_977_499_79;
/// Observations are never taken for more certain than this: real losses repeat to about one per cent of their spread.
const LEAST_NOISE: f64 = 1e-4;
const JITTER: f64 = 1e-6;
/// Logarithms of scales outside this are of no use and make exponentials overflow.
const WIDEST: f64 = 9.0;

/// The kernel's scales besides the weights of the configuration's coordinates. The order is that of the parameters.
const SCALES: usize = 7;
const S1: usize = 0;
const L1: usize = 1;
const S2: usize = 2;
const L2: usize = 3;
const NOISE: usize = 4;
const S0: usize = 5;
const S3: usize = 6;
/// Mode and standard deviation of each scale's logarithm: six tenths of the variance constant in time, three tenths each
/// that changes with it, is shared and is peculiar to the trial, noise of one per cent.
const PRIOR: [(f64, f64); SCALES] =
    [(-1.2, 1.0), (0.7, 0.7), (-1.2, 1.0), (0.4, 0.7), (-4.6, 1.5), (-0.5, 1.0), (-1.2, 1.0)];

/// What kind of coordinate a configuration has at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Axis {
    /// Numbers, of which near ones are alike; the unit interval.
    Number,
    /// Names for things: equal or not.
    Category,
}

/// The logarithms of a process's parameters, by maximum a posteriori.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameters(Vec<f64>);

/// One value of one trial at one rung.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The trial's index among the configurations.
    pub trial: usize,
    /// The rung's index.
    pub rung: usize,
    /// The value; standard normal over all observations, or about so.
    pub value: f64,
}

/// The joint normal forecast of the rungs from `from` on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The first rung ahead.
    pub from: usize,
    /// Rungs of the curve; the last is its end.
    pub rungs: usize,
    /// Means by rung; zero before `from`.
    pub mean: [f64; MAX_RUNGS],
    /// Standard deviations of what will be observed, by rung.
    pub sd: [f64; MAX_RUNGS],
    /// How far each rung's observation moves the mean of the last one: standard deviations. With the covariance of the
    /// rungs in their order factored, `L Lᵀ`, it is the last row of `L`: the posterior mean of the end is a martingale
    /// with these steps.
    pub steps: [f64; MAX_RUNGS],
}

impl Parameters {
    /// The prior's mode for so many coordinates.
    pub fn prior(coordinates: usize) -> Self {
        let mut logs = vec![weight_prior(coordinates).0; coordinates];
        logs.extend(PRIOR.iter().map(|(mode, _)| mode));
        Self(logs)
    }

    /// The logarithms, weights of the coordinates first: to be written down and read back.
    pub fn logs(&self) -> &[f64] {
        &self.0
    }

    /// From what [`Parameters::logs`] gave; `None` if it cannot be of so many coordinates.
    pub fn from_logs(logs: Vec<f64>, coordinates: usize) -> Option<Self> {
        (logs.len() == coordinates + SCALES && logs.iter().all(|log| log.is_finite())).then_some(Self(logs))
    }

    fn coordinates(&self) -> usize {
        self.0.len() - SCALES
    }

    fn scale(&self, which: usize) -> f64 {
        self.0[self.coordinates() + which].exp()
    }
}

/// Length scales follow `LogNormal(sqrt(2) + ln(D) / 2, sqrt(3))` (Hvarfner, Hellsten and Nardi 2024, "Vanilla Bayesian
/// Optimization Performs Great in High Dimensions", section 4); a weight is one over its square. The mode is that of the
/// density of the length, `exp(mu - sigma²)`: taking the median instead made the search need twice the carbon
/// (docs/design/search.md).
fn weight_prior(coordinates: usize) -> (f64, f64) {
    let dimensions = coordinates.max(1) as f64;
    let (mu, sigma) = (2f64.sqrt() + 0.5 * dimensions.ln(), 3f64.sqrt());
    (-2.0 * (mu - sigma * sigma), 2.0 * sigma)
}

/// Matern 5/2 at `r = sqrt(5) distance / length`.
fn matern(r: f64) -> f64 {
    (1.0 + r + r * r / 3.0) * (-r).exp()
}

/// The time parts of the kernel, by pairs of rungs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct TimeTables {
    /// `s0 + s1 M`.
    with_x: [[f64; MAX_RUNGS]; MAX_RUNGS],
    /// `s3 M`.
    shared: [[f64; MAX_RUNGS]; MAX_RUNGS],
    /// `s2 exp`.
    own: [[f64; MAX_RUNGS]; MAX_RUNGS],
}

impl TimeTables {
    fn new(parameters: &Parameters, times: &[f64]) -> Self {
        let zero = [[0.0; MAX_RUNGS]; MAX_RUNGS];
        let mut tables = Self { with_x: zero, shared: zero, own: zero };
        for (a, t) in times.iter().enumerate() {
            for (b, u) in times.iter().enumerate() {
                let distance = (t - u).abs();
                let near = matern(SQRT_5 * distance / parameters.scale(L1));
                tables.with_x[a][b] = parameters.scale(S0) + parameters.scale(S1) * near;
                tables.shared[a][b] = parameters.scale(S3) * near;
                tables.own[a][b] = parameters.scale(S2) * (-distance / parameters.scale(L2)).exp();
            }
        }
        tables
    }

    fn variance(&self, a: usize, b: usize) -> f64 {
        self.with_x[a][b] + self.shared[a][b] + self.own[a][b]
    }
}

/// A process conditioned on what was observed. Grows by one row an observation, `O(n²)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveProcess {
    axes: Vec<Axis>,
    times: Vec<f64>,
    weights: Vec<f64>,
    tables: TimeTables,
    noise: f64,
    configurations: Vec<Vec<f64>>,
    /// Trial and rung of each row.
    rows: Vec<(usize, usize)>,
    factor: Factor,
    /// The observations seen through the factor: `L⁻¹ z`.
    whitened: Vec<f64>,
    /// Rows that were observed; beliefs come after them.
    observed: usize,
}

impl CurveProcess {
    /// Without observations. `steps` are the rungs, ascending, at most [`MAX_RUNGS`].
    ///
    /// # Panics
    /// If there are no rungs or too many, or the parameters are of another number of coordinates.
    pub fn new(axes: &[Axis], steps: &[u64], parameters: &Parameters) -> Self {
        assert!((1..=MAX_RUNGS).contains(&steps.len()), "1 to {MAX_RUNGS} rungs, not {}", steps.len());
        assert_eq!(parameters.coordinates(), axes.len(), "one weight a coordinate");
        let times = log_times(steps);
        Self {
            axes: axes.to_vec(),
            weights: parameters.0[..axes.len()].iter().map(|log| log.exp()).collect(),
            tables: TimeTables::new(parameters, &times),
            noise: noise(parameters),
            times,
            configurations: Vec::new(),
            rows: Vec::new(),
            factor: Factor::default(),
            whitened: Vec::new(),
            observed: 0,
        }
    }

    /// Adds a configuration (one coordinate an axis) and returns its index.
    pub fn add(&mut self, configuration: Vec<f64>) -> usize {
        debug_assert_eq!(configuration.len(), self.axes.len());
        self.configurations.push(configuration);
        self.configurations.len() - 1
    }

    /// Rows observed.
    pub fn observations(&self) -> usize {
        self.observed
    }

    /// Takes in one observation; beliefs are forgotten.
    pub fn observe(&mut self, observation: &Observation) {
        self.forget_beliefs();
        let (mean, sd) = self.push(observation.trial, observation.rung);
        self.whitened.push((observation.value - mean) / sd);
        self.observed = self.rows.len();
    }

    /// Takes for granted that a trial that runs will come out at its mean: the spread around it shrinks, the mean stays
    /// (Ginsbourger, Le Riche and Carraro 2010, "Kriging is well-suited to parallelize optimization", section 4.3).
    pub fn believe(&mut self, trial: usize, rung: usize) {
        self.push(trial, rung);
        self.whitened.push(0.0);
    }

    /// Back to what was observed.
    pub fn forget_beliefs(&mut self) {
        self.rows.truncate(self.observed);
        self.whitened.truncate(self.observed);
        self.factor.truncate(self.observed);
    }

    /// Appends a row; the mean and standard deviation it was expected with.
    fn push(&mut self, trial: usize, rung: usize) -> (f64, f64) {
        let near = self.similarities(&self.configurations[trial]);
        let covariance = |&(other, at): &(usize, usize)| {
            let own = if other == trial { self.tables.own[rung][at] } else { 0.0 };
            near[other] * self.tables.with_x[rung][at] + self.tables.shared[rung][at] + own
        };
        let row: Vec<f64> = self.rows.iter().map(covariance).collect();
        self.factor.push(&row, self.tables.variance(rung, rung) + self.noise);
        let row = self.factor.row(self.rows.len());
        let (seen, sd) = (dot(&row[..self.rows.len()], &self.whitened), row[self.rows.len()]);
        self.rows.push((trial, rung));
        (seen, sd)
    }

    /// The configuration's part of the kernel between `x` and every known configuration.
    fn similarities(&self, x: &[f64]) -> Vec<f64> {
        self.configurations
            .iter()
            .map(|other| matern(SQRT_5 * squared_distance(&self.axes, &self.weights, x, other).sqrt()))
            .collect()
    }

    /// The mean at the last rung of a trial that is not known: what a look at many candidates can afford, `O(n)`.
    /// `solved` is [`CurveProcess::mean_weights`].
    pub fn quick_mean(&self, x: &[f64], solved: &[f64]) -> f64 {
        let near = self.similarities(x);
        let last = self.times.len() - 1;
        self.rows
            .iter()
            .zip(solved)
            .map(|(&(other, at), weight)| {
                (near[other] * self.tables.with_x[last][at] + self.tables.shared[last][at]) * weight
            })
            .sum()
    }

    /// `K⁻¹ z`, for [`CurveProcess::quick_mean`]. `O(n²)`.
    pub fn mean_weights(&self) -> Vec<f64> {
        let mut weights = self.whitened.clone();
        for i in (0..weights.len()).rev() {
            let row = self.factor.row(i);
            weights[i] /= row[i];
            let known = weights[i];
            weights[..i].iter_mut().zip(row).for_each(|(w, l)| *w -= l * known);
        }
        weights
    }

    /// Mean and standard deviation of the last rung for several configurations, each with the trial it is, if any: the ends of
    /// their [`CurveProcess::forecast`]s with `widen` 1, at an eighth of the work.
    pub fn ends(&self, configurations: &[(&[f64], Option<usize>)]) -> Vec<(f64, f64)> {
        let last = self.times.len() - 1;
        let mut ends = Vec::with_capacity(configurations.len());
        for batch in configurations.chunks(WIDTH) {
            let mut seen = vec![[0.0; WIDTH]; self.rows.len()];
            for (column, (x, trial)) in batch.iter().enumerate() {
                let near = self.similarities(x);
                for (row, &(other, at)) in seen.iter_mut().zip(&self.rows) {
                    let own = if *trial == Some(other) { self.tables.own[last][at] } else { 0.0 };
                    row[column] =
                        near[other] * self.tables.with_x[last][at] + self.tables.shared[last][at] + own;
                }
            }
            self.factor.solve(&mut seen);
            let (mut mean, mut explained) = ([0.0; WIDTH], [0.0; WIDTH]);
            for (row, z) in seen.iter().zip(&self.whitened) {
                for column in 0..WIDTH {
                    mean[column] += row[column] * z;
                    explained[column] += row[column] * row[column];
                }
            }
            let variance =
                |explained: f64| (self.tables.variance(last, last) - explained).max(1e-8) + self.noise;
            ends.extend((0..batch.len()).map(|column| (mean[column], variance(explained[column]).sqrt())));
        }
        ends
    }

    /// The forecast of the rungs from `from` on for a configuration, `trial` naming it if it is one that was added.
    /// `widen` multiplies standard deviations. `O(n²)`.
    pub fn forecast(&self, x: &[f64], trial: Option<usize>, from: usize, widen: f64) -> Forecast {
        let (n, rungs) = (self.rows.len(), self.times.len());
        let near = self.similarities(x);
        let mut seen = vec![[0.0; WIDTH]; n];
        for (row, &(other, at)) in seen.iter_mut().zip(&self.rows) {
            let same = trial == Some(other);
            for (k, entry) in row.iter_mut().enumerate().take(rungs).skip(from) {
                let own = if same { self.tables.own[k][at] } else { 0.0 };
                *entry = near[other] * self.tables.with_x[k][at] + self.tables.shared[k][at] + own;
            }
        }
        self.factor.solve(&mut seen);
        let mut mean = [0.0; MAX_RUNGS];
        let mut explained = [[0.0; MAX_RUNGS]; MAX_RUNGS];
        for (row, z) in seen.iter().zip(&self.whitened) {
            for a in from..rungs {
                mean[a] += row[a] * z;
                for b in from..=a {
                    explained[a][b] += row[a] * row[b];
                }
            }
        }
        let ahead = rungs - from;
        let mut covariance = vec![0.0; ahead * ahead];
        let mut sd = [0.0; MAX_RUNGS];
        for a in 0..ahead {
            for b in 0..=a {
                let left = self.tables.variance(from + a, from + b) - explained[from + a][from + b];
                covariance[a * ahead + b] = left * widen * widen;
            }
            let own = &mut covariance[a * ahead + a];
            *own = own.max(1e-8) + self.noise;
            sd[from + a] = own.sqrt();
        }
        let mut steps = [0.0; MAX_RUNGS];
        if cholesky(&mut covariance, ahead) {
            for a in 0..ahead {
                steps[from + a] = covariance[(ahead - 1) * ahead + a].abs();
            }
        } else {
            steps[rungs - 1] = sd[rungs - 1];
        }
        Forecast { from, rungs, mean, sd, steps }
    }
}

impl Forecast {
    /// The mean of the last rung.
    pub fn end(&self) -> f64 {
        self.mean[self.rungs - 1]
    }

    /// The standard deviation of the last rung.
    pub fn end_sd(&self) -> f64 {
        self.sd[self.rungs - 1]
    }
}

fn log_times(steps: &[u64]) -> Vec<f64> {
    steps.iter().map(|step| (1.0 + *step as f64).ln()).collect()
}

fn noise(parameters: &Parameters) -> f64 {
    parameters.scale(NOISE).max(LEAST_NOISE) + JITTER
}

fn squared_distance(axes: &[Axis], weights: &[f64], a: &[f64], b: &[f64]) -> f64 {
    let mut sum = 0.0;
    for j in 0..axes.len() {
        sum += weights[j] * squared_difference(axes[j], a[j], b[j]);
    }
    sum
}

fn squared_difference(axis: Axis, a: f64, b: f64) -> f64 {
    match axis {
        Axis::Number => (a - b) * (a - b),
        Axis::Category => f64::from(u8::from((a - b).abs() > 0.5)),
    }
}

#[cfg(test)]
mod tests {
    use super::fit::Likelihood;
    use super::*;

    const STEPS: [u64; 4] = [1, 2, 4, 8];
    const AXES: [Axis; 3] = [Axis::Number, Axis::Number, Axis::Category];

    fn data() -> (Vec<Vec<f64>>, Vec<Observation>) {
        let configurations: Vec<Vec<f64>> = (0..9)
            .map(|i| {
                let i = f64::from(i);
                vec![(i * 0.37).fract(), (i * 0.71).fract(), f64::from(u8::from(i > 4.0))]
            })
            .collect();
        let value = |x: &[f64], rung: usize| {
            (x[0] - 0.4).powi(2) * 4.0 + x[2] * 0.5 - 0.3 * rung as f64 + 0.2 * (x[1] * 9.0).sin() - 0.5
        };
        let observations = (0..9)
            .flat_map(|trial| (0..=trial % 4).map(move |rung| (trial, rung)))
            .map(|(trial, rung)| Observation { trial, rung, value: value(&configurations[trial], rung) })
            .collect();
        (configurations, observations)
    }

    fn process(upto: usize) -> CurveProcess {
        let (configurations, observations) = data();
        let mut process = CurveProcess::new(&AXES, &STEPS, &Parameters::prior(3));
        for configuration in configurations {
            process.add(configuration);
        }
        observations[..upto].iter().for_each(|seen| process.observe(seen));
        process
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (configurations, observations) = data();
        let likelihood = Likelihood::new(&AXES, &STEPS, &configurations, &observations);
        let at = Parameters(vec![0.3, -0.5, 0.1, -0.7, 0.5, -1.5, 0.2, -3.0, -0.4, -1.0]);
        let (_, gradient) = likelihood.evaluate(&at);
        for (index, slope) in gradient.iter().enumerate() {
            let mut shifted = at.clone();
            shifted.0[index] += 1e-5;
            let above = likelihood.evaluate(&shifted).0;
            shifted.0[index] -= 2e-5;
            let below = likelihood.evaluate(&shifted).0;
            let difference = (above - below) / 2e-5;
            assert!((slope - difference).abs() < 1e-5 * (1.0 + slope.abs()), "{index}: {slope} {difference}");
        }
    }

    #[test]
    fn fitting_makes_the_data_likelier() {
        let (configurations, observations) = data();
        let likelihood = Likelihood::new(&AXES, &STEPS, &configurations, &observations);
        let start = Parameters::prior(3);
        let fitted = fit(&AXES, &STEPS, &configurations, &observations, &start, 30);
        assert!(likelihood.evaluate(&fitted).0 < likelihood.evaluate(&start).0 - 1.0);
    }

    /// The textbook way: dense covariance over everything, conditioned by the whole inverse.
    fn dense_forecast(process: &CurveProcess, z: &[f64], x: &[f64], trial: Option<usize>) -> (f64, f64) {
        let n = process.rows.len();
        let last = STEPS.len() - 1;
        let kernel = |a: (&[f64], usize, Option<usize>), b: (&[f64], usize, Option<usize>)| {
            let near = matern(SQRT_5 * squared_distance(&AXES, &process.weights, a.0, b.0).sqrt());
            let own = if a.2.is_some() && a.2 == b.2 { process.tables.own[a.1][b.1] } else { 0.0 };
            near * process.tables.with_x[a.1][b.1] + process.tables.shared[a.1][b.1] + own
        };
        let row = |i: usize| {
            let (trial, rung) = process.rows[i];
            (process.configurations[trial].as_slice(), rung, Some(trial))
        };
        let mut augmented: Vec<Vec<f64>> = (0..n)
            .map(|i| {
                let mut line: Vec<f64> = (0..n)
                    .map(|j| kernel(row(i), row(j)) + if i == j { process.noise } else { 0.0 })
                    .collect();
                line.push(z[i]);
                line.push(kernel((x, last, trial), row(i)));
                line
            })
            .collect();
        for i in 0..n {
            let pivot = augmented[i].clone();
            for (j, line) in augmented.iter_mut().enumerate() {
                if j != i {
                    let share = line[i] / pivot[i];
                    line.iter_mut().zip(&pivot).for_each(|(a, p)| *a -= share * p);
                }
            }
        }
        let k: Vec<f64> = (0..n).map(|i| kernel((x, last, trial), row(i))).collect();
        let solve =
            |column: usize| (0..n).map(|i| k[i] * augmented[i][column] / augmented[i][i]).sum::<f64>();
        let own = process.tables.variance(last, last);
        (solve(n), (own - solve(n + 1) + process.noise).sqrt())
    }

    #[test]
    fn forecasts_are_those_of_the_textbook() {
        let process = process(18);
        let z: Vec<f64> = data().1[..18].iter().map(|seen| seen.value).collect();
        let known = process.configurations[2].clone();
        for (x, trial) in [(vec![0.3, 0.6, 1.0], None), (known, Some(2))] {
            let forecast = process.forecast(&x, trial, 0, 1.0);
            let (mean, sd) = dense_forecast(&process, &z, &x, trial);
            assert!((forecast.end() - mean).abs() < 1e-8, "{} {mean}", forecast.end());
            assert!((forecast.end_sd() - sd).abs() < 1e-8, "{} {sd}", forecast.end_sd());
            let [(mean, sd)] = process.ends(&[(&x, trial)])[..] else { panic!("one each") };
            assert!((forecast.end() - mean).abs() < 1e-9 && (forecast.end_sd() - sd).abs() < 1e-9);
            let total: f64 = forecast.steps.iter().map(|step| step * step).sum();
            assert!((total - sd * sd).abs() < 1e-8, "the steps of the martingale make up the whole variance");
        }
        let quick = process.quick_mean(&[0.3, 0.6, 1.0], &process.mean_weights());
        assert!((quick - process.forecast(&[0.3, 0.6, 1.0], None, 0, 1.0).end()).abs() < 1e-9);
    }

    #[test]
    fn a_grown_process_is_the_one_built_at_once_to_the_bit() {
        let grown = {
            let mut process = process(12);
            process.believe(3, 3);
            process.believe(4, 2);
            data().1[12..].iter().for_each(|seen| process.observe(seen));
            process
        };
        assert_eq!(grown, process(data().1.len()));
    }

    #[test]
    fn believing_narrows_and_moves_no_mean() {
        let mut process = process(18);
        let x = [0.31, 0.6, 1.0];
        let before = process.forecast(&x, None, 0, 1.0);
        let running = process.add(vec![0.3, 0.6, 1.0]);
        process.believe(running, 3);
        let after = process.forecast(&x, None, 0, 1.0);
        assert!((before.end() - after.end()).abs() < 1e-9 && after.end_sd() < before.end_sd());
    }
}
