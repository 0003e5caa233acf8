//! What a node burns beside its components: power supplies, fans, boards, disks, network.

use gramwise_carbon::{Amount, Component, Microjoules, Provenance, Watts};

use crate::attribution::{Bucket, HostSnapshot, Uses};
use crate::clock::Moment;
use crate::gauge::Gauge;
use crate::profile::NodeModel;

/// How it is known.
#[derive(Debug)]
pub(crate) enum Known {
    /// A meter of the node shows all; the rest is what its components leave.
    Meter(Gauge),
    /// A calibration says how the node follows its components.
    Model(NodeModel),
    /// It is not.
    Not,
}

/// The rest of a node, split in proportion to what components burnt for whom since it was last known.
#[derive(Debug)]
pub(crate) struct Rest {
    known: Known,
    /// Microjoules of components, by who is charged for them, since then.
    components: Uses,
    /// What components were charged beyond what the node's meter showed, in microjoules: held back from what it shows next. Meters of
    /// nodes lag by seconds, and modelled components may exceed them.
    owed: u64,
    last: Option<Moment>,
}

impl Rest {
    pub(crate) fn new(known: Known) -> Self {
        Self { known, components: Uses::default(), owed: 0, last: None }
    }

    /// Is something still to be charged that this bucket has a part in?
    pub(crate) fn owes(&self, bucket: Bucket) -> bool {
        self.components.iter().any(|(user, amount)| user == bucket && amount > 0)
    }

    /// How it is known.
    pub(crate) fn into_known(self) -> Known {
        self.known
    }

    /// Takes in what components were charged.
    pub(crate) fn add(&mut self, delta: &HostSnapshot) {
        if matches!(self.known, Known::Not) {
            return;
        }
        let buckets =
            [(Bucket::Idle, delta.idle), (Bucket::Overhead, delta.overhead), (Bucket::Other, delta.other)];
        let consumers =
            delta.consumers.iter().map(|(consumer, energy)| (Bucket::Consumer(*consumer), *energy));
        for (bucket, energy) in buckets.into_iter().chain(consumers) {
            self.components.add(bucket, energy.total().get());
        }
    }

    /// Charges the rest since it was last known, as far as it is now.
    pub(crate) fn settle(&mut self, at: Moment, books: &mut HostSnapshot) {
        let components = Microjoules::new(self.components.total());
        let elapsed = self.last.map(|then| at.since(then));
        let amount = match &mut self.known {
            Known::Not => return,
            Known::Model(model) => {
                let Some(elapsed) = elapsed.filter(|elapsed| !elapsed.is_zero()) else {
                    self.last = self.last.or(Some(at));
                    return;
                };
                let watts = Watts::new(components.joules().get() / elapsed.as_secs_f64());
                Amount::new(model.rest(watts).over(elapsed).to_exact(), Provenance::Modelled)
            }
            Known::Meter(gauge) => {
                // A failed reading: the next good one covers the hole.
                let Some(all) = gauge.read(at) else { return };
                let due = components.get().saturating_add(self.owed);
                if elapsed.is_none() {
                    Amount::ZERO // The first reading says nothing of the past.
                } else {
                    self.owed = due.saturating_sub(all.total().get());
                    let rest = Microjoules::new(all.total().get().saturating_sub(due));
                    let is_guess = all.estimated > all.measured + all.modelled;
                    let provenance = if is_guess { Provenance::Estimated } else { Provenance::Measured };
                    Amount::new(rest, provenance)
                }
            }
        };
        self.last = Some(at);
        let uses = std::mem::take(&mut self.components);
        books.share(Component::Rest, amount, &uses);
    }
}

#[cfg(test)]
mod tests {
    use gramwise_carbon::{Energy, Joules};

    use super::*;
    use crate::host::ConsumerId;
    use crate::replay::{Replay, counter, retry};

    const ONE: ConsumerId = ConsumerId(1);

    fn joules(joules: f64) -> Microjoules {
        Joules::new(joules).to_exact()
    }

    /// So many joules of a GPU for a trial, and for nobody.
    fn burnt(trial: f64, idle: f64) -> HostSnapshot {
        let mut delta = HostSnapshot::default();
        delta.charge(Component::Gpu, Bucket::Consumer(ONE), Amount::new(joules(trial), Provenance::Measured));
        delta.charge(Component::Gpu, Bucket::Idle, Amount::new(joules(idle), Provenance::Measured));
        delta
    }

    #[test]
    fn what_the_nodes_meter_shows_beyond_its_components_follows_them() {
        let meter = Replay::new([
            counter(1000.0),
            counter(1200.0),
            retry(),
            counter(1500.0),
            counter(1550.0),
            counter(1700.0),
        ]);
        let mut rest = Rest::new(Known::Meter(Gauge::new(Box::new(meter))));
        let mut books = HostSnapshot::default();
        let mut second = 0.0;
        let mut settle = |rest: &mut Rest, delta: HostSnapshot| {
            second += 1.0;
            rest.add(&delta);
            rest.settle(Moment::at(second), &mut books);
            (books.consumers.get(&ONE).copied().unwrap_or_default().rest, books.idle.rest)
        };
        assert_eq!(settle(&mut rest, burnt(50.0, 50.0)), (Amount::ZERO, Amount::ZERO), "the first reading");
        let modelled = |amount| Amount::new(joules(amount), Provenance::Modelled);
        assert_eq!(settle(&mut rest, burnt(75.0, 25.0)), (modelled(75.0), modelled(25.0)));
        assert_eq!(settle(&mut rest, burnt(75.0, 25.0)), (modelled(75.0), modelled(25.0)), "not readable");
        // 300 J in two seconds, 200 J of components.
        assert_eq!(settle(&mut rest, burnt(75.0, 25.0)), (modelled(150.0), modelled(50.0)));
        // It lags: 50 J less than the components, which come off the next.
        assert_eq!(settle(&mut rest, burnt(75.0, 25.0)), (modelled(150.0), modelled(50.0)));
        assert_eq!(settle(&mut rest, burnt(75.0, 25.0)), (modelled(150.0), modelled(50.0)));
        assert!(books.is_balanced());
    }

    #[test]
    fn a_calibrated_node_has_its_base_also_when_nothing_runs() {
        let model = NodeModel { base_w: 60.0, factor: 1.1, rmse_w: 2.0, samples: 60 };
        let mut rest = Rest::new(Known::Model(model));
        let mut books = HostSnapshot::default();
        rest.settle(Moment::at(0.0), &mut books);
        rest.settle(Moment::at(2.0), &mut books);
        assert_eq!(books.idle, Energy::new(Component::Rest, joules(120.0), Provenance::Modelled));
        rest.add(&burnt(100.0, 0.0));
        rest.settle(Moment::at(3.0), &mut books);
        assert_eq!(books.consumers[&ONE].rest.total(), joules(70.0));
        assert!(books.is_balanced());
    }
}
