//! What a host has, and how each part of it is metered.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use gramwise_carbon::{Component, Watts};
use serde::{Deserialize, Serialize};

use crate::cpu_model::core_power;
use crate::device::Device;
use crate::doctor::{self, Finding};
use crate::gauge::Gauge;
use crate::host::Parts;
use crate::line::Line;
use crate::nvml::{self, NvmlGpu};
use crate::processes::Processes;
use crate::rapl::{self, Domain, Found, RaplZone};

/// Where to look.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// The NVML library; the driver's when `None`.
    pub nvml_lib: Option<PathBuf>,
    /// The powercap folder.
    pub powercap: PathBuf,
    /// The proc folder.
    pub procfs: PathBuf,
    /// Do not look for GPUs.
    pub no_gpu: bool,
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its identity.
    pub uuid: String,
    /// Its model.
    pub name: String,
    /// Its memory in bytes; 0 if it does not tell.
    pub memory_bytes: u64,
    /// The power limit in force, if it tells.
    pub power_limit: Option<Watts>,
}

/// What a host has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// The host's name.
    pub hostname: String,
    /// The processor's name.
    pub cpu_model: String,
    /// Logical CPUs.
    pub cpus: u32,
    /// Installed memory in bytes.
    pub memory_bytes: u64,
    /// GPUs that answer.
    pub gpus: Vec<Gpu>,
}

/// Why a host cannot be metered.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A file that every Linux has is not readable.
    #[error("cannot read {}: {source}\nhint: gramwise meters Linux hosts with /proc mounted", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The NVML library that was asked for by name cannot be used.
    #[error("cannot use the NVML library {}: {why}", path.display())]
    Nvml {
        /// The library.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self { nvml_lib: None, powercap: "/sys/class/powercap".into(), procfs: "/proc".into(), no_gpu: false }
    }
}

/// Finds everything.
pub(crate) fn parts(options: &ProbeOptions) -> Result<Parts, ProbeError> {
    let cpu = read(&options.procfs.join("cpuinfo"))?;
    let memory = read(&options.procfs.join("meminfo"))?;
    let Devices { gpus, lines: gpu_lines, mut findings } = find_gpus(options)?;
    let inventory = Inventory {
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        cpu_model: field(&cpu, "model name").unwrap_or("unknown CPU").to_owned(),
        cpus: count_cpus(&cpu),
        memory_bytes: field(&memory, "MemTotal").and_then(kilobytes).unwrap_or(0),
        gpus,
    };
    let core_power = core_power(&inventory.cpu_model, siblings(&cpu));
    let (packages, dram) = match rapl::zones(&options.powercap) {
        Found::Zones(zones) => zones.into_iter().partition(|zone| zone.domain == Domain::Package),
        Found::Forbidden(path) => {
            findings.push(doctor::forbidden(&options.powercap, &path, &core_power));
            (Vec::new(), Vec::new())
        }
    };
    if !findings.iter().any(|finding| finding.component == "cpu") {
        findings.push(doctor::processors(packages.len(), &core_power));
    }
    findings.push(doctor::memory(dram.len(), inventory.memory_bytes));
    let processes = Box::new(Processes::at(&options.procfs));
    let lines = |component, zones: Vec<RaplZone>| {
        zones.into_iter().map(|zone| line(component, Box::new(zone))).collect()
    };
    let (packages, dram) = (lines(Component::Cpu, packages), lines(Component::Memory, dram));
    let boot = fs::read_to_string(options.procfs.join("sys/kernel/random/boot_id")).unwrap_or_default();
    let boot = boot.trim().to_owned();
    Ok(Parts { inventory, findings, gpus: gpu_lines, packages, dram, core_power, processes, boot })
}

/// What looking for GPUs found.
#[derive(Default)]
struct Devices {
    gpus: Vec<Gpu>,
    lines: BTreeMap<String, Line>,
    findings: Vec<Finding>,
}

fn find_gpus(options: &ProbeOptions) -> Result<Devices, ProbeError> {
    let mut devices = Devices::default();
    if options.no_gpu {
        return Ok(devices);
    }
    let answer = nvml::open(options.nvml_lib.as_deref()).and_then(|nvml| nvml::gpus(&nvml));
    let found = match (answer, &options.nvml_lib) {
        (Ok(found), _) => found,
        // A library that was asked for must work; that the driver's is absent only means that there is no GPU.
        (Err(error), Some(path)) => {
            return Err(ProbeError::Nvml { path: path.clone(), why: error.to_string() });
        }
        (Err(error), None) => {
            devices.findings.push(doctor::no_nvml(&error.to_string()));
            return Ok(devices);
        }
    };
    for found in found {
        match found {
            Ok((gpu, device)) => devices.add(gpu, device),
            Err((index, error)) => devices.findings.push(doctor::silent_gpu(index, &error.to_string())),
        }
    }
    Ok(devices)
}

impl Devices {
    fn add(&mut self, gpu: Gpu, device: NvmlGpu) {
        self.findings.push(doctor::gpu(device.index(), &gpu.name, &device.how()));
        self.lines.insert(gpu.uuid.clone(), line(Component::Gpu, Box::new(device)));
        self.gpus.push(gpu);
    }
}

fn line(component: Component, device: Box<dyn Device>) -> Line {
    Line::new(component, Gauge::new(device))
}

fn count_cpus(cpuinfo: &str) -> u32 {
    let processors =
        cpuinfo.lines().filter(|line| line.split(':').next().is_some_and(|key| key.trim() == "processor"));
    u32::try_from(processors.count().max(1)).unwrap_or(u32::MAX)
}

/// The logical CPUs of one package. A virtual machine shows only its own share of them: `None`.
fn siblings(cpuinfo: &str) -> Option<u32> {
    let flags = field(cpuinfo, "flags").unwrap_or_default();
    let is_virtual = flags.split(' ').any(|flag| flag == "hypervisor");
    field(cpuinfo, "siblings").and_then(|text| text.parse().ok()).filter(|_| !is_virtual)
}

fn read(path: &Path) -> Result<String, ProbeError> {
    fs::read_to_string(path).map_err(|source| ProbeError::Unreadable { path: path.to_owned(), source })
}

/// The value of the first `key : value` line of a key.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(found, _)| found.trim() == key).map(|(_, value)| value.trim())
}

fn kilobytes(text: &str) -> Option<u64> {
    text.strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    const CPUINFO: &str = "processor\t: 0\nmodel name\t: AMD EPYC 7552 48-Core Processor\nsiblings\t: 96\nflags\t\t: fpu svm\n\n\
                           processor\t: 1\nmodel name\t: AMD EPYC 7552 48-Core Processor\nsiblings\t: 96\nflags\t\t: fpu svm\n";

    /// A made-up machine without devices.
    fn machine() -> (tempfile::TempDir, ProbeOptions) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("proc")).unwrap();
        fs::write(root.path().join("proc/cpuinfo"), CPUINFO).unwrap();
        fs::write(root.path().join("proc/meminfo"), "MemTotal:       97656250 kB\nMemFree: 1 kB\n").unwrap();
        let options = ProbeOptions {
            nvml_lib: None,
            powercap: root.path().join("powercap"),
            procfs: root.path().join("proc"),
            no_gpu: true,
        };
        (root, options)
    }

    fn add_zone(options: &ProbeOptions, folder: &str, name: &str) {
        let folder = options.powercap.join(folder);
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in [("name", name), ("energy_uj", "5"), ("max_energy_range_uj", "262143328850")] {
            fs::write(folder.join(file), text).unwrap();
        }
    }

    #[test]
    fn a_machine_without_counters_is_modelled_and_says_how() {
        let (_root, options) = machine();
        let Parts { inventory, findings, packages, dram, .. } = parts(&options).unwrap();
        assert_eq!((inventory.cpus, inventory.memory_bytes), (2, 100_000_000_000));
        assert!(packages.is_empty() && dram.is_empty());
        let how: Vec<&str> = findings.iter().map(|finding| finding.how.as_str()).collect();
        assert_eq!(
            how,
            [
                "200 W thermal design power / 96 logical CPUs x CPU time (no RAPL here; virtual machines rarely have it)",
                "0.3725 W/GB x 100.0 GB = 37.2 W",
            ]
        );
        assert!(findings.iter().all(|finding| finding.status == Status::Modelled && finding.fix.is_none()));
    }

    #[test]
    fn counters_are_preferred_to_models() {
        let (_root, options) = machine();
        add_zone(&options, "intel-rapl:0", "package-0");
        add_zone(&options, "intel-rapl:0/intel-rapl:0:0", "dram");
        let Parts { findings, packages, dram, .. } = parts(&options).unwrap();
        assert_eq!((packages.len(), dram.len()), (1, 1));
        assert!(findings.iter().all(|finding| finding.status == Status::Measured), "{findings:?}");
        assert_eq!(findings[0].how, "RAPL (1 package), shared by CPU time");
    }

    #[test]
    fn a_virtual_machine_does_not_know_its_package() {
        assert_eq!(siblings(CPUINFO), Some(96));
        assert_eq!(siblings(&CPUINFO.replace("svm", "hypervisor svm")), None);
        assert_eq!(siblings(""), None);
        assert_eq!(count_cpus(""), 1);
    }

    #[test]
    fn a_library_that_was_asked_for_must_work() {
        let (root, options) = machine();
        let options = ProbeOptions { nvml_lib: Some(root.path().join("none.so")), no_gpu: false, ..options };
        let error = parts(&options).map(drop).unwrap_err().to_string();
        assert!(error.starts_with("cannot use the NVML library ") && error.contains("none.so"), "{error}");
        let without_proc = ProbeOptions { procfs: root.path().join("nothing"), ..options };
        assert!(parts(&without_proc).map(drop).unwrap_err().to_string().contains("cpuinfo"));
    }
}
