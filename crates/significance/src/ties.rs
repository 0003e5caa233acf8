//! The results that cannot be told from the best.
//!
//! An arm is left out where another is better by more than the margin, at a level that is shared out over the arm's comparisons
//! (Bonferroni). The truly best arm is then left out with at most the stated error: it would take one of those comparisons to be wrong. This is
//! selection of a subset that contains the best ("On some multiple decision (selection and ranking) rules", Gupta 1965; with the margin
//! of "Multiple comparisons with the best", Hsu 1981), with t-tests that need no equal variances.

use std::collections::BTreeMap;

use crate::tests_of_two::{Difference, moments, paired_t, welch_t};

/// One configuration's results, each a cost: less is better. By seed or split, so that results of the same can be compared in pairs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Arm {
    /// The results.
    pub results: BTreeMap<u64, f64>,
}

impl Arm {
    /// The mean of the results; not a number without any.
    pub fn mean(&self) -> f64 {
        self.results.values().sum::<f64>() / self.results.len() as f64
    }

    /// Their standard deviation, with one less than their number; `None` for fewer than two.
    pub fn sd(&self) -> Option<f64> {
        let freedom = self.results.len().checked_sub(1).filter(|freedom| *freedom > 0)?;
        let mean = self.mean();
        let squares: f64 = self.results.values().map(|value| (value - mean).powi(2)).sum();
        Some((squares / freedom as f64).sqrt())
    }
}

/// An error that is a smaller share of its estimate is rounding.
const RIGID: f64 = 1e-9;

/// What is left of the arms.
#[derive(Debug, Clone, PartialEq)]
pub struct Ties {
    /// Arms that cannot be told from the best, by their place, the lowest mean first.
    pub members: Vec<usize>,
    /// Of each arm that is left out, the one that is better most surely, and the p-value of that, corrected for all its comparisons.
    pub beaten: BTreeMap<usize, (usize, f64)>,
    /// How the comparisons were made.
    pub by: By,
}

/// How arms were compared. Two arms of which one has no seed that the other has not are compared in pairs of the seeds they share, whatever the
/// others have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// By Student's paired t-test of the seeds that two arms share.
    Pairs,
    /// By Welch's t-test.
    Welch,
    /// By Welch's t-test, and, where an arm has one result, with the variance that the others have on average.
    Pooled,
    /// Not at all: nothing was repeated.
    Nothing,
}

/// The arms that cannot be told from the best. The truly best is one of them with probability `confidence`, if the assumptions of the test
/// hold ([`paired_t`], [`welch_t`]). An arm is left out only where another is better by more than `margin`, the smallest difference that
/// matters. Arms without a finite result are never members.
pub fn ties(arms: &[Arm], margin: f64, confidence: f64) -> Ties {
    let is_known = |arm: &Arm| !arm.results.is_empty() && arm.results.values().all(|value| value.is_finite());
    let known: Vec<usize> = (0..arms.len()).filter(|at| is_known(&arms[*at])).collect();
    let by = how(known.iter().map(|at| &arms[*at]));
    let pooled = pooled(known.iter().map(|at| &arms[*at]));
    let comparisons = known.len().saturating_sub(1).max(1) as f64;
    let mut beaten = BTreeMap::new();
    for worse in &known {
        // Whoever is not better by more than the margin on average beats nobody.
        let least = arms[*worse].mean() - margin;
        let better = known.iter().filter(|better| *better != worse && arms[**better].mean() < least);
        let compared = better.filter_map(|better| {
            let (worse, other) = (&arms[*worse], &arms[*better]);
            let difference = difference(worse, other, by, pooled)?;
            // Where nothing varies, be it that results are rounded, as many signs as there are runs say as much as they can.
            let is_rigid = difference.error <= RIGID * difference.estimate.abs();
            let runs = worse.results.len().min(other.results.len());
            let least = if is_rigid { 0.5f64.powi(i32::try_from(runs).unwrap_or(i32::MAX)) } else { 0.0 };
            Some((*better, (difference.p_above(margin).max(least) * comparisons).min(1.0)))
        });
        if let Some((better, p)) =
            compared.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, p)| *p <= 1.0 - confidence)
        {
            beaten.insert(*worse, (better, p));
        }
    }
    let mut members: Vec<usize> = known.into_iter().filter(|at| !beaten.contains_key(at)).collect();
    members.sort_by(|a, b| arms[*a].mean().total_cmp(&arms[*b].mean()));
    Ties { members, beaten, by }
}

fn how<'a>(arms: impl Iterator<Item = &'a Arm> + Clone) -> By {
    let repeated = arms.clone().filter(|arm| arm.results.len() > 1).count();
    // The one with the most seeds has all of the others', or some are not paired.
    let Some(longest) = arms.clone().max_by_key(|arm| arm.results.len()) else { return By::Nothing };
    let is_paired = arms.clone().all(|arm| arm.results.len() > 1 && shared(arm, longest).is_some());
    match (is_paired, repeated) {
        (_, 0) => By::Nothing,
        (true, _) => By::Pairs,
        (false, _) if repeated == arms.count() => By::Welch,
        (false, _) => By::Pooled,
    }
}

/// The variance within arms, on average, and its degrees of freedom.
fn pooled<'a>(arms: impl Iterator<Item = &'a Arm>) -> Option<(f64, f64)> {
    let (mut squares, mut freedom) = (0.0, 0.0);
    for arm in arms.filter(|arm| arm.results.len() > 1) {
        let results: Vec<f64> = arm.results.values().copied().collect();
        let own = results.len() as f64 - 1.0;
        squares += moments(&results).1 * own;
        freedom += own;
    }
    (freedom > 0.0).then(|| (squares / freedom, freedom))
}

/// The results of two arms at the seeds that they share, if they share two or more and one of them has no others.
fn shared(first: &Arm, second: &Arm) -> Option<(Vec<f64>, Vec<f64>)> {
    let pairs = first.results.iter().filter_map(|(seed, value)| Some((*value, *second.results.get(seed)?)));
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.unzip();
    (a.len() > 1 && a.len() == first.results.len().min(second.results.len())).then_some((a, b))
}

/// How much more the first costs than the second.
fn difference(first: &Arm, second: &Arm, by: By, pooled: Option<(f64, f64)>) -> Option<Difference> {
    let [a, b]: [Vec<f64>; 2] = [first, second].map(|arm| arm.results.values().copied().collect());
    if let Some((a, b)) = shared(first, second) {
        let found = paired_t(&a, &b)?;
        // Differences that are all the same come of results that are rounded: how the results vary by themselves says more.
        if found.error > RIGID * found.estimate.abs() {
            return Some(found);
        }
    }
    match by {
        By::Nothing => None,
        By::Pairs | By::Welch | By::Pooled => welch_t(&a, &b).or_else(|| {
            // Results that are all the same, but for rounding, say nothing of how one result varies.
            let size = first.mean().abs().max(second.mean().abs());
            let (variance, freedom) = pooled.filter(|(variance, _)| variance.sqrt() > 1e-9 * size)?;
            let error = (variance * (1.0 / a.len() as f64 + 1.0 / b.len() as f64)).sqrt();
            Difference::of(first.mean() - second.mean(), error, freedom)
        }),
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// A standard normal draw (Box and Muller).
    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        let (a, b): (f64, f64) = (rng.random(), rng.random());
        (-2.0 * (1.0 - a).ln()).sqrt() * (2.0 * std::f64::consts::PI * b).cos()
    }

    fn arm(results: &[f64]) -> Arm {
        Arm { results: (0..).zip(results.iter().copied()).collect() }
    }

    /// Arms with a known truth: their means are close for some and far for others, their spreads differ, and seeds may be shared.
    struct Truth {
        means: Vec<f64>,
        spreads: Vec<f64>,
        /// The share of the variance that is the seed's.
        shared: f64,
    }

    impl Truth {
        fn draw(rng: &mut ChaCha8Rng) -> Self {
            let arms = rng.random_range(2..=12);
            let close: f64 = rng.random();
            Self {
                means: (0..arms).map(|_| 2.0 * rng.random::<f64>() * close).collect(),
                spreads: (0..arms).map(|_| 0.2 * (1.2 * normal(rng)).exp()).collect(),
                shared: if rng.random() { 0.0 } else { 0.7 },
            }
        }

        fn results(&self, repeated: u64, rng: &mut ChaCha8Rng) -> Vec<Arm> {
            let seeds: Vec<f64> = (0..repeated).map(|_| normal(rng)).collect();
            let mut of = |(mean, spread): (&f64, &f64)| {
                let own = |seed: &f64| {
                    mean + spread * (self.shared.sqrt() * seed + (1.0 - self.shared).sqrt() * normal(rng))
                };
                arm(&seeds.iter().map(own).collect::<Vec<f64>>())
            };
            self.means.iter().zip(&self.spreads).map(&mut of).collect()
        }

        fn best(&self) -> usize {
            (0..self.means.len()).min_by(|a, b| self.means[*a].total_cmp(&self.means[*b])).unwrap()
        }
    }

    #[test]
    fn the_best_is_among_the_ties_and_they_become_fewer_as_more_is_repeated() {
        const CASES: u64 = 10_000;
        for is_paired in [true, false] {
            let mut sizes = Vec::new();
            for repeated in [2, 3, 5, 10, 20] {
                let (mut held, mut size) = (0, 0);
                for case in 0..CASES {
                    let mut rng = ChaCha8Rng::seed_from_u64(case);
                    let truth = Truth::draw(&mut rng);
                    let mut arms = truth.results(repeated, &mut rng);
                    if !is_paired {
                        // Seeds of their own: nothing to pair.
                        for (number, arm) in (0..).zip(&mut arms) {
                            arm.results =
                                arm.results.iter().map(|(seed, it)| (seed + 1000 * number, *it)).collect();
                        }
                    }
                    let found = ties(&arms, 0.0, 0.95);
                    held += u64::from(found.members.contains(&truth.best()));
                    size += found.members.len();
                }
                assert!(
                    held * 100 >= CASES * 95,
                    "{repeated} results an arm, in pairs {is_paired}: {held} of {CASES}"
                );
                sizes.push(size as f64 / CASES as f64);
            }
            assert!(sizes.windows(2).all(|pair| pair[1] < pair[0]), "in pairs {is_paired}: {sizes:?}");
        }
    }

    #[test]
    fn rounded_results_do_not_prove_anything() {
        // Equal arms, whose results are rounded to what they vary by: differences are often all the same.
        let mut lost = 0;
        for case in 0..4000 {
            let mut rng = ChaCha8Rng::seed_from_u64(case);
            let results = |rng: &mut ChaCha8Rng| [normal(rng).round(), normal(rng).round()];
            let arms: Vec<Arm> = (0..3).map(|_| arm(&results(&mut rng))).collect();
            lost += u32::from(!ties(&arms, 0.0, 0.95).members.contains(&0));
        }
        assert!(lost <= 200, "{lost} of 4000");
    }

    #[test]
    fn what_is_better_by_less_than_matters_beats_nobody() {
        let arms = [
            arm(&[0.100, 0.101, 0.099, 0.100]),
            arm(&[0.110, 0.111, 0.109, 0.110]),
            arm(&[0.200, 0.201, 0.199, 0.2]),
        ];
        let found = ties(&arms, 0.0, 0.95);
        assert_eq!((found.members.as_slice(), found.by), ([0].as_slice(), By::Pairs));
        let found = ties(&arms, 0.02, 0.95);
        assert_eq!(found.members, [0, 1]);
        assert!(found.beaten.contains_key(&2));
    }

    #[test]
    fn an_arm_with_one_result_is_held_against_what_others_vary_by() {
        let far = [arm(&[0.10, 0.11, 0.09, 0.10, 0.105]), arm(&[0.2]), arm(&[0.101])];
        let found = ties(&far, 0.0, 0.95);
        assert_eq!((found.members.as_slice(), found.by), ([0, 2].as_slice(), By::Pooled));
        // A beaten one stays beaten where the others have further seeds.
        let mut arms =
            [arm(&[0.10, 0.15, 0.12, 0.11]), arm(&[0.11, 0.16, 0.131]), arm(&[0.10, 0.15, 0.12, 0.11])];
        arms[2].results.insert(9, 0.3);
        let found = ties(&arms[..2], 0.0, 0.95);
        assert_eq!((found.members.as_slice(), found.by), ([0].as_slice(), By::Pairs));
        assert_eq!(ties(&arms, 0.0, 0.9).members, [0, 2], "{arms:?}");
        let same = ties(&[arm(&[0.2, 0.2, 0.2]), arm(&[0.1])], 0.0, 0.95);
        assert_eq!(same.members, [1, 0], "nothing is known of how one result varies");
        let once = ties(&[arm(&[0.1]), arm(&[0.9])], 0.0, 0.95);
        assert_eq!(
            (once.members.len(), once.by),
            (2, By::Nothing),
            "nothing was repeated: nothing is told apart"
        );
        let odd = ties(&[arm(&[f64::NAN, 0.1]), arm(&[]), arm(&[0.3, 0.4])], 0.0, 0.95);
        assert_eq!(odd.members, [2]);
        assert!(ties(&[], 0.0, 0.95).members.is_empty());
    }
}
