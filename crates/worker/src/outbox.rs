//! What the coordinator has not acknowledged yet.
//!
//! Reports carry totals since the start, never differences, and stay in the outbox until acknowledged: a report that is lost,
//! repeated or late changes no sum.

use std::collections::BTreeMap;

use gramwise_carbon::{Energy, Microjoules};
use gramwise_meter::{ConsumerId, Handover, HostSnapshot};
use gramwise_model::work::{AttemptEnd, AttemptReport, Report, StepReport};
use gramwise_model::{AttemptId, TrialId, WorkerId};

use crate::journal::{Held, Record};
use crate::tail::Reported;

/// Steps of one attempt in one report at most: a message has a limit, and judging must not keep the heartbeat waiting.
const STEPS: usize = 100;

/// One attempt's untold news.
#[derive(Debug, Clone)]
struct Untold {
    attempt: AttemptId,
    /// What it had burnt when its steps were last read.
    read_at: Energy,
    steps: Vec<StepReport>,
    ended: Option<AttemptEnd>,
    /// The last step that is safe.
    safe: u64,
}

/// All untold news of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    worker: WorkerId,
    seq: u64,
    attempts: BTreeMap<ConsumerId, Untold>,
    /// Attempts whose end is acknowledged, with the total that was told. A device that could not be read at the end may answer
    /// later, and then theirs still grows.
    settled: BTreeMap<ConsumerId, (AttemptId, Energy)>,
    /// The consumers of `setup`, charged to overhead.
    setup: Vec<ConsumerId>,
    /// What the host had burnt when it began to serve a sweep.
    before: HostSnapshot,
}

impl Outbox {
    pub(crate) fn new(worker: WorkerId) -> Self {
        Self {
            worker,
            seq: 0,
            attempts: BTreeMap::new(),
            settled: BTreeMap::new(),
            setup: Vec::new(),
            before: HostSnapshot::default(),
        }
    }

    /// The host serves a sweep from here on.
    pub(crate) fn begin(&mut self, now: HostSnapshot) {
        self.before = now;
    }

    pub(crate) fn open(&mut self, consumer: ConsumerId, attempt: AttemptId) {
        let untold = Untold { attempt, read_at: Energy::ZERO, steps: Vec::new(), ended: None, safe: 0 };
        self.attempts.insert(consumer, untold);
    }

    pub(crate) fn open_setup(&mut self, consumer: ConsumerId) {
        self.setup.push(consumer);
    }

    /// Takes in steps that were read together. The energy since the steps before is divided evenly over them: the meter
    /// cannot know where inside it each ended.
    pub(crate) fn add_steps(&mut self, consumer: ConsumerId, steps: Vec<Reported>, snapshot: &HostSnapshot) {
        let Some(untold) = self.attempts.get_mut(&consumer) else { return };
        let now = snapshot.consumers.get(&consumer).copied().unwrap_or(untold.read_at);
        let grown = now.since(&untold.read_at).unwrap_or(Energy::ZERO);
        let count = steps.len() as u64;
        for (index, Reported { step, metrics }) in (1..).zip(steps) {
            let last = untold.steps.last().map_or(untold.safe, |last| last.step);
            let total = untold.read_at + part(grown, index, count);
            if step > last {
                untold.steps.push(StepReport { step, metrics, total });
            } else if let Some(same) = untold.steps.iter_mut().find(|told| told.step == step) {
                // A step reported in several lines, such as one line a metric.
                same.metrics.extend(metrics);
            }
        }
        untold.read_at = now;
    }

    pub(crate) fn end(&mut self, consumer: ConsumerId, end: AttemptEnd) {
        if let Some(untold) = self.attempts.get_mut(&consumer) {
            untold.ended = Some(end);
        }
    }

    /// Everything untold, as of a snapshot, under the next number.
    pub(crate) fn report(&mut self, snapshot: &HostSnapshot, leaving: bool) -> Report {
        self.seq += 1;
        // Whom the meter has forgotten can get no more.
        self.settled.retain(|consumer, _| snapshot.consumers.contains_key(consumer));
        let of = |consumer: &ConsumerId| snapshot.consumers.get(consumer).copied().unwrap_or(Energy::ZERO);
        let attempt = |(consumer, untold): (&ConsumerId, &Untold)| AttemptReport {
            attempt: untold.attempt,
            total: of(consumer),
            steps: untold.steps.iter().take(STEPS).cloned().collect(),
            // An end comes with the last steps.
            ended: untold.ended.clone().filter(|_| untold.steps.len() <= STEPS),
        };
        let late = self.settled.iter().filter(|(consumer, (_, told))| of(consumer) != *told);
        let late = late.map(|(consumer, (id, _))| AttemptReport {
            attempt: *id,
            total: of(consumer),
            steps: Vec::new(),
            ended: None,
        });
        let HostTotals { total, idle, overhead, other } =
            HostTotals::since(snapshot, &self.before, &self.setup);
        Report {
            worker: self.worker.clone(),
            seq: self.seq,
            total,
            idle,
            overhead,
            other,
            attempts: self.attempts.iter().map(attempt).chain(late).collect(),
            leaving,
        }
    }

    /// As an earlier life left it: what it held goes on, and what it had settled can still grow.
    pub(crate) fn restored(record: &Record, held: &[Held], known: &HostSnapshot) -> Self {
        let mut outbox = Self::new(record.worker.clone());
        // Its last report may have been told, or this record's moment under that number: the next has another in any case.
        outbox.seq = record.seq.max(1);
        outbox.setup.clone_from(&record.setup);
        outbox.before = record.before.clone();
        for Held { consumer, assignment, .. } in held {
            let untold = Untold {
                attempt: assignment.attempt,
                read_at: known.consumers.get(consumer).copied().unwrap_or(Energy::ZERO),
                steps: Vec::new(),
                ended: None,
                safe: record.steps.get(consumer).copied().unwrap_or(0),
            };
            outbox.attempts.insert(*consumer, untold);
        }
        let over = record.attempts.iter().filter(|(consumer, _)| !outbox.attempts.contains_key(consumer));
        outbox.settled = over.map(|(consumer, attempt)| (*consumer, (*attempt, Energy::ZERO))).collect();
        outbox
    }

    /// The coordinator knows reports through this number, perhaps of a moment that is not on disk: the next is a later one.
    pub(crate) fn known_through(&mut self, acked: u64) {
        self.seq = self.seq.max(acked);
    }

    /// Totals as of a snapshot under the number of the last report: once that is safe they change nothing.
    pub(crate) fn again(mut self, snapshot: &HostSnapshot) -> Report {
        self.seq -= 1;
        self.report(snapshot, false)
    }

    /// What is to be on disk before the last report leaves.
    pub(crate) fn record(&self, host: &str, left: Handover, (is_set_up, request): (bool, u64)) -> Record {
        let open = self.attempts.iter().map(|(consumer, untold)| (*consumer, untold.attempt));
        let settled = self.settled.iter().map(|(consumer, (attempt, _))| (*consumer, *attempt));
        Record {
            host: host.to_owned(),
            worker: self.worker.clone(),
            seq: self.seq,
            attempts: open.chain(settled).collect(),
            steps: self.attempts.iter().map(|(consumer, untold)| (*consumer, untold.safe)).collect(),
            setup: self.setup.clone(),
            is_set_up,
            request,
            before: self.before.clone(),
            left,
        }
    }

    /// Forgets what a report told, now that it is safe. Answers whose sums are, for the meter to forget them.
    pub(crate) fn acknowledged(&mut self, report: &Report) -> Vec<(ConsumerId, Energy)> {
        let mut safe = Vec::new();
        for told in &report.attempts {
            if let Some((consumer, (_, total))) =
                self.settled.iter_mut().find(|(_, (id, _))| *id == told.attempt)
            {
                *total = told.total;
                safe.push((*consumer, told.total));
            }
            let Some(consumer) = self.consumer(told.attempt) else { continue };
            if told.ended.is_some() {
                self.attempts.remove(&consumer);
                self.settled.insert(consumer, (told.attempt, told.total));
                safe.push((consumer, told.total));
            } else if let (Some(untold), Some(last)) = (self.attempts.get_mut(&consumer), told.steps.last()) {
                untold.safe = untold.safe.max(last.step);
                untold.steps.retain(|step| step.step > last.step);
            }
        }
        safe
    }

    /// Does everything untold fit into one report?
    pub(crate) fn fits(&self) -> bool {
        self.attempts.values().all(|untold| untold.steps.len() <= STEPS)
    }

    /// Is there anything but totals to tell?
    pub(crate) fn has_news(&self) -> bool {
        self.attempts.values().any(|untold| !untold.steps.is_empty() || untold.ended.is_some())
    }

    /// Attempts whose end is not acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.attempts.len()
    }

    /// Is the end of this attempt still to be acknowledged?
    pub(crate) fn holds(&self, consumer: ConsumerId) -> bool {
        self.attempts.contains_key(&consumer)
    }

    /// The attempt of a consumer whose end is not acknowledged.
    pub(crate) fn attempt(&self, consumer: ConsumerId) -> Option<AttemptId> {
        self.attempts.get(&consumer).map(|untold| untold.attempt)
    }

    /// Is an attempt of a trial here whose end is not told?
    pub(crate) fn runs(&self, trial: TrialId) -> bool {
        self.attempts.values().any(|untold| untold.attempt.trial == trial && untold.ended.is_none())
    }

    pub(crate) fn consumer(&self, attempt: AttemptId) -> Option<ConsumerId> {
        self.attempts.iter().find(|(_, untold)| untold.attempt == attempt).map(|(consumer, _)| *consumer)
    }
}

/// What a host burnt since it began to serve a sweep.
pub(crate) struct HostTotals {
    pub(crate) total: Energy,
    pub(crate) idle: Energy,
    pub(crate) overhead: Energy,
    pub(crate) other: Energy,
}

impl HostTotals {
    /// `before` is an earlier snapshot of the same meter, without consumers; those of `setup` are charged to overhead.
    pub(crate) fn since(now: &HostSnapshot, before: &HostSnapshot, setup: &[ConsumerId]) -> Self {
        let setup = setup.iter().filter_map(|consumer| now.consumers.get(consumer));
        let setup = setup.fold(Energy::ZERO, |sum, energy| sum + *energy);
        let grown = |now: Energy, before: Energy| now.since(&before).unwrap_or_default();
        Self {
            total: grown(now.total, before.total),
            idle: grown(now.idle, before.idle),
            overhead: grown(now.overhead, before.overhead) + setup,
            other: grown(now.other, before.other),
        }
    }
}

/// `index` of `count` equal parts of an amount, each component and provenance by itself; the last part is the whole.
fn part(whole: Energy, index: u64, count: u64) -> Energy {
    let share = |amount: Microjoules| {
        let product = u128::from(amount.get()) * u128::from(index) / u128::from(count.max(1));
        Microjoules::new(u64::try_from(product).unwrap_or(u64::MAX))
    };
    whole.map(|part| part.map(share))
}

#[cfg(test)]
mod tests {
    use gramwise_carbon::{Component, Provenance};
    use gramwise_model::work::EndKind;
    use gramwise_model::{Metric, Metrics, SweepId, TrialId};

    use super::*;

    fn energy(uj: u64) -> Energy {
        Energy::new(Component::Gpu, Microjoules::new(uj), Provenance::Measured)
    }

    fn snapshot(uj: u64) -> HostSnapshot {
        let consumers = [(ConsumerId(1), energy(uj))].into();
        HostSnapshot { total: energy(uj), consumers, ..HostSnapshot::default() }
    }

    fn step(step: u64) -> Reported {
        let metrics: Metrics = [("loss".to_owned(), Metric::Finite(1.0 / step as f64))].into();
        Reported { step, metrics }
    }

    fn attempt() -> AttemptId {
        AttemptId { sweep: SweepId(1), trial: TrialId(1), number: 1 }
    }

    fn outbox() -> Outbox {
        let mut outbox = Outbox::new(WorkerId("host-1".to_owned()));
        outbox.open(ConsumerId(1), attempt());
        outbox
    }

    #[test]
    fn what_is_not_acknowledged_is_told_again_with_a_new_number() {
        let mut outbox = outbox();
        outbox.add_steps(ConsumerId(1), vec![step(1), step(2)], &snapshot(1001));
        let first = outbox.report(&snapshot(1100), false);
        let second = outbox.report(&snapshot(1200), false);
        assert_eq!((first.seq, second.seq), (1, 2));
        assert_eq!(second.attempts[0].steps, first.attempts[0].steps);
        assert_eq!(first.attempts[0].steps[0].total, energy(500));
        assert_eq!(first.attempts[0].steps[1].total, energy(1001));
        outbox.add_steps(ConsumerId(1), vec![step(3)], &snapshot(1300));
        outbox.acknowledged(&second);
        assert_eq!(outbox.report(&snapshot(1300), false).attempts[0].steps.len(), 1);
        assert!(outbox.has_news());
    }

    #[test]
    fn many_steps_are_told_in_parts_and_the_end_with_the_last() {
        let mut outbox = outbox();
        outbox.add_steps(ConsumerId(1), (1..=250).map(step).collect(), &snapshot(10));
        outbox.end(ConsumerId(1), AttemptEnd { kind: EndKind::Success, message: String::new() });
        let mut told = Vec::new();
        for parts_left in [2, 1, 0] {
            assert_eq!(outbox.fits(), parts_left == 0);
            let report = outbox.report(&snapshot(10), false);
            assert_eq!(report.attempts[0].ended.is_some(), parts_left == 0);
            told.extend(report.attempts[0].steps.iter().map(|step| step.step));
            outbox.acknowledged(&report);
        }
        assert_eq!(told, (1..=250).collect::<Vec<u64>>());
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn a_step_told_in_two_lines_is_one_step_and_one_that_goes_back_is_none() {
        let mut outbox = outbox();
        let more = Reported { step: 2, metrics: [("accuracy".to_owned(), Metric::Diverged)].into() };
        outbox.add_steps(ConsumerId(1), vec![step(2), more, step(1)], &snapshot(10));
        let report = outbox.report(&snapshot(10), false);
        let steps = &report.attempts[0].steps;
        assert_eq!((steps.len(), steps[0].step, steps[0].metrics.len()), (1, 2, 2));
    }

    #[test]
    fn energy_that_comes_after_the_end_is_told_until_it_is_safe() {
        let mut outbox = outbox();
        outbox.end(ConsumerId(1), AttemptEnd { kind: EndKind::Success, message: String::new() });
        let end = outbox.report(&snapshot(100), false);
        assert_eq!(outbox.acknowledged(&end), [(ConsumerId(1), energy(100))]);
        assert_eq!(outbox.len(), 0);
        assert!(outbox.report(&snapshot(100), false).attempts.is_empty());
        let late = outbox.report(&snapshot(150), false);
        assert_eq!((late.attempts[0].attempt, late.attempts[0].total), (attempt(), energy(150)));
        assert_eq!(outbox.acknowledged(&late), [(ConsumerId(1), energy(150))]);
        assert!(outbox.report(&snapshot(150), false).attempts.is_empty());
        // The meter has forgotten it.
        let forgotten =
            HostSnapshot { total: energy(150), forgotten: energy(150), ..HostSnapshot::default() };
        assert!(outbox.report(&forgotten, false).attempts.is_empty());
    }
}
