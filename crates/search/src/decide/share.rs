//! Which sweep a worker serves, where there are several.
//!
//! A worker serves one sweep at a time; it joins the one of the highest priority that its host can serve, of several the one with the
//! fewest workers. A sweep that comes later gets its share as workers are dismissed from the others, and one that is held gives all that
//! others can use: each finishes the trials it has and then joins anew. No trial is stopped for it.

use std::cmp::Reverse;
use std::time::Duration;

use gramwise_model::{Timestamp, WorkerId};

use super::dismiss;
use crate::fact::{Dismissal, Fact};
use crate::state::{State, Sweep, SweepPhase, Worker};

/// A worker that was dismissed is back within this time, unless it still runs trials.
const SETTLING: Duration = Duration::from_secs(5);

/// Dismisses workers of sweeps that have too many, or that are held, as far as others can use their hosts.
pub(super) fn decide_share(state: &State, now: Timestamp) -> Vec<Fact> {
    let running = state.sweeps.values().filter(|sweep| sweep.phase == SweepPhase::Running);
    if running.clone().count() < 2 || now.since(state.shifted_at) < SETTLING {
        return Vec::new();
    }
    let mut shares: Vec<Share<'_>> =
        running.map(|sweep| Share { sweep, workers: state.serving(sweep.id).collect(), coming: 0 }).collect();
    // Those that finish their trials elsewhere first are counted where they will go.
    let on_its_way = |worker: &&Worker| !worker.gone && worker.dismissed == Some(Dismissal::Shared);
    for worker in state.workers.values().filter(on_its_way) {
        let fit = shares.iter_mut().filter(|one| one.sweep.takes_trials() && one.sweep.can_use(&worker.host));
        if let Some(one) = fit.min_by_key(|one| (Reverse(one.sweep.spec.priority), one.count())) {
            one.coming += 1;
        }
    }
    let mut facts = Vec::new();
    while let Some((from, worker, to)) = next_move(&shares) {
        facts.push(dismiss(shares[from].workers.swap_remove(worker), Dismissal::Shared, now));
        shares[to].coming += 1;
    }
    facts
}

/// A sweep with the workers that serve it.
struct Share<'a> {
    sweep: &'a Sweep,
    workers: Vec<(&'a WorkerId, &'a Worker)>,
    /// Those that are to come.
    coming: usize,
}

impl Share<'_> {
    fn count(&self) -> usize {
        self.workers.len() + self.coming
    }
}

/// The next worker to be given: from the sweep of that number its worker of that number, to the sweep of that number. Of the sweeps
/// that can give, the one that is held, or has the lowest priority and the most; of its workers the one with the least to finish.
fn next_move(shares: &[Share<'_>]) -> Option<(usize, usize, usize)> {
    let moves = shares.iter().enumerate().flat_map(|(from, donor)| {
        donor.workers.iter().enumerate().filter_map(move |(at, (_, worker))| {
            let to = wanted_by(shares, donor, worker)?;
            let rank = (
                donor.sweep.takes_trials(),
                donor.sweep.spec.priority,
                Reverse(donor.count()),
                worker.live.len(),
            );
            Some((rank, (from, at, to)))
        })
    });
    moves.min_by_key(|(rank, _)| *rank).map(|(_, one)| one)
}

/// The sweep with the best right to a worker of `donor`, if one has a better right than that and can use its host.
fn wanted_by(shares: &[Share<'_>], donor: &Share<'_>, worker: &Worker) -> Option<usize> {
    let wants = |other: &Share<'_>| {
        let above = !donor.sweep.takes_trials() || other.sweep.spec.priority > donor.sweep.spec.priority;
        let beside =
            other.sweep.spec.priority == donor.sweep.spec.priority && other.count() + 1 < donor.count();
        other.sweep.id != donor.sweep.id
            && other.sweep.takes_trials()
            && (above || beside)
            && other.sweep.can_use(&worker.host)
    };
    let fit = shares.iter().enumerate().filter(|(_, other)| wants(other));
    fit.min_by_key(|(_, other)| (Reverse(other.sweep.spec.priority), other.count())).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use gramwise_model::SweepId;

    use super::*;
    use crate::decide::Site;
    use crate::{Command, apply};

    /// Who is dismissed when some time went by.
    fn dismissed(site: &mut Site) -> Vec<String> {
        site.now = site.now.plus(SETTLING);
        let facts = decide_share(&site.state, site.now);
        let name = |fact: &Fact| match fact {
            Fact::WorkerDismissed { worker, .. } => worker.0.clone(),
            other => panic!("{other:?}"),
        };
        facts.iter().map(name).collect()
    }

    #[test]
    fn a_new_sweep_gets_a_share_and_one_of_higher_priority_all() {
        let mut site = Site::new();
        site.submit("");
        for name in ["a", "b", "c"] {
            site.join(name, 0);
        }
        assert!(dismissed(&mut site).is_empty(), "there is no other");
        site.submit("");
        assert_eq!(decide_share(&site.state, Timestamp(1_001)), [], "what came just now is to show first");
        assert_eq!(dismissed(&mut site), ["a"]);
        let mut site = Site::new();
        site.submit("");
        site.join("a", 0);
        site.submit("");
        assert!(dismissed(&mut site).is_empty(), "one worker is nobody's to share");
        site.submit("priority: 3");
        assert_eq!(dismissed(&mut site), ["a"]);
    }

    #[test]
    fn many_are_given_at_once_and_those_on_their_way_are_counted() {
        let mut site = Site::new();
        site.submit("");
        for name in ["a", "b", "c", "d", "e", "f"] {
            site.join(name, 0);
        }
        site.submit("");
        let given = dismissed(&mut site);
        assert_eq!(given.len(), 3, "{given:?}");
        for fact in decide_share(&site.state, site.now) {
            apply(&mut site.state, &fact);
        }
        assert!(dismissed(&mut site).is_empty(), "they are on their way");
    }

    #[test]
    fn a_sweep_that_is_held_gives_its_workers_to_one_that_can_use_them() {
        let mut site = Site::new();
        site.submit("priority: 5");
        site.join("small", 0);
        site.join("large", 2);
        let held = Command::Hold { sweep: SweepId(1), held: true, by: String::new() };
        site.tell(&held);
        assert!(dismissed(&mut site).is_empty(), "there is no other");
        site.submit("resources: {gpus: 2}");
        assert_eq!(dismissed(&mut site), ["large"]);
    }

    #[test]
    fn a_worker_that_the_other_sweep_cannot_use_stays() {
        let mut site = Site::new();
        site.submit("");
        site.join("small", 0);
        site.submit("priority: 3\nresources: {gpus: 2}");
        assert!(dismissed(&mut site).is_empty());
        site.join("other", 1);
        site.join("large", 2);
        let serves = |name: &str| site.state.workers[&WorkerId(name.to_owned())].sweep.0;
        assert_eq!((serves("other"), serves("large")), (1, 2), "as they join");
        assert!(dismissed(&mut site).is_empty());
        site.tell(&Command::WorkerGone { worker: WorkerId("large".to_owned()) });
        assert!(dismissed(&mut site).is_empty());
    }
}
