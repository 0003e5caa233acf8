//! What is measured, modelled and missing on a host, and the exact command that helps.

use std::path::Path;

use gramwise_carbon::Provenance;
use serde::{Deserialize, Serialize};

use crate::cpu_model::CorePower;
use crate::device::Device;
use crate::memory_model;
use crate::profile::{NodeModel, Profile};

/// How well a component is metered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// By a counter of its own.
    Measured,
    /// By a model.
    Modelled,
    /// Not at all.
    Missing,
}

/// What probing found about one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// A GPU that is metered.
pub(crate) fn gpu(index: usize, name: &str, how: &str) -> Finding {
    Finding {
        component: format!("gpu {index} ({name})"),
        status: Status::Measured,
        how: how.to_owned(),
        fix: None,
    }
}

/// A GPU that is cut into so many MIG instances: each has its part of a counter of the whole.
pub(crate) fn sliced_gpu(index: usize, name: &str, how: &str, instances: usize) -> Finding {
    Finding {
        component: format!("gpu {index} ({name})"),
        status: if instances == 0 { Status::Missing } else { Status::Modelled },
        how: format!("{how}, shared by slices among {}", count(instances, "MIG instance")),
        fix: (instances == 0)
            .then(|| format!("sudo nvidia-smi mig -i {index} -cgi 19 -C  (or -mig 0 to lease it whole)")),
    }
}

/// A GPU that cannot even be asked what it is.
pub(crate) fn silent_gpu(index: u32, why: &str) -> Finding {
    Finding {
        component: format!("gpu {index}"),
        status: Status::Missing,
        how: format!("it does not answer: {why}"),
        fix: Some(format!("sudo nvidia-smi --gpu-reset -i {index}")),
    }
}

/// A machine with an NVIDIA card but no library is worth a hint; one without is not.
/// With a card of another maker, that there is no NVIDIA one says nothing.
pub(crate) fn no_nvml(why: &str, is_alone: bool) -> Option<Finding> {
    let has_card = Path::new("/proc/driver/nvidia").exists() || Path::new("/dev/nvidia0").exists();
    (has_card || is_alone).then(|| Finding {
        component: "gpu".to_owned(),
        status: Status::Missing,
        how: if has_card { format!("NVML cannot be loaded: {why}") } else { "no NVIDIA or AMD GPU found".to_owned() },
        fix: has_card.then(|| "ldconfig -p | grep libnvidia-ml  (install the driver's libraries, or name one with --nvml-lib)".to_owned()),
    })
}

/// The counters' files are links, which `chmod -R` does not follow: they are named one by one. The first command lasts until
/// the next boot, the second for good.
pub(crate) fn forbidden(powercap: &Path, path: &Path, power: &CorePower) -> Finding {
    let files = format!("{}/intel-rapl:*/energy_uj", powercap.display());
    let rule = r#"SUBSYSTEM=="powercap", ACTION=="add", RUN+="/bin/chmod a+r %S%p/energy_uj""#;
    Finding {
        component: "cpu".to_owned(),
        status: Status::Modelled,
        how: format!("{}; RAPL would measure it, but {} is not readable", in_words(power), path.display()),
        fix: Some(format!(
            "sudo chmod a+r {files}\nto keep it: echo '{rule}' | sudo tee /etc/udev/rules.d/70-gramwise.rules"
        )),
    }
}

/// Processors, with so many RAPL packages.
pub(crate) fn processors(packages: usize, power: &CorePower) -> Finding {
    let component = "cpu".to_owned();
    if packages == 0 {
        let how = format!("{} (no RAPL here; virtual machines rarely have it)", in_words(power));
        return Finding { component, status: Status::Modelled, how, fix: None };
    }
    let how = format!("RAPL ({}), shared by CPU time", count(packages, "package"));
    Finding { component, status: Status::Measured, how, fix: None }
}

/// Installed memory, with so many RAPL zones of its own.
pub(crate) fn memory(dram: usize, bytes: u64) -> Finding {
    let component = "memory".to_owned();
    if dram == 0 {
        let (gigabytes, watts) = (bytes as f64 / 1e9, memory_model::power(bytes).get());
        let how = format!("{} W/GB x {gigabytes:.1} GB = {watts:.1} W", memory_model::WATTS_PER_GB);
        return Finding { component, status: Status::Modelled, how, fix: None };
    }
    let how = format!("RAPL ({}), shared by resident memory", count(dram, "dram zone"));
    Finding { component, status: Status::Measured, how, fix: None }
}

/// The whole node, where a meter or a calibration tells of it.
pub(crate) fn node(meter: Option<&dyn Device>, profile: &Profile) -> Finding {
    let component = "rest of the node".to_owned();
    let (status, how, fix) = match (meter, profile.node) {
        (Some(meter), _) => (Status::Measured, format!("{}, less the components above", meter.name()), None),
        (None, Some(model)) => {
            let NodeModel { base_w, factor, rmse_w, samples } = model;
            let how = format!(
                "{base_w:.1} W + {:.1} % of the components (calibrated {}, {samples} samples, off by {rmse_w:.1} W)",
                (factor - 1.0) * 100.0,
                profile.made_utc
            );
            (Status::Modelled, how, None)
        }
        (None, None) => {
            let fix = "gramwise doctor --node 'exec:ipmitool dcmi power reading'  (or what else prints the node's watts)";
            let how = "power supplies, fans, boards, disks: commonly a fifth to a half on top".to_owned();
            (Status::Missing, how, Some(fix.to_owned()))
        }
    };
    Finding { component, status, how, fix }
}

/// Idle power is to be left out, and nobody knows it.
pub(crate) fn no_baseline() -> Finding {
    Finding {
        component: "idle power".to_owned(),
        status: Status::Missing,
        how: "`--idle used` leaves nothing out while it is not known what the hardware draws anyway"
            .to_owned(),
        fix: Some("gramwise calibrate".to_owned()),
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn in_words(power: &CorePower) -> String {
    match power.provenance {
        Provenance::Measured | Provenance::Modelled => power.how.clone(),
        Provenance::Estimated => format!("estimated: {}", power.how),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu_model::core_power;

    #[test]
    fn what_may_not_be_read_comes_with_the_command_that_helps() {
        let power = core_power("AMD EPYC", None);
        let powercap = Path::new("/sys/class/powercap");
        let finding = forbidden(powercap, &powercap.join("intel-rapl:0/energy_uj"), &power);
        assert_eq!(finding.status, Status::Modelled);
        let fix = finding.fix.unwrap();
        assert_eq!(fix.lines().next(), Some("sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"));
        assert!(fix.contains("/etc/udev/rules.d/"));
        assert!(finding.how.starts_with("estimated: "), "{}", finding.how);
    }
}
