//! Messages on their way: some are lost, some come twice, some late.

use gramwise_model::WorkerId;
use gramwise_model::work::{Assignment, Report};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use crate::coordinator::Reply;
use crate::weather::Weather;

/// A delayed message comes at most so many rounds later.
const LATEST: u64 = 8;

/// What a worker is answered when it asks for a trial.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Assigned(Box<Assignment>),
    Nothing,
    Ended,
    Drained,
    /// It lost its lease.
    Gone,
}

/// A message of one of the two sides. A connection ends with the process that held it: each question names the process, and its reply
/// reaches no other.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Ask(WorkerId, u64, Process),
    Report(Box<Report>, Process),
    Reply(Reply, Process),
}

/// Which process of a worker: one that is killed and goes on is another.
pub(crate) type Process = u64;

/// Messages with the round in which each arrives.
#[derive(Debug, Default)]
pub(crate) struct Network {
    underway: Vec<(u64, Message)>,
}

impl Network {
    pub(crate) fn send(&mut self, message: &Message, round: u64, weather: &Weather, dice: &mut ChaCha8Rng) {
        let mut happens = |probability: f64| probability > 0.0 && dice.random::<f64>() < probability;
        if happens(weather.lost) {
            return;
        }
        let copies = if happens(weather.repeated) { 2 } else { 1 };
        for _ in 0..copies {
            let late = u64::from(happens(weather.delayed));
            self.underway.push((round + late, message.clone()));
        }
        for (due, _) in self.underway.iter_mut().rev().take(copies) {
            if *due > round {
                *due = round + 1 + dice.random_range(0..LATEST);
            }
        }
    }

    /// What arrives now; what was sent first comes first, unless it was delayed.
    pub(crate) fn arrived(&mut self, round: u64, is_meant: impl Fn(&Message) -> bool) -> Vec<Message> {
        let (now, later) = std::mem::take(&mut self.underway)
            .into_iter()
            .partition(|(due, message)| *due <= round && is_meant(message));
        self.underway = later;
        let now: Vec<(u64, Message)> = now;
        now.into_iter().map(|(_, message)| message).collect()
    }
}
