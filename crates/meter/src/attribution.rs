//! Who is charged for an interval's energy. Every microjoule goes to exactly one bucket.

use std::collections::BTreeMap;
use std::time::Duration;

use gramwise_carbon::{Amount, Component, Energy, Microjoules, Provenance, split_exactly};

use serde::{Deserialize, Serialize};

use crate::host::ConsumerId;

/// What a host burnt since its meter started, and who burnt it. `total` is the sum of all other amounts, exactly, and no amount
/// ever falls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostSnapshot {
    /// The moment, on the boot clock (which goes on through suspend).
    pub at: Duration,
    /// Everything.
    pub total: Energy,
    /// Devices waiting: unleased GPUs, memory nobody uses.
    pub idle: Energy,
    /// gramwise itself.
    pub overhead: Energy,
    /// Other users of the host, where a whole-host counter shows them.
    pub other: Energy,
    /// Each consumer since it was opened, closed ones included. What a device that could not be read at the close counted before
    /// it comes in with that device's next reading: a closed consumer's sum may still grow then.
    pub consumers: BTreeMap<ConsumerId, Energy>,
    /// Closed consumers that are no longer kept apart: the keeper of their sums said that it has them.
    pub forgotten: Energy,
}

/// One of the places that energy goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bucket {
    Idle,
    Overhead,
    Other,
    Consumer(ConsumerId),
}

/// Who used a device since its last good reading, and how much: a failed reading adds to it, so that the reading which covers
/// the hole is split over all who had a part in it. A lease that ended in the hole still pays for its part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(Bucket, u64)>", into = "Vec<(Bucket, u64)>")]
pub(crate) struct Uses(BTreeMap<Bucket, u64>);

impl HostSnapshot {
    /// Adds what was charged since.
    pub(crate) fn absorb(&mut self, delta: &Self) {
        let Self { at: _, total, idle, overhead, other, consumers, forgotten } = delta;
        self.total += *total;
        self.idle += *idle;
        self.overhead += *overhead;
        self.other += *other;
        self.forgotten += *forgotten;
        for (consumer, energy) in consumers {
            *self.consumers.entry(*consumer).or_default() += *energy;
        }
    }

    /// The same with what is idle spread over its consumers, in proportion to what each burnt. Without any, it stays idle.
    pub(crate) fn amortised(mut self) -> Self {
        let burnt = self
            .consumers
            .iter()
            .map(|(consumer, energy)| (Bucket::Consumer(*consumer), energy.total().get()));
        let uses: Uses = burnt.collect();
        if uses.total() == 0 {
            return self;
        }
        let idle = std::mem::take(&mut self.idle);
        self.total = self.total.since(&idle).expect("what is idle is a part of all");
        for component in Component::ALL {
            self.share(component, *idle.part(component), &uses);
        }
        self
    }

    /// Charges all of a component's amount to one bucket.
    pub(crate) fn charge(&mut self, component: Component, bucket: Bucket, amount: Amount) {
        let energy = Energy::of(component, amount);
        self.total += energy;
        *match bucket {
            Bucket::Idle => &mut self.idle,
            Bucket::Overhead => &mut self.overhead,
            Bucket::Other => &mut self.other,
            Bucket::Consumer(consumer) => self.consumers.entry(consumer).or_default(),
        } += energy;
    }

    /// Splits an amount over its users in proportion, by largest remainder. A share of a measured amount is modelled; shares of
    /// estimates stay estimates. All of it is idle, as it was obtained, where nobody used anything.
    pub(crate) fn share(&mut self, component: Component, amount: Amount, uses: &Uses) {
        let weights: Vec<u64> = uses.0.values().copied().collect();
        let known = amount.measured + amount.modelled;
        let parts = split_exactly(known.get(), &weights).zip(split_exactly(amount.estimated.get(), &weights));
        let Some((known, estimated)) = parts else { return self.charge(component, Bucket::Idle, amount) };
        for ((bucket, known), estimated) in uses.0.keys().zip(known).zip(estimated) {
            let share = Amount::new(Microjoules::new(known), Provenance::Modelled)
                + Amount::new(Microjoules::new(estimated), Provenance::Estimated);
            self.charge(component, *bucket, share);
        }
    }

    /// As [`HostSnapshot::share`], for a device that one user has to itself at any time: where it was the same one throughout, the
    /// amount is that user's as it was obtained.
    pub(crate) fn assign(&mut self, component: Component, amount: Amount, uses: &Uses) {
        let mut users = uses.0.iter().filter(|(_, use_)| **use_ > 0).map(|(bucket, _)| *bucket);
        match (users.next(), users.next()) {
            (Some(only), None) => self.charge(component, only, amount),
            (Some(_) | None, Some(_) | None) => self.share(component, amount, uses),
        }
    }

    /// Do the parts make up the total?
    pub fn is_balanced(&self) -> bool {
        let parts = self.idle + self.overhead + self.other + self.forgotten;
        self.consumers.values().fold(parts, |sum, one| sum + *one) == self.total
    }
}

impl Uses {
    /// Adds to what somebody used, in whatever unit this device is shared by.
    pub(crate) fn add(&mut self, bucket: Bucket, amount: u64) {
        let sum = self.0.entry(bucket).or_default();
        *sum = sum.saturating_add(amount);
    }

    /// Adds all of other uses.
    pub(crate) fn add_all(&mut self, others: &Self) {
        for (bucket, amount) in &others.0 {
            self.add(*bucket, *amount);
        }
    }

    /// All users and what they used.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Bucket, u64)> {
        self.0.iter().map(|(bucket, amount)| (*bucket, *amount))
    }

    /// The sum over all users.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().fold(0, |sum, amount| sum.saturating_add(*amount))
    }

    /// All with each amount multiplied.
    pub(crate) fn times(&self, factor: u64) -> Self {
        Self(self.0.iter().map(|(bucket, amount)| (*bucket, amount.saturating_mul(factor))).collect())
    }
}

impl From<Vec<(Bucket, u64)>> for Uses {
    fn from(list: Vec<(Bucket, u64)>) -> Self {
        list.into_iter().collect()
    }
}

impl From<Uses> for Vec<(Bucket, u64)> {
    fn from(uses: Uses) -> Self {
        uses.iter().collect()
    }
}

impl FromIterator<(Bucket, u64)> for Uses {
    fn from_iter<I: IntoIterator<Item = (Bucket, u64)>>(items: I) -> Self {
        let mut uses = Self::default();
        items.into_iter().for_each(|(bucket, amount)| uses.add(bucket, amount));
        uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Bucket = Bucket::Consumer(ConsumerId(1));

    fn measured(amount: u64) -> Amount {
        Amount::new(Microjoules::new(amount), Provenance::Measured)
    }

    #[test]
    fn a_share_of_a_measured_amount_is_modelled_and_idle_keeps_its_provenance() {
        let mut books = HostSnapshot::default();
        books.share(Component::Cpu, measured(100), &Uses::from_iter([(Bucket::Overhead, 1), (ONE, 2)]));
        assert_eq!(books.overhead.cpu, Amount::new(Microjoules::new(33), Provenance::Modelled));
        assert_eq!(
            books.consumers[&ConsumerId(1)].cpu,
            Amount::new(Microjoules::new(67), Provenance::Modelled)
        );
        books.share(Component::Cpu, measured(100), &Uses::from_iter([(Bucket::Other, 0)]));
        assert_eq!(books.idle.cpu, measured(100));
        assert!(books.is_balanced());
    }

    #[test]
    fn an_estimate_stays_one_when_it_is_shared() {
        let mut books = HostSnapshot::default();
        let estimate = Amount::new(Microjoules::new(5), Provenance::Estimated);
        books.share(Component::Cpu, measured(3) + estimate, &Uses::from_iter([(Bucket::Other, 1), (ONE, 1)]));
        assert_eq!(books.total.cpu.estimated, Microjoules::new(5));
        assert_eq!(books.total.cpu.modelled, Microjoules::new(3));
        assert!(books.is_balanced());
    }

    #[test]
    fn what_one_user_has_to_itself_is_measured_for_it() {
        let mut books = HostSnapshot::default();
        books.assign(Component::Gpu, measured(10), &Uses::from_iter([(Bucket::Idle, 0), (ONE, 7)]));
        assert_eq!(books.consumers[&ConsumerId(1)].gpu, measured(10));
        books.assign(Component::Gpu, measured(10), &Uses::from_iter([(Bucket::Idle, 1), (ONE, 1)]));
        assert_eq!(books.idle.gpu, Amount::new(Microjoules::new(5), Provenance::Modelled));
        books.assign(Component::Gpu, measured(2), &Uses::default());
        assert_eq!(books.idle.gpu.measured, Microjoules::new(2));
        assert!(books.is_balanced());
    }
}
