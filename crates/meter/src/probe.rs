//! What a host has, and how each part of it is metered.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use gramwise_carbon::{Provenance, Watts};

use crate::cpu_model::core_power;
use crate::gauge::Gauge;
use crate::host::Parts;
use crate::memory_model;
use crate::processes::Processes;
use crate::rapl::{self, Domain, Found};
use crate::{nvml, rapl::RaplZone};

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
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq)]
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

/// How well a component is metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// By a counter of its own.
    Measured,
    /// By a model.
    Modelled,
    /// Not at all.
    Missing,
}

/// What probing found about one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The component.
    pub component: String,
    /// How well it is metered.
    pub status: Status,
    /// By what.
    pub how: String,
    /// The exact command that makes it better, if there is one.
    pub fix: Option<String>,
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
    let mut findings = Vec::new();
    let (gpus, gauges) = find_gpus(options, &mut findings)?;
    let inventory = Inventory {
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        cpu_model: field(&cpu, "model name").unwrap_or("unknown CPU").to_owned(),
        cpus: u32::try_from(cpu.lines().filter(|line| line.starts_with("processor")).count().max(1))
            .unwrap_or(1),
        memory_bytes: field(&memory, "MemTotal").and_then(kilobytes).unwrap_or(0),
        gpus,
    };
    // A virtual machine shows only its own share of the package's CPUs.
    let is_virtual =
        field(&cpu, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let siblings = field(&cpu, "siblings").and_then(|text| text.parse().ok()).filter(|_| !is_virtual);
    let core_power = core_power(&inventory.cpu_model, siblings);
    let (packages, dram) = find_rapl(&options.powercap, &mut findings);
    if packages.is_empty() {
        let hidden = findings.iter().any(|finding| finding.component == "cpu");
        let status = Status::Modelled;
        let how = match core_power.provenance {
            Provenance::Measured | Provenance::Modelled => core_power.how.clone(),
            Provenance::Estimated => format!("estimated: {}", core_power.how),
        };
        if hidden {
            findings.retain_mut(|finding| {
                if finding.component == "cpu" {
                    finding.how = format!("{how} ({})", finding.how);
                }
                true
            });
        } else {
            let how = format!("{how} (no RAPL here; virtual machines rarely have it)");
            findings.push(Finding { component: "cpu".to_owned(), status, how, fix: None });
        }
    }
    if dram.is_empty() {
        let gigabytes = inventory.memory_bytes as f64 / 1e9;
        let watts = memory_model::power(inventory.memory_bytes).get();
        let how = format!("0.3725 W/GB x {gigabytes:.1} GB = {watts:.1} W");
        findings.push(Finding { component: "memory".to_owned(), status: Status::Modelled, how, fix: None });
    }
    let processes = Processes::at(&options.procfs);
    Ok(Parts { inventory, findings, gpus: gauges, packages, dram, core_power, processes })
}

type Gpus = (Vec<Gpu>, BTreeMap<String, Gauge>);

fn find_gpus(options: &ProbeOptions, findings: &mut Vec<Finding>) -> Result<Gpus, ProbeError> {
    let (mut gpus, mut gauges) = (Vec::new(), BTreeMap::new());
    if options.no_gpu {
        return Ok((gpus, gauges));
    }
    let nvml = match nvml::open(options.nvml_lib.as_deref()) {
        Ok(nvml) => nvml,
        Err(error) => {
            // A library that was asked for must work; that the driver's is absent only means that there is no GPU.
            if let Some(path) = &options.nvml_lib {
                return Err(ProbeError::Nvml { path: path.clone(), why: error.to_string() });
            }
            findings.push(no_nvml(&error.to_string()));
            return Ok((gpus, gauges));
        }
    };
    for found in nvml::gpus(&nvml) {
        match found {
            Ok((gpu, device)) => {
                findings.push(Finding {
                    component: format!("gpu {} ({})", gpus.len(), gpu.name),
                    status: Status::Measured,
                    how: device.how().to_owned(),
                    fix: None,
                });
                gauges.insert(gpu.uuid.clone(), Gauge::new(Box::new(device)));
                gpus.push(gpu);
            }
            Err((index, error)) => findings.push(Finding {
                component: format!("gpu {index}"),
                status: Status::Missing,
                how: format!("it does not answer: {error}"),
                fix: Some(format!("nvidia-smi --gpu-reset -i {index}")),
            }),
        }
    }
    Ok((gpus, gauges))
}

/// A machine with an NVIDIA card but no library is worth a hint; one without is not.
fn no_nvml(why: &str) -> Finding {
    let has_card = Path::new("/proc/driver/nvidia").exists() || Path::new("/dev/nvidia0").exists();
    Finding {
        component: "gpu".to_owned(),
        status: Status::Missing,
        how: if has_card { format!("NVML cannot be loaded: {why}") } else { "no NVIDIA GPU found".to_owned() },
        fix: has_card.then(|| "ldconfig -p | grep libnvidia-ml  (install the driver's libraries, or name one with --nvml-lib)".to_owned()),
    }
}

fn find_rapl(powercap: &Path, findings: &mut Vec<Finding>) -> (Vec<Gauge>, Vec<Gauge>) {
    let zones = match rapl::zones(powercap) {
        Found::Zones(zones) => zones,
        Found::Forbidden(path) => {
            let fix = format!(
                "sudo chmod -R a+r {}  (until the next boot; a udev rule makes it last)",
                powercap.display()
            );
            let how = format!("RAPL is there, but {} is not readable", path.display());
            findings.push(Finding {
                component: "cpu".to_owned(),
                status: Status::Modelled,
                how,
                fix: Some(fix),
            });
            return (Vec::new(), Vec::new());
        }
    };
    let (packages, dram): (Vec<RaplZone>, Vec<RaplZone>) =
        zones.into_iter().partition(|zone| zone.domain == Domain::Package);
    for (component, zones) in [("cpu", &packages), ("memory", &dram)] {
        if !zones.is_empty() {
            let how = format!(
                "RAPL ({} zones); each consumer's share by CPU time or memory is modelled",
                zones.len()
            );
            findings.push(Finding {
                component: component.to_owned(),
                status: Status::Measured,
                how,
                fix: None,
            });
        }
    }
    let gauges = |zones: Vec<RaplZone>| zones.into_iter().map(|zone| Gauge::new(Box::new(zone))).collect();
    (gauges(packages), gauges(dram))
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
