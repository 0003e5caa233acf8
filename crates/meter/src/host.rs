//! One host: every counter read together, every interval split over consumers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use gramwise_carbon::{Amount, Component, Energy, Provenance};
use serde::{Deserialize, Serialize};

use crate::attribution::{Bucket, HostSnapshot, Uses};
use crate::clock::Moment;
use crate::cpu_model::CorePower;
use crate::doctor::Finding;
use crate::handover::{Adopted, Ending, Handover, Hole, LineLeft};
use crate::line::Line;
use crate::memory_model;
use crate::obstacles::Obstacles;
use crate::probe::{self, Inventory, ProbeError, ProbeOptions};
use crate::processes::{ProcessTable, Root, cgroup_cpu, cgroup_memory};
use crate::rest::Rest;

/// Something that energy is charged to: an attempt, or a sweep's setup. Numbers are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConsumerId(pub u64);

/// Reads and splits. Blocks for as long as drivers do: it belongs on a thread of its own ([`crate::MeterThread`]).
#[derive(Debug)]
pub struct HostMeter {
    inventory: Inventory,
    findings: Vec<Finding>,
    pub(crate) gpus: BTreeMap<String, Line>,
    leases: BTreeMap<String, ConsumerId>,
    pub(crate) packages: Vec<Line>,
    dram: Vec<Line>,
    core_power: CorePower,
    processes: Box<dyn ProcessTable>,
    windows: BTreeMap<ConsumerId, Window>,
    books: HostSnapshot,
    /// Closed consumers whose sums are safe elsewhere: forgotten once no device owes them anything.
    over: BTreeMap<ConsumerId, Energy>,
    /// What GPUs were charged since the last sample: power is read more often.
    pending: HostSnapshot,
    last: Option<Last>,
    /// The first sample.
    first: Option<Moment>,
    /// Resident KiB at the last sample.
    resident: Uses,
    /// Which boot of the kernel this is.
    boot: String,
    pub(crate) rest: Rest,
    pub(crate) policy: IdlePolicy,
    /// Cards that are leased in parts, by UUID.
    cut: BTreeMap<String, Cut>,
    obstacles: Obstacles,
}

/// A card that is leased in parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cut {
    /// Its parts by UUID, with the number of its slices that each is.
    pub(crate) parts: BTreeMap<String, u64>,
    /// Slices in all.
    pub(crate) of: u64,
}

/// Who is charged for what hardware draws anyway, whether or not it does anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdlePolicy {
    /// Who reserved it: a GPU's lease, a trial's stated cores. SCI (ISO/IEC 21031:2024) asks for this.
    #[default]
    Reserved,
    /// Nobody: consumers pay for what they make the hardware do. Needs to know what it draws anyway.
    Used,
    /// All consumers that run meanwhile, in proportion to what they burn: nothing is idle while anything runs.
    Amortised,
}

/// What probing found, for [`HostMeter::assemble`].
pub(crate) struct Parts {
    pub(crate) inventory: Inventory,
    pub(crate) findings: Vec<Finding>,
    pub(crate) gpus: BTreeMap<String, Line>,
    pub(crate) packages: Vec<Line>,
    pub(crate) dram: Vec<Line>,
    pub(crate) core_power: CorePower,
    pub(crate) processes: Box<dyn ProcessTable>,
    pub(crate) boot: String,
    pub(crate) rest: Rest,
    pub(crate) policy: IdlePolicy,
    pub(crate) cut: BTreeMap<String, Cut>,
    pub(crate) obstacles: Obstacles,
}

/// A consumer whose window is open.
#[derive(Debug, Default)]
struct Window {
    /// Its cgroup, where it has one: it knows also what left the process tree.
    cgroup: Option<PathBuf>,
    /// Cores reserved.
    cpus: Option<u32>,
    root: Option<Root>,
    /// CPU time charged so far; only growth beyond it is charged, so a reading that falls charges nothing.
    cpu: Duration,
    /// The whole tree's CPU time, known at its end.
    final_cpu: Option<Duration>,
}

/// The sample before.
#[derive(Debug, Clone, Copy)]
struct Last {
    at: Moment,
    /// CPU time of gramwise itself, as far as it was charged.
    own: Duration,
    /// CPU time of the whole host.
    host: Option<Duration>,
}

/// What was used of processors and memory between two samples.
struct Usage {
    elapsed: Duration,
    /// Microseconds of CPU time of consumers and of gramwise.
    ours: Uses,
    /// Microseconds of CPU time of all others, where `/proc/stat` tells.
    others: u64,
    /// Resident memory of consumers in KiB.
    resident: Uses,
}

impl HostMeter {
    /// Finds the devices of this host. Fails only where the host cannot be read at all; a missing device is a finding.
    pub fn probe(options: &ProbeOptions) -> Result<Self, ProbeError> {
        probe::parts(options).map(Self::assemble)
    }

    pub(crate) fn assemble(parts: Parts) -> Self {
        let Parts {
            inventory,
            findings,
            gpus,
            packages,
            dram,
            core_power,
            processes,
            boot,
            rest,
            policy,
            cut,
            obstacles,
        } = parts;
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
            books: HostSnapshot::default(),
            over: BTreeMap::new(),
            pending: HostSnapshot::default(),
            last: None,
            first: None,
            resident: Uses::default(),
            boot,
            rest,
            policy,
            cut,
            obstacles,
        }
    }

    /// GPUs without a consumer that are better left alone now, and why, in words: others compute there, or they do not answer.
    pub fn obstacles(&self) -> BTreeMap<String, String> {
        let free = self.inventory.gpus.iter().map(|gpu| gpu.uuid.as_str());
        self.obstacles.of(free.filter(|uuid| !self.leases.contains_key(*uuid)))
    }

    /// What the host has.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// What is measured, modelled and missing.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Opens a consumer's window and leases GPUs to it. A GPU that another consumer holds stays with that one, with a warning:
    /// its energy has one payer. Unknown UUIDs have no counter and are ignored. Opening a window that is open only adds GPUs.
    /// `cpus` are the cores it reserves, where that is stated.
    pub fn open(&mut self, consumer: ConsumerId, gpus: &[String], cpus: Option<u32>) {
        self.open_at(Moment::now(), consumer, gpus);
        self.reserve(consumer, cpus);
    }

    pub(crate) fn reserve(&mut self, consumer: ConsumerId, cpus: Option<u32>) {
        if let Some(window) = self.windows.get_mut(&consumer) {
            window.cpus = cpus.or(window.cpus);
        }
    }

    /// Names the root of a consumer's process tree: its CPU time and memory are charged from the tree's beginning. Without an
    /// open window, or if the process has ended already, nothing happens.
    /// Its cgroup, where it has one of its own, tells more exactly.
    pub fn attach(&mut self, consumer: ConsumerId, root: u32, cgroup: Option<PathBuf>) {
        if let Some(window) = self.windows.get_mut(&consumer) {
            window.cgroup = cgroup;
        }
        self.attach_at(Moment::now(), consumer, root);
    }

    /// Closes a window: its GPUs are idle from here on. `final_cpu` is the CPU time of the whole tree as its shim knew it at
    /// the end, which covers what ended between two readings. Closing a window that is not open does nothing.
    pub fn close(&mut self, consumer: ConsumerId, final_cpu: Option<Duration>) {
        self.close_at(Moment::now(), consumer, final_cpu);
    }

    /// A closed consumer's sum, so much, is safe elsewhere: it goes into [`HostSnapshot::forgotten`] as soon as no device can add to
    /// it. If something was added meanwhile, it is kept until that is said to be safe too.
    pub fn forget(&mut self, consumer: ConsumerId, sum: Energy) {
        self.over.insert(consumer, sum);
    }

    fn forget_what_is_over(&mut self) {
        let owed = |consumer: ConsumerId| {
            let bucket = Bucket::Consumer(consumer);
            self.rest.owes(bucket) || self.lines().any(|(_, line)| line.owes(bucket))
        };
        let is_over = |(consumer, sum): &(&ConsumerId, &Energy)| {
            let is_all = self.books.consumers.get(consumer).is_none_or(|now| now == *sum);
            is_all && !self.windows.contains_key(consumer) && !owed(**consumer)
        };
        let over: Vec<ConsumerId> = self.over.iter().filter(is_over).map(|(consumer, _)| *consumer).collect();
        for consumer in over {
            self.over.remove(&consumer);
            if let Some(energy) = self.books.consumers.remove(&consumer) {
                self.books.forgotten += energy;
            }
        }
    }

    /// Reads everything and charges the interval since the last reading.
    pub fn sample(&mut self) -> HostSnapshot {
        self.sample_at(Moment::now())
    }

    /// What this meter would leave to its next life, should it end now: as of the last sample.
    pub fn handover(&self) -> Handover {
        let taken = self.last.map_or_else(Moment::default, |last| last.at);
        Handover {
            boot: self.boot.clone(),
            taken,
            snapshot: HostSnapshot { at: taken.boot, ..self.books.clone() },
            lines: self.lines().filter_map(|(place, line)| line.left(place)).collect(),
            cpu: self.windows.iter().map(|(consumer, window)| (*consumer, window.cpu)).collect(),
            roots: self
                .windows
                .iter()
                .filter_map(|(consumer, window)| Some((*consumer, window.root?)))
                .collect(),
            resident: self.resident.clone(),
        }
    }

    /// Closes the books of an earlier life of this host's meter, which was killed: its last totals, and what its consumers burnt
    /// until they ended. After another boot of the kernel nothing can be added.
    pub fn settle(&self, left: Handover, endings: &BTreeMap<ConsumerId, Ending>) -> HostSnapshot {
        if left.boot.is_empty() || left.boot != self.boot {
            return left.snapshot;
        }
        let hole = |left: &LineLeft| {
            let same = self.lines().find(|(place, line)| line.key(*place) == left.key);
            same.map_or(Hole::Unknown, |(_, line)| line.hole(left))
        };
        let CorePower { watts, provenance, .. } = &self.core_power;
        let core = self.packages.is_empty().then_some((*watts, *provenance));
        let memory = self.dram.is_empty().then(|| memory_model::power(self.inventory.memory_bytes));
        let until = self.first.map_or(left.taken.boot, |first| first.boot);
        left.close(endings, until, hole, (core, memory))
    }

    /// Takes the books of an earlier life of this host's meter over: what its consumers burnt in between is theirs, those that still
    /// run are charged on, and no sum begins anew. To be called before anything is opened here; after another boot of the kernel nothing
    /// still runs.
    pub fn adopt(
        &mut self,
        left: Handover,
        endings: &BTreeMap<ConsumerId, Ending>,
        running: Vec<Adopted>,
    ) -> HostSnapshot {
        let (mut endings, mut windows) = (endings.clone(), BTreeMap::new());
        let at = self.first.unwrap_or_default().boot;
        for Adopted { consumer, gpus, cpus, root, cgroup } in running {
            let root = self.processes.identify(root);
            let by_tree = root.and_then(|root| self.processes.tree(root)).unwrap_or_default().cpu;
            let cpu = by_tree.max(cgroup.as_deref().and_then(cgroup_cpu).unwrap_or_default());
            // Began after the last reading: its processor time is charged from its beginning.
            let charged = left.cpu.get(&consumer).map_or(Duration::ZERO, |charged| cpu.max(*charged));
            endings.insert(consumer, Ending { at, cpu });
            windows.insert(consumer, Window { cgroup, cpus, root, cpu: charged, final_cpu: None });
            self.leases.extend(gpus.into_iter().map(|uuid| (uuid, consumer)));
        }
        let earlier = self.settle(left, &endings);
        self.books.absorb(&earlier);
        for consumer in windows.keys() {
            self.books.consumers.entry(*consumer).or_default();
        }
        self.windows.append(&mut windows);
        self.sample_at(Moment::now())
    }

    /// All lines, each with its place among those of its kind.
    fn lines(&self) -> impl Iterator<Item = (usize, &Line)> {
        let gpus = self.gpus.values().map(|line| (0, line));
        gpus.chain(self.packages.iter().enumerate()).chain(self.dram.iter().enumerate())
    }

    /// Reads only what has no counter. Power that is integrated must be read more often than a counter.
    pub(crate) fn sample_power(&mut self) {
        self.settle_gpus(Moment::now(), Line::integrates);
    }

    /// Is there anything for [`HostMeter::sample_power`] to read?
    pub(crate) fn integrates(&self) -> bool {
        self.gpus.values().any(Line::integrates)
    }

    pub(crate) fn open_at(&mut self, at: Moment, consumer: ConsumerId, gpus: &[String]) {
        self.sample_at(at);
        self.windows.entry(consumer).or_default();
        self.books.consumers.entry(consumer).or_default();
        for uuid in gpus {
            let is_part = self.cut.values().any(|cut| cut.parts.contains_key(uuid));
            if !is_part && (!self.gpus.contains_key(uuid) || self.cut.contains_key(uuid)) {
                tracing::warn!(uuid, "no such GPU here: it is not metered");
                continue;
            }
            let holder = *self.leases.entry(uuid.clone()).or_insert(consumer);
            if holder != consumer {
                tracing::warn!(
                    uuid,
                    ?holder,
                    ?consumer,
                    "the GPU is leased: its holder goes on paying for it"
                );
            }
        }
    }

    pub(crate) fn attach_at(&mut self, at: Moment, consumer: ConsumerId, root: u32) {
        self.sample_at(at);
        if let Some(window) = self.windows.get_mut(&consumer) {
            window.root = self.processes.identify(root);
        }
    }

    pub(crate) fn close_at(&mut self, at: Moment, consumer: ConsumerId, final_cpu: Option<Duration>) {
        if let Some(window) = self.windows.get_mut(&consumer) {
            window.final_cpu = final_cpu;
        }
        self.sample_at(at);
        self.windows.remove(&consumer);
        self.leases.retain(|_, holder| *holder != consumer);
    }

    pub(crate) fn sample_at(&mut self, at: Moment) -> HostSnapshot {
        self.settle_gpus(at, |_| true);
        let usage = self.usage(at);
        let mut delta = std::mem::take(&mut self.pending);
        self.settle_processors(at, &usage, &mut delta);
        self.settle_memory(at, &usage, &mut delta);
        self.rest.add(&delta);
        self.rest.settle(at, &mut delta);
        // Once a sample, all together: what is idle beside a trial that uses another device is amortised too.
        self.books.absorb(&match self.policy {
            IdlePolicy::Reserved | IdlePolicy::Used => delta,
            IdlePolicy::Amortised => delta.amortised(),
        });
        self.first.get_or_insert(at);
        self.forget_what_is_over();
        HostSnapshot { at: at.boot, ..self.books.clone() }
    }

    fn settle_gpus(&mut self, at: Moment, which: impl Fn(&Line) -> bool) {
        let mut delta = HostSnapshot::default();
        for (uuid, line) in self.gpus.iter_mut().filter(|(_, line)| which(line)) {
            let of = |uuid: &String| {
                self.leases.get(uuid).map_or(Bucket::Idle, |holder| Bucket::Consumer(*holder))
            };
            if let Some(Cut { parts, of: slices }) = self.cut.get(uuid) {
                let mut uses: Uses = parts.iter().map(|(part, size)| (of(part), *size)).collect();
                // What is not seen from here is not ours to wait for.
                uses.add(Bucket::Other, slices.saturating_sub(uses.total()));
                let reserved = match self.policy {
                    IdlePolicy::Reserved | IdlePolicy::Amortised => uses.clone(),
                    IdlePolicy::Used => Uses::from_iter([(Bucket::Idle, 1)]),
                };
                line.settle_by_time(at, (&uses, &reserved), &mut delta);
                continue;
            }
            let holder = of(uuid);
            let reserved = match self.policy {
                IdlePolicy::Reserved | IdlePolicy::Amortised => holder,
                IdlePolicy::Used => Bucket::Idle,
            };
            line.settle_held(at, (holder, reserved), &mut delta);
        }
        self.pending.absorb(&delta);
    }

    /// CPU time of consumers, of gramwise and of the host since the last sample; memory as it is now.
    fn usage(&mut self, at: Moment) -> Usage {
        let (mut ours, mut resident) = (Uses::default(), Uses::default());
        for (consumer, window) in &mut self.windows {
            let bucket = Bucket::Consumer(*consumer);
            let mut tree = window.root.and_then(|root| self.processes.tree(root)).unwrap_or_default();
            if let Some(cgroup) = &window.cgroup {
                // The larger: a trial that could not be moved into its cgroup is seen by its tree.
                tree.cpu = tree.cpu.max(cgroup_cpu(cgroup).unwrap_or_default());
                tree.resident = tree.resident.max(cgroup_memory(cgroup).unwrap_or_default());
            }
            let cpu = tree.cpu.max(window.final_cpu.unwrap_or_default()).max(window.cpu);
            ours.add(bucket, micros(cpu.saturating_sub(window.cpu)));
            resident.add(bucket, tree.resident / 1024);
            window.cpu = cpu;
        }
        let own = self.processes.own().unwrap_or_default();
        let host = self.processes.host();
        let last = self.last.unwrap_or(Last { at, own, host });
        ours.add(Bucket::Overhead, micros(own.saturating_sub(last.own)));
        let busy = host.zip(last.host).map_or(0, |(now, before)| micros(now.saturating_sub(before)));
        let others = busy.saturating_sub(ours.total());
        self.last = Some(Last { at, own: own.max(last.own), host: host.or(last.host) });
        Usage { elapsed: at.since(last.at), ours, others, resident }
    }

    /// A measured package is split over everyone's CPU time. Where nothing measures, the CPU time of consumers and of gramwise
    /// is charged at the modelled power of a core; other users of the host are then not seen, and not charged.
    fn settle_processors(&mut self, at: Moment, usage: &Usage, books: &mut HostSnapshot) {
        let mut uses = usage.ours.clone();
        if self.packages.is_empty() {
            let CorePower { watts, provenance, .. } = self.core_power;
            for (bucket, micros) in uses.iter() {
                let energy = watts.over(Duration::from_micros(micros)).to_exact();
                books.charge(Component::Cpu, bucket, Amount::new(energy, provenance));
            }
            return;
        }
        uses.add(Bucket::Other, usage.others);
        let reserved = self.reserved(usage.elapsed);
        for line in &mut self.packages {
            line.settle_shared(at, (&uses, &reserved), books);
        }
    }

    /// Microseconds of cores that are reserved, and the rest of them.
    fn reserved(&self, elapsed: Duration) -> Uses {
        let mut reserved = Uses::default();
        let mut free = u64::from(self.inventory.cpus);
        if self.policy == IdlePolicy::Reserved {
            for (consumer, window) in &self.windows {
                let cores = u64::from(window.cpus.unwrap_or(0)).min(free);
                free -= cores;
                reserved.add(Bucket::Consumer(*consumer), cores.saturating_mul(micros(elapsed)));
            }
        }
        reserved.add(Bucket::Idle, free.saturating_mul(micros(elapsed)));
        reserved
    }

    /// Memory is charged by what is resident; what nobody uses is idle.
    fn settle_memory(&mut self, at: Moment, usage: &Usage, books: &mut HostSnapshot) {
        let installed = self.inventory.memory_bytes;
        let mut resident = usage.resident.clone();
        resident.add(Bucket::Idle, (installed / 1024).saturating_sub(resident.total()));
        self.resident = resident.clone();
        if self.dram.is_empty() {
            let energy = memory_model::energy(installed, usage.elapsed).to_exact();
            books.share(Component::Memory, Amount::new(energy, Provenance::Modelled), &resident);
            return;
        }
        // KiB x ms: over a hole, a minute of much memory outweighs a second of little.
        let elapsed = u64::try_from(usage.elapsed.as_millis()).unwrap_or(u64::MAX);
        let uses = resident.times(elapsed.saturating_add(1));
        for line in &mut self.dram {
            line.settle_shared(at, (&uses, &uses), books);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
