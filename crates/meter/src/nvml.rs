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

/// One GPU: its energy counter (Volta and newer), else its power.
pub(crate) struct NvmlGpu {
    nvml: Arc<Nvml>,
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

/// All GPUs that answer, with a device for each. GPUs that do not are named with what they said.
pub(crate) fn gpus(nvml: &Arc<Nvml>) -> Vec<Result<(Gpu, NvmlGpu), (u32, NvmlError)>> {
    let count = nvml.device_count().unwrap_or(0);
    (0..count).map(|index| gpu(nvml, index).map_err(|error| (index, error))).collect()
}

fn gpu(nvml: &Arc<Nvml>, index: u32) -> Result<(Gpu, NvmlGpu), NvmlError> {
    let device = nvml.device_by_index(index)?;
    let uuid = device.uuid()?;
    let limit = device.enforced_power_limit().ok().map(|milliwatts| Watts::new(f64::from(milliwatts) / 1e3));
    let gpu = Gpu {
        uuid: uuid.clone(),
        name: device.name()?,
        memory_bytes: device.memory_info().map_or(0, |memory| memory.total),
        power_limit: limit,
    };
    let has_counter = device.total_energy_consumption().is_ok();
    if !has_counter {
        device.power_usage()?; // Neither: there is nothing to meter by.
    }
    Ok((gpu, NvmlGpu { nvml: nvml.clone(), uuid, limit, has_counter }))
}

impl NvmlGpu {
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
            Ok(Raw::Power(Watts::new(f64::from(milliwatts) / 1e3)))
        }
    }

    /// 64 bits of millijoules do not wrap: a fall is a reset.
    fn range(&self) -> Option<u64> {
        None
    }

    fn max_power(&self) -> Option<Watts> {
        self.limit
    }
}

fn told(error: &NvmlError) -> ReadError {
    if matches!(error, NvmlError::GpuLost | NvmlError::Uninitialized | NvmlError::NotFound) {
        ReadError::Gone(error.to_string())
    } else {
        ReadError::Retry(error.to_string())
    }
}
