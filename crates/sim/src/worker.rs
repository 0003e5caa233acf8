//! A worker made of numbers.

use std::collections::BTreeSet;

use gramwise_carbon::{Component, Energy, Microjoules, Provenance};
use gramwise_model::work::{
    Assignment, AttemptEnd, AttemptReport, EndKind, Host, Instruction, Report, StepReport,
};
use gramwise_model::{AttemptId, WorkerId};

use crate::network::Process;
use crate::trial::Training;

/// Idle power of a host, in microjoules per millisecond.
const IDLE_UJ_PER_MS: u64 = 20_000;

/// One life of a worker, as its next life would find it: hardware counters, the trials' files, its journal.
#[derive(Debug, Clone)]
pub(crate) struct SimWorker {
    pub(crate) id: WorkerId,
    pub(crate) host: Host,
    /// The question it waits for an answer to, asked again until one comes.
    pub(crate) request: u64,
    pub(crate) slots: usize,
    seq: u64,
    idle: Energy,
    /// Burnt by attempts that are over and told.
    told: Energy,
    pub(crate) attempts: Vec<SimAttempt>,
    /// All that it ever had: an answer may come when what it gives is over already.
    taken: BTreeSet<AttemptId>,
    /// It takes no more trials, and says goodbye once it has none.
    pub(crate) leaving: bool,
    /// Its goodbye is safe, or nobody knows it.
    pub(crate) over: bool,
    /// Which process of it this is.
    pub(crate) process: Process,
    /// It cannot be reached, and reaches nobody, before this round.
    pub(crate) away_until: u64,
}

/// One running attempt.
#[derive(Debug, Clone)]
pub(crate) struct SimAttempt {
    pub(crate) id: AttemptId,
    training: Training,
    /// Where it began: after the checkpoint of an earlier attempt.
    from: u64,
    step: u64,
    last: u64,
    ms: u64,
    untold: Vec<StepReport>,
    ended: Option<AttemptEnd>,
}

impl SimWorker {
    pub(crate) fn new(name: String, host: &str, slots: usize) -> Self {
        let (id, idle, told) = (WorkerId(name), Energy::ZERO, Energy::ZERO);
        let host = Host { name: host.to_owned(), place: host.to_owned(), ..Host::default() };
        Self {
            id,
            host,
            request: 1,
            slots,
            seq: 0,
            idle,
            told,
            attempts: Vec::new(),
            taken: BTreeSet::new(),
            leaving: false,
            over: false,
            process: 0,
            away_until: 0,
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        let running = self.attempts.iter().filter(|attempt| attempt.ended.is_none()).count();
        !self.leaving && running < self.slots
    }

    /// Takes an assignment; the same one twice is one.
    pub(crate) fn take(&mut self, assignment: &Assignment, checkpoint: u64) {
        self.request += 1;
        if !self.taken.insert(assignment.attempt) {
            return;
        }
        let interrupted = AttemptEnd { kind: EndKind::Interrupted, message: String::new() };
        self.attempts.push(SimAttempt {
            id: assignment.attempt,
            training: Training::of(&assignment.config),
            from: checkpoint,
            step: checkpoint,
            last: assignment.up_to_step,
            ms: 0,
            untold: Vec::new(),
            ended: self.leaving.then_some(interrupted),
        });
    }

    /// Lets time go by.
    pub(crate) fn work(&mut self, ms: u64) {
        self.idle +=
            Energy::new(Component::Memory, Microjoules::new(IDLE_UJ_PER_MS * ms), Provenance::Modelled);
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.ended.is_none()) {
            attempt.ms += ms;
            while attempt.ended.is_none() && attempt.ms >= attempt.training.step_ms {
                attempt.ms -= attempt.training.step_ms;
                attempt.step += 1;
                let total = attempt.total();
                let metrics = attempt.training.metrics(attempt.step);
                attempt.untold.push(StepReport { step: attempt.step, metrics, total });
                if attempt.step >= attempt.last {
                    attempt.end(EndKind::Success, "");
                }
            }
        }
    }

    /// Ends all that runs.
    pub(crate) fn end_all(&mut self, kind: EndKind, message: &str) {
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.ended.is_none()) {
            attempt.end(kind, message);
        }
    }

    /// Ends one that runs, if any does.
    pub(crate) fn fail_one(&mut self, message: &str) {
        if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.ended.is_none()) {
            attempt.end(EndKind::Failure, message);
        }
    }

    /// Everything untold, under the next number.
    pub(crate) fn report(&mut self) -> Report {
        self.seq += 1;
        let attempts: Vec<AttemptReport> = self
            .attempts
            .iter()
            .map(|attempt| AttemptReport {
                attempt: attempt.id,
                total: attempt.total(),
                steps: attempt.untold.clone(),
                ended: attempt.ended.clone(),
            })
            .collect();
        let running = self.attempts.iter().fold(Energy::ZERO, |sum, attempt| sum + attempt.total());
        let runs = self.attempts.iter().any(|attempt| attempt.ended.is_none());
        Report {
            worker: self.id.clone(),
            seq: self.seq,
            total: self.idle + self.told + running,
            idle: self.idle,
            overhead: Energy::ZERO,
            other: Energy::ZERO,
            attempts,
            leaving: self.leaving && !runs,
        }
    }

    /// The report is safe: forget what it told.
    pub(crate) fn acknowledged(&mut self, report: &Report) {
        for told in &report.attempts {
            let Some(index) = self.attempts.iter().position(|attempt| attempt.id == told.attempt) else {
                continue;
            };
            if told.ended.is_some() {
                self.told += self.attempts.remove(index).total();
            } else if let Some(last) = told.steps.last() {
                self.attempts[index].untold.retain(|step| step.step > last.step);
            }
        }
        self.over |= report.leaving;
    }

    /// Does as told.
    pub(crate) fn instructed(&mut self, instructions: &[(AttemptId, Instruction)]) {
        for (id, instruction) in instructions {
            let running =
                self.attempts.iter_mut().find(|attempt| attempt.id == *id && attempt.ended.is_none());
            if let (Some(attempt), Instruction::Stop { .. }) = (running, instruction) {
                attempt.end(EndKind::Stopped, "");
            }
        }
    }
}

impl SimAttempt {
    /// What it burnt since its start.
    fn total(&self) -> Energy {
        self.training.energy(self.step - self.from)
    }

    fn end(&mut self, kind: EndKind, message: &str) {
        self.ended = Some(AttemptEnd { kind, message: message.to_owned() });
    }
}
