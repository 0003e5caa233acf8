//! Minimising a smooth function of tens of variables.

use crate::factor::dot;

/// Pairs of steps and gradient changes kept (Nocedal and Wright 2006, algorithm 7.4: 3 to 20).
const MEMORY: usize = 8;
/// Sufficient decrease (Nocedal and Wright, equation 3.4).
const ARMIJO: f64 = 1e-4;
const SHRINK: f64 = 0.4;
const TRIALS: usize = 10;

/// Limited-memory BFGS with a backtracking line search (Nocedal and Wright 2006, section 7.2). `f` returns value and
/// gradient; a value that is not finite is a step too far. Ends after `iterations`, or when no step lowers the value.
pub(crate) fn minimize(
    mut f: impl FnMut(&[f64]) -> (f64, Vec<f64>),
    start: &[f64],
    iterations: usize,
) -> Vec<f64> {
    let mut x = start.to_vec();
    let (mut value, mut gradient) = f(&x);
    let mut pairs: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for _ in 0..iterations {
        let mut direction = descent(&gradient, &pairs);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            pairs.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = -dot(&gradient, &gradient);
        }
        // Without curvature yet, a first step of unit length at most.
        let longest = direction.iter().fold(0.0_f64, |most, d| most.max(d.abs()));
        let mut length = if pairs.is_empty() { 1.0_f64.min(0.5 / longest.max(1e-12)) } else { 1.0 };
        let mut found = None;
        for _ in 0..TRIALS {
            let there: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + length * d).collect();
            let (lower, slopes) = f(&there);
            if lower.is_finite() && lower <= value + ARMIJO * length * slope {
                found = Some((there, lower, slopes));
                break;
            }
            length *= SHRINK;
        }
        let Some((there, lower, slopes)) = found else { break };
        let step: Vec<f64> = there.iter().zip(&x).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = slopes.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        if dot(&step, &change) > 1e-10 {
            pairs.push((step, change));
            if pairs.len() > MEMORY {
                pairs.remove(0);
            }
        }
        let gained = value - lower;
        (x, value, gradient) = (there, lower, slopes);
        if gained < 1e-6 * (1.0 + value.abs()) {
            break;
        }
    }
    x
}

/// The two-loop recursion: minus the inverse Hessian's estimate times the gradient.
fn descent(gradient: &[f64], pairs: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let mut weights = Vec::with_capacity(pairs.len());
    for (step, change) in pairs.iter().rev() {
        let weight = dot(step, &q) / dot(step, change);
        q.iter_mut().zip(change).for_each(|(q, y)| *q -= weight * y);
        weights.push(weight);
    }
    if let Some((step, change)) = pairs.last() {
        let scale = dot(step, change) / dot(change, change);
        for entry in &mut q {
            *entry *= scale;
        }
    }
    for ((step, change), weight) in pairs.iter().zip(weights.into_iter().rev()) {
        let back = weight - dot(change, &q) / dot(step, change);
        q.iter_mut().zip(step).for_each(|(q, s)| *q += back * s);
    }
    q.into_iter().map(|entry| -entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rosenbrock_is_minimised() {
        let f = |x: &[f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            (a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
        };
        let x = minimize(f, &[-1.2, 1.0], 200);
        assert!((x[0] - 1.0).abs() < 1e-3 && (x[1] - 1.0).abs() < 2e-3, "{x:?}");
    }

    #[test]
    fn a_wall_of_nan_is_stepped_back_from() {
        let f = |x: &[f64]| if x[0] > 2.0 { (f64::NAN, vec![0.0]) } else { (-x[0], vec![-1.0]) };
        assert!(minimize(f, &[0.0], 50)[0] <= 2.0);
    }
}
