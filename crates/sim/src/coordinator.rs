//! The coordinator of a simulated cluster: the real core, a disk, and the promises that it made.

use gramwise_model::rows::Account;
use gramwise_model::work::{Instruction, Report};
use gramwise_model::{AttemptId, SweepId, Timestamp, WorkerId};
use gramwise_search::{
    Command, Dismissal, Fact, Refused, State, SweepPhase, apply, assigned, audit, decide, instructions,
};

use crate::network::{Answer, Process};
use crate::weather::Planted;

/// A point at which the coordinator is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    /// What it decided is lost; nobody was told.
    BeforeWrite,
    /// What it decided is on disk; nobody was told.
    AfterWrite,
}

/// What a reply said is safe.
#[derive(Debug, Clone)]
struct Promise {
    worker: WorkerId,
    through: u64,
    /// Attempts that were told to have ended.
    ended: Vec<AttemptId>,
    /// Steps that were told.
    steps: Vec<(AttemptId, u64)>,
}

/// A reply to a worker, once what it says is written.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer { worker: WorkerId, request: u64, answer: Answer },
    Verdict { report: Box<Report>, instructions: Vec<(AttemptId, Instruction)> },
    Refused { report: Box<Report>, why: Refused },
}

#[derive(Debug)]
pub(crate) struct Coordinator {
    pub(crate) state: State,
    pub(crate) disk: Vec<Fact>,
    pending: Vec<Fact>,
    replies: Vec<(Reply, Process)>,
    promises: Vec<Promise>,
    planted: Option<Planted>,
    /// Reports that were taken in before, for a coordinator that books differences.
    seen: Vec<(WorkerId, u64, Vec<Fact>)>,
    /// Its clock before the true one, in milliseconds.
    ahead: u64,
    /// The last moment it saw.
    last: Timestamp,
    pub(crate) restarts: u64,
}

impl Coordinator {
    pub(crate) fn new(planted: Option<Planted>) -> Self {
        Self {
            state: State::default(),
            disk: Vec::new(),
            pending: Vec::new(),
            replies: Vec::new(),
            promises: Vec::new(),
            planted,
            seen: Vec::new(),
            ahead: 0,
            last: Timestamp(0),
            restarts: 0,
        }
    }

    /// Decides on a command, applies what follows, and walks the invariants. It is on disk with the next commit.
    pub(crate) fn carry_out(
        &mut self,
        command: &Command,
        now: Timestamp,
    ) -> Result<Result<(), Refused>, String> {
        self.last = self.last.max(Timestamp(now.0 + self.ahead));
        let mut facts = match decide(&self.state, command, self.last) {
            Ok(facts) => facts,
            Err(refused) => return Ok(Err(refused)),
        };
        self.plant(command, &mut facts);
        for fact in facts {
            apply(&mut self.state, &fact);
            self.pending.push(fact);
        }
        audit(&self.state).map_err(|fault| format!("at {} ms after {command:?}: {fault}", now.0))?;
        Ok(Ok(()))
    }

    /// Does what a worse coordinator would.
    fn plant(&mut self, command: &Command, facts: &mut Vec<Fact>) {
        match (self.planted, command) {
            (Some(Planted::DropsStrayGrams), Command::Report(_)) => {
                facts.retain(|fact| !matches!(fact, Fact::EmissionBooked { account: Account::Lost, .. }));
            }
            (Some(Planted::BooksDifferences), Command::Report(report)) => {
                let same = |(worker, seq, _): &&(WorkerId, u64, Vec<Fact>)| {
                    *worker == report.worker && *seq == report.seq
                };
                if let Some((_, _, booked)) = self.seen.iter().find(same) {
                    facts.extend(booked.iter().cloned());
                } else {
                    let booked = facts.iter().filter(|fact| matches!(fact, Fact::EmissionBooked { .. }));
                    self.seen.push((report.worker.clone(), report.seq, booked.cloned().collect()));
                }
            }
            _ => {}
        }
    }

    /// Takes a question in; the answer is ready with the next commit.
    pub(crate) fn ask(&mut self, command: &Command, process: Process, now: Timestamp) -> Result<(), String> {
        let Command::Ask { worker, request, .. } = command else { return Ok(()) };
        let refused = self.carry_out(command, now)?.is_err();
        let reply = |answer| Reply::Answer { worker: worker.clone(), request: *request, answer };
        let known = self.state.workers.get(worker);
        let dismissed = known.and_then(|worker| worker.dismissed);
        let sweep = known.and_then(|worker| self.state.sweep(worker.sweep));
        let answer = if refused {
            Answer::Gone
        } else if let Some(assignment) = assigned(&self.state, worker, *request) {
            Answer::Assigned(Box::new(assignment))
        } else if dismissed == Some(Dismissal::Drained) {
            Answer::Drained
        } else if dismissed.is_some() || sweep.is_some_and(|sweep| sweep.phase != SweepPhase::Running) {
            Answer::Ended
        } else {
            Answer::Nothing
        };
        self.replies.push((reply(answer), process));
        Ok(())
    }

    /// Takes a report in; the verdict is ready with the next commit.
    pub(crate) fn report(&mut self, report: Report, process: Process, now: Timestamp) -> Result<(), String> {
        let worker = report.worker.clone();
        let held: Vec<AttemptId> = report.attempts.iter().map(|told| told.attempt).collect();
        if let Err(why) = self.carry_out(&Command::Report(report.clone()), now)? {
            if matches!(why, Refused::Unbalanced { .. } | Refused::TotalFell(_)) {
                return Err(format!("at {} ms: {why}", now.0));
            }
            self.replies.push((Reply::Refused { report: Box::new(report), why }, process));
            return Ok(());
        }
        self.carry_out(&Command::Judge { worker: worker.clone() }, now)?.map_err(|why| why.to_string())?;
        if let (true, Some(known)) = (report.leaving, self.state.workers.get(&worker)) {
            let settle = Command::Settle { sweep: known.sweep };
            self.carry_out(&settle, now)?.map_err(|why| why.to_string())?;
        }
        let instructions = instructions(&self.state, &worker, &held);
        self.replies.push((Reply::Verdict { report: Box::new(report), instructions }, process));
        Ok(())
    }

    /// Writes what was decided, and lets the replies go; or is killed at it.
    pub(crate) fn commit(&mut self, kill: Option<Kill>) -> Vec<(Reply, Process)> {
        let replies = std::mem::take(&mut self.replies);
        if self.planted == Some(Planted::AcknowledgesEarly) {
            self.promise(&replies);
        }
        let facts = std::mem::take(&mut self.pending);
        if kill == Some(Kill::BeforeWrite) {
            return if self.planted == Some(Planted::AcknowledgesEarly) { replies } else { Vec::new() };
        }
        self.disk.extend(facts);
        if kill == Some(Kill::AfterWrite) {
            return Vec::new();
        }
        self.promise(&replies);
        replies
    }

    fn promise(&mut self, replies: &[(Reply, Process)]) {
        for (reply, _) in replies {
            let Reply::Verdict { report, .. } = reply else { continue };
            let through = self.state.workers.get(&report.worker).map_or(0, |worker| worker.acked_through);
            if through < report.seq {
                continue;
            }
            let told = report.attempts.iter();
            self.promises.push(Promise {
                worker: report.worker.clone(),
                through: report.seq,
                ended: told.clone().filter(|told| told.ended.is_some()).map(|told| told.attempt).collect(),
                steps: told.filter_map(|told| Some((told.attempt, told.steps.last()?.step))).collect(),
            });
        }
    }

    /// Starts again from its disk. `was_written` says that all it had decided is there; `stepped` moves its wall clock, in milliseconds.
    pub(crate) fn restart(&mut self, was_written: bool, now: Timestamp, stepped: i64) -> Result<(), String> {
        let mut replayed = State::default();
        for fact in &self.disk {
            apply(&mut replayed, fact);
        }
        if was_written && replayed != self.state {
            return Err("replaying the journal gives another state".to_owned());
        }
        self.state = replayed;
        self.pending.clear();
        self.replies.clear();
        self.restarts += 1;
        // No clock of a new process is behind the journal's last moment.
        let wall = Timestamp(now.0.saturating_add_signed(stepped)).max(self.last);
        self.ahead = wall.0.saturating_sub(now.0);
        self.kept()?;
        let open: Vec<SweepId> = self
            .state
            .sweeps
            .values()
            .filter(|sweep| !matches!(sweep.phase, SweepPhase::Ended { .. }))
            .map(|sweep| sweep.id)
            .collect();
        for sweep in open {
            self.carry_out(&Command::Resume { sweep }, now)?.map_err(|why| why.to_string())?;
        }
        self.commit(None);
        Ok(())
    }

    /// Is everything that was ever acknowledged still known?
    pub(crate) fn kept(&self) -> Result<(), String> {
        for Promise { worker, through, ended, steps } in &self.promises {
            let known = self.state.workers.get(worker).map_or(0, |worker| worker.acked_through);
            if known < *through {
                return Err(format!("report {through} of {worker} was acknowledged, {known} is known"));
            }
            let is_over =
                |id: &AttemptId| self.state.attempt(*id).is_none_or(|(_, _, one)| one.outcome.is_some());
            if let Some(attempt) = ended.iter().find(|id| !is_over(id)) {
                return Err(format!("the end of {attempt} was acknowledged and is not known"));
            }
            for (attempt, step) in steps {
                let Some((sweep, _, known)) = self.state.attempt(*attempt) else { continue };
                let most = (*step).min(sweep.spec.resource.max);
                // What came after its end is no result.
                if known.outcome.is_none() && known.worker == *worker && known.last_step < Some(most) {
                    return Err(format!(
                        "step {step} of {attempt} was acknowledged, {:?} is known",
                        known.last_step
                    ));
                }
            }
        }
        Ok(())
    }
}
