//! GPUs that no trial should be started on now: somebody else computes there, what ran before has not let go of its memory, or the card
//! does not answer.
//!
//! Asked of NVIDIA's GPUs only; of others nothing is known, and they pass.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::sync::Arc;

use nvml_wrapper::Nvml;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;

use crate::amd::is_amd;

/// From inside a container the driver shows no processes, but the memory that they hold: so much of it, and that share of the card, is
/// more than a desktop takes.
const FEW_BYTES: u64 = 2 << 30;
const FEW_PERCENT: u64 = 25;
/// The daemon by which processes share a GPU ("CUDA Multi-Process Service", docs.nvidia.com/deploy/mps): it holds the card for those that
/// use it. Names of processes have 15 bytes.
const SHARING_DAEMON: &str = "nvidia-cuda-mps";

/// Knows whom to ask.
#[derive(Default, Clone)]
pub(crate) struct Obstacles(Option<Arc<Nvml>>);

impl fmt::Debug for Obstacles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Obstacles({})", self.0.is_some())
    }
}

impl Obstacles {
    pub(crate) fn by(nvml: Arc<Nvml>) -> Self {
        Self(Some(nvml))
    }

    /// Those of these GPUs that are better left alone, and why, in words. Ask it of GPUs that no trial of ours is on. May block for as long
    /// as a driver does.
    pub(crate) fn of<'a>(&self, gpus: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
        let Some(nvml) = &self.0 else { return BTreeMap::new() };
        let gpus = gpus.filter(|uuid| !is_amd(uuid));
        gpus.filter_map(|uuid| Some((uuid.to_owned(), obstacle(nvml, uuid)?))).collect()
    }
}

fn obstacle(nvml: &Nvml, uuid: &str) -> Option<String> {
    let lost = |error: NvmlError| match error {
        NvmlError::GpuLost | NvmlError::ResetRequired | NvmlError::NotFound => {
            Some(format!("it does not answer: {error}"))
        }
        // It cannot tell, or this user may not ask.
        _ => None,
    };
    let device = match nvml.device_by_uuid(uuid) {
        Ok(device) => device,
        Err(error) => return lost(error),
    };
    let found = match device.running_compute_processes() {
        Ok(found) => found,
        Err(error) => return lost(error),
    };
    let others = found.iter().map(|one| (one, name_of(one.pid))).filter(|(_, name)| name != SHARING_DAEMON);
    let described = others.map(|(one, name)| {
        let memory = match one.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => format!(", {:.1} GB", gigabytes(bytes)),
            UsedGpuMemory::Unavailable => String::new(),
        };
        let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
        format!("process {}{name}{memory}", one.pid)
    });
    let described: Vec<String> = described.collect();
    if !described.is_empty() {
        return Some(format!("others compute on it: {}", described.join("; ")));
    }
    let memory = device.memory_info().ok().filter(|_| found.is_empty())?;
    let is_much = memory.used > FEW_BYTES && memory.used > memory.total / 100 * FEW_PERCENT;
    is_much.then(|| {
        format!("{:.1} GB of its memory are in use, by nobody that is seen from here", gigabytes(memory.used))
    })
}

/// What a process is called; empty where it is not seen from here, such as from inside a container.
fn name_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nvml;
    use crate::support::machine;

    #[test]
    fn gpus_that_others_use_or_that_are_lost_are_named() {
        let gpus = r#"{"gpus": [
            {"uuid": "GPU-free", "trace": [[0, 100]]},
            {"uuid": "GPU-taken", "trace": [[0, 100]], "others": [{"pid": 999999999, "memory_gb": 10}]},
            {"uuid": "GPU-hidden", "trace": [[0, 100]], "others": [{"memory_gb": 30}]},
            {"uuid": "GPU-desktop", "trace": [[0, 100]], "others": [{"memory_gb": 1}]},
            {"uuid": "GPU-lost", "trace": [[0, 100]], "lost_at_s": 0},
            {"uuid": "GPU-cut", "trace": [[0, 100]], "mig": [{"uuid": "MIG-1", "slices": 3}]}]}"#;
        machine("obstacles::tests::gpus_that_others_use_or_that_are_lost_are_named", gpus, |library| {
            let obstacles = Obstacles::by(nvml::open(Some(library)).unwrap());
            let asked = [
                "GPU-free",
                "GPU-taken",
                "GPU-hidden",
                "GPU-desktop",
                "GPU-lost",
                "MIG-1",
                "GPU-1d3f2a9b00c4e5f6",
            ];
            let found = obstacles.of(asked.into_iter());
            let why = |uuid: &str| found.get(uuid).map(String::as_str);
            assert_eq!(why("GPU-taken"), Some("others compute on it: process 999999999, 10.0 GB"));
            assert_eq!(
                why("GPU-hidden"),
                Some("30.0 GB of its memory are in use, by nobody that is seen from here")
            );
            assert!(why("GPU-lost").is_some_and(|why| why.starts_with("it does not answer")), "{found:?}");
            assert_eq!(found.len(), 3, "{found:?}");
        });
        assert!(Obstacles::default().of(["GPU-1"].into_iter()).is_empty());
    }
}
