//! The volume that a set of points dominates.

/// The volume dominated by `points` and bounded by `reference`, all objectives minimised. Exact, by slicing along
/// the last objective (hypervolume by slicing objectives, While et al. 2006); meant for fronts of up to a few
/// hundred points in two to four objectives.
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let inside: Vec<&[f64]> = points
        .iter()
        .map(Vec::as_slice)
        .filter(|point| point.iter().zip(reference).all(|(value, bound)| value < bound))
        .collect();
    sliced(&inside, reference)
}

/// How much the hypervolume grows when `point` joins `points`.
pub fn hypervolume_gain(points: &[Vec<f64>], point: &[f64], reference: &[f64]) -> f64 {
    let mut with: Vec<Vec<f64>> = points.to_vec();
    with.push(point.to_vec());
    (hypervolume(&with, reference) - hypervolume(points, reference)).max(0.0)
}

fn sliced(points: &[&[f64]], reference: &[f64]) -> f64 {
    let last = reference.len() - 1;
    if last == 0 {
        let best = points.iter().map(|point| point[0]).fold(reference[0], f64::min);
        return reference[0] - best;
    }
    let mut order: Vec<&[f64]> = points.to_vec();
    order.sort_by(|a, b| a[last].total_cmp(&b[last]));
    let mut volume = 0.0;
    for (index, point) in order.iter().enumerate() {
        let ceiling = order.get(index + 1).map_or(reference[last], |next| next[last]);
        let height = ceiling - point[last];
        if height > 0.0 {
            let below: Vec<&[f64]> = order[..=index].iter().map(|point| &point[..last]).collect();
            volume += height * sliced(&below, &reference[..last]);
        }
    }
    volume
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn staircases_by_hand() {
        let points = vec![vec![1.0, 3.0], vec![2.0, 2.0], vec![3.0, 1.0]];
        assert!((hypervolume(&points, &[4.0, 4.0]) - 6.0).abs() < 1e-12);
        assert!((hypervolume(&[vec![1.0, 1.0, 1.0]], &[2.0, 3.0, 4.0]) - 6.0).abs() < 1e-12);
        assert!(hypervolume(&[], &[1.0, 1.0]).abs() < 1e-12);
        assert!((hypervolume_gain(&points, &[1.5, 1.5], &[4.0, 4.0]) - 1.25).abs() < 1e-12);
        assert!(hypervolume_gain(&points, &[3.0, 3.0], &[4.0, 4.0]).abs() < 1e-12);
    }

    proptest! {
        /// Counting unit cells of an integer grid is the definition.
        #[test]
        fn agrees_with_counting_cells(points in prop::collection::vec(prop::collection::vec(0u8..6, 3), 0..7)) {
            let floats: Vec<Vec<f64>> =
                points.iter().map(|point| point.iter().map(|&x| f64::from(x)).collect()).collect();
            let mut cells = 0u32;
            for x in 0..6u8 { for y in 0..6u8 { for z in 0..6u8 {
                cells += u32::from(points.iter().any(|p| p[0] <= x && p[1] <= y && p[2] <= z));
            }}}
            prop_assert!((hypervolume(&floats, &[6.0, 6.0, 6.0]) - f64::from(cells)).abs() < 1e-9);
        }
    }
}
