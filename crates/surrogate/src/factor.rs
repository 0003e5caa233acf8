//! A Cholesky factor that grows row by row.

use serde::{Deserialize, Serialize};

/// Right-hand sides solved together: wide enough for the rungs of one learning curve.
pub(crate) const WIDTH: usize = 8;
/// The least pivot, relative to the variance of the row: what rounding leaves of a row that says nothing new.
const LEAST_PIVOT: f64 = 1e-10;

/// The lower triangular `L` of a covariance matrix `K = L Lᵀ`, packed by rows: row `i` has `i + 1` entries.
/// Row `i` depends on the rows before it and on nothing else, so that a factor that grew and one that was built at once
/// from the same rows are equal to the bit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Factor {
    packed: Vec<f64>,
    order: usize,
}

impl Factor {
    /// Row `i`, diagonal last.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        let start = i * (i + 1) / 2;
        &self.packed[start..=start + i]
    }

    /// Appends a row by its covariances with the rows before it and its variance. A variance that the rows before explain
    /// wholly (a repeated observation without noise) gets a small pivot instead of a failure.
    pub(crate) fn push(&mut self, covariances: &[f64], variance: f64) {
        debug_assert_eq!(covariances.len(), self.order);
        let start = self.packed.len();
        self.packed.extend_from_slice(covariances);
        for i in 0..self.order {
            let at = i * (i + 1) / 2;
            let (before, new) = self.packed.split_at_mut(start);
            let sum = dot(&before[at..at + i], &new[..i]);
            new[i] = (new[i] - sum) / before[at + i];
        }
        let row = &self.packed[start..];
        let pivot = (variance - dot(row, row)).max(LEAST_PIVOT * variance).max(f64::MIN_POSITIVE);
        self.packed.push(pivot.sqrt());
        self.order += 1;
    }

    /// Forgets all rows from `order` on.
    pub(crate) fn truncate(&mut self, order: usize) {
        if order < self.order {
            self.packed.truncate(order * (order + 1) / 2);
            self.order = order;
        }
    }

    /// Solves `L V = B` in place for [`WIDTH`] right-hand sides; `b` has one entry a row. Two rows at a time, so that each
    /// solved row is loaded once for both.
    pub(crate) fn solve(&self, b: &mut [[f64; WIDTH]]) {
        debug_assert_eq!(b.len(), self.order);
        let mut i = 0;
        while i + 1 < self.order {
            let (solved, rest) = b.split_at_mut(i);
            let (first, second) = (self.row(i), self.row(i + 1));
            let (mut a, mut c) = ([0.0; WIDTH], [0.0; WIDTH]);
            for ((v, p), q) in solved.iter().zip(first).zip(second) {
                for k in 0..WIDTH {
                    a[k] += p * v[k];
                    c[k] += q * v[k];
                }
            }
            let (one, two) = (1.0 / first[i], 1.0 / second[i + 1]);
            for k in 0..WIDTH {
                rest[0][k] = (rest[0][k] - a[k]) * one;
                rest[1][k] = (rest[1][k] - c[k] - second[i] * rest[0][k]) * two;
            }
            i += 2;
        }
        if i < self.order {
            let (solved, rest) = b.split_at_mut(i);
            let row = self.row(i);
            let mut a = [0.0; WIDTH];
            for (v, p) in solved.iter().zip(row) {
                for k in 0..WIDTH {
                    a[k] += p * v[k];
                }
            }
            for k in 0..WIDTH {
                rest[0][k] = (rest[0][k] - a[k]) / row[i];
            }
        }
    }
}

/// The inner product of the common length, in eight partial sums so that it need not wait for itself.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = {
        let whole = a.len().min(b.len()) / 8 * 8;
        a[whole..].iter().zip(&b[whole..]).map(|(x, y)| x * y).sum()
    };
    let mut sums = [0.0; 8];
    for (x, y) in a8.zip(b8) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Factors a dense symmetric matrix (row-major, order `n`, lower half read) in place to its lower triangle. `false` if it
/// is not positive definite.
pub(crate) fn cholesky(matrix: &mut [f64], n: usize) -> bool {
    for i in 0..n {
        for j in 0..=i {
            let (above, row) = matrix.split_at_mut(i * n);
            let sum = {
                let other = if j < i { &above[j * n..j * n + j] } else { &row[..j] };
                dot(&row[..j], other)
            };
            if i == j {
                let pivot = row[j] - sum;
                if pivot.is_nan() || pivot <= 0.0 {
                    return false;
                }
                row[j] = pivot.sqrt();
            } else {
                row[j] = (row[j] - sum) / above[j * n + j];
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covariance(i: usize, j: usize) -> f64 {
        let distance = i.abs_diff(j) as f64;
        (-0.3 * distance).exp() + if i == j { 0.1 } else { 0.0 }
    }

    fn grown(n: usize) -> Factor {
        let mut factor = Factor::default();
        for i in 0..n {
            let row: Vec<f64> = (0..i).map(|j| covariance(i, j)).collect();
            factor.push(&row, covariance(i, i));
        }
        factor
    }

    #[test]
    fn the_factor_times_itself_is_the_matrix() {
        let factor = grown(37);
        for i in 0..37 {
            for j in 0..=i {
                assert!((dot(factor.row(i), factor.row(j)) - covariance(i, j)).abs() < 1e-12);
            }
        }
        let mut dense: Vec<f64> = (0..37 * 37).map(|at| covariance(at / 37, at % 37)).collect();
        assert!(cholesky(&mut dense, 37));
        assert!((dense[36 * 37 + 20] - factor.row(36)[20]).abs() < 1e-12);
    }

    #[test]
    fn solving_undoes_multiplying() {
        for n in [1, 2, 9, 24] {
            let factor = grown(n);
            let truth: Vec<[f64; WIDTH]> =
                (0..n).map(|i| std::array::from_fn(|k| (i * 3 + k) as f64 - 7.0)).collect();
            let mut b: Vec<[f64; WIDTH]> = (0..n)
                .map(|i| {
                    std::array::from_fn(|k| factor.row(i).iter().zip(&truth).map(|(l, v)| l * v[k]).sum())
                })
                .collect();
            factor.solve(&mut b);
            for (found, expected) in b.iter().flatten().zip(truth.iter().flatten()) {
                assert!((found - expected).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_repeated_row_without_noise_does_no_harm() {
        let mut factor = Factor::default();
        factor.push(&[], 1.0);
        factor.push(&[1.0], 1.0);
        assert!(factor.row(1)[1] > 0.0);
        factor.truncate(1);
        assert_eq!(factor.order, 1);
        assert!(!cholesky(&mut [1.0, 2.0, 2.0, 1.0], 2), "indefinite");
    }
}
