//! Learns what a host draws anyway, and how the whole node follows its components: first nothing is done, then the processors are
//! kept busy, some of them after the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gramwise_carbon::{Amount, Watts};

use crate::clock::Moment;
use crate::gauge::Gauge;
use crate::host::Parts;
use crate::line::Line;
use crate::memory_model;
use crate::probe::{self, ProbeError, ProbeOptions};
use crate::processes::ProcessTable;
use crate::profile::{NodeModel, Profile};
use crate::rest::Known;

/// Counters are read so often.
const PERIOD: Duration = Duration::from_secs(1);
/// The load rises in so many steps.
const STEPS: u32 = 4;
/// What is drawn anyway is this quantile of what was seen while nothing ran: not the minimum, which is a moment's.
const QUANTILE: f64 = 0.05;

/// How long each half takes.
#[derive(Debug, Clone, Copy)]
pub struct Phases {
    /// Nothing runs.
    pub idle: Duration,
    /// The processors are kept busy.
    pub load: Duration,
}

/// What a calibration found.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// To be written where the meter finds it.
    pub profile: Profile,
    /// What could not be learnt, and why.
    pub missing: Vec<String>,
}

/// Calibrates this host; `made_utc` is the time to write down, `progress` is told what goes on, and its share done.
pub fn calibrate(
    options: &ProbeOptions,
    phases: Phases,
    made_utc: &str,
    mut progress: impl FnMut(&str, f64),
) -> Result<Calibration, ProbeError> {
    // What an earlier one found is no part of this one.
    let parts = probe::parts(&ProbeOptions { profile: None, ..options.clone() })?;
    let (hostname, cpus) = (parts.inventory.hostname.clone(), parts.inventory.cpus);
    let mut bench = Bench::new(parts);
    let whole = (phases.idle + phases.load).as_secs_f64().max(1e-9);
    let began = Instant::now();
    let (mut idle, mut all) = (Vec::new(), Vec::new());
    bench.sample(Moment::now());
    while began.elapsed() < phases.idle {
        std::thread::sleep(PERIOD);
        progress("nothing runs", began.elapsed().as_secs_f64() / whole);
        idle.extend(bench.sample(Moment::now()));
    }
    for step in 1..=STEPS {
        let busy = Busy::start((cpus * step).div_ceil(STEPS));
        let until = phases.idle + phases.load * step / STEPS;
        // Of the first second, a part was not busy.
        std::thread::sleep(PERIOD.min(until.saturating_sub(began.elapsed())));
        bench.sample(Moment::now());
        while began.elapsed() < until {
            std::thread::sleep(PERIOD);
            progress(
                &format!("{} of {cpus} CPUs are busy", busy.count),
                (began.elapsed().as_secs_f64() / whole).min(1.0),
            );
            all.extend(bench.sample(Moment::now()));
        }
    }
    all.extend(idle.iter().cloned());
    Ok(learnt(hostname, made_utc, &idle, &all))
}

/// Threads that do nothing but that.
struct Busy {
    stop: Arc<AtomicBool>,
    count: u32,
}

impl Busy {
    fn start(count: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..count {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut x = 1.0f64;
                while !stop.load(Ordering::Relaxed) {
                    for _ in 0..10_000 {
                        x = std::hint::black_box(x * 1.000_000_1 + 1e-9);
                    }
                }
            });
        }
        Self { stop, count }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// One second.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    /// Each device's power, by name.
    devices: BTreeMap<String, Watts>,
    /// All components, models included.
    components: f64,
    node: Option<f64>,
}

/// The devices to be watched.
struct Bench {
    lines: Vec<Line>,
    node: Option<Gauge>,
    processes: Box<dyn ProcessTable>,
    /// Watts of a busy core where no package is measured.
    core: Option<Watts>,
    /// Watts of memory where none is measured.
    memory: Watts,
    last: Option<(Moment, Duration)>,
}

impl Bench {
    fn new(parts: Parts) -> Self {
        let Parts { inventory, gpus, packages, dram, core_power, processes, rest, .. } = parts;
        let core = packages.is_empty().then_some(core_power.watts);
        let is_measured = !dram.is_empty();
        let memory = if is_measured { Watts::new(0.0) } else { memory_model::power(inventory.memory_bytes) };
        let node = match rest.into_known() {
            Known::Meter(gauge) => Some(gauge),
            Known::Model(_) | Known::Not => None,
        };
        let lines = gpus.into_values().chain(packages).chain(dram).collect();
        Self { lines, node, processes, core, memory, last: None }
    }

    /// The second since the last call; `None` the first time, or if something could not be read.
    fn sample(&mut self, at: Moment) -> Option<Sample> {
        let busy = self.processes.host().unwrap_or_default();
        let (then, busy_then) = self.last.replace((at, busy)).unwrap_or((at, busy));
        let seconds = at.since(then).as_secs_f64();
        let watts = |amount: Amount| Watts::new(amount.total().joules().get() / seconds);
        let amounts: Vec<(String, Option<Amount>)> =
            self.lines.iter_mut().map(|line| (line.name().to_owned(), line.measure(at))).collect();
        let node = self.node.as_mut().and_then(|node| node.read(at));
        if seconds <= 0.0 {
            return None;
        }
        // Zones of memory have one name on all sockets: one sum.
        let mut devices: BTreeMap<String, Watts> = BTreeMap::new();
        for (name, amount) in amounts {
            *devices.entry(name).or_default() += watts(amount?);
        }
        let modelled =
            self.core.map_or(0.0, |core| core.get() * busy.saturating_sub(busy_then).as_secs_f64() / seconds);
        let measured: f64 = devices.values().map(|power| power.get()).sum();
        let components = measured + modelled + self.memory.get();
        Some(Sample { devices, components, node: node.map(|amount| watts(amount).get()) })
    }
}

fn learnt(hostname: String, made_utc: &str, idle: &[Sample], all: &[Sample]) -> Calibration {
    let mut missing = Vec::new();
    let mut by_device: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, power) in idle.iter().flat_map(|sample| &sample.devices) {
        by_device.entry(name.clone()).or_default().push(power.get());
    }
    let idle_w = by_device
        .into_iter()
        .map(|(name, powers)| (name, Watts::new(quantile(powers))))
        .collect::<BTreeMap<_, _>>();
    if idle_w.is_empty() {
        missing.push("idle power: no GPU and no RAPL here to be measured".to_owned());
    }
    let pairs: Vec<(f64, f64)> =
        all.iter().filter_map(|sample| Some((sample.components, sample.node?))).collect();
    let node = NodeModel::fit(&pairs);
    match (node, pairs.len()) {
        (Some(_), _) => {}
        (None, 0) => missing.push(
            "the rest of the node: no meter of the node\nhint: --node 'exec:ipmitool dcmi power reading', or what else prints its watts"
                .to_owned(),
        ),
        (None, samples) => missing.push(format!(
            "the rest of the node: its components did not change over {samples} samples; take longer"
        )),
    }
    let profile = Profile { hostname, made_utc: made_utc.to_owned(), idle_w, node };
    Calibration { profile, missing }
}

fn quantile(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = (QUANTILE * values.len() as f64) as usize;
    values.get(at).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(package: f64, node: Option<f64>) -> Sample {
        Sample {
            devices: [("package-0".to_owned(), Watts::new(package))].into(),
            components: package + 10.0,
            node,
        }
    }

    #[test]
    fn what_is_drawn_anyway_and_the_nodes_line_are_learnt() {
        let idle: Vec<Sample> = (0..40)
            .map(|k| sample(30.0 + f64::from(k % 10), Some(100.0 + 1.2 * f64::from(k % 10))))
            .collect();
        let mut all = idle.clone();
        all.extend((0..20).map(|k| sample(80.0 + f64::from(k), Some(100.0 + 1.2 * (50.0 + f64::from(k))))));
        let Calibration { profile, missing } = learnt("host".to_owned(), "now", &idle, &all);
        assert!(missing.is_empty());
        assert_eq!(profile.idle_w["package-0"], Watts::new(30.0));
        let node = profile.node.unwrap();
        assert!(
            (node.factor - 1.2).abs() < 1e-9 && (node.base_w - (100.0 - 1.2 * 40.0)).abs() < 1e-6,
            "{node:?}"
        );
    }

    #[test]
    fn what_cannot_be_learnt_is_said() {
        let none = learnt("host".to_owned(), "now", &[], &[]);
        assert_eq!(none.missing.len(), 2);
        assert!(none.missing[1].contains("--node"));
        let flat: Vec<Sample> = (0..5).map(|_| sample(30.0, Some(100.0))).collect();
        let flat = learnt("host".to_owned(), "now", &flat, &flat);
        assert!(flat.missing[0].contains("did not change"), "{:?}", flat.missing);
        assert_eq!(flat.profile.node, None);
    }
}
