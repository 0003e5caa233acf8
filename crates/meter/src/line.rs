//! One device's line in the books: its gauge, and who used it since the reading before.

use std::time::Duration;

use gramwise_carbon::{Amount, Component, Microjoules, Watts};

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
    /// Who is charged for what it draws when nothing runs, where that is known.
    idle_uses: Uses,
    /// Who had used it at the reading before.
    used: Uses,
    last: Option<Moment>,
    /// What it draws when nothing runs.
    idle: Option<Watts>,
    /// The time since the last good reading.
    unread: Duration,
}

impl Line {
    pub(crate) fn new(component: Component, gauge: Gauge) -> Self {
        Self {
            component,
            gauge,
            uses: Uses::default(),
            idle_uses: Uses::default(),
            used: Uses::default(),
            last: None,
            idle: None,
            unread: Duration::ZERO,
        }
    }

    /// The same, knowing what it draws when nothing runs.
    pub(crate) fn idling_at(self, idle: Option<Watts>) -> Self {
        Self { idle, ..self }
    }

    pub(crate) fn name(&self) -> &str {
        self.gauge.name()
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

    /// Reads it without charging anybody.
    pub(crate) fn measure(&mut self, at: Moment) -> Option<Amount> {
        self.gauge.read(at)
    }

    /// Reads a device that one holder had to itself since the last call, and charges what became known: `holder` for what it does,
    /// `reserved` for what it draws anyway, as far as that is known.
    pub(crate) fn settle_held(
        &mut self,
        at: Moment,
        (holder, reserved): (Bucket, Bucket),
        books: &mut HostSnapshot,
    ) {
        let held = self.passed(at);
        // One more than the time, so that a counter's step in no time at all has a payer too.
        let held = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX).saturating_add(1);
        self.uses.add(holder, held);
        self.idle_uses.add(reserved, held);
        if let Some((idle, active)) = self.read(at) {
            if holder == reserved && self.idle_uses == self.uses {
                books.assign(self.component, idle + active, &self.uses);
            } else {
                books.assign(self.component, idle, &self.idle_uses);
                books.assign(self.component, active, &self.uses);
            }
            self.settled();
        }
    }

    /// Reads a device that all use together and charges what became known, in proportion to the use made of it; what it draws anyway,
    /// as far as that is known, in proportion to what is reserved.
    pub(crate) fn settle_shared(
        &mut self,
        at: Moment,
        (uses, reserved): (&Uses, &Uses),
        books: &mut HostSnapshot,
    ) {
        self.passed(at);
        self.uses.add_all(uses);
        self.idle_uses.add_all(reserved);
        if let Some((idle, active)) = self.read(at) {
            books.share(self.component, idle, &self.idle_uses);
            books.share(self.component, active, &self.uses);
            self.settled();
        }
    }

    /// Reads a device of which several have fixed parts, and charges what became known by part and time.
    pub(crate) fn settle_by_time(
        &mut self,
        at: Moment,
        (parts, reserved): (&Uses, &Uses),
        books: &mut HostSnapshot,
    ) {
        let passed = self.last.map_or(Duration::ZERO, |then| at.since(then));
        let passed = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).saturating_add(1);
        self.settle_shared(at, (&parts.times(passed), &reserved.times(passed)), books);
    }

    /// The time since the last call.
    fn passed(&mut self, at: Moment) -> Duration {
        let passed = self.last.replace(at).map_or(Duration::ZERO, |then| at.since(then));
        self.unread += passed;
        passed
    }

    /// What became known: drawn anyway, and for what it did.
    fn read(&mut self, at: Moment) -> Option<(Amount, Amount)> {
        let amount = self.gauge.read(at)?;
        let anyway = self.idle.map_or(Microjoules::ZERO, |idle| idle.over(self.unread).to_exact());
        Some(amount.split_off(anyway))
    }

    fn settled(&mut self) {
        self.used = std::mem::take(&mut self.uses);
        self.idle_uses = Uses::default();
        self.unread = Duration::ZERO;
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
        line.settle_held(Moment::at(0.0), (Bucket::Idle, Bucket::Idle), &mut books);
        line.settle_held(Moment::at(3.0), (ONE, ONE), &mut books);
        assert_eq!(books, HostSnapshot::default(), "nothing is known yet");
        line.settle_held(Moment::at(4.0), (TWO, TWO), &mut books);
        line.settle_held(Moment::at(5.0), (TWO, TWO), &mut books);
        assert_eq!(books.consumers[&ConsumerId(1)], joules(300.0, Provenance::Modelled));
        let second = joules(100.0, Provenance::Modelled) + joules(100.0, Provenance::Measured);
        assert_eq!(books.consumers[&ConsumerId(2)], second);
        assert!(books.is_balanced());
    }

    #[test]
    fn what_is_drawn_anyway_is_charged_by_what_is_reserved() {
        let idling = |replay: Replay| {
            Line::new(Component::Cpu, Gauge::new(Box::new(replay))).idling_at(Some(Watts::new(40.0)))
        };
        let replay = || Replay::new([counter(0.0), retry(), counter(200.0), counter(230.0)]);
        let (mut line, mut books) = (idling(replay()), HostSnapshot::default());
        let (uses, reserved) = (Uses::from_iter([(ONE, 10)]), Uses::from_iter([(ONE, 1), (Bucket::Idle, 3)]));
        line.settle_shared(Moment::at(0.0), (&Uses::default(), &Uses::default()), &mut books);
        line.settle_shared(Moment::at(1.0), (&uses, &reserved), &mut books);
        line.settle_shared(Moment::at(2.0), (&uses, &reserved), &mut books);
        let part = |books: &HostSnapshot, joules: f64| {
            assert_eq!(books.consumers[&ConsumerId(1)].cpu.total(), Joules::new(joules).to_exact());
            assert!(books.is_balanced());
        };
        part(&books, 120.0 + 20.0);
        // Less than it should draw anyway: all of it is that.
        line.settle_shared(Moment::at(3.0), (&uses, &reserved), &mut books);
        part(&books, 140.0 + 7.5);
        let (mut held, mut books) = (idling(replay()), HostSnapshot::default());
        for second in 0..4 {
            held.settle_held(Moment::at(f64::from(second)), (ONE, Bucket::Idle), &mut books);
        }
        part(&books, 120.0);
    }

    #[test]
    fn shares_over_a_hole_follow_the_use_in_all_of_it() {
        let replay = Replay::new([counter(0.0), retry(), counter(400.0)]);
        let (mut line, mut books) =
            (Line::new(Component::Gpu, Gauge::new(Box::new(replay))), HostSnapshot::default());
        let only = |bucket| Uses::from_iter([(bucket, 10)]);
        line.settle_shared(Moment::at(0.0), (&Uses::default(), &Uses::default()), &mut books);
        line.settle_shared(Moment::at(1.0), (&only(ONE), &Uses::default()), &mut books);
        line.settle_shared(Moment::at(2.0), (&only(Bucket::Other), &Uses::default()), &mut books);
        assert_eq!(books.consumers[&ConsumerId(1)], joules(200.0, Provenance::Modelled));
        assert_eq!(books.other, joules(200.0, Provenance::Modelled));
    }
}
