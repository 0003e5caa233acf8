//! Which sweep a worker serves, where there are several.
//!
//! A worker serves one sweep at a time; it joins the one of the highest priority that its host can serve, of several the one with the
//! fewest workers. A sweep that comes later gets its share as workers are dismissed from the others, one after the other: each
//! finishes the trials it has and then joins anew. No trial is stopped for it.

use std::time::Duration;

use gramwise_model::Timestamp;

use super::dismiss;
use crate::fact::{Dismissal, Fact};
use crate::state::{State, Sweep};

/// A worker that was dismissed is back within this time, unless it still runs trials.
const SETTLING: Duration = Duration::from_secs(5);

/// Dismisses one worker of a sweep that has too many, if another has too few.
pub(super) fn decide_share(state: &State, now: Timestamp) -> Vec<Fact> {
    let mut open = state.sweeps.values().filter(|sweep| sweep.takes_trials());
    if open.by_ref().nth(1).is_none() || now.since(state.shifted_at) < SETTLING {
        return Vec::new();
    }
    let on_its_way = |dismissal| dismissal == Some(Dismissal::Shared);
    if state.workers.values().any(|worker| !worker.gone && on_its_way(worker.dismissed)) {
        return Vec::new();
    }
    let open = state.sweeps.values().filter(|sweep| sweep.takes_trials());
    let counted: Vec<(&Sweep, usize)> = open.map(|sweep| (sweep, state.serving(sweep.id).count())).collect();
    let wants = |donor: &Sweep, has: usize| {
        counted.iter().any(|(other, count)| {
            let above = other.spec.priority > donor.spec.priority;
            let beside = other.spec.priority == donor.spec.priority && count + 1 < has;
            other.id != donor.id && (above || beside)
        })
    };
    // The one with the most to give, of the lowest priority.
    let donors = counted.iter().filter(|(sweep, has)| *has > 0 && wants(sweep, *has));
    let donor = donors.min_by_key(|(sweep, has)| (sweep.spec.priority, std::cmp::Reverse(*has)));
    let idlest = donor.and_then(|(sweep, _)| state.serving(sweep.id).min_by_key(|(_, one)| one.live.len()));
    idlest.map(|worker| dismiss(worker, Dismissal::Shared, now)).into_iter().collect()
}
