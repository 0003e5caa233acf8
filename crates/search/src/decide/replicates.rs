//! A sweep that runs configurations of another again: all its trials are known when it begins.

use gramwise_model::{Because, SweepId, SweepSpec, TrialId};

use super::ask::script_seed;
use crate::fact::Fact;
use crate::rng::Purpose;

/// Its trials. What is compared in pairs has one seed.
pub(super) fn proposals(sweep: SweepId, spec: &SweepSpec) -> impl Iterator<Item = Fact> {
    let trials = spec.replicates.iter().flat_map(|replicates| {
        let proposed = move |trial| Some((trial, replicates.original(trial)?));
        (1..=replicates.trials()).map(TrialId).filter_map(proposed)
    });
    trials.map(move |(trial, (original, seed))| Fact::TrialProposed {
        sweep,
        trial,
        config: original.config.clone(),
        seed: script_seed(spec.seed, TrialId(seed), Purpose::Replicate),
        because: Because::Replicates { of: original.trial, seed },
    })
}
