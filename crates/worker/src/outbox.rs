//! What the coordinator has not acknowledged yet.
//!
//! Reports carry totals since the start, never differences, and stay in the outbox until acknowledged: a report that is lost,
//! repeated or late changes no sum.

use std::collections::BTreeMap;

use gramwise_carbon::{Energy, Microjoules, Provenance};
use gramwise_meter::{ConsumerId, HostSnapshot};
use gramwise_model::work::{AttemptEnd, AttemptReport, Report, StepReport};
use gramwise_model::{AttemptId, WorkerId};

use crate::tail::Reported;

/// One attempt's untold news.
#[derive(Debug)]
struct Untold {
    attempt: AttemptId,
    /// What it had burnt when its steps were last read.
    read_at: Energy,
    steps: Vec<StepReport>,
    ended: Option<AttemptEnd>,
}

/// All untold news of a worker.
#[derive(Debug)]
pub(crate) struct Outbox {
    worker: WorkerId,
    seq: u64,
    attempts: BTreeMap<ConsumerId, Untold>,
    /// The consumer of `setup`, charged to overhead.
    setup: Option<ConsumerId>,
}

impl Outbox {
    pub(crate) fn new(worker: WorkerId) -> Self {
        Self { worker, seq: 0, attempts: BTreeMap::new(), setup: None }
    }

    pub(crate) fn open(&mut self, consumer: ConsumerId, attempt: AttemptId) {
        let untold = Untold { attempt, read_at: Energy::ZERO, steps: Vec::new(), ended: None };
        self.attempts.insert(consumer, untold);
    }

    pub(crate) fn open_setup(&mut self, consumer: ConsumerId) {
        self.setup = Some(consumer);
    }

    /// Takes in steps that were read together. The energy since the steps before is divided evenly over them: the meter
    /// cannot know where inside it each ended.
    pub(crate) fn add_steps(&mut self, consumer: ConsumerId, steps: Vec<Reported>, snapshot: &HostSnapshot) {
        let Some(untold) = self.attempts.get_mut(&consumer) else { return };
        let now = snapshot.consumers.get(&consumer).copied().unwrap_or(untold.read_at);
        let grown = now.since(&untold.read_at).unwrap_or(Energy::ZERO);
        let count = steps.len() as u64;
        for (index, Reported { step, metrics }) in (1..).zip(steps) {
            let last = untold.steps.last().map_or(0, |last| last.step);
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
        let of = |consumer: &ConsumerId| snapshot.consumers.get(consumer).copied().unwrap_or(Energy::ZERO);
        let attempt = |(consumer, untold): (&ConsumerId, &Untold)| AttemptReport {
            attempt: untold.attempt,
            total: of(consumer),
            steps: untold.steps.clone(),
            ended: untold.ended.clone(),
        };
        Report {
            worker: self.worker.clone(),
            seq: self.seq,
            total: snapshot.total,
            idle: snapshot.idle,
            overhead: snapshot.overhead + self.setup.as_ref().map_or(Energy::ZERO, of),
            other: snapshot.other,
            attempts: self.attempts.iter().map(attempt).collect(),
            leaving,
        }
    }

    /// Forgets what a report told, now that it is safe.
    pub(crate) fn acknowledged(&mut self, report: &Report) {
        for told in &report.attempts {
            let Some(consumer) = self.consumer(told.attempt) else { continue };
            if told.ended.is_some() {
                self.attempts.remove(&consumer);
            } else if let (Some(untold), Some(last)) = (self.attempts.get_mut(&consumer), told.steps.last()) {
                untold.steps.retain(|step| step.step > last.step);
            }
        }
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

    pub(crate) fn consumer(&self, attempt: AttemptId) -> Option<ConsumerId> {
        self.attempts.iter().find(|(_, untold)| untold.attempt == attempt).map(|(consumer, _)| *consumer)
    }
}

/// `index` of `count` equal parts of an amount, each provenance by itself; the last part is the whole.
fn part(whole: Energy, index: u64, count: u64) -> Energy {
    let share = |amount: Microjoules| {
        let product = u128::from(amount.get()) * u128::from(index) / u128::from(count.max(1));
        Microjoules::new(u64::try_from(product).unwrap_or(u64::MAX))
    };
    Energy::new(share(whole.measured), Provenance::Measured)
        + Energy::new(share(whole.modelled), Provenance::Modelled)
        + Energy::new(share(whole.estimated), Provenance::Estimated)
}
