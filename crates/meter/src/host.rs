//! One host: every counter read together, every interval split over consumers.

use std::collections::BTreeMap;
use std::time::Duration;

use gramwise_carbon::{Energy, Provenance};

use crate::attribution::{Books, Bucket};
use crate::cpu_model::CorePower;
use crate::gauge::Gauge;
use crate::memory_model;
use crate::probe::{self, Finding, Inventory, ProbeError, ProbeOptions};
use crate::processes::{Processes, Usage};

/// Something that energy is charged to: an attempt, or a sweep's setup. Numbers are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u64);

/// What a host burnt since its meter started, and who burnt it. `total` is the sum of all other amounts, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
    /// Each consumer since it was opened, closed ones included.
    pub consumers: BTreeMap<ConsumerId, Energy>,
}

/// A consumer whose window is open.
#[derive(Debug, Default)]
struct Window {
    root: Option<u32>,
    /// CPU time charged so far; only growth beyond it is charged, so a reading that falls charges nothing.
    cpu: Duration,
    resident: u64,
    /// The whole tree's CPU time, known at its end.
    final_cpu: Option<Duration>,
}

/// What each part of a host used of its processors in one interval.
struct Shares {
    consumers: Vec<(ConsumerId, Duration, u64)>,
    own: Duration,
    host: Option<Duration>,
}

/// Reads and splits. Blocks for as long as drivers do: it belongs on a thread of its own ([`crate::MeterThread`]).
#[derive(Debug)]
pub struct HostMeter {
    inventory: Inventory,
    findings: Vec<Finding>,
    gpus: BTreeMap<String, Gauge>,
    leases: BTreeMap<String, ConsumerId>,
    packages: Vec<Gauge>,
    dram: Vec<Gauge>,
    core_power: CorePower,
    processes: Processes,
    windows: BTreeMap<ConsumerId, Window>,
    books: Books,
    last: Option<(Duration, Usage, Option<Duration>)>,
}

/// What probing found, for [`HostMeter::assemble`].
pub(crate) struct Parts {
    pub(crate) inventory: Inventory,
    pub(crate) findings: Vec<Finding>,
    pub(crate) gpus: BTreeMap<String, Gauge>,
    pub(crate) packages: Vec<Gauge>,
    pub(crate) dram: Vec<Gauge>,
    pub(crate) core_power: CorePower,
    pub(crate) processes: Processes,
}

impl HostMeter {
    /// Finds the devices of this host. Fails only where the host cannot be read at all; a missing device is a finding.
    pub fn probe(options: &ProbeOptions) -> Result<Self, ProbeError> {
        probe::parts(options).map(Self::assemble)
    }

    pub(crate) fn assemble(parts: Parts) -> Self {
        let Parts { inventory, findings, gpus, packages, dram, core_power, processes } = parts;
        Self {
            inventory,
            findings,
            gpus,
            leases: BTreeMap::new(),
            packages,
            dram,
            core_power,
            processes,
            windows: BTreeMap::new(),
            books: Books::default(),
            last: None,
        }
    }

    /// What the host has.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// What is measured, modelled and missing.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Opens a consumer's window and leases GPUs to it. A GPU that another consumer holds stays with it: its energy has one
    /// payer. Unknown UUIDs have no counter and are ignored.
    pub fn open(&mut self, consumer: ConsumerId, gpus: &[String]) {
        self.sample();
        self.windows.insert(consumer, Window::default());
        self.books.consumers.entry(consumer).or_default();
        for uuid in gpus.iter().filter(|uuid| self.gpus.contains_key(*uuid)) {
            self.leases.entry(uuid.clone()).or_insert(consumer);
        }
    }

    /// Names the root of a consumer's process tree: its CPU time and memory are charged from the tree's beginning.
    pub fn attach(&mut self, consumer: ConsumerId, root: u32) {
        if let Some(window) = self.windows.get_mut(&consumer) {
            window.root = Some(root);
        }
    }

    /// Closes a window: its GPUs are idle from here on. `final_cpu` is the CPU time of the whole tree as its shim knew it at
    /// the end, which covers what ended between two readings.
    pub fn close(&mut self, consumer: ConsumerId, final_cpu: Option<Duration>) {
        if let Some(window) = self.windows.get_mut(&consumer) {
            window.final_cpu = final_cpu;
        }
        self.sample();
        self.windows.remove(&consumer);
        self.leases.retain(|_, holder| *holder != consumer);
    }

    /// Reads everything and charges the interval since the last reading.
    pub fn sample(&mut self) -> HostSnapshot {
        let at = boot_time();
        let gpus: Vec<(String, Energy)> =
            self.gpus.iter_mut().map(|(uuid, gauge)| (uuid.clone(), gauge.read(at))).collect();
        for (uuid, energy) in gpus {
            let bucket = self.leases.get(&uuid).map_or(Bucket::Idle, |consumer| Bucket::Consumer(*consumer));
            self.books.charge(bucket, energy);
        }
        let elapsed = self.last.map_or(Duration::ZERO, |(then, ..)| at.saturating_sub(then));
        let shares = self.shares(at);
        self.charge_processors(&shares, at);
        self.charge_memory(&shares, elapsed, at);
        HostSnapshot {
            at,
            total: self.books.total,
            idle: self.books.idle,
            overhead: self.books.overhead,
            other: self.books.other,
            consumers: self.books.consumers.clone(),
        }
    }

    /// CPU time of consumers, of gramwise and of the host since the last reading.
    fn shares(&mut self, at: Duration) -> Shares {
        let own = self.processes.own(std::process::id()).unwrap_or_default();
        let host = self.processes.host().map(|host| host.busy);
        let (_, own_before, host_before) = self.last.unwrap_or((at, own, host));
        let mut consumers = Vec::new();
        for (consumer, window) in &mut self.windows {
            let usage = window.root.and_then(|root| self.processes.tree(root));
            let seen =
                usage.map_or(Duration::ZERO, |usage| usage.cpu).max(window.final_cpu.unwrap_or_default());
            window.resident = usage.map_or(0, |usage| usage.resident);
            consumers.push((*consumer, seen.saturating_sub(window.cpu), window.resident));
            window.cpu = window.cpu.max(seen);
        }
        self.last = Some((at, own, host));
        Shares {
            consumers,
            own: own.cpu.saturating_sub(own_before.cpu),
            host: host.zip(host_before).map(|(now, before)| now.saturating_sub(before)),
        }
    }

    /// A measured package is split over everyone's CPU time. Where nothing measures, the CPU time of consumers and of gramwise
    /// is charged at the modelled power of a core; other users of the host are then not seen, and not charged.
    fn charge_processors(&mut self, shares: &Shares, at: Duration) {
        if self.packages.is_empty() {
            let CorePower { watts, provenance, .. } = self.core_power;
            let energy = |time: Duration| Energy::new(watts.over(time).to_exact(), provenance);
            for (consumer, time, _) in &shares.consumers {
                self.books.charge(Bucket::Consumer(*consumer), energy(*time));
            }
            self.books.charge(Bucket::Overhead, energy(shares.own));
            return;
        }
        let measured = self.packages.iter_mut().fold(Energy::ZERO, |sum, gauge| sum + gauge.read(at));
        let mut weights: Vec<(Bucket, u64)> = shares
            .consumers
            .iter()
            .map(|(consumer, time, _)| (Bucket::Consumer(*consumer), micros(*time)))
            .collect();
        weights.push((Bucket::Overhead, micros(shares.own)));
        let ours: u64 = weights.iter().map(|(_, weight)| *weight).sum();
        let host = shares.host.map_or(ours, micros);
        weights.push((Bucket::Other, host.saturating_sub(ours)));
        self.books.share(measured, &weights);
    }

    /// Memory is charged by what is resident; what nobody uses is idle.
    fn charge_memory(&mut self, shares: &Shares, elapsed: Duration, at: Duration) {
        let installed = self.inventory.memory_bytes;
        let energy = if self.dram.is_empty() {
            Energy::new(memory_model::energy(installed, elapsed).to_exact(), Provenance::Modelled)
        } else {
            self.dram.iter_mut().fold(Energy::ZERO, |sum, gauge| sum + gauge.read(at))
        };
        let mut weights: Vec<(Bucket, u64)> = shares
            .consumers
            .iter()
            .map(|(consumer, _, resident)| (Bucket::Consumer(*consumer), *resident))
            .collect();
        let used: u64 = weights.iter().map(|(_, bytes)| *bytes).sum();
        weights.push((Bucket::Idle, installed.saturating_sub(used)));
        self.books.share(energy, &weights);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Time since boot, suspend included: no step of the wall clock moves it.
pub(crate) fn boot_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}
