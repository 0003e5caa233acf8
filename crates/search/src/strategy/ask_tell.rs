//! The strategy for a caller that asks and tells one thing after another and does not mind waiting for a fit: the engine over
//! stdio, and replays.

use gramwise_model::Config;

use super::{Choice, Fate, Launch, Seen, Strategy, What, Why, Word};

/// A strategy that computes its own fits, between questions.
#[derive(Debug, Clone, PartialEq)]
pub struct AskTell {
    strategy: Strategy,
    /// A new configuration that was given and has not started.
    given: Option<Choice>,
    /// Trials are judged where they run.
    in_place: bool,
    doomed: Vec<Doomed>,
}

/// A trial that was not worth its carbon, and what was expected of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doomed {
    /// Which.
    pub trial: usize,
    /// The probability that it ends better than the best so far.
    pub chance: f64,
    /// The best so far.
    pub best: f64,
    /// It runs to its end all the same, to tell what ending trials costs.
    pub audited: bool,
}

impl AskTell {
    /// Around a strategy.
    pub fn new(strategy: Strategy) -> Self {
        Self { strategy, given: None, in_place: false, doomed: Vec::new() }
    }

    /// Weighs trials at their rungs without a pause, by [`Strategy::judge`].
    #[must_use]
    pub fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }

    /// Trials that were found not to be worth their carbon, in order.
    pub fn doomed(&self) -> &[Doomed] {
        &self.doomed
    }

    /// The strategy.
    pub fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    /// What to do next. A trial that is resumed counts as running from now on. Never [`What::Refit`].
    pub fn ask(&mut self) -> Choice {
        self.fit(false);
        let mut choice = self.strategy.choose(None);
        if choice.what == What::Refit {
            self.fit(true);
            choice = self.strategy.choose(None);
            if choice.what == What::Refit {
                choice.what = What::Done("nothing is expected to gain what its carbon is worth".to_owned());
            }
        }
        match &choice.what {
            What::Resume(trial) => self.strategy.launched(*trial, choice.launch()),
            What::New { .. } => self.given = Some(choice.clone()),
            What::Wait | What::Refit | What::Done(_) => {}
        }
        choice
    }

    fn fit(&mut self, now: bool) {
        for task in self.strategy.fits_due(now) {
            let parameters = task.solve();
            self.strategy.fitted(task.objective, parameters.logs());
        }
    }

    /// A configuration started, which need not be the one that was given. Returns the trial's index.
    pub fn started(&mut self, config: Config) -> usize {
        let trial = self.strategy.started(config);
        let given = self.given.take().map(|choice| choice.launch());
        self.strategy.launched(trial, given.unwrap_or(Launch::unpriced(0, false)));
        trial
    }

    /// A trial reported; what becomes of it. The caller says how it ended by [`AskTell::ended`].
    pub fn report(&mut self, trial: usize, seen: &Seen) -> Word {
        self.strategy.seen(trial, seen);
        if !self.in_place {
            return self.strategy.word(trial);
        }
        self.fit(false);
        let judgement = self.strategy.judge(trial, None);
        if let (Why::Audit(own, _), _) | (Why::Gain(own, _), Word::Stop) = (&judgement.why, judgement.word) {
            let best = self.strategy.best_whole().map_or(f64::INFINITY, |(_, best)| best);
            let audited = matches!(judgement.why, Why::Audit(..));
            self.doomed.push(Doomed { trial, chance: own.chance, best, audited });
        }
        if matches!(judgement.why, Why::Audit(..)) {
            self.strategy.audited(trial);
        }
        if let Some(launch) = judgement.launch {
            self.strategy.launched(trial, launch);
        }
        judgement.word
    }

    /// A trial's run is over.
    pub fn ended(&mut self, trial: usize, fate: Fate) {
        self.strategy.ended(trial, fate);
    }
}
