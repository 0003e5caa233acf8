//! The hypervolume that a point adds to a front, and what of it can be expected: exactly, and in logarithms.
//!
//! The region that no point of the front dominates is cut into disjoint boxes `[l, u]`, `l` at minus infinity where nothing
//! bounds it. All objectives are minimised. A point `y` gains `sum over boxes of prod_m (u_m - max(l_m, y_m))+`, and with
//! independent objectives the expectation of each factor is `psi(u_m) - psi(l_m)`, `psi(t) = E[(t - Y_m)+]` (Emmerich,
//! Deutz and Klinkenberg 2011, "Hypervolume-based expected improvement", section 3).

use crate::normal::{expected_improvement, log_expected_improvement};

/// One box of the non-dominated region: lower and upper corner.
#[derive(Debug, Clone, PartialEq)]
struct Cell {
    low: Vec<f64>,
    high: Vec<f64>,
}

/// The non-dominated region of a front below a reference point.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    cells: Vec<Cell>,
}

impl Region {
    /// What `front` leaves undominated below `reference`, one coordinate an objective. Points beyond the reference count for
    /// nothing. Meant for fronts of up to a hundred points in two to four objectives.
    pub fn new(front: &[Vec<f64>], reference: &[f64]) -> Self {
        let inside: Vec<&[f64]> = front
            .iter()
            .map(Vec::as_slice)
            .filter(|point| point.iter().zip(reference).all(|(value, bound)| value < bound))
            .collect();
        Self { cells: cut(&inside, reference) }
    }

    /// The hypervolume that a point adds.
    pub fn gain(&self, point: &[f64]) -> f64 {
        let side = |low: f64, high: f64, value: f64| (high - value.max(low)).max(0.0);
        self.cells.iter().map(|cell| product(cell, |m, low, high| side(low, high, point[m]))).sum()
    }

    /// The hypervolume that a point of independent normal coordinates adds on average; `(mean, sd)` each.
    pub fn expected_gain(&self, point: &[(f64, f64)]) -> f64 {
        let psi = |m: usize, t: f64| {
            if t == f64::NEG_INFINITY { 0.0 } else { expected_improvement(point[m].0, point[m].1, t) }
        };
        self.cells
            .iter()
            .map(|cell| product(cell, |m, low, high| (psi(m, high) - psi(m, low)).max(0.0)))
            .sum()
    }

    /// The logarithm of [`Region::expected_gain`], right where that rounds to zero.
    pub fn log_expected_gain(&self, point: &[(f64, f64)]) -> f64 {
        let log_psi = |m: usize, t: f64| {
            if t == f64::NEG_INFINITY { t } else { log_expected_improvement(point[m].0, point[m].1, t) }
        };
        let logs: Vec<f64> = self
            .cells
            .iter()
            .map(|cell| {
                let sides = cell.low.iter().zip(&cell.high).enumerate();
                sides.map(|(m, (low, high))| log_difference(log_psi(m, *high), log_psi(m, *low))).sum()
            })
            .collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return most;
        }
        most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln()
    }

    /// The gain as a function of the first coordinate alone: the others are integrated out. `side(m, low, high)` is the
    /// expectation of `(high - max(low, Y_m))+` for the objectives from the second on.
    pub fn along_first(&self, side: impl Fn(usize, f64, f64) -> f64) -> Profile {
        let weight = |cell: &Cell| {
            let others = cell.low.iter().zip(&cell.high).enumerate().skip(1);
            others.map(|(m, (low, high))| side(m, *low, *high)).product::<f64>()
        };
        let cells = self.cells.iter().map(|cell| (cell.low[0], cell.high[0], weight(cell)));
        Profile { steps: cells.filter(|(_, _, weight)| *weight > 0.0).collect() }
    }
}

/// An expected gain as a function of one objective: piecewise linear, falling.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Lower and upper bound, and the slope between them.
    steps: Vec<(f64, f64, f64)>,
}

impl Profile {
    /// The gain at a value of the first objective.
    pub fn at(&self, value: f64) -> f64 {
        self.steps.iter().map(|(low, high, weight)| weight * (high - value.max(*low)).max(0.0)).sum()
    }
}

fn product(cell: &Cell, side: impl Fn(usize, f64, f64) -> f64) -> f64 {
    cell.low.iter().zip(&cell.high).enumerate().map(|(m, (low, high))| side(m, *low, *high)).product()
}

/// `log(exp(a) - exp(b))` for `a >= b`.
fn log_difference(a: f64, b: f64) -> f64 {
    if b == f64::NEG_INFINITY {
        return a;
    }
    let difference = b - a;
    if difference >= 0.0 { f64::NEG_INFINITY } else { a + (-difference.exp_m1()).ln() }
}

/// Slabs along the last coordinate, each cut further by the points below it.
fn cut(points: &[&[f64]], reference: &[f64]) -> Vec<Cell> {
    let Some((&top, rest)) = reference.split_last() else {
        return vec![Cell { low: Vec::new(), high: Vec::new() }];
    };
    if rest.is_empty() {
        let lowest = points.iter().map(|point| point[0]).fold(top, f64::min);
        return vec![Cell { low: vec![f64::NEG_INFINITY], high: vec![lowest] }];
    }
    let last = rest.len();
    let mut order: Vec<&[f64]> = points.to_vec();
    order.sort_by(|a, b| a[last].total_cmp(&b[last]));
    let mut cells = Vec::new();
    for below in 0..=order.len() {
        let low = if below == 0 { f64::NEG_INFINITY } else { order[below - 1][last] };
        let high = order.get(below).map_or(top, |point| point[last]);
        if high > low {
            for mut cell in cut(&order[..below], rest) {
                cell.low.push(low);
                cell.high.push(high);
                cells.push(cell);
            }
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hypervolume::hypervolume_gain;
    use crate::normal::normal_quantile;

    #[test]
    fn expectation_agrees_with_quadrature_in_two_to_four_objectives() {
        let all = [[0.1, 0.8, 0.5, 0.3], [0.4, 0.4, 0.6, 0.9], [0.7, 0.2, 0.1, 0.5], [0.45, 0.5, 0.3, 0.2]];
        for objectives in 2..=4 {
            let front: Vec<Vec<f64>> = all.iter().map(|point| point[..objectives].to_vec()).collect();
            let region = Region::new(&front, &vec![1.0; objectives]);
            let point: Vec<(f64, f64)> =
                [(0.35, 0.2), (0.45, 0.1), (0.4, 0.3), (0.5, 0.15)][..objectives].to_vec();
            let n: u32 = if objectives == 4 { 22 } else { 60 };
            let nodes = |(mean, sd): (f64, f64)| {
                (0..n).map(move |i| mean + sd * normal_quantile((f64::from(i) + 0.5) / f64::from(n)))
            };
            let mut points: Vec<Vec<f64>> = vec![Vec::new()];
            for coordinate in &point {
                points = points
                    .iter()
                    .flat_map(|start| nodes(*coordinate).map(|node| [start.as_slice(), &[node]].concat()))
                    .collect();
            }
            let mean = points.iter().map(|node| region.gain(node)).sum::<f64>() / points.len() as f64;
            let exact = region.expected_gain(&point);
            assert!((exact / mean - 1.0).abs() < 0.04, "{objectives}: {exact} {mean}");
            assert!((region.log_expected_gain(&point) - exact.ln()).abs() < 1e-9);
        }
    }

    #[test]
    fn the_logarithm_goes_on_where_the_gain_vanishes() {
        let region = Region::new(&[vec![0.1, 0.8], vec![0.5, 0.2]], &[1.0, 1.0]);
        let far = [(60.0, 1.0), (0.5, 0.1)];
        assert!(region.expected_gain(&far) == 0.0);
        let (log, farther) =
            (region.log_expected_gain(&far), region.log_expected_gain(&[(61.0, 1.0), (0.5, 0.1)]));
        assert!(log.is_finite() && farther < log, "{log} {farther}");
    }

    #[test]
    fn one_objective_is_expected_improvement() {
        let region = Region::new(&[vec![0.3], vec![0.6]], &[1.0]);
        assert!((region.expected_gain(&[(0.4, 0.2)]) - expected_improvement(0.4, 0.2, 0.3)).abs() < 1e-15);
    }

    proptest! {
        /// The boxes tell the same as the difference of two hypervolumes.
        #[test]
        fn gains_are_differences_of_volumes(
            front in prop::collection::vec(prop::collection::vec(0.0f64..1.2, 3), 0..7),
            point in prop::collection::vec(0.0f64..1.2, 3),
        ) {
            let region = Region::new(&front, &[1.0; 3]);
            let truth = hypervolume_gain(&front, &point, &[1.0; 3]);
            prop_assert!((region.gain(&point) - truth).abs() < 1e-9);
            let profile = region.along_first(|m, low, high| (high - point[m].max(low)).max(0.0));
            prop_assert!((profile.at(point[0]) - truth).abs() < 1e-9);
        }
    }
}
