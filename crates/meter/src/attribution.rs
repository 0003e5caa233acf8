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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gramwise_carbon::Watts;
    use proptest::prelude::*;

    use super::*;
    use crate::device::{Device, Raw, ReadError};
    use crate::gauge::Gauge;

    /// A device that answers from a script: a counter with resets, wraps and failures.
    struct Scripted {
        answers: std::vec::IntoIter<Result<u64, ()>>,
    }

    impl Device for Scripted {
        fn name(&self) -> &'static str {
            "scripted"
        }

        fn read(&mut self) -> Result<Raw, ReadError> {
            match self.answers.next() {
                Some(Ok(value)) => Ok(Raw::Counter(value)),
                Some(Err(())) => Err(ReadError::Retry("scripted".to_owned())),
                None => Err(ReadError::Gone("the script is over".to_owned())),
            }
        }

        fn range(&self) -> Option<u64> {
            Some(1 << 20)
        }

        fn max_power(&self) -> Option<Watts> {
            Some(Watts::new(0.5))
        }
    }

    #[test]
    fn a_share_of_a_measured_amount_is_modelled_and_idle_keeps_its_provenance() {
        let measured = Energy::new(Microjoules::new(100), Provenance::Measured);
        let mut books = Books::default();
        books.share(measured, &[(Bucket::Overhead, 1), (Bucket::Consumer(ConsumerId(1)), 2)]);
        assert_eq!(books.overhead, Energy::new(Microjoules::new(33), Provenance::Modelled));
        assert_eq!(books.consumers[&ConsumerId(1)], Energy::new(Microjoules::new(67), Provenance::Modelled));
        books.share(measured, &[(Bucket::Other, 0)]);
        assert_eq!(books.idle, measured);
        assert!(books.balance());
    }

    proptest! {
        /// Whatever a counter does and whoever is there: every microjoule has exactly one payer, and no sum ever falls.
        #[test]
        fn nothing_is_lost_or_counted_twice(
            answers in prop::collection::vec(prop::result::maybe_ok(0u64..1 << 20, Just(())), 1..60),
            weights in prop::collection::vec((0u64..4, 0u64..1000), 0..6),
        ) {
            let rounds = answers.len() as u32 + 10;
            let mut gauge = Gauge::new(Box::new(Scripted { answers: answers.into_iter() }));
            let mut books = Books::default();
            let buckets: Vec<(Bucket, u64)> = weights
                .iter()
                .map(|(who, weight)| (match who {
                    0 => Bucket::Overhead,
                    1 => Bucket::Other,
                    who => Bucket::Consumer(ConsumerId(*who)),
                }, *weight))
                .collect();
            for second in 1..=rounds {
                let before = books.total;
                books.share(gauge.read(Duration::from_secs(u64::from(second))), &buckets);
                prop_assert!(books.balance());
                prop_assert!(books.total.since(&before).is_some());
            }
        }
    }
}
