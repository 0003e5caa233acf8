//! Which hyperparameters tell good configurations from the rest.
//!
//! PED-ANOVA (Watanabe, Bansal and Hutter 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
//! Subspaces", equation 12): along one coordinate, the Pearson divergence of the density of the best configurations from that of all
//! that were tried. Dividing by what was tried takes out that a search tries some regions more often. What so few best ones differ by
//! from all by chance alone is subtracted; a coordinate that does not go beyond chance gets zero.

use rand::rngs::ChaCha8Rng;

use rand::SeedableRng;
use rand::seq::SliceRandom;

use crate::Axis;

/// Fewer configurations say nothing.
const FEWEST: usize = 10;
/// The best are one of so many, and four at least.
const ONE_OF: usize = 5;
const FEWEST_BEST: usize = 4;
/// So many configurations say as much as more.
const MOST: usize = 2000;
/// Points of the unit interval at which densities are held against each other.
const GRID: usize = 64;
/// Random choices of best ones, to know what is chance.
const CHANCES: usize = 200;

/// Each coordinate's share of what is told apart; shares sum to one, or are all zero. One row of `points` a configuration, of which the
/// first `ranked` are in order, the best first; the others are worse than the best fifth, in no order. Of more than two thousand, every
/// second, third, ... is looked at. `None` for too few.
pub fn importance(axes: &[Axis], points: &[Vec<f64>], ranked: usize) -> Option<Vec<f64>> {
    let every = points.len().div_ceil(MOST).max(1);
    let points: Vec<&Vec<f64>> = points.iter().step_by(every).collect();
    let best = points.len().div_ceil(ONE_OF).max(FEWEST_BEST).min(ranked / every);
    if points.len() < FEWEST || best < FEWEST_BEST {
        return None;
    }
    let mut order: Vec<usize> = (0..points.len()).collect();
    let mut dice = ChaCha8Rng::seed_from_u64(points.len() as u64);
    let choices: Vec<Vec<usize>> = (0..CHANCES)
        .map(|_| {
            order.shuffle(&mut dice);
            order[..best].to_vec()
        })
        .collect();
    let first: Vec<usize> = (0..best).collect();
    let beyond = |(at, axis): (usize, &Axis)| {
        let values: Vec<f64> = points.iter().map(|point| point[at]).collect();
        let all = densities(*axis, &values, &values);
        let of = |chosen: &[usize]| {
            let picked: Vec<f64> = chosen.iter().map(|at| values[*at]).collect();
            divergence(&all, &densities(*axis, &values, &picked))
        };
        let mut by_chance: Vec<f64> = choices.iter().map(|chosen| of(chosen)).collect();
        by_chance.sort_by(f64::total_cmp);
        let (found, mean) = (of(&first), by_chance.iter().sum::<f64>() / CHANCES as f64);
        // Beyond nineteen of twenty choices at random.
        if found > by_chance[CHANCES * 19 / 20] { found - mean } else { 0.0 }
    };
    let found: Vec<f64> = axes.iter().enumerate().map(beyond).collect();
    let sum: f64 = found.iter().sum();
    Some(if sum > 0.0 { found.iter().map(|one| one / sum).collect() } else { found })
}

/// `∫ p_all (p_chosen / p_all - 1)²` along one coordinate.
fn divergence(all: &[f64], some: &[f64]) -> f64 {
    all.iter().zip(some).filter(|(all, _)| **all > 0.0).map(|(all, some)| (some - all).powi(2) / all).sum()
}

/// How some of all values lie: over a grid, or over the categories that occur.
fn densities(axis: Axis, all: &[f64], some: &[f64]) -> Vec<f64> {
    match axis {
        Axis::Number => density(some),
        Axis::Category => frequencies(all, some),
    }
}

/// Shares of the grid's cells by Gaussian kernels that are mirrored at the ends (Scott's width), with one uniform kernel so that
/// nothing is divided by nothing.
fn density(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let sd = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
    let width = (1.06 * sd * n.powf(-0.2)).max(1.0 / GRID as f64);
    let kernel = |distance: f64| (-0.5 * (distance / width).powi(2)).exp();
    let mut cells = vec![1.0 / GRID as f64; GRID];
    for value in values {
        let heights: Vec<f64> = (0..GRID)
            .map(|cell| {
                let at = (cell as f64 + 0.5) / GRID as f64;
                kernel(at - value) + kernel(at + value) + kernel(2.0 - at - value)
            })
            .collect();
        let sum: f64 = heights.iter().sum();
        cells.iter_mut().zip(&heights).for_each(|(cell, height)| *cell += height / sum.max(1e-300));
    }
    cells.iter().map(|cell| cell / (n + 1.0)).collect()
}

/// Shares of the categories that occur, smoothed.
fn frequencies(all: &[f64], some: &[f64]) -> Vec<f64> {
    let mut names: Vec<f64> = all.to_vec();
    names.sort_by(f64::total_cmp);
    names.dedup();
    let count = |name: &f64| some.iter().filter(|value| value.total_cmp(name).is_eq()).count() as f64;
    let each = 1.0 / names.len() as f64;
    names.iter().map(|name| (count(name) + each) / (some.len() as f64 + 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    /// Points in the order of a loss that depends on the first number most, on the category a little, on the third not at all.
    fn ranked(seed: u64, count: usize) -> Vec<Vec<f64>> {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut points: Vec<Vec<f64>> = (0..count)
            .map(|_| vec![dice.random(), f64::from(dice.random_range(0..3u8)), dice.random()])
            .collect();
        let loss = |point: &[f64]| 4.0 * (point[0] - 0.2).powi(2) + if point[1] > 1.5 { 0.3 } else { 0.0 };
        points.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
        points
    }

    #[test]
    fn what_matters_is_found_and_what_does_not_is_zero() {
        let axes = [Axis::Number, Axis::Category, Axis::Number];
        let (mut right, mut idle) = (0, 0.0);
        for seed in 0..20 {
            let shares = importance(&axes, &ranked(seed, 100), 100).unwrap();
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            right += u32::from(shares[0] > shares[1] && shares[0] > shares[2]);
            idle += shares[2];
        }
        assert!(right >= 19, "{right} of 20 name the first");
        assert!(idle / 20.0 < 0.05, "{idle}");
    }

    #[test]
    fn what_was_given_up_is_not_among_the_best() {
        // One in ten completed. The search drifted along the first number, which does nothing; those given up are in order of time.
        let mut dice = ChaCha8Rng::seed_from_u64(3);
        let tried = |at: u32, dice: &mut ChaCha8Rng| {
            let drifted =
                if at < 100 { dice.random::<f64>() } else { 0.8 + 0.1 * (dice.random::<f64>() - 0.5) };
            vec![drifted, dice.random::<f64>()]
        };
        let all: Vec<Vec<f64>> = (0..400).map(|at| tried(at, &mut dice)).collect();
        let (mut completed, given_up): (Vec<_>, Vec<_>) = all.into_iter().partition(|point| point[1] < 0.1);
        completed.sort_by(|a, b| a[1].total_cmp(&b[1]));
        let ranked = completed.len();
        completed.extend(given_up);
        let shares = importance(&[Axis::Number; 2], &completed, ranked).unwrap();
        assert!(shares[1] > 0.95, "{shares:?}");
    }

    #[test]
    fn what_was_tried_more_often_does_not_matter_for_that() {
        // Half of all were tried in one corner, in no order.
        let mut dice = ChaCha8Rng::seed_from_u64(5);
        let points: Vec<Vec<f64>> =
            (0..100).map(|at| vec![dice.random::<f64>() * if at % 2 == 0 { 0.1 } else { 1.0 }]).collect();
        let found = (0..20).filter(|turn| {
            let mut turned = points.clone();
            turned.rotate_left(turn * 5);
            importance(&[Axis::Number], &turned, 100).unwrap()[0] > 0.0
        });
        assert!(found.count() <= 3);
        assert_eq!(importance(&[Axis::Number], &points[..9], 9), None);
        assert_eq!(importance(&[Axis::Number], &points, 3), None);
    }
}
