//! Two samples, and whether their difference is more than chance.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Up to so many differences the signed-rank test counts all signs.
const EXACT: usize = 25;

/// What a test says of a difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The estimated difference, first less second.
    pub estimate: f64,
    /// Its interval of 95 %.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// The test's statistic.
    pub statistic: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// Two-sided p-value.
    pub p: f64,
    /// The estimate's standard error.
    pub error: f64,
}

impl Difference {
    /// Student's t of an estimate.
    pub(crate) fn of(estimate: f64, error: f64, df: f64) -> Option<Self> {
        if !(estimate.is_finite() && error.is_finite() && df >= 1.0) {
            return None;
        }
        let student = StudentsT::new(0.0, 1.0, df).ok()?;
        let statistic = if error > 0.0 { estimate / error } else { estimate.signum() * f64::INFINITY };
        let p = match (error > 0.0, estimate == 0.0) {
            (true, _) => 2.0 * student.cdf(-statistic.abs()),
            // Nothing varies: equal is equal, and different is different.
            (false, is_equal) => f64::from(u8::from(is_equal)),
        };
        let half = student.inverse_cdf(0.975) * error;
        Some(Self { estimate, low: estimate - half, high: estimate + half, statistic, df, p, error })
    }

    /// The probability of a statistic as large as this or larger if the true difference were `least`: one-sided, against "it is `least` or
    /// less".
    pub fn p_above(&self, least: f64) -> f64 {
        let beyond = self.estimate - least;
        if self.error <= 0.0 {
            return if beyond > 0.0 { 0.0 } else { 1.0 };
        }
        StudentsT::new(0.0, 1.0, self.df).map_or(1.0, |student| student.cdf(-beyond / self.error))
    }
}

/// The value that Student's t with so many degrees of freedom exceeds with a probability of one less `probability`; infinite without
/// any degrees of freedom.
pub fn student_quantile(probability: f64, df: f64) -> f64 {
    StudentsT::new(0.0, 1.0, df).map_or(f64::INFINITY, |student| student.inverse_cdf(probability))
}

/// Student's paired t-test ("The probable error of a mean", 1908), for results of the same seeds or splits. Assumes that the differences
/// are independent and near to normal. `None` with fewer than two pairs, or of samples that are not pairs.
pub fn paired_t(first: &[f64], second: &[f64]) -> Option<Difference> {
    let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
    if first.len() != second.len() || differences.len() < 2 {
        return None;
    }
    let (mean, variance) = moments(&differences);
    let count = differences.len() as f64;
    Difference::of(mean, (variance / count).sqrt(), count - 1.0)
}

/// Welch's t-test ("The generalization of Student's problem when several different population variances are involved", 1947), for results
/// without pairs. Assumes that each sample is independent and near to normal; their variances may differ. `None` where one has
/// fewer than two.
pub fn welch_t(first: &[f64], second: &[f64]) -> Option<Difference> {
    if first.len() < 2 || second.len() < 2 {
        return None;
    }
    let ((a, of_a), (b, of_b)) = (moments(first), moments(second));
    let (n, m) = (first.len() as f64, second.len() as f64);
    let (of_a, of_b) = (of_a / n, of_b / m);
    let both = of_a + of_b;
    let df = if both > 0.0 {
        both * both / (of_a * of_a / (n - 1.0) + of_b * of_b / (m - 1.0))
    } else {
        n + m - 2.0
    };
    Difference::of(a - b, both.sqrt(), df)
}

/// Wilcoxon's signed-rank test ("Individual comparisons by ranking methods", 1945): the two-sided p-value of paired samples. Assumes that
/// the differences are independent and symmetric, not that they are normal. Equal pairs are left out. Exact to 25 differences without ties, else by the
/// normal distribution with a correction for ties and for continuity. `None` where no pair differs.
pub fn signed_rank(first: &[f64], second: &[f64]) -> Option<f64> {
    let mut differences: Vec<f64> =
        first.iter().zip(second).map(|(a, b)| a - b).filter(|difference| *difference != 0.0).collect();
    if first.len() != second.len() || differences.is_empty() || differences.iter().any(|one| !one.is_finite())
    {
        return None;
    }
    differences.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let (ranks, ties) = ranks(&differences);
    let above: f64 =
        differences.iter().zip(&ranks).filter(|(one, _)| **one > 0.0).map(|(_, rank)| rank).sum();
    let count = differences.len();
    let all = (count * (count + 1)) as f64 / 2.0;
    let least = above.min(all - above);
    if count <= EXACT && ties.is_empty() {
        return Some((2.0 * exact_below(count, least)).min(1.0));
    }
    let n = count as f64;
    let tied: f64 = ties.iter().map(|size| size * size * size - size).sum();
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - tied / 48.0;
    let z = (least - all / 2.0 + 0.5).min(0.0) / variance.sqrt();
    Some((2.0 * Normal::standard().cdf(z)).min(1.0))
}

/// Ranks of values in order of their size, the mean where several are equal; and how many each such group has.
fn ranks(sorted: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut ranks, mut ties) = (Vec::with_capacity(sorted.len()), Vec::new());
    while ranks.len() < sorted.len() {
        let begin = ranks.len();
        let same = sorted[begin..].iter().take_while(|one| one.abs() <= sorted[begin].abs()).count();
        ranks.extend(std::iter::repeat_n(begin as f64 + f64::midpoint(same as f64, 1.0), same));
        if same > 1 {
            ties.push(same as f64);
        }
    }
    (ranks, ties)
}

/// The probability that the ranks of one sign, of 1 to `count`, sum to no more, where each sign is as likely.
fn exact_below(count: usize, most: f64) -> f64 {
    // How many subsets have each sum.
    let mut ways = vec![1.0];
    for rank in 1..=count {
        ways.resize(ways.len() + rank, 0.0);
        for sum in (rank..ways.len()).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let below: f64 =
        ways.iter().enumerate().take_while(|(sum, _)| *sum as f64 <= most).map(|(_, ways)| ways).sum();
    below / ways.iter().sum::<f64>()
}

/// Mean, and variance with one degree of freedom less than there are values.
pub(crate) fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, squares / (count - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [f64; 5] = [0.231, 0.245, 0.228, 0.239, 0.251];
    const B: [f64; 5] = [0.219, 0.240, 0.221, 0.233, 0.238];

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found} rather than {expected}");
    }

    /// Expected values: scipy 1.17.1, `scipy.stats.ttest_rel`, `ttest_ind(equal_var=False)`, `wilcoxon`.
    #[test]
    fn two_samples_are_told_apart_as_scipy_does() {
        let paired = paired_t(&A, &B).unwrap();
        near(paired.statistic, 5.272_998_319_570_695);
        near(paired.p, 0.006_199_513_733_050_688);
        near(paired.low, 0.004_071_755_070_340_128_5);
        near(paired.high, 0.013_128_244_929_659_874);
        let welch = welch_t(&A, &B).unwrap();
        near(welch.statistic, 1.414_213_562_373_099_8);
        near(welch.df, 7.998_537_766_280_07);
        near(welch.p, 0.195_022_196_033_966_28);
        let unequal = welch_t(&A[..3], &[0.3, 0.41, 0.35, 0.29, 0.52, 0.47]).unwrap();
        near(unequal.p, 0.009_147_077_346_406_3);
        near(unequal.low, -0.252_968_849_154_700_14);
        near(unequal.high, -0.057_697_817_511_966_454);
    }

    #[test]
    fn ranks_are_counted_and_many_are_taken_as_normal() {
        let differences = [0.012, 0.005, 0.007, 0.006, 0.013, -0.002, 0.004, 0.009_5];
        near(signed_rank(&differences, &[0.0; 8]).unwrap(), 0.015_625);
        let many: Vec<f64> =
            (1..=30).filter(|one| *one != 3).map(|one| f64::from(one) * 0.01 - 0.03).collect();
        near(signed_rank(&many, &[0.0; 29]).unwrap(), 4.109_980_029_806_42e-6);
        assert_eq!(signed_rank(&A, &A), None);
        assert_eq!(signed_rank(&[1.0, 2.0, 3.0], &[0.0; 3]), Some(0.25), "three pairs can say no more");
    }

    #[test]
    fn what_does_not_vary_is_equal_or_different_and_too_little_says_nothing() {
        near(paired_t(&[1.0, 1.0], &[1.0, 1.0]).unwrap().p, 1.0);
        let apart = paired_t(&[2.0, 2.0], &[1.0, 1.0]).unwrap();
        for (found, expected) in [(apart.p, 0.0), (apart.p_above(0.5), 0.0), (apart.p_above(1.0), 1.0)] {
            near(found, expected);
        }
        assert!(paired_t(&[1.0], &[2.0]).is_none() && paired_t(&A, &B[..3]).is_none());
        assert!(welch_t(&[1.0], &B).is_none());
        assert!(paired_t(&[f64::NAN, 1.0], &[1.0, 2.0]).is_none());
    }

    #[test]
    fn one_side_is_half_of_two() {
        let paired = paired_t(&A, &B).unwrap();
        near(paired.p_above(0.0), paired.p / 2.0);
        near(paired.p_above(paired.estimate), 0.5);
    }
}
