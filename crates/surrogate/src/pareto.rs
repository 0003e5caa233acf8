//! Order among vectors of objectives, all minimised.

/// Is `a` at least as good everywhere and better somewhere? Vectors of one length.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x <= y) && a.iter().zip(b).any(|(x, y)| x < y)
}

/// Indices of the points that no other dominates, ascending. Equal points are all kept.
pub fn front(points: &[Vec<f64>]) -> Vec<usize> {
    (0..points.len()).filter(|&i| !points.iter().any(|other| dominates(other, &points[i]))).collect()
}

/// All indices from best to worst: by non-dominated sorting, inside one front by crowding distance (Deb et al.,
/// NSGA-II, 2002, section III), which with one objective is plain ascending order. Ties keep the given order.
pub fn pareto_order(points: &[Vec<f64>]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..points.len()).collect();
    let mut ordered = Vec::with_capacity(points.len());
    while !left.is_empty() {
        let layer: Vec<usize> = left
            .iter()
            .copied()
            .filter(|&i| !left.iter().any(|&other| dominates(&points[other], &points[i])))
            .collect();
        left.retain(|index| !layer.contains(index));
        let distance = crowding(points, &layer);
        let mut places: Vec<usize> = (0..layer.len()).collect();
        places.sort_by(|&a, &b| distance[b].total_cmp(&distance[a]));
        ordered.extend(places.into_iter().map(|place| layer[place]));
    }
    ordered
}

/// Crowding distance of each member of a layer: the sum over objectives of the gap between its neighbours,
/// as a fraction of the layer's range. Ends of the layer are infinitely far.
fn crowding(points: &[Vec<f64>], layer: &[usize]) -> Vec<f64> {
    let mut distance = vec![0.0; layer.len()];
    let objectives = layer.first().map_or(0, |&index| points[index].len());
    let axes = if objectives < 2 { 0..0 } else { 0..objectives };
    for value in axes.map(|objective| move |place: usize| points[layer[place]][objective]) {
        let mut order: Vec<usize> = (0..layer.len()).collect();
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
        let range = value(order[order.len() - 1]) - value(order[0]);
        distance[order[0]] = f64::INFINITY;
        distance[order[order.len() - 1]] = f64::INFINITY;
        for window in order.windows(3) {
            if range > 0.0 {
                distance[window[1]] += (value(window[2]) - value(window[0])) / range;
            }
        }
    }
    distance
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
    fn layers_come_before_crowding_and_ends_before_the_middle() {
        let points = vec![vec![1.0, 5.0], vec![2.0, 2.0], vec![5.0, 1.0], vec![3.0, 3.0], vec![2.1, 2.1]];
        assert_eq!(front(&points), [0, 1, 2]);
        assert_eq!(pareto_order(&points), [0, 2, 1, 4, 3]);
    }
}
