//! Order among vectors of objectives, all minimised.

/// Is `a` at least as good everywhere and better somewhere? Vectors of one length.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x <= y) && a.iter().zip(b).any(|(x, y)| x < y)
}

/// Indices of the points that no other dominates, ascending. Equal points are all kept.
pub fn front(points: &[Vec<f64>]) -> Vec<usize> {
    (0..points.len()).filter(|&i| !points.iter().any(|other| dominates(other, &points[i]))).collect()
}

/// All indices from best to worst: by non-dominated sorting (layer after layer of fronts), inside one layer by the first
/// objective, because whoever names several puts the one that matters most first. Ties keep the given order.
pub fn pareto_order(points: &[Vec<f64>]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..points.len()).collect();
    let by_first = |a: &usize, b: &usize| first(&points[*a]).total_cmp(&first(&points[*b]));
    if points.iter().all(|point| point.len() < 2) {
        left.sort_by(by_first);
        return left;
    }
    let mut ordered = Vec::with_capacity(points.len());
    while !left.is_empty() {
        let mut layer: Vec<usize> = left
            .iter()
            .copied()
            .filter(|&i| !left.iter().any(|&other| dominates(&points[other], &points[i])))
            .collect();
        left.retain(|index| !layer.contains(index));
        layer.sort_by(by_first);
        ordered.extend(layer);
    }
    ordered
}

fn first(point: &[f64]) -> f64 {
    point.first().copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_objective_is_plain_order() {
        let points: Vec<Vec<f64>> = [0.3, 0.1, 0.2, 0.1].iter().map(|&x| vec![x]).collect();
        assert_eq!(pareto_order(&points), [1, 3, 2, 0]);
    }

    #[test]
    fn layers_come_first_and_then_the_first_objective() {
        let points = vec![vec![5.0, 1.0], vec![2.0, 2.0], vec![1.0, 5.0], vec![3.0, 3.0], vec![2.1, 2.1]];
        assert_eq!(front(&points), [0, 1, 2]);
        assert_eq!(pareto_order(&points), [2, 1, 0, 4, 3]);
    }
}
