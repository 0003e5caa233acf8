//! NVIDIA GPUs through the NVML library.
//!
//! A GPU is known by its UUID, never by its index: CUDA and NVML may count differently, and a reset card may move.

use std::path::Path;
use std::sync::Arc;

use gramwise_carbon::Watts;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use crate::device::{Device, Raw, ReadError};
use crate::probe::Gpu;

/// What is assumed of a GPU that tells no limit: about half of what a mid-range data centre card may draw.
const UNKNOWN_GPU: Watts = Watts::new(150.0);

/// One GPU: its energy counter (Volta and newer), else its power.
pub(crate) struct NvmlGpu {
    nvml: Arc<Nvml>,
    index: u32,
    uuid: String,
    limit: Option<Watts>,
    has_counter: bool,
}

/// Opens NVML: the given library, or the driver's.
pub(crate) fn open(library: Option<&Path>) -> Result<Arc<Nvml>, NvmlError> {
    match library {
        Some(path) => Nvml::builder().lib_path(path.as_os_str()).init(),
        None => Nvml::init(),
    }
    .map(Arc::new)
}

/// A GPU and the device that meters it, or its index and what it said instead.
type Found = Result<(Gpu, NvmlGpu), (u32, NvmlError)>;

/// All GPUs, in NVML's order.
pub(crate) fn gpus(nvml: &Arc<Nvml>) -> Result<Vec<Found>, NvmlError> {
    Ok((0..nvml.device_count()?).map(|index| gpu(nvml, index).map_err(|error| (index, error))).collect())
}

fn gpu(nvml: &Arc<Nvml>, index: u32) -> Result<(Gpu, NvmlGpu), NvmlError> {
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
    Ok((gpu, NvmlGpu { nvml: nvml.clone(), index, uuid, limit, has_counter }))
}

impl NvmlGpu {
    /// Its place in NVML's order when it was found: for people, who see it in other tools.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// How it is metered, for people.
    pub(crate) fn how(&self) -> &'static str {
        if self.has_counter { "NVML energy counter" } else { "NVML power, integrated" }
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
    fn each_error_says_what_to_do() {
        assert!(matches!(told(&NvmlError::GpuLost), ReadError::Gone(_)));
        assert!(matches!(told(&NvmlError::ResetRequired), ReadError::Gone(_)));
        assert!(matches!(told(&NvmlError::NoPermission), ReadError::Fatal(_)));
        assert!(matches!(told(&NvmlError::Unknown), ReadError::Retry(_)));
        assert!(matches!(told(&NvmlError::InUse), ReadError::Retry(_)));
    }
}
