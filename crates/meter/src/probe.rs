//! What a host has, and how each part of it is metered.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use gramwise_carbon::{Component, Watts};
use serde::{Deserialize, Serialize};

use crate::amd;
use crate::cpu_model::core_power;
use crate::device::Device;
use crate::doctor::{self, Finding};
use crate::gauge::Gauge;
use crate::host::{Cut, IdlePolicy, Parts};
use crate::line::Line;
use crate::node::{self, NodeSource};
use crate::nvml::{self, Slices};
use crate::obstacles::Obstacles;
use crate::processes::Processes;
use crate::profile::Profile;
use crate::rapl::{self, Domain, Found, RaplZone};
use crate::rest::{Known, Rest};

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
    /// Where the kernel's graphics cards are.
    pub drm: PathBuf,
    /// Where their nodes are.
    pub dev: PathBuf,
    /// The meter of the whole node; `None`: the kernel's, if it has one.
    pub node: Option<NodeSource>,
    /// Where the kernel's sensors are.
    pub hwmon: PathBuf,
    /// What a calibration wrote, if there is any.
    pub profile: Option<PathBuf>,
    /// Who is charged for what hardware draws anyway.
    pub idle: IdlePolicy,
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
    /// The meter of the node that was asked for cannot be used.
    #[error("cannot use the meter of the node: {0}")]
    Node(String),
    /// What a calibration wrote is broken.
    #[error("{0}")]
    Profile(String),
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
        Self {
            nvml_lib: None,
            powercap: "/sys/class/powercap".into(),
            procfs: "/proc".into(),
            no_gpu: false,
            drm: "/sys/class/drm".into(),
            dev: "/dev".into(),
            node: None,
            hwmon: "/sys/class/hwmon".into(),
            profile: None,
            idle: IdlePolicy::default(),
        }
    }
}

/// Finds everything.
pub(crate) fn parts(options: &ProbeOptions) -> Result<Parts, ProbeError> {
    let cpu = read(&options.procfs.join("cpuinfo"))?;
    let memory = read(&options.procfs.join("meminfo"))?;
    let Devices { cut, gpus, lines: gpu_lines, mut findings, obstacles } = find_gpus(options)?;
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
    let (packages, dram): (Vec<Line>, Vec<Line>) =
        (lines(Component::Cpu, packages), lines(Component::Memory, dram));
    let profile = profile(options, &inventory.hostname)?;
    let node = node::open(options.node.as_ref(), &options.hwmon).map_err(ProbeError::Node)?;
    findings.push(doctor::node(node.as_deref(), &profile));
    let rest = Rest::new(match (node, profile.node) {
        (Some(device), _) => Known::Meter(Gauge::new(device)),
        (None, Some(model)) => Known::Model(model),
        (None, None) => Known::Not,
    });
    let idling = |line: Line| {
        let idle = profile.idle_w.get(line.name()).copied();
        line.idling_at(idle)
    };
    let packages: Vec<Line> = packages.into_iter().map(idling).collect();
    let gpu_lines: BTreeMap<String, Line> =
        gpu_lines.into_iter().map(|(uuid, line)| (uuid, idling(line))).collect();
    if options.idle == IdlePolicy::Used && profile.idle_w.is_empty() {
        findings.push(doctor::no_baseline());
    }
    let boot = fs::read_to_string(options.procfs.join("sys/kernel/random/boot_id")).unwrap_or_default();
    let boot = boot.trim().to_owned();
    Ok(Parts {
        inventory,
        findings,
        gpus: gpu_lines,
        packages,
        dram,
        core_power,
        processes,
        boot,
        rest,
        policy: options.idle,
        cut,
        obstacles,
    })
}

/// What was learnt of this host; nothing, if what is there is another's (a shared home).
fn profile(options: &ProbeOptions, hostname: &str) -> Result<Profile, ProbeError> {
    let read = options.profile.as_deref().map(Profile::read).transpose().map_err(ProbeError::Profile)?;
    let profile = read.flatten().unwrap_or_default();
    let is_ours = profile.hostname == hostname;
    if !is_ours && !profile.hostname.is_empty() {
        tracing::warn!(of = profile.hostname, hostname, "the calibration is of another host: not used");
    }
    Ok(if is_ours { profile } else { Profile::default() })
}

/// What looking for GPUs found.
#[derive(Default)]
struct Devices {
    /// Cards by UUID that are leased in parts.
    cut: BTreeMap<String, Cut>,
    gpus: Vec<Gpu>,
    lines: BTreeMap<String, Line>,
    findings: Vec<Finding>,
    obstacles: Obstacles,
}

fn find_gpus(options: &ProbeOptions) -> Result<Devices, ProbeError> {
    let mut devices = Devices::default();
    if options.no_gpu {
        return Ok(devices);
    }
    for (gpu, device) in amd::gpus(&options.drm, &options.dev) {
        let finding = doctor::gpu(devices.gpus.len(), &gpu.name, device.how());
        devices.add(gpu, finding, Box::new(device));
    }
    let answer = nvml::open(options.nvml_lib.as_deref()).and_then(|nvml| {
        devices.obstacles = Obstacles::by(nvml.clone());
        nvml::gpus(&nvml)
    });
    let found = match (answer, &options.nvml_lib) {
        (Ok(found), _) => found,
        // A library that was asked for must work; that the driver's is absent only means that there is no GPU.
        (Err(error), Some(path)) => {
            return Err(ProbeError::Nvml { path: path.clone(), why: error.to_string() });
        }
        (Err(error), None) => {
            devices.findings.extend(doctor::no_nvml(&error.to_string(), devices.gpus.is_empty()));
            return Ok(devices);
        }
    };
    for found in found {
        match found {
            Ok((gpu, device, slices)) => {
                let finding = match slices.slices.len() {
                    0 if slices.of == 0 => doctor::gpu(device.index() as usize, &gpu.name, &device.how()),
                    count => doctor::sliced_gpu(device.index() as usize, &gpu.name, &device.how(), count),
                };
                devices.add(gpu, finding, Box::new(device));
                devices.cut_last(slices);
            }
            Err((index, error)) => devices.findings.push(doctor::silent_gpu(index, &error.to_string())),
        }
    }
    Ok(devices)
}

impl Devices {
    /// The card added last is cut: its instances are leased in its place.
    fn cut_last(&mut self, slices: Slices) {
        if slices.of == 0 {
            return;
        }
        let Some(whole) = self.gpus.pop() else { return };
        let parts = slices.slices.iter().map(|slice| (slice.gpu.uuid.clone(), slice.size)).collect();
        self.cut.insert(whole.uuid, Cut { parts, of: slices.of });
        self.gpus.extend(slices.slices.into_iter().map(|slice| slice.gpu));
    }

    fn add(&mut self, gpu: Gpu, finding: Finding, device: Box<dyn Device>) {
        self.findings.push(finding);
        self.lines.insert(gpu.uuid.clone(), line(Component::Gpu, device));
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
    use crate::profile::NodeModel;

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
            hwmon: root.path().join("hwmon"),
            drm: root.path().join("drm"),
            no_gpu: true,
            ..ProbeOptions::default()
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
                "power supplies, fans, boards, disks: commonly a fifth to a half on top",
            ]
        );
        let statuses: Vec<Status> = findings.iter().map(|finding| finding.status).collect();
        assert_eq!(statuses, [Status::Modelled, Status::Modelled, Status::Missing]);
        assert!(findings[2].fix.as_ref().is_some_and(|fix| fix.contains("--node")));
    }

    #[test]
    fn counters_are_preferred_to_models() {
        let (_root, options) = machine();
        add_zone(&options, "intel-rapl:0", "package-0");
        add_zone(&options, "intel-rapl:0/intel-rapl:0:0", "dram");
        let Parts { findings, packages, dram, .. } = parts(&options).unwrap();
        assert_eq!((packages.len(), dram.len()), (1, 1));
        assert!(findings[..2].iter().all(|finding| finding.status == Status::Measured), "{findings:?}");
        assert_eq!(findings[0].how, "RAPL (1 package), shared by CPU time");
    }

    #[test]
    fn a_calibration_counts_on_the_host_it_is_of_only() {
        let (root, options) = machine();
        let path = root.path().join("host.json");
        let options = ProbeOptions { profile: Some(path.clone()), ..options };
        let node = NodeModel { base_w: 50.0, factor: 1.2, rmse_w: 1.5, samples: 60 };
        let hostname = parts(&options).unwrap().inventory.hostname;
        let profile = Profile {
            hostname,
            node: Some(node),
            made_utc: "2026-11-24T04:30Z".to_owned(),
            ..Profile::default()
        };
        profile.write(&path).unwrap();
        let of_node = |options: &ProbeOptions| parts(options).unwrap().findings.remove(2);
        let found = of_node(&options);
        assert_eq!(found.status, Status::Modelled);
        assert!(
            found.how.starts_with("50.0 W + 20.0 % of the components (calibrated 2026-11-24"),
            "{}",
            found.how
        );
        Profile { hostname: "another".to_owned(), ..profile }.write(&path).unwrap();
        assert_eq!(of_node(&options).status, Status::Missing);
        fs::write(&path, "{").unwrap();
        assert!(parts(&options).map(drop).unwrap_err().to_string().contains("gramwise calibrate"));
    }

    #[test]
    fn a_meter_of_the_node_is_preferred_to_a_calibration_and_one_that_was_asked_for_must_work() {
        let (_root, options) = machine();
        let with = |command: &str| ProbeOptions {
            node: Some(NodeSource::Exec(command.to_owned())),
            ..options.clone()
        };
        assert_eq!(parts(&with("echo 120 W")).unwrap().findings[2].status, Status::Measured);
        let refused = parts(&with("echo none")).map(drop).unwrap_err().to_string();
        assert!(
            refused.starts_with("cannot use the meter of the node: `echo none` printed `none`"),
            "{refused}"
        );
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
