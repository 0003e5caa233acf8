//! A learning curve: points by step, ascending. A plain list: there are many, and most are short.

use serde::{Deserialize, Serialize};

use crate::state::Step;

/// The points of one trial.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Curve(Vec<(u64, Step)>);

impl Curve {
    /// Puts a point in its place; one of the same step is replaced.
    pub fn insert(&mut self, step: u64, point: Step) {
        match self.0.binary_search_by_key(&step, |(step, _)| *step) {
            Ok(at) => self.0[at].1 = point,
            Err(at) => self.0.insert(at, (step, point)),
        }
    }

    /// Drops the points from a step on.
    pub(crate) fn cut(&mut self, from: u64) {
        self.0.truncate(self.0.partition_point(|(step, _)| *step < from));
    }

    /// Keeps some points only, for good.
    pub(crate) fn condense(&mut self, kept: impl Fn(u64) -> bool) {
        self.0.retain(|(step, _)| kept(*step));
        self.0.shrink_to_fit();
    }

    /// Is there no point?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The points with their steps.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &Step)> {
        self.0.iter().map(|(step, point)| (*step, point))
    }

    /// The points.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.0.iter().map(|(_, point)| point)
    }

    /// The newest point with its step.
    pub fn last(&self) -> Option<(u64, &Step)> {
        self.iter().next_back()
    }

    /// The first point at or after a step.
    pub fn at_or_after(&self, step: u64) -> Option<(u64, &Step)> {
        let at = self.0.partition_point(|(known, _)| *known < step);
        self.0.get(at).map(|(step, point)| (*step, point))
    }

    /// The last point at or before a step.
    pub fn at_or_before(&self, step: u64) -> Option<(u64, &Step)> {
        let at = self.0.partition_point(|(known, _)| *known <= step).checked_sub(1)?;
        self.0.get(at).map(|(step, point)| (*step, point))
    }
}

#[cfg(test)]
mod tests {
    use gramwise_carbon::Footprint;
    use gramwise_model::Metrics;

    use super::*;

    #[test]
    fn points_are_found_by_their_steps() {
        let mut curve = Curve::default();
        assert!(curve.is_empty() && curve.last().is_none() && curve.at_or_before(9).is_none());
        for step in [5, 1, 3, 3] {
            curve.insert(step, Step { metrics: Metrics::new(), footprint: Footprint::default() });
        }
        let steps = |curve: &Curve| curve.iter().map(|(step, _)| step).collect::<Vec<_>>();
        assert_eq!(steps(&curve), [1, 3, 5]);
        let found = |point: Option<(u64, &Step)>| point.map(|(step, _)| step);
        assert_eq!((found(curve.at_or_before(4)), found(curve.at_or_after(4))), (Some(3), Some(5)));
        assert_eq!((found(curve.at_or_before(0)), found(curve.at_or_after(6))), (None, None));
        curve.cut(3);
        assert_eq!(steps(&curve), [1]);
    }
}
