//! What a host's books must show, with scripted devices, processes and time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gramwise_carbon::{Amount, Component, Energy, Joules, Provenance, Watts};

use crate::attribution::HostSnapshot;
use crate::clock::Moment;
use crate::cpu_model::CorePower;
use crate::device::{Device, ReadError};
use crate::gauge::Gauge;
use crate::host::{ConsumerId, HostMeter, IdlePolicy, Parts};
use crate::line::Line;
use crate::probe::Inventory;
use crate::processes::{ProcessTable, Root, Usage};
use crate::replay::{Replay, counter, gone};
use crate::rest::{Known, Rest};

/// Processes that use what the test says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scripted(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) trees: BTreeMap<u32, Usage>,
    pub(crate) own: Duration,
    pub(crate) host: Duration,
}

impl Scripted {
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Table)) {
        change(&mut self.0.lock().unwrap());
    }

    /// A tree's totals: CPU milliseconds and resident megabytes (of 2^20).
    pub(crate) fn tree(&self, process: u32, cpu_ms: u64, megabytes: u64) {
        let usage = Usage { cpu: Duration::from_millis(cpu_ms), resident: megabytes << 20 };
        self.edit(|table| {
            table.trees.insert(process, usage);
        });
    }
}

impl ProcessTable for Scripted {
    fn identify(&self, process: u32) -> Option<Root> {
        self.0.lock().unwrap().trees.contains_key(&process).then_some(Root { process, started: 0 })
    }

    fn tree(&self, root: Root) -> Option<Usage> {
        self.0.lock().unwrap().trees.get(&root.process).copied()
    }

    fn own(&self) -> Option<Duration> {
        Some(self.0.lock().unwrap().own)
    }

    fn host(&self) -> Option<Duration> {
        Some(self.0.lock().unwrap().host)
    }
}

const ONE: ConsumerId = ConsumerId(1);
const TWO: ConsumerId = ConsumerId(2);

/// A host whose modelled core draws 10 W.
pub(crate) fn host(gpus: Vec<Replay>, packages: Vec<Replay>, memory_bytes: u64) -> (HostMeter, Scripted) {
    let boxed = |replay: Replay| Box::new(replay) as Box<dyn Device>;
    host_of(gpus.into_iter().map(boxed).collect(), packages.into_iter().map(boxed).collect(), memory_bytes)
}

pub(crate) fn host_of(
    gpus: Vec<Box<dyn Device>>,
    packages: Vec<Box<dyn Device>>,
    memory_bytes: u64,
) -> (HostMeter, Scripted) {
    let processes = Scripted::default();
    let line = |component| move |device: Box<dyn Device>| Line::new(component, Gauge::new(device));
    let meter = HostMeter::assemble(Parts {
        inventory: Inventory {
            hostname: "scripted".to_owned(),
            cpu_model: "scripted".to_owned(),
            cpus: 4,
            memory_bytes,
            gpus: Vec::new(),
        },
        findings: Vec::new(),
        gpus: gpus
            .into_iter()
            .enumerate()
            .map(|(index, replay)| (uuid(index), line(Component::Gpu)(replay)))
            .collect(),
        packages: packages.into_iter().map(line(Component::Cpu)).collect(),
        dram: Vec::new(),
        core_power: CorePower {
            watts: Watts::new(10.0),
            provenance: Provenance::Modelled,
            how: String::new(),
        },
        processes: Box::new(processes.clone()),
        boot: "scripted".to_owned(),
        rest: Rest::new(Known::Not),
        policy: IdlePolicy::default(),
        cut: BTreeMap::new(),
        obstacles: crate::obstacles::Obstacles::default(),
    });
    (meter, processes)
}

impl HostMeter {
    /// The same with another policy, idle power of GPUs and packages, and a meter of the node.
    pub(crate) fn with(mut self, policy: IdlePolicy, idle: Option<Watts>, node: Option<Replay>) -> Self {
        let idling = |line: Line| line.idling_at(idle);
        self.policy = policy;
        self.gpus = self.gpus.into_iter().map(|(uuid, line)| (uuid, idling(line))).collect();
        self.packages = self.packages.into_iter().map(idling).collect();
        self.rest = Rest::new(node.map_or(Known::Not, |node| Known::Meter(Gauge::new(Box::new(node)))));
        self
    }
}

pub(crate) fn uuid(index: usize) -> String {
    format!("GPU-{index}")
}

fn joules(amount: f64, provenance: Provenance) -> Amount {
    Amount::new(Joules::new(amount).to_exact(), provenance)
}

fn measured(amount: f64) -> Amount {
    joules(amount, Provenance::Measured)
}

fn modelled(amount: f64) -> Amount {
    joules(amount, Provenance::Modelled)
}

#[test]
fn a_gpu_is_paid_by_its_lease_idle_included_and_is_idle_otherwise() {
    let (mut meter, _) = host(vec![Replay::new([0.0, 10.0, 40.0, 45.0].map(counter))], vec![], 0);
    meter.sample_at(Moment::at(0.0));
    meter.open_at(Moment::at(1.0), ONE, &[uuid(0)]);
    meter.close_at(Moment::at(2.0), ONE, None);
    let snapshot = meter.sample_at(Moment::at(3.0));
    assert_eq!(snapshot.consumers[&ONE].amount(), measured(30.0));
    assert_eq!(snapshot.idle.amount(), measured(15.0));
    assert!(snapshot.is_balanced());
}

#[test]
fn one_gpu_has_one_payer() {
    let (mut meter, _) = host(vec![Replay::new([0.0, 10.0, 30.0, 70.0].map(counter))], vec![], 0);
    meter.open_at(Moment::at(0.0), ONE, &[uuid(0)]);
    meter.open_at(Moment::at(1.0), TWO, &[uuid(0), "GPU-unknown".to_owned()]);
    meter.close_at(Moment::at(2.0), TWO, None);
    let snapshot = meter.sample_at(Moment::at(3.0));
    assert_eq!(snapshot.consumers[&ONE].amount(), measured(70.0));
    assert_eq!(snapshot.consumers[&TWO], Energy::ZERO);
}

#[test]
fn a_measured_package_is_split_over_all_that_was_busy() {
    let (mut meter, processes) =
        host(vec![], vec![Replay::new([0.0, 0.0, 0.0, 100.0, 130.0].map(counter))], 0);
    processes.tree(7, 0, 0);
    meter.sample_at(Moment::at(0.0));
    meter.open_at(Moment::at(0.0), ONE, &[]);
    meter.attach_at(Moment::at(0.0), ONE, 7);
    processes.tree(7, 500, 0);
    processes.edit(|table| (table.own, table.host) = (Duration::from_millis(100), Duration::from_secs(1)));
    let snapshot = meter.sample_at(Moment::at(1.0));
    assert_eq!(snapshot.consumers[&ONE].amount(), modelled(50.0));
    assert_eq!(snapshot.overhead.amount(), modelled(10.0));
    assert_eq!(snapshot.other.amount(), modelled(40.0));
    let quiet = meter.sample_at(Moment::at(2.0));
    assert_eq!(quiet.idle.amount(), measured(30.0), "nobody was busy");
    assert!(quiet.is_balanced());
}

#[test]
fn without_a_counter_only_our_own_cpu_time_is_charged() {
    let (mut meter, processes) = host(vec![], vec![], 0);
    processes.tree(7, 2000, 0);
    meter.open_at(Moment::at(0.0), ONE, &[]);
    meter.attach_at(Moment::at(0.0), ONE, 7);
    processes.edit(|table| (table.own, table.host) = (Duration::from_millis(300), Duration::from_secs(60)));
    let snapshot = meter.sample_at(Moment::at(1.0));
    assert_eq!(snapshot.consumers[&ONE].amount(), modelled(20.0), "from the tree's beginning");
    assert_eq!((snapshot.overhead.cpu, snapshot.other), (modelled(3.0), Energy::ZERO));
    assert_eq!(snapshot.total.amount(), modelled(23.0));
}

#[test]
fn a_trees_last_cpu_time_is_charged_once_and_a_reading_that_falls_charges_nothing() {
    let (mut meter, processes) = host(vec![], vec![], 0);
    processes.tree(7, 1000, 0);
    meter.open_at(Moment::at(0.0), ONE, &[]);
    meter.attach_at(Moment::at(0.0), ONE, 7);
    meter.sample_at(Moment::at(1.0));
    processes.tree(7, 400, 0); // A member left the tree.
    assert_eq!(meter.sample_at(Moment::at(2.0)).consumers[&ONE].amount(), modelled(10.0));
    processes.tree(7, 1200, 0);
    assert_eq!(meter.sample_at(Moment::at(3.0)).consumers[&ONE].amount(), modelled(12.0));
    processes.edit(|table| table.trees.clear());
    meter.close_at(Moment::at(4.0), ONE, Some(Duration::from_millis(1500)));
    meter.close_at(Moment::at(4.0), ONE, Some(Duration::from_millis(9500)));
    assert_eq!(meter.sample_at(Moment::at(5.0)).consumers[&ONE].amount(), modelled(15.0));
}

#[test]
fn opening_twice_charges_once() {
    let (mut meter, processes) = host(vec![], vec![], 0);
    processes.tree(7, 1000, 0);
    meter.open_at(Moment::at(0.0), ONE, &[]);
    meter.attach_at(Moment::at(0.0), ONE, 7);
    meter.sample_at(Moment::at(1.0));
    meter.open_at(Moment::at(2.0), ONE, &[]);
    meter.attach_at(Moment::at(2.0), ONE, 7);
    assert_eq!(meter.sample_at(Moment::at(3.0)).consumers[&ONE].amount(), modelled(10.0));
}

#[test]
fn a_cgroup_knows_also_what_left_the_process_tree() {
    let folder = tempfile::tempdir().unwrap();
    let (mut meter, processes) = host(vec![], vec![], 1 << 30);
    processes.tree(7, 1000, 0);
    meter.open_at(Moment::at(0.0), ONE, &[]);
    std::fs::write(folder.path().join("cpu.stat"), "usage_usec 3000000\nuser_usec 1\n").unwrap();
    meter.attach(ONE, 7, Some(folder.path().to_owned()));
    let joules = |meter: &mut HostMeter| meter.sample().consumers[&ONE].cpu.total().joules().get();
    assert!((joules(&mut meter) - 30.0).abs() < 1e-9);
    std::fs::write(folder.path().join("memory.current"), format!("{}\n", 1u64 << 29)).unwrap();
    meter.sample();
    std::thread::sleep(Duration::from_millis(20));
    let snapshot = meter.sample();
    assert!(snapshot.consumers[&ONE].memory.total() > Joules::new(0.0).to_exact());
    // It was removed: what is known stays.
    std::fs::remove_file(folder.path().join("cpu.stat")).unwrap();
    assert!((joules(&mut meter) - 30.0).abs() < 1e-9);
}

#[test]
fn memory_is_paid_by_what_is_resident_and_the_rest_is_idle() {
    let gigabytes = 32 << 30;
    let (mut meter, processes) = host(vec![], vec![], gigabytes);
    processes.tree(7, 0, 8 << 10);
    meter.open_at(Moment::at(0.0), ONE, &[]);
    meter.attach_at(Moment::at(0.0), ONE, 7);
    let snapshot = meter.sample_at(Moment::at(100.0));
    let all = gigabytes as f64 / 1e9 * 0.3725 * 100.0;
    assert_eq!(snapshot.total.amount(), modelled(all));
    let share = snapshot.consumers[&ONE].total().joules().get();
    assert!((share - all / 4.0).abs() <= 1e-6, "{share} J of {all} J");
    assert!(snapshot.is_balanced());
}

#[test]
fn memory_does_not_burn_while_the_machine_sleeps() {
    let (mut meter, _) = host(vec![], vec![], 1 << 30);
    meter.sample_at(Moment::at(1.0));
    let woken = Moment { boot: Duration::from_secs(9000), awake: Duration::from_secs(2) };
    let snapshot = meter.sample_at(woken);
    assert_eq!(snapshot.total.amount(), modelled(1.073_741_824 * 0.3725));
    assert_eq!(snapshot.at, woken.boot);
}

#[test]
fn a_lost_gpu_leaves_an_estimate_in_its_payers_account() {
    let (mut meter, _) = host(vec![Replay::new([counter(0.0), counter(200.0), gone()])], vec![], 0);
    meter.open_at(Moment::at(0.0), ONE, &[uuid(0)]);
    meter.sample_at(Moment::at(1.0));
    let snapshot = meter.sample_at(Moment::at(2.0));
    assert_eq!(snapshot.consumers[&ONE].amount(), measured(200.0) + joules(200.0, Provenance::Estimated));
}

#[test]
fn what_is_safe_elsewhere_is_forgotten_once_no_device_owes_anything() {
    let silent = || ReadError::Retry("as scripted".to_owned());
    let gpu = Replay::new([counter(0.0), counter(10.0), Err(silent()), counter(30.0), counter(35.0)]);
    let (mut meter, _) = host(vec![gpu], vec![], 0);
    meter.open_at(Moment::at(0.0), ONE, &[uuid(0)]);
    meter.sample_at(Moment::at(1.0));
    meter.close_at(Moment::at(2.0), ONE, None);
    let told = measured(10.0);
    meter.forget(ONE, Energy::of(Component::Gpu, told));
    let late = meter.sample_at(Moment::at(3.0)).consumers[&ONE];
    assert!(late.gpu.total() > told.total(), "its part of the hole came in: that is not safe yet");
    meter.forget(ONE, late);
    let after = meter.sample_at(Moment::at(4.0));
    assert_eq!((after.consumers.get(&ONE), after.forgotten), (None, late));
    assert!(after.is_balanced());
    // A number that is not closed is kept until it is.
    meter.open_at(Moment::at(4.0), TWO, &[]);
    meter.forget(TWO, Energy::ZERO);
    assert!(meter.sample_at(Moment::at(5.0)).consumers.contains_key(&TWO));
}

/// One second of a trial with a core of four and a GPU, both at 100 W of which 40 W are drawn anyway; another GPU waits at 40 W.
fn a_second_by(policy: IdlePolicy, cpus: Option<u32>) -> HostSnapshot {
    let burns = |joules: f64| Replay::new([0.0, 0.0, 0.0, joules].map(counter));
    let (meter, processes) = host(vec![burns(100.0), burns(40.0)], vec![burns(100.0)], 0);
    let mut meter = meter.with(policy, Some(Watts::new(40.0)), None);
    processes.tree(7, 0, 0);
    meter.sample_at(Moment::at(0.0));
    meter.open_at(Moment::at(0.0), ONE, &[uuid(0)]);
    meter.reserve(ONE, cpus);
    meter.attach_at(Moment::at(0.0), ONE, 7);
    processes.tree(7, 1000, 0);
    processes.edit(|table| table.host = Duration::from_secs(1));
    let snapshot = meter.sample_at(Moment::at(1.0));
    assert!(snapshot.is_balanced());
    assert_eq!(snapshot.total.total(), Joules::new(240.0).to_exact());
    snapshot
}

#[test]
fn who_pays_for_what_is_drawn_anyway_is_a_policy() {
    let joules = |energy: &Amount| energy.total().joules().get();
    let of = |snapshot: &HostSnapshot| {
        let consumer = snapshot.consumers[&ONE];
        (joules(&consumer.gpu), joules(&consumer.cpu), snapshot.idle.joules().get())
    };
    // Of the package's 40 W anyway it reserved a quarter, or nothing.
    assert_eq!(of(&a_second_by(IdlePolicy::Reserved, Some(1))), (100.0, 70.0, 70.0));
    assert_eq!(of(&a_second_by(IdlePolicy::Reserved, None)), (100.0, 60.0, 80.0));
    assert_eq!(of(&a_second_by(IdlePolicy::Used, Some(1))), (60.0, 60.0, 120.0));
    assert_eq!(of(&a_second_by(IdlePolicy::Amortised, Some(1))), (140.0, 100.0, 0.0));
}

#[test]
fn who_the_nodes_meter_still_owes_is_not_forgotten() {
    let gpu = Replay::new([0.0, 0.0, 50.0, 100.0, 100.0, 100.0].map(counter));
    let silent = || Err(ReadError::Retry("as scripted".to_owned()));
    let node = Replay::new([counter(0.0), counter(0.0), silent(), silent(), silent(), counter(300.0)]);
    let (meter, _) = host(vec![gpu], vec![], 0);
    let mut meter = meter.with(IdlePolicy::Reserved, None, Some(node));
    meter.sample_at(Moment::at(0.0));
    meter.open_at(Moment::at(1.0), ONE, &[uuid(0)]);
    meter.sample_at(Moment::at(2.0));
    meter.close_at(Moment::at(3.0), ONE, None);
    let told = meter.sample_at(Moment::at(4.0)).consumers[&ONE];
    meter.forget(ONE, told);
    let late = meter.sample_at(Moment::at(5.0)).consumers[&ONE];
    assert_eq!((told.rest, late.rest), (Amount::ZERO, modelled(200.0)), "it is told of, and not safe yet");
    meter.forget(ONE, late);
    assert!(!meter.sample_at(Moment::at(6.0)).consumers.contains_key(&ONE));
}

#[test]
fn all_that_waits_beside_a_trial_is_amortised_together() {
    // A trial without a GPU, beside one that waits.
    let gpu = Replay::new([0.0, 0.0, 0.0, 100.0].map(counter));
    let package = Replay::new([0.0, 0.0, 0.0, 50.0].map(counter));
    let (meter, processes) = host(vec![gpu], vec![package], 0);
    let mut meter = meter.with(IdlePolicy::Amortised, None, None);
    processes.tree(7, 0, 0);
    meter.sample_at(Moment::at(0.0));
    meter.open_at(Moment::at(0.0), ONE, &[]);
    meter.attach_at(Moment::at(0.0), ONE, 7);
    processes.tree(7, 1000, 0);
    meter.sample_power();
    let snapshot = meter.sample_at(Moment::at(1.0));
    assert_eq!(snapshot.consumers[&ONE].total(), Joules::new(150.0).to_exact());
    assert_eq!(snapshot.idle, Energy::ZERO);
}

#[test]
fn replay_is_a_device_like_any_other() {
    crate::contract::check_description(&Replay::new([]));
    assert!(matches!(Replay::new([]).read(), Err(ReadError::Retry(_))));
}
