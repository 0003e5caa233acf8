//! A coordinator by hand, for tests of decisions.

use gramwise_carbon::{CarbonFactors, Energy};
use gramwise_model::work::{AttemptEnd, AttemptReport, Card, EndKind, Host, Report, StepReport};
use gramwise_model::{AttemptId, Metric, SweepSpec, Timestamp, WorkerId};

use crate::{Command, Fact, State, apply, decide};

/// One coordinator, and the time there.
pub(crate) struct Site {
    pub(crate) state: State,
    pub(crate) now: Timestamp,
    /// What trials come to.
    error: f64,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { state: State::default(), now: Timestamp(1_000), error: 0.5 }
    }

    /// Carries out a command that is not refused.
    pub(crate) fn tell(&mut self, command: &Command) -> Vec<Fact> {
        let facts = decide(&self.state, command, self.now).expect("nothing is refused");
        for fact in &facts {
            apply(&mut self.state, fact);
        }
        facts
    }

    /// Submits a sweep of nine epochs; `more` are further keys of its file, such as `budget: {trials: 99}`.
    pub(crate) fn submit(&mut self, more: &str) {
        let budget = if more.contains("budget") { "" } else { "budget: {trials: 99}\n" };
        let yaml = format!(
            "name: s\ncommand: [train, \"${{args}}\"]\nobjectives: [{{name: e, goal: minimize}}]\n\
             parameters: {{lr: {{min: 0.1, max: 0.9}}}}\nresource: {{name: epoch, max: 9}}\n{budget}{more}\n"
        );
        let (spec, _) = SweepSpec::from_yaml(&yaml).expect("a legal sweep");
        let factors = CarbonFactors::yearly(Some("FR"), None).expect("France is in the table");
        let earlier = Vec::new();
        self.tell(&Command::Submit { spec: Box::new(spec), factors, earlier, by: String::new() });
    }

    /// A worker on a host of its own name asks for work; answers what it got.
    pub(crate) fn ask(&mut self, name: &str, gpus: usize, request: u64) -> Option<AttemptId> {
        let card = |at: usize| Card { uuid: format!("{name}-{at}"), model: String::new() };
        let host = name.split('/').next().unwrap_or(name).to_owned();
        let host =
            Host { place: host.clone(), name: host, gpus: (0..gpus).map(card).collect(), ..Host::default() };
        let free_gpus = host.gpus.iter().map(|card| card.uuid.clone()).collect();
        let facts = self.tell(&Command::Ask { worker: WorkerId(name.to_owned()), free_gpus, host, request });
        facts.iter().find_map(|fact| match fact {
            Fact::AttemptLeased { attempt, .. } => Some(*attempt),
            _ => None,
        })
    }

    /// A worker joins, and takes a trial if there is one.
    pub(crate) fn join(&mut self, name: &str, gpus: usize) {
        self.ask(name, gpus, 1);
    }

    /// A worker tells that an attempt reached a step.
    pub(crate) fn step(&mut self, worker: &str, attempt: AttemptId, step: u64) {
        let metrics = [("e".to_owned(), Metric::Finite(self.error))].into();
        let steps = vec![StepReport { step, metrics, total: Energy::ZERO }];
        self.report(worker, AttemptReport { attempt, total: Energy::ZERO, steps, ended: None }, false);
    }

    /// A worker tells the end of an attempt that came to an error.
    pub(crate) fn end_at(&mut self, worker: &str, attempt: AttemptId, error: f64) {
        self.error = error;
        self.end(worker, attempt, None, false);
    }

    /// A worker tells the end of an attempt that went to its last step, or failed with a message; perhaps its own too.
    pub(crate) fn end(
        &mut self,
        worker: &str,
        attempt: AttemptId,
        failed: Option<&str>,
        leaving: bool,
    ) -> Vec<Fact> {
        let step = StepReport {
            step: 9,
            metrics: [("e".to_owned(), Metric::Finite(self.error))].into(),
            total: Energy::ZERO,
        };
        let kind = if failed.is_some() { EndKind::Failure } else { EndKind::Success };
        let ended = Some(AttemptEnd { kind, message: failed.unwrap_or_default().to_owned() });
        let steps = if failed.is_some() { Vec::new() } else { vec![step] };
        self.report(worker, AttemptReport { attempt, total: Energy::ZERO, steps, ended }, leaving)
    }

    fn report(&mut self, worker: &str, told: AttemptReport, leaving: bool) -> Vec<Fact> {
        let worker = WorkerId(worker.to_owned());
        let seq = self.state.workers[&worker].acked_through + 1;
        let attempts = vec![told];
        let (total, idle, overhead, other) = (Energy::ZERO, Energy::ZERO, Energy::ZERO, Energy::ZERO);
        let report = Report { worker: worker.clone(), seq, total, idle, overhead, other, attempts, leaving };
        let mut facts = self.tell(&Command::Report(report));
        let sweep = self.state.workers[&worker].sweep;
        facts.extend(self.tell(&Command::Judge { worker }));
        if leaving {
            facts.extend(self.tell(&Command::Settle { sweep }));
        }
        facts
    }
}
