//! A worker's graphics cards: who holds which, and which are left alone for now.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gramwise_meter::{ConsumerId, Gpu, MeterHandle};

/// Cards that could not be used are looked at again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// The cards.
#[derive(Debug, Default)]
pub(crate) struct Cards {
    /// By who holds them.
    leased: BTreeMap<ConsumerId, Vec<String>>,
    /// Those that are left alone, and why.
    left_alone: BTreeMap<String, String>,
    /// Before then nothing is looked at.
    next_look: Option<Instant>,
}

impl Cards {
    /// An attempt holds its cards until its end is acknowledged: the coordinator must never see one card with two holders.
    pub(crate) fn lease(&mut self, consumer: ConsumerId, gpus: Vec<String>) {
        self.leased.insert(consumer, gpus);
    }

    /// Gives back what is no longer held; answers who held it.
    pub(crate) fn keep(&mut self, holds: impl Fn(ConsumerId) -> bool) -> Vec<ConsumerId> {
        let over: Vec<ConsumerId> =
            self.leased.keys().filter(|consumer| !holds(**consumer)).copied().collect();
        for consumer in &over {
            self.leased.remove(consumer);
        }
        over
    }

    /// Who ever held any.
    pub(crate) fn holders(&self) -> impl Iterator<Item = ConsumerId> {
        self.leased.keys().copied()
    }

    /// Those of a worker's cards that nobody holds.
    pub(crate) fn free(&self, gpus: &[Gpu]) -> Vec<String> {
        let is_leased = |uuid: &String| self.leased.values().flatten().any(|leased| leased == uuid);
        gpus.iter().map(|gpu| gpu.uuid.clone()).filter(|uuid| !is_leased(uuid)).collect()
    }

    /// Those of free cards that a trial can be started on, where there are at least so many; `None` where there are not, or it is too early
    /// to look again. What is left alone is told once.
    pub(crate) async fn usable(
        &mut self,
        mut free: Vec<String>,
        least: usize,
        meter: &MeterHandle,
    ) -> Option<Vec<String>> {
        if free.len() < least || self.next_look.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        if free.is_empty() {
            return Some(free);
        }
        let (reply, answer) = tokio::sync::oneshot::channel();
        meter.obstacles(move |found| drop(reply.send(found)));
        // A meter that is gone is noticed by the next snapshot.
        self.note(&free, answer.await.unwrap_or_default());
        free.retain(|uuid| !self.left_alone.contains_key(uuid));
        let is_enough = free.len() >= least;
        self.next_look = (!is_enough).then(|| Instant::now() + AGAIN);
        is_enough.then_some(free)
    }

    fn note(&mut self, looked_at: &[String], found: BTreeMap<String, String>) {
        for uuid in looked_at {
            match (self.left_alone.contains_key(uuid), found.get(uuid)) {
                (false, Some(why)) => tracing::warn!(
                    "{uuid} is left alone: {why}\nhint: it is used once that is over; with --use-busy-gpus it is used at once"
                ),
                (true, None) => tracing::warn!("{uuid} is free again"),
                (true, Some(_)) | (false, None) => {}
            }
        }
        self.left_alone = found;
    }
}
