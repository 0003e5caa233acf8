//! Dividing an integer amount so that nothing is lost.

/// Splits `total` in proportion to `weights`, by the largest-remainder method (Hamilton): the parts sum to
/// `total` exactly and each is within one unit of its real-valued share. Ties go to the earlier part.
/// `None` where all weights are zero: nobody to charge.
///
/// # Panics
/// Never: a share of a `u64` fits a `u64`.
pub fn split_exactly(total: u64, weights: &[u64]) -> Option<Vec<u64>> {
    let sum: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    if sum == 0 {
        return None;
    }
    let mut parts = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (index, &weight) in weights.iter().enumerate() {
        let product = u128::from(total) * u128::from(weight);
        let part = u64::try_from(product / sum).expect("a share of a u64 fits a u64");
        parts.push(part);
        remainders.push((product % sum, index));
    }
    remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let missing = total - parts.iter().sum::<u64>();
    for (_, index) in remainders.into_iter().take(usize::try_from(missing).unwrap_or(usize::MAX)) {
        parts[index] += 1;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn thirds_of_a_hundred() {
        assert_eq!(split_exactly(100, &[1, 1, 1]), Some(vec![34, 33, 33]));
        assert_eq!(split_exactly(5, &[0, 0]), None);
        assert_eq!(split_exactly(7, &[0, 3]), Some(vec![0, 7]));
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_total_and_stay_near_their_share(
            total in any::<u64>(),
            weights in prop::collection::vec(0u64..=u64::MAX / 16, 1..12),
        ) {
            prop_assume!(weights.iter().any(|&weight| weight > 0));
            let parts = split_exactly(total, &weights).unwrap();
            prop_assert_eq!(parts.iter().map(|&part| u128::from(part)).sum::<u128>(), u128::from(total));
            let sum: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
            for (part, weight) in parts.iter().zip(&weights) {
                let floor = u128::from(total) * u128::from(*weight) / sum;
                prop_assert!(u128::from(*part) == floor || u128::from(*part) == floor + 1);
            }
        }
    }
}
