//! Which checkpoints are of no more use.

use gramwise_model::{Keep, TrialId, WorkerId};
use gramwise_surrogate::dominates;

use crate::state::{Attempt, Phase, State, Sweep, Trial};

/// Of trials whose checkpoints a worker has and which it does not run, those that may be discarded, by the sweep's word: what cannot go on
/// and is not among the best, and what another place went on with from there. Trials of other sweeps than the worker's are not named.
pub fn discardable(state: &State, worker: &WorkerId, kept: &[TrialId]) -> Vec<TrialId> {
    let Some(known) = state.workers.get(worker) else { return Vec::new() };
    let Some(sweep) = state.sweep(known.sweep).filter(|sweep| sweep.spec.resource.keep == Keep::Best) else {
        return Vec::new();
    };
    let completed: Vec<Vec<f64>> = sweep.completed().filter_map(|trial| costs(sweep, trial)).collect();
    let is_best = |trial: &Trial| {
        costs(sweep, trial).is_some_and(|own| !completed.iter().any(|other| dominates(other, &own)))
    };
    let is_of_no_use = |trial: &Trial| match trial.phase {
        Phase::Pruned | Phase::Failed { .. } => true,
        // As long as none keeps the constraints, nobody knows which is the best.
        Phase::Completed => !completed.is_empty() && !is_best(trial),
        Phase::Waiting | Phase::Running | Phase::Stopping(_) | Phase::Paused => {
            is_outdated(state, sweep, trial, &known.host.place)
        }
    };
    let trials = kept.iter().filter_map(|id| sweep.trials.get(id));
    trials.filter(|trial| is_of_no_use(trial)).map(|trial| trial.id).collect()
}

/// Was a trial's last step reported from another place than this, which still serves the sweep? Not while it runs here.
fn is_outdated(state: &State, sweep: &Sweep, trial: &Trial, place: &str) -> bool {
    let place_of = |attempt: &Attempt| state.workers.get(&attempt.worker).map(|worker| &worker.host.place);
    let latest = trial.attempts.iter().rev().find(|attempt| attempt.last_step.is_some()).and_then(place_of);
    let runs_here = trial
        .attempts
        .last()
        .is_some_and(|newest| newest.outcome.is_none() && place_of(newest).is_some_and(|of| of == place));
    let serves = |other: &String| state.serving(sweep.id).any(|(_, worker)| worker.host.place == *other);
    !runs_here && latest.is_some_and(|other| other != place && serves(other))
}

/// What a completed trial came to in each objective, if it has all and keeps the constraints.
fn costs(sweep: &Sweep, trial: &Trial) -> Option<Vec<f64>> {
    sweep.spec.costs(&trial.curve.last()?.1.metrics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Site;

    #[test]
    fn the_best_and_what_can_go_on_are_kept() {
        let mut site = Site::new();
        site.submit("retry: {max: 0}");
        let worker = WorkerId("a".to_owned());
        let attempts: Vec<_> = (1..=4).filter_map(|request| site.ask("a", 0, request)).collect();
        let kept: Vec<TrialId> = attempts.iter().map(|attempt| attempt.trial).collect();
        site.end_at("a", attempts[0], 0.5);
        site.end_at("a", attempts[1], 0.3);
        site.end("a", attempts[2], Some("exit code 1"), false);
        assert!(discardable(&site.state, &worker, &kept).is_empty(), "nobody asked for that");
        let sweep = site.state.sweeps.values_mut().next().unwrap();
        sweep.spec.resource.keep = Keep::Best;
        assert_eq!(discardable(&site.state, &worker, &kept), [kept[0], kept[2]]);
        assert_eq!(discardable(&site.state, &worker, &kept[1..2]), []);
        assert_eq!(discardable(&site.state, &WorkerId("stranger".to_owned()), &kept), []);
    }
}
