//! One device's line in the books: its gauge, and who used it since the reading before.

use gramwise_carbon::Component;

use crate::attribution::{Bucket, HostSnapshot, Uses};
use crate::clock::Moment;
use crate::gauge::Gauge;
use crate::handover::{Hole, LineLeft};

/// A gauge with its users.
#[derive(Debug)]
pub(crate) struct Line {
    component: Component,
    gauge: Gauge,
    uses: Uses,
    /// Who had used it at the reading before.
    used: Uses,
    last: Option<Moment>,
}

impl Line {
    pub(crate) fn new(component: Component, gauge: Gauge) -> Self {
        Self { component, gauge, uses: Uses::default(), used: Uses::default(), last: None }
    }

    /// See [`Gauge::integrates`].
    pub(crate) fn integrates(&self) -> bool {
        self.gauge.integrates()
    }

    /// As it would be left to another life of the meter, `place` being its place among those of its name; `None` before the first
    /// reading.
    pub(crate) fn left(&self, place: usize) -> Option<LineLeft> {
        let uses = if self.uses.total() > 0 { &self.uses } else { &self.used };
        let key = self.key(place);
        Some(LineLeft { key, gauge: self.gauge.left()?, uses: uses.clone() })
    }

    /// Is a reading still to come that this bucket has a part in?
    pub(crate) fn owes(&self, bucket: Bucket) -> bool {
        self.uses.iter().any(|(user, _)| user == bucket)
    }

    pub(crate) fn key(&self, place: usize) -> (Component, String, usize) {
        (self.component, self.gauge.name().to_owned(), place)
    }

    /// See [`Gauge::hole`].
    pub(crate) fn hole(&self, left: &LineLeft) -> Hole {
        self.gauge.hole(&left.gauge)
    }

    /// Reads a device that one holder had to itself since the last call, and charges what became known. Idle power included:
    /// hardware that is reserved is paid for.
    pub(crate) fn settle_held(&mut self, at: Moment, holder: Bucket, books: &mut HostSnapshot) {
        let held = self.last.replace(at).map_or(0, |then| at.since(then).as_nanos());
        // One more than the time, so that a counter's step in no time at all has a payer too.
        self.uses.add(holder, u64::try_from(held).unwrap_or(u64::MAX).saturating_add(1));
        if let Some(amount) = self.gauge.read(at) {
            books.assign(self.component, amount, &self.uses);
            self.used = std::mem::take(&mut self.uses);
        }
    }

    /// Reads a device that all use together and charges what became known, in proportion to the use made of it.
    pub(crate) fn settle_shared(&mut self, at: Moment, uses: &Uses, books: &mut HostSnapshot) {
        self.uses.add_all(uses);
        if let Some(amount) = self.gauge.read(at) {
            books.share(self.component, amount, &self.uses);
            self.used = std::mem::take(&mut self.uses);
        }
    }
}

#[cfg(test)]
mod tests {
    use gramwise_carbon::{Energy, Joules, Provenance};

    use super::*;
    use crate::host::ConsumerId;
    use crate::replay::{Replay, counter, retry};

    const ONE: Bucket = Bucket::Consumer(ConsumerId(1));
    const TWO: Bucket = Bucket::Consumer(ConsumerId(2));

    fn joules(amount: f64, provenance: Provenance) -> Energy {
        Energy::new(Component::Gpu, Joules::new(amount).to_exact(), provenance)
    }

    #[test]
    fn a_lease_that_ends_while_nothing_can_be_read_pays_for_its_time() {
        let replay = Replay::new([counter(0.0), retry(), counter(400.0), counter(500.0)]);
        let (mut line, mut books) =
            (Line::new(Component::Gpu, Gauge::new(Box::new(replay))), HostSnapshot::default());
        line.settle_held(Moment::at(0.0), Bucket::Idle, &mut books);
        line.settle_held(Moment::at(3.0), ONE, &mut books);
        assert_eq!(books, HostSnapshot::default(), "nothing is known yet");
        line.settle_held(Moment::at(4.0), TWO, &mut books);
        line.settle_held(Moment::at(5.0), TWO, &mut books);
        assert_eq!(books.consumers[&ConsumerId(1)], joules(300.0, Provenance::Modelled));
        let second = joules(100.0, Provenance::Modelled) + joules(100.0, Provenance::Measured);
        assert_eq!(books.consumers[&ConsumerId(2)], second);
        assert!(books.is_balanced());
    }

    #[test]
    fn shares_over_a_hole_follow_the_use_in_all_of_it() {
        let replay = Replay::new([counter(0.0), retry(), counter(400.0)]);
        let (mut line, mut books) =
            (Line::new(Component::Gpu, Gauge::new(Box::new(replay))), HostSnapshot::default());
        let only = |bucket| Uses::from_iter([(bucket, 10)]);
        line.settle_shared(Moment::at(0.0), &Uses::default(), &mut books);
        line.settle_shared(Moment::at(1.0), &only(ONE), &mut books);
        line.settle_shared(Moment::at(2.0), &only(Bucket::Other), &mut books);
        assert_eq!(books.consumers[&ConsumerId(1)], joules(200.0, Provenance::Modelled));
        assert_eq!(books.other, joules(200.0, Provenance::Modelled));
    }
}
