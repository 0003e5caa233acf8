//! Who is charged for an interval's energy. Every microjoule goes to exactly one bucket.

use std::collections::BTreeMap;

use gramwise_carbon::{Amount, Component, Energy, Microjoules, Provenance, split_exactly};

use crate::host::ConsumerId;

/// Cumulative sums of one host since its meter started. The total is the sum of all other fields, always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Books {
    pub(crate) total: Energy,
    pub(crate) idle: Energy,
    pub(crate) overhead: Energy,
    pub(crate) other: Energy,
    pub(crate) consumers: BTreeMap<ConsumerId, Energy>,
}

/// One of the places that energy goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bucket {
    Idle,
    Overhead,
    Other,
    Consumer(ConsumerId),
}

/// Who used a device since its last good reading, and how much: a failed reading adds to it, so that the reading which covers
/// the hole is split over all who had a part in it. A lease that ended in the hole still pays for its part.
#[derive(Debug, Clone, Default)]
pub(crate) struct Uses(BTreeMap<Bucket, u64>);

impl Books {
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

    /// As [`Books::share`], for a device that one user has to itself at any time: where it was the same one throughout, the
    /// amount is that user's as it was obtained.
    pub(crate) fn assign(&mut self, component: Component, amount: Amount, uses: &Uses) {
        let mut users = uses.0.iter().filter(|(_, use_)| **use_ > 0).map(|(bucket, _)| *bucket);
        match (users.next(), users.next()) {
            (Some(only), None) => self.charge(component, only, amount),
            (Some(_) | None, Some(_) | None) => self.share(component, amount, uses),
        }
    }

    /// Do the parts make up the total?
    #[cfg(test)]
    pub(crate) fn balance(&self) -> bool {
        let parts =
            self.consumers.values().fold(self.idle + self.overhead + self.other, |sum, one| sum + *one);
        parts == self.total
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
        let mut books = Books::default();
        books.share(Component::Cpu, measured(100), &Uses::from_iter([(Bucket::Overhead, 1), (ONE, 2)]));
        assert_eq!(books.overhead.cpu, Amount::new(Microjoules::new(33), Provenance::Modelled));
        assert_eq!(
            books.consumers[&ConsumerId(1)].cpu,
            Amount::new(Microjoules::new(67), Provenance::Modelled)
        );
        books.share(Component::Cpu, measured(100), &Uses::from_iter([(Bucket::Other, 0)]));
        assert_eq!(books.idle.cpu, measured(100));
        assert!(books.balance());
    }

    #[test]
    fn an_estimate_stays_one_when_it_is_shared() {
        let mut books = Books::default();
        let estimate = Amount::new(Microjoules::new(5), Provenance::Estimated);
        books.share(Component::Cpu, measured(3) + estimate, &Uses::from_iter([(Bucket::Other, 1), (ONE, 1)]));
        assert_eq!(books.total.cpu.estimated, Microjoules::new(5));
        assert_eq!(books.total.cpu.modelled, Microjoules::new(3));
        assert!(books.balance());
    }

    #[test]
    fn what_one_user_has_to_itself_is_measured_for_it() {
        let mut books = Books::default();
        books.assign(Component::Gpu, measured(10), &Uses::from_iter([(Bucket::Idle, 0), (ONE, 7)]));
        assert_eq!(books.consumers[&ConsumerId(1)].gpu, measured(10));
        books.assign(Component::Gpu, measured(10), &Uses::from_iter([(Bucket::Idle, 1), (ONE, 1)]));
        assert_eq!(books.idle.gpu, Amount::new(Microjoules::new(5), Provenance::Modelled));
        books.assign(Component::Gpu, measured(2), &Uses::default());
        assert_eq!(books.idle.gpu.measured, Microjoules::new(2));
        assert!(books.balance());
    }
}
