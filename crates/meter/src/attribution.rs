//! Who is charged for an interval's energy. Every microjoule goes to exactly one bucket.

use std::collections::BTreeMap;

use gramwise_carbon::{Energy, Microjoules, Provenance, split_exactly};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bucket {
    Idle,
    Overhead,
    Other,
    Consumer(ConsumerId),
}

impl Books {
    /// Charges all of an amount to one bucket.
    pub(crate) fn charge(&mut self, bucket: Bucket, energy: Energy) {
        self.total += energy;
        *match bucket {
            Bucket::Idle => &mut self.idle,
            Bucket::Overhead => &mut self.overhead,
            Bucket::Other => &mut self.other,
            Bucket::Consumer(consumer) => self.consumers.entry(consumer).or_default(),
        } += energy;
    }

    /// Splits an amount over buckets in proportion to weights, by largest remainder. A share of a measured amount is modelled;
    /// shares of estimates stay estimates. All of it is idle, as it was obtained, where every weight is zero.
    pub(crate) fn share(&mut self, energy: Energy, weights: &[(Bucket, u64)]) {
        let numbers: Vec<u64> = weights.iter().map(|(_, weight)| *weight).collect();
        let known = energy.measured + energy.modelled;
        let parts = split_exactly(known.get(), &numbers).zip(split_exactly(energy.estimated.get(), &numbers));
        let Some((known, estimated)) = parts else { return self.charge(Bucket::Idle, energy) };
        for (((bucket, _), known), estimated) in weights.iter().zip(known).zip(estimated) {
            let share = Energy::new(Microjoules::new(known), Provenance::Modelled)
                + Energy::new(Microjoules::new(estimated), Provenance::Estimated);
            self.charge(*bucket, share);
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
