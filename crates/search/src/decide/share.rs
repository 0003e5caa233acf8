//! Which sweep a worker serves, where there are several.
//!
//! A worker serves one sweep at a time; it joins the one of the highest priority that its host can serve, of several the one with the
//! fewest workers. A sweep that comes later gets its share as workers are dismissed from the others, one after the other: each
//! finishes the trials it has and then joins anew. No trial is stopped for it.

use std::time::Duration;

use gramwise_model::Timestamp;

use super::dismiss;
use crate::fact::{Dismissal, Fact};
use crate::state::{State, Sweep, Worker};

/// A worker that was dismissed is back within this time, unless it still runs trials.
const SETTLING: Duration = Duration::from_secs(5);

/// Dismisses one worker of a sweep that has too many, if another has too few.
pub(super) fn decide_share(state: &State, now: Timestamp) -> Vec<Fact> {
    let open: Vec<&Sweep> = state.sweeps.values().filter(|sweep| sweep.takes_trials()).collect();
    if open.len() < 2 || now.since(state.shifted_at) < SETTLING {
        return Vec::new();
    }
    let on_its_way = |dismissal| dismissal == Some(Dismissal::Shared);
    if state.workers.values().any(|worker| !worker.gone && on_its_way(worker.dismissed)) {
        return Vec::new();
    }
    let counted: Vec<(&Sweep, usize)> =
        open.into_iter().map(|sweep| (sweep, state.serving(sweep.id).count())).collect();
    // Has another sweep a better right to one of the workers of this one, and could it use it?
    let wants = |donor: &Sweep, has: usize, worker: &Worker| {
        counted.iter().any(|(other, count)| {
            let above = other.spec.priority > donor.spec.priority;
            let beside = other.spec.priority == donor.spec.priority && count + 1 < has;
            other.id != donor.id && (above || beside) && other.can_use(&worker.host)
        })
    };
    let given = counted.iter().flat_map(|(sweep, has)| {
        let of_use = state.serving(sweep.id).filter(|(_, worker)| wants(sweep, *has, worker));
        of_use.map(|(id, worker)| {
            ((sweep.spec.priority, std::cmp::Reverse(*has), worker.live.len()), id, worker)
        })
    });
    // Of the sweep with the lowest priority and the most to give, the one with the least to finish.
    let given = given.min_by_key(|(rank, ..)| *rank);
    given.map(|(_, id, worker)| dismiss((id, worker), Dismissal::Shared, now)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use gramwise_carbon::CarbonFactors;
    use gramwise_model::work::{Card, Host};
    use gramwise_model::{SweepSpec, WorkerId};

    use super::*;
    use crate::{Command, apply, decide};

    /// A coordinator by hand.
    struct Site {
        state: State,
        now: Timestamp,
    }

    impl Site {
        fn new() -> Self {
            Self { state: State::default(), now: Timestamp(1_000) }
        }

        fn tell(&mut self, command: &Command) {
            for fact in decide(&self.state, command, self.now).expect("nothing is refused") {
                apply(&mut self.state, &fact);
            }
        }

        fn submit(&mut self, more: &str) {
            let yaml = format!(
                "name: s\ncommand: [train, \"${{args}}\"]\nobjectives: [{{name: e, goal: minimize}}]\n\
                 parameters: {{lr: {{min: 0.1, max: 0.9}}}}\nbudget: {{trials: 99}}\nresource: {{name: epoch, max: 9}}\n{more}\n"
            );
            let (spec, _) = SweepSpec::from_yaml(&yaml).expect("a legal sweep");
            let factors = CarbonFactors::yearly(Some("FR"), None).expect("France is in the table");
            let submit =
                Command::Submit { spec: Box::new(spec), factors, earlier: Vec::new(), by: String::new() };
            self.tell(&submit);
        }

        fn join(&mut self, name: &str, gpus: usize) {
            let card = |at: usize| Card { uuid: format!("{name}-{at}"), model: String::new() };
            let host = Host { name: name.to_owned(), gpus: (0..gpus).map(card).collect(), ..Host::default() };
            let ask = Command::Ask {
                worker: WorkerId(name.to_owned()),
                free_gpus: host.gpus.iter().map(|card| card.uuid.clone()).collect(),
                host,
                request: 1,
            };
            self.tell(&ask);
        }

        /// Who is dismissed when some time went by.
        fn dismissed(&mut self) -> Vec<String> {
            self.now = self.now.plus(SETTLING);
            let facts = decide_share(&self.state, self.now);
            let name = |fact: &Fact| match fact {
                Fact::WorkerDismissed { worker, .. } => worker.0.clone(),
                other => panic!("{other:?}"),
            };
            facts.iter().map(name).collect()
        }
    }

    #[test]
    fn a_new_sweep_gets_a_share_and_one_of_higher_priority_all() {
        let mut site = Site::new();
        site.submit("");
        for name in ["a", "b", "c"] {
            site.join(name, 0);
        }
        assert!(site.dismissed().is_empty(), "there is no other");
        site.submit("");
        assert_eq!(decide_share(&site.state, Timestamp(1_001)), [], "what came just now is to show first");
        assert_eq!(site.dismissed(), ["a"]);
        let mut site = Site::new();
        site.submit("");
        site.join("a", 0);
        site.submit("");
        assert!(site.dismissed().is_empty(), "one worker is nobody's to share");
        site.submit("priority: 3");
        assert_eq!(site.dismissed(), ["a"]);
    }

    #[test]
    fn a_worker_that_the_other_sweep_cannot_use_stays() {
        let mut site = Site::new();
        site.submit("");
        site.join("small", 0);
        site.submit("priority: 3\nresources: {gpus: 2}");
        assert!(site.dismissed().is_empty());
        site.join("other", 1);
        site.join("large", 2);
        let serves = |name: &str| site.state.workers[&WorkerId(name.to_owned())].sweep.0;
        assert_eq!((serves("other"), serves("large")), (1, 2), "as they join");
        assert!(site.dismissed().is_empty());
        site.tell(&Command::WorkerGone { worker: WorkerId("large".to_owned()) });
        assert!(site.dismissed().is_empty());
    }
}
