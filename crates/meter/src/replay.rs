//! A device that plays a list of answers: what tests make counters do.

use std::collections::VecDeque;

use gramwise_carbon::{Joules, Watts};

use crate::device::{Device, Raw, ReadError};

/// Plays its answers in order, one a reading; after the last it answers [`ReadError::Retry`].
#[derive(Debug, Clone)]
pub(crate) struct Replay {
    name: String,
    answers: VecDeque<Result<Raw, ReadError>>,
    range: Option<u64>,
    max_power: Option<Watts>,
    usual: Watts,
}

impl Replay {
    pub(crate) fn new(answers: impl IntoIterator<Item = Result<Raw, ReadError>>) -> Self {
        Self {
            name: "replay".to_owned(),
            answers: answers.into_iter().collect(),
            range: None,
            max_power: None,
            usual: Watts::new(100.0),
        }
    }

    /// Wraps at so many microjoules.
    pub(crate) fn wrapping(self, range: u64) -> Self {
        Self { range: Some(range), ..self }
    }

    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    pub(crate) fn at_most(self, watts: f64) -> Self {
        Self { max_power: Some(Watts::new(watts)), ..self }
    }

    pub(crate) fn usually(self, watts: f64) -> Self {
        Self { usual: Watts::new(watts), ..self }
    }
}

/// A counter's answer, in joules.
#[expect(clippy::unnecessary_wraps, reason = "an answer like the others")]
pub(crate) fn counter(joules: f64) -> Result<Raw, ReadError> {
    Ok(Raw::Counter(Joules::new(joules).to_exact().get()))
}

/// A power's answer, in watts.
#[expect(clippy::unnecessary_wraps, reason = "an answer like the others")]
pub(crate) fn power(watts: f64) -> Result<Raw, ReadError> {
    Ok(Raw::Power(Watts::new(watts)))
}

/// No answer this time.
pub(crate) fn retry() -> Result<Raw, ReadError> {
    Err(ReadError::Retry("as scripted".to_owned()))
}

/// No answer any more.
pub(crate) fn gone() -> Result<Raw, ReadError> {
    Err(ReadError::Gone("as scripted".to_owned()))
}

impl Device for Replay {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self) -> Result<Raw, ReadError> {
        self.answers.pop_front().unwrap_or_else(retry)
    }

    fn range(&self) -> Option<u64> {
        self.range
    }

    fn max_power(&self) -> Option<Watts> {
        self.max_power
    }

    fn usual_power(&self) -> Watts {
        self.usual
    }
}
