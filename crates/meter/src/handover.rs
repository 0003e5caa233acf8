//! What one life of a meter hands over to the next on the same host: a killed worker's last reading. Hardware counters went on
//! meanwhile, so the first reading of the next life tells what was burnt in between, and who of the earlier life burnt it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gramwise_carbon::{Amount, Component, Microjoules, Provenance, Watts};
use serde::{Deserialize, Serialize};

use crate::attribution::{Bucket, HostSnapshot, Uses};
use crate::clock::Moment;
use crate::host::ConsumerId;
use crate::processes::{ProcessTable, Processes, Root};

/// A meter's last reading, with all that its next life needs. Its form is that of the worker's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// Which boot of the kernel: counters and clocks mean nothing in another.
    pub(crate) boot: String,
    pub(crate) taken: Moment,
    /// What was known then.
    pub(crate) snapshot: HostSnapshot,
    pub(crate) lines: Vec<LineLeft>,
    /// CPU time charged so far, of open windows.
    pub(crate) cpu: BTreeMap<ConsumerId, Duration>,
    /// Roots of their process trees.
    pub(crate) roots: BTreeMap<ConsumerId, Root>,
    /// Resident KiB at the last sample.
    pub(crate) resident: Uses,
}

/// One device as it was left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LineLeft {
    /// Its component and name, and its place among those of one name.
    pub(crate) key: (Component, String, usize),
    pub(crate) gauge: GaugeLeft,
    /// Who used it last.
    pub(crate) uses: Uses,
}

/// A gauge's last good reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GaugeLeft {
    /// Its counter, where it has one.
    pub(crate) raw: Option<u64>,
    pub(crate) at: Moment,
    /// The power it was last seen at.
    pub(crate) usual: Watts,
}

/// How a consumer of the earlier life ended, as its shim wrote it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// When, on the boot clock.
    pub at: Duration,
    /// CPU time of its whole tree.
    pub cpu: Duration,
}

/// A consumer of the earlier life that still runs: the next life goes on charging it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// Its number, the same in both lives.
    pub consumer: ConsumerId,
    /// GPUs leased to it, by UUID.
    pub gpus: Vec<String>,
    /// Cores reserved.
    pub cpus: Option<u32>,
    /// The root of its process tree.
    pub root: u32,
    /// Its cgroup, where it has one of its own.
    pub cgroup: Option<PathBuf>,
}

/// What a device counted between two lives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Hole {
    /// So much, in so much time.
    Known(Microjoules, Duration),
    /// It does not tell.
    Unknown,
}

impl Handover {
    /// The consumer's processes that are still there: nothing can be settled for good before they ended.
    pub fn is_running(&self, consumer: ConsumerId) -> bool {
        let root = self.roots.get(&consumer);
        root.is_some_and(|root| Processes::at(Path::new("/proc")).tree(*root).is_some())
    }

    /// What was known then.
    pub fn snapshot(&self) -> &HostSnapshot {
        &self.snapshot
    }

    /// The earlier life's books with the hole closed: each device's energy until its users ended is theirs, in proportion to what
    /// they used before; what it burnt afterwards was burnt by nobody of that life. `until` is when the new life began to count (on the boot clock), `hole` says what a device counted, `core` is
    /// the modelled power of a busy core (where no package is measured), `memory` that of all memory (where none is).
    pub(crate) fn close(
        self,
        endings: &BTreeMap<ConsumerId, Ending>,
        until: Duration,
        hole: impl Fn(&LineLeft) -> Hole,
        (core, memory): (Option<(Watts, Provenance)>, Option<Watts>),
    ) -> HostSnapshot {
        let mut books = self.snapshot;
        let known = books.consumers.clone();
        let taken = self.taken.boot;
        let held = |bucket: Bucket| match bucket {
            Bucket::Consumer(consumer) => {
                endings.get(&consumer).map_or(Duration::ZERO, |end| end.at.min(until).saturating_sub(taken))
            }
            Bucket::Idle | Bucket::Overhead | Bucket::Other => Duration::ZERO,
        };
        for line in &self.lines {
            let component = line.key.0;
            // Who is forgotten was over before the last reading.
            let uses: Uses = line
                .uses
                .iter()
                .map(|(bucket, amount)| match bucket {
                    Bucket::Consumer(consumer) if !known.contains_key(&consumer) => (Bucket::Other, amount),
                    bucket => (bucket, amount),
                })
                .collect();
            let used = uses.iter().filter(|(_, amount)| *amount > 0);
            let held = used.map(|(bucket, _)| held(bucket)).max().unwrap_or_default();
            let by_power = line.gauge.usual.over(held).to_exact();
            match hole(line) {
                Hole::Known(energy, time) => {
                    // No less than by its mean power: it may have drawn more at the end than before.
                    let mean = energy.get() as f64 / 1e6 / time.as_secs_f64().max(1e-3);
                    let burnt = by_power.max(Watts::new(mean).over(held.min(time)).to_exact()).min(energy);
                    books.share(component, Amount::new(burnt, Provenance::Modelled), &uses);
                    let rest = energy.checked_sub(burnt).unwrap_or_default();
                    books.charge(component, Bucket::Other, Amount::new(rest, Provenance::Modelled));
                }
                Hole::Unknown => {
                    books.share(component, Amount::new(by_power, Provenance::Estimated), &uses);
                }
            }
        }
        for (consumer, charged) in &self.cpu {
            let Some(ending) = endings.get(consumer) else { continue };
            if let Some((watts, provenance)) = core {
                let energy = watts.over(ending.cpu.saturating_sub(*charged)).to_exact();
                books.charge(Component::Cpu, Bucket::Consumer(*consumer), Amount::new(energy, provenance));
            }
            if let Some(watts) = memory {
                let bucket = Bucket::Consumer(*consumer);
                let of = self.resident.iter().find(|(who, _)| *who == bucket).map_or(0, |(_, kib)| kib);
                let share = of as f64 / self.resident.total().max(1) as f64;
                let energy = (watts * share).over(held(bucket)).to_exact();
                books.charge(Component::Memory, bucket, Amount::new(energy, Provenance::Modelled));
            }
        }
        books
    }
}

#[cfg(test)]
mod tests {
    use gramwise_carbon::Joules;
    use proptest::prelude::*;

    use super::*;
    use crate::host::HostMeter;
    use crate::host_tests::{Scripted, host, uuid};
    use crate::replay::{Replay, counter};

    const ONE: ConsumerId = ConsumerId(1);
    const TWO: ConsumerId = ConsumerId(2);

    /// As the worker's journal keeps it.
    fn through_a_journal(left: &Handover) -> Handover {
        serde_json::from_str(&serde_json::to_string(left).unwrap()).unwrap()
    }

    fn ending(at: f64, cpu_ms: u64) -> Ending {
        Ending { at: Duration::from_secs_f64(at), cpu: Duration::from_millis(cpu_ms) }
    }

    fn modelled(joules: f64) -> Microjoules {
        Joules::new(joules).to_exact()
    }

    /// Two seconds of a trial on a GPU at 100 W and half a core of 10 W.
    fn first_life(gpu: [f64; 3]) -> (Handover, Scripted) {
        let (mut meter, processes) = host(vec![Replay::new(gpu.map(counter))], vec![], 0);
        processes.tree(7, 0, 0);
        meter.open_at(Moment::at(0.0), ONE, &[uuid(0)]);
        meter.attach_at(Moment::at(1.0), ONE, 7);
        processes.tree(7, 1000, 0);
        meter.sample_at(Moment::at(2.0));
        (meter.handover(), processes)
    }

    fn next_life(gpu: Replay, at: f64) -> HostMeter {
        let (mut meter, _) = host(vec![gpu], vec![], 0);
        meter.sample_at(Moment::at(at));
        meter
    }

    #[test]
    fn the_next_lifes_first_reading_closes_the_hole() {
        let (left, _) = first_life([0.0, 100.0, 200.0]);
        // It burnt 100 W for another second and a half and 5 W for a minute and a half, until somebody looked.
        let next = next_life(Replay::new([counter(800.0)]), 95.5);
        let settled = next.settle(through_a_journal(&left), &[(ONE, ending(3.5, 1400))].into());
        let of_trial = settled.consumers[&ONE];
        assert_eq!(of_trial.gpu.measured, modelled(200.0));
        assert_eq!(of_trial.gpu.modelled, modelled(150.0));
        assert_eq!(of_trial.cpu.modelled, modelled(14.0), "all of its CPU time, as its shim knew it");
        assert_eq!(settled.other.gpu.modelled, modelled(450.0), "what came after was not the trial's");
        assert!(settled.is_balanced());
    }

    #[test]
    fn a_trial_whose_end_is_not_known_is_charged_no_more_and_one_that_ran_on_all() {
        let (left, _) = first_life([0.0, 100.0, 200.0]);
        let next = next_life(Replay::new([counter(350.0)]), 3.0);
        let unknown = next.settle(left.clone(), &BTreeMap::new());
        assert_eq!(unknown.consumers[&ONE], left.snapshot.consumers[&ONE]);
        assert_eq!(unknown.other.gpu.modelled, modelled(150.0));
        // More than its power before would have been: it was the only one until just now.
        let known = next.settle(left, &[(ONE, ending(3.0, 1000))].into());
        assert_eq!(known.consumers[&ONE].gpu.modelled, modelled(150.0));
    }

    #[test]
    fn what_the_next_life_counts_is_not_estimated_again() {
        // A GPU that tells its power only; its trial took ten seconds to end, and the next life began half a second after the last reading.
        let power = |_| Ok(crate::device::Raw::Power(Watts::new(300.0)));
        let (mut meter, _) = host(vec![Replay::new([0, 1, 2].map(power))], vec![], 0);
        meter.open_at(Moment::at(0.0), ONE, &[uuid(0)]);
        meter.sample_at(Moment::at(1.0));
        meter.sample_at(Moment::at(2.0));
        let next = next_life(Replay::new([power(0)]), 2.5);
        let settled = next.settle(meter.handover(), &[(ONE, ending(12.0, 0))].into());
        assert_eq!(settled.consumers[&ONE].gpu.estimated, modelled(150.0));
    }

    #[test]
    fn a_trial_that_still_runs_is_charged_on_as_if_nothing_had_happened() {
        let (left, processes) = first_life([0.0, 100.0, 200.0]);
        let gpu = Replay::new([350.0, 350.0, 450.0, 460.0].map(counter));
        let (mut next, later) = host(vec![gpu], vec![], 0);
        next.sample_at(Moment::at(3.5));
        drop(processes);
        later.tree(7, 1800, 0);
        let adopted = Adopted { consumer: ONE, gpus: vec![uuid(0)], cpus: None, root: 7, cgroup: None };
        let taken_over = next.adopt(through_a_journal(&left), &BTreeMap::new(), vec![adopted]);
        assert_eq!(taken_over.consumers[&ONE].gpu.modelled, modelled(150.0), "the hole");
        assert_eq!(taken_over.consumers[&ONE].cpu.modelled, modelled(18.0));
        later.tree(7, 2000, 0);
        next.close_at(Moment::at(4.5), ONE, None);
        let after = next.sample_at(Moment::at(5.0));
        assert_eq!(after.consumers[&ONE].gpu.measured, modelled(200.0 + 100.0));
        assert_eq!(after.consumers[&ONE].cpu.modelled, modelled(20.0), "no second is charged twice");
        assert_eq!(after.total.gpu.total(), modelled(460.0), "all that the counter counted");
        assert!(after.is_balanced());
        // Began after the last reading: from its beginning.
        let (mut another, later) = host(vec![], vec![], 0);
        another.sample_at(Moment::at(3.5));
        later.tree(8, 300, 0);
        let young = Adopted { consumer: TWO, gpus: Vec::new(), cpus: None, root: 8, cgroup: None };
        let taken_over = another.adopt(left, &BTreeMap::new(), vec![young]);
        assert_eq!(taken_over.consumers[&TWO].cpu.modelled, modelled(3.0));
    }

    #[test]
    fn another_boot_or_a_counter_that_fell_adds_no_phantom() {
        let (left, _) = first_life([0.0, 100.0, 200.0]);
        let next = next_life(Replay::new([counter(5.0)]), 10.0);
        let reset = next.settle(left.clone(), &[(ONE, ending(3.0, 1000))].into());
        assert_eq!(
            reset.consumers[&ONE].gpu.estimated,
            modelled(100.0),
            "by the power before, and so labelled"
        );
        assert_eq!(reset.other, left.snapshot.other);
        let elsewhere = Handover { boot: "another".to_owned(), ..left.clone() };
        assert_eq!(next.settle(elsewhere, &[(ONE, ending(3.0, 1000))].into()), left.snapshot);
        let away = next_life(Replay::new([]), 10.0);
        let silent = away.settle(left, &[(ONE, ending(2.5, 1000))].into());
        assert_eq!(silent.consumers[&ONE].gpu.estimated, modelled(50.0));
    }

    proptest! {
        /// Whatever happened in between, the two lives together hold what the counters counted, to the microjoule, and what one
        /// has the other has not.
        #[test]
        fn two_lives_hold_what_the_counters_counted(
            before in 0u64..300_000_000, between in 0u64..3_000_000_000, after in 0u64..300_000_000,
            package in 0u64..2_000_000_000, ended in prop::option::of(2.0..40.0f64), away in 1.0..60.0f64,
        ) {
            let at = |uj: u64| Ok(crate::device::Raw::Counter(uj));
            let gpus = || vec![Replay::new([at(7), at(7), at(7 + before)]), Replay::new([at(3), at(3), at(3)]).named("other")];
            let (mut meter, processes) = host(gpus(), vec![Replay::new([at(9), at(9), at(9)])], 1 << 30);
            processes.tree(7, 0, 10);
            meter.sample_at(Moment::at(0.0));
            meter.open_at(Moment::at(1.0), ONE, &[uuid(0)]);
            meter.open_at(Moment::at(2.0), TWO, &[]);
            let left = through_a_journal(&meter.handover());
            let resumed = 2.0 + away;
            let (first, later) = (7 + before + between, 7 + before + between + after);
            let (mut next, _) = host(
                vec![Replay::new([at(first), at(later)]), Replay::new([at(3), at(3)]).named("other")],
                vec![Replay::new([at(9 + package), at(9 + package)])],
                1 << 30,
            );
            next.sample_at(Moment::at(resumed));
            let endings = ended.map(|ended| (ONE, ending(ended.min(resumed), 500))).into_iter().collect();
            let settled = next.settle(left.clone(), &endings);
            prop_assert!(settled.is_balanced(), "{settled:?}");
            for (consumer, energy) in &left.snapshot.consumers {
                prop_assert!(settled.consumers[consumer].since(energy).is_some());
            }
            prop_assert!(settled.total.since(&left.snapshot.total).is_some());
            let grown = next.sample_at(Moment::at(resumed + 1.0));
            let known = |energy: &gramwise_carbon::Energy| (energy.gpu.measured + energy.gpu.modelled).get();
            prop_assert_eq!(known(&settled.total) + known(&grown.total), before + between + after);
            let of_cpu = settled.total.cpu.since(&left.snapshot.total.cpu).unwrap();
            prop_assert_eq!((of_cpu.modelled.get(), of_cpu.estimated.get()), (package, 0));
        }
    }
}
