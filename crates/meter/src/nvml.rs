//! NVIDIA GPUs through the NVML library.
//!
//! A GPU is known by its UUID, never by its index: CUDA and NVML may count differently, and a reset card may move.
//!
//! An energy counter is believed only if it moves as the power says: some cards and drivers are known whose counter stands still or
//! runs at a fraction (kokkos-tools pull request 295, amdsmi issue 38).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gramwise_carbon::{Joules, Watts};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use crate::device::{Device, Raw, ReadError};
use crate::probe::Gpu;

/// What is assumed of a GPU that tells no limit: about half of what a mid-range data centre card may draw.
const UNKNOWN_GPU: Watts = Watts::new(150.0);

/// For so long a counter is held against the power before it is believed.
const CHECK: Duration = Duration::from_millis(500);
/// Counters move in steps of up to this long.
const STEP: Duration = Duration::from_millis(100);
/// A counter may say so many times what the power says, or as little as that part of it: power is a mean over up to a second, and
/// may have moved meanwhile.
const ALLOWED: f64 = 3.0;
/// While trials run, counter and power may be so far apart: power is sampled for a part of the time only ("Part-time Power
/// Measurements", Yang, Adamek and Armour 2023: 25 % on A100 and H100), so this is wide.
const CROSS_ALLOWED: f64 = 0.3;
/// After so much energy, and over no hole longer than this.
const CROSS_ENOUGH: Joules = Joules::new(10_000.0);
const CROSS_HOLE: Duration = Duration::from_secs(5);

/// One GPU: its energy counter (Volta and newer), else its power.
pub(crate) struct NvmlGpu {
    nvml: Arc<Nvml>,
    index: u32,
    uuid: String,
    limit: Option<Watts>,
    has_counter: bool,
    /// The energy that the counter said in [`CHECK`], as a share of what the power said; `None` where the
    /// power was zero or one of them could not be read.
    counted: Option<f64>,
    cross: CrossCheck,
}

/// A counter held against the power for as long as it is read.
#[derive(Debug, Default)]
struct CrossCheck {
    last: Option<(Instant, u64, Watts)>,
    by_counter: f64,
    by_power: f64,
    complained: bool,
}

impl CrossCheck {
    /// Takes in a reading of both. Some when they have come apart, once: the counter's energy as a share of the power's.
    fn add(&mut self, at: Instant, millijoules: u64, power: Watts) -> Option<f64> {
        let (then, before, was) = self.last.replace((at, millijoules, power))?;
        let seconds = at.saturating_duration_since(then).as_secs_f64();
        // A reset, or a hole that a trapezoid does not span.
        if millijoules < before || seconds > CROSS_HOLE.as_secs_f64() {
            return None;
        }
        self.by_counter += (millijoules - before) as f64 / 1e3;
        self.by_power += (power.get() + was.get()) * 0.5 * seconds;
        let share = self.by_counter / self.by_power.max(1e-9);
        let is_apart = self.by_power > CROSS_ENOUGH.get() && (share - 1.0).abs() > CROSS_ALLOWED;
        (is_apart && !std::mem::replace(&mut self.complained, true)).then_some(share)
    }
}

/// Opens NVML: the given library, or the driver's.
pub(crate) fn open(library: Option<&Path>) -> Result<Arc<Nvml>, NvmlError> {
    match library {
        Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
        None => Nvml::init(),
    }
    .map(Arc::new)
}

/// A part of a GPU that can be leased by itself: a MIG instance. Energy is counted for the whole GPU only.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slice {
    pub(crate) gpu: Gpu,
    /// How many of the GPU's slices it is.
    pub(crate) size: u64,
}

/// What a GPU is cut into.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Slices {
    pub(crate) slices: Vec<Slice>,
    /// Slices in all, those of no instance included; 0 where the GPU is not cut.
    pub(crate) of: u64,
}

/// A GPU, the device that meters it and what it is cut into; or its index and what it said instead.
type Found = Result<(Gpu, NvmlGpu, Slices), (u32, NvmlError)>;

/// All GPUs, in NVML's order.
pub(crate) fn gpus(nvml: &Arc<Nvml>) -> Result<Vec<Found>, NvmlError> {
    let mut found: Vec<Found> =
        (0..nvml.device_count()?).map(|index| gpu(nvml, index).map_err(|error| (index, error))).collect();
    check_counters(
        found.iter_mut().filter_map(|one| one.as_mut().ok()).map(|(_, device, _)| device).collect(),
    );
    Ok(found)
}

/// Holds all counters against the power, at once.
fn check_counters(mut gpus: Vec<&mut NvmlGpu>) {
    gpus.retain(|gpu| gpu.has_counter);
    let before: Vec<Option<(u64, Watts)>> = gpus.iter().map(|gpu| gpu.counter_and_power()).collect();
    if before.iter().all(Option::is_none) {
        return;
    }
    let began = Instant::now();
    std::thread::sleep(CHECK);
    for (gpu, before) in gpus.into_iter().zip(before) {
        let (Some((from, power)), Some((to, power_now))) = (before, gpu.counter_and_power()) else {
            continue;
        };
        let by_power = ((power + power_now) * 0.5).over(began.elapsed());
        let step = Watts::new(power.get().max(power_now.get())).over(STEP) + Joules::new(1.0);
        let counted = Joules::new((to as f64 - from as f64) / 1e3);
        gpu.counted = (by_power.get() > 0.0).then(|| counted.get() / by_power.get());
        gpu.has_counter = is_credible(counted, by_power, step);
    }
}

/// Is what a counter said possible, beside what the power said and the longest step of a counter?
fn is_credible(counted: Joules, by_power: Joules, step: Joules) -> bool {
    let (least, most) = (by_power.get() / ALLOWED - step.get(), by_power.get() * ALLOWED + step.get());
    counted.get() >= least.max(0.0) && counted.get() <= most
}

fn gpu(nvml: &Arc<Nvml>, index: u32) -> Result<(Gpu, NvmlGpu, Slices), NvmlError> {
    let device = nvml.device_by_index(index)?;
    let uuid = device.uuid()?;
    let limit = device.enforced_power_limit().ok().map(watts).filter(|limit| limit.get() > 0.0);
    let gpu = Gpu {
        uuid: uuid.clone(),
        name: device.name()?,
        memory_bytes: device.memory_info().map_or(0, |memory| memory.total),
        power_limit: limit,
    };
    let has_counter = match device.total_energy_consumption() {
        Ok(_) => true,
        // Older than Volta, or a driver older than the counter. Any other error is none of the counter's.
        Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) => {
            device.power_usage()?; // Neither: there is nothing to meter by.
            false
        }
        Err(error) => return Err(error),
    };
    let slices = slices(&device, &gpu.name);
    Ok((
        gpu,
        NvmlGpu {
            nvml: nvml.clone(),
            index,
            uuid,
            limit,
            has_counter,
            counted: None,
            cross: CrossCheck::default(),
        },
        slices,
    ))
}

/// The MIG instances of a GPU. Where its driver knows no MIG, or does not answer, it is one whole.
fn slices(device: &nvml_wrapper::Device<'_>, name: &str) -> Slices {
    if !device.mig_mode().is_ok_and(|mode| mode.current == 1) {
        return Slices::default();
    }
    let count = device.mig_device_count().unwrap_or(0);
    let slice = |index| {
        let instance = device.mig_device_by_index(index).ok()?;
        let attributes = instance.attributes().ok()?;
        // Of compute: a GPU instance may be cut again, and says its own size in each part.
        let size = attributes.compute_instance_slice_count;
        let gpu = Gpu {
            uuid: instance.uuid().ok()?,
            name: format!("{name} MIG {size} of {count}"),
            memory_bytes: attributes.memory_size_mb << 20,
            power_limit: None,
        };
        Some(Slice { gpu, size: u64::from(size) })
    };
    Slices { slices: (0..count).filter_map(slice).collect(), of: u64::from(count) }
}

impl NvmlGpu {
    /// Its place in NVML's order when it was found: for people, who see it in other tools.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// How it is metered, for people.
    pub(crate) fn how(&self) -> String {
        let share = self.counted.map(|share| format!("{:.0} %", share * 100.0));
        match (self.has_counter, share) {
            (true, None) => "NVML energy counter".to_owned(),
            (true, Some(share)) => {
                format!("NVML energy counter ({share} of its power over {} s)", CHECK.as_secs_f64())
            }
            (false, None) => "NVML power, integrated".to_owned(),
            (false, Some(share)) => {
                format!(
                    "NVML power, integrated: its energy counter says {share} of that, and is not believed"
                )
            }
        }
    }

    /// Both in millijoules and watts; `None` where one of them cannot be read.
    fn counter_and_power(&self) -> Option<(u64, Watts)> {
        let device = self.nvml.device_by_uuid(self.uuid.as_str()).ok()?;
        Some((device.total_energy_consumption().ok()?, watts(device.power_usage().ok()?)))
    }
}

impl Device for NvmlGpu {
    fn name(&self) -> &str {
        &self.uuid
    }

    fn read(&mut self) -> Result<Raw, ReadError> {
        let device = self.nvml.device_by_uuid(self.uuid.as_str()).map_err(|error| told(&error))?;
        if self.has_counter {
            let millijoules = device.total_energy_consumption().map_err(|error| told(&error))?;
            if let Ok(power) = device.power_usage()
                && let Some(share) = self.cross.add(Instant::now(), millijoules, watts(power))
            {
                let percent = share * 100.0;
                tracing::warn!(
                    gpu = self.uuid,
                    "its energy counter says {percent:.0} % of what its power does"
                );
            }
            Ok(Raw::Counter(millijoules.saturating_mul(1000)))
        } else {
            let milliwatts = device.power_usage().map_err(|error| told(&error))?;
            Ok(Raw::Power(watts(milliwatts)))
        }
    }

    /// 64 bits of millijoules do not wrap: a fall is a reset.
    fn range(&self) -> Option<u64> {
        None
    }

    fn max_power(&self) -> Option<Watts> {
        self.limit
    }

    /// Half of its limit: between idling at a tenth of it and training at most of it.
    fn usual_power(&self) -> Watts {
        self.limit.map_or(UNKNOWN_GPU, |limit| limit * 0.5)
    }
}

fn watts(milliwatts: u32) -> Watts {
    Watts::new(f64::from(milliwatts) / 1e3)
}

fn told(error: &NvmlError) -> ReadError {
    let why = error.to_string();
    match error {
        NvmlError::GpuLost
        | NvmlError::ResetRequired
        | NvmlError::NotFound
        | NvmlError::DriverNotLoaded
        | NvmlError::Uninitialized => ReadError::Gone(why),
        NvmlError::NoPermission => ReadError::Fatal(why),
        _ => ReadError::Retry(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{check_counter, check_power};
    use crate::support::{machine, wait_until};

    fn only_gpu(library: &Path) -> NvmlGpu {
        let nvml = open(Some(library)).unwrap();
        gpus(&nvml).unwrap().remove(0).unwrap().1
    }

    /// Silence but for 5 J in second 1 and 1 J in second 2.
    #[test]
    fn an_energy_counter_keeps_the_contract_of_devices() {
        let trace = "[[0,0],[1,0],[1,50],[1.1,50],[1.1,0],[2,0],[2,10],[2.1,10],[2.1,0]]";
        let gpu = format!(r#"{{"gpus":[{{"uuid":"GPU-1","trace":{trace}}}]}}"#);
        machine("nvml::tests::an_energy_counter_keeps_the_contract_of_devices", &gpu, |library| {
            check_counter(&mut only_gpu(library), |burnt| match burnt {
                0 => {}
                5 => wait_until(1.2),
                _ => wait_until(2.2),
            });
        });
    }

    #[test]
    fn a_power_keeps_the_contract_of_devices() {
        let gpu =
            r#"{"gpus":[{"uuid":"GPU-1","counter":false,"trace":[[0,0],[1,0],[1,250],[2,250],[2,100]]}]}"#;
        machine("nvml::tests::a_power_keeps_the_contract_of_devices", gpu, |library| {
            check_power(&mut only_gpu(library), |watts| match watts {
                0 => {}
                250 => wait_until(1.1),
                _ => wait_until(2.1),
            });
        });
    }

    #[test]
    fn a_counter_is_believed_if_it_moves_as_the_power_says() {
        let check = |counted, watts: f64| {
            let power = Watts::new(watts);
            is_credible(Joules::new(counted), power.over(CHECK), power.over(STEP) + Joules::new(1.0))
        };
        assert!(check(50.0, 100.0) && check(40.0, 100.0) && check(60.0, 100.0), "a step early or late");
        assert!(check(0.0, 10.0), "little is drawn: nothing can be said");
        assert!(!check(0.0, 100.0), "it stands still");
        assert!(!check(500.0, 100.0), "it runs away");
        assert!(!check(-5.0, 100.0), "it falls");
    }

    #[test]
    fn a_counter_that_comes_apart_from_the_power_is_told_of_once() {
        let second = |number: u64| Instant::now() + Duration::from_secs(number);
        let mut told = Vec::new();
        for percent in [100, 60] {
            let mut cross = CrossCheck::default();
            for at in 0..120 {
                told.extend(cross.add(second(at), at * 200_000 * percent / 100, Watts::new(200.0)));
            }
            // A reset and a hole say nothing.
            assert_eq!(cross.add(second(121), 5, Watts::new(200.0)), None);
            assert_eq!(cross.add(second(500), 1_000_000_000, Watts::new(200.0)), None);
        }
        assert!(matches!(told.as_slice(), [share] if (share - 0.6).abs() < 0.01), "{told:?}");
    }

    #[test]
    fn each_error_says_what_to_do() {
        assert!(matches!(told(&NvmlError::GpuLost), ReadError::Gone(_)));
        assert!(matches!(told(&NvmlError::ResetRequired), ReadError::Gone(_)));
        assert!(matches!(told(&NvmlError::NoPermission), ReadError::Fatal(_)));
        assert!(matches!(told(&NvmlError::Unknown), ReadError::Retry(_)));
        assert!(matches!(told(&NvmlError::InUse), ReadError::Retry(_)));
    }
}
