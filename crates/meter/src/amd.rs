//! AMD cards by the kernel's own files (`amdgpu`): no library is needed.
//!
//! A die that shares its package with another (MI250) shows no power of its own: the first shows that of both.

use std::fs;
use std::path::{Path, PathBuf};

use gramwise_carbon::Watts;

use crate::device::{Device, Raw, ReadError};
use crate::probe::Gpu;

/// AMD's number among makers of PCI devices.
const MAKER: &str = "0x1002";
/// No card's limit is known to be above.
const UNKNOWN: Watts = Watts::new(150.0);

/// One card.
#[derive(Debug)]
pub(crate) struct AmdGpu {
    uuid: String,
    energy: Option<PathBuf>,
    power: PathBuf,
    limit: Option<Watts>,
}

/// Finds the cards below a `drm` folder (`/sys/class/drm`) that this process may use: a container sees the files of all of its host's.
pub(crate) fn gpus(drm: &Path, dev: &Path) -> Vec<(Gpu, AmdGpu)> {
    let entries = fs::read_dir(drm).into_iter().flatten().filter_map(Result::ok);
    let is_card = |name: &str| {
        name.strip_prefix("card")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut folders: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_card))
        .map(|entry| entry.path().join("device"))
        .collect();
    folders.sort();
    folders.iter().filter(|folder| is_usable(folder, dev)).filter_map(|folder| card(folder)).collect()
}

/// `ROCm` needs `/dev/kfd` and the card's own node.
fn is_usable(folder: &Path, dev: &Path) -> bool {
    let nodes = fs::read_dir(folder.join("drm"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.file_name());
    let mut nodes = nodes.filter(|name| name.to_string_lossy().starts_with("renderD"));
    let opens = |path: &Path| fs::File::options().read(true).write(true).open(path).is_ok();
    dev.join("kfd").exists() && nodes.any(|name| opens(&dev.join("dri").join(name)))
}

fn card(folder: &Path) -> Option<(Gpu, AmdGpu)> {
    let text = |name: &str| {
        Some(fs::read_to_string(folder.join(name)).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
    };
    if text("vendor")? != MAKER {
        return None;
    }
    // ROCm knows a card by this; integrated graphics have none, and are no accelerator to lease.
    let uuid = format!("GPU-{}", text("unique_id")?);
    let sensors =
        fs::read_dir(folder.join("hwmon")).ok()?.filter_map(Result::ok).map(|entry| entry.path()).min()?;
    let power = ["power1_average", "power1_input"]
        .map(|name| sensors.join(name))
        .into_iter()
        .find(|file| number(file).is_ok())?;
    let energy = Some(sensors.join("energy1_input")).filter(|file| number(file).is_ok());
    let limit = number(&sensors.join("power1_cap")).ok().map(watts).filter(|limit| limit.get() > 0.0);
    let gpu = Gpu {
        uuid: uuid.clone(),
        name: text("product_name")
            .unwrap_or_else(|| format!("AMD GPU {}", text("device").unwrap_or_default())),
        memory_bytes: text("mem_info_vram_total").and_then(|text| text.parse().ok()).unwrap_or(0),
        power_limit: limit,
    };
    Some((gpu, AmdGpu { uuid, energy, power, limit }))
}

impl AmdGpu {
    /// How it is metered, for people.
    pub(crate) fn how(&self) -> &'static str {
        if self.energy.is_some() { "amdgpu energy counter" } else { "amdgpu power, integrated" }
    }
}

/// Is this the identity of an AMD card? They are shown to trials by another variable than NVIDIA's.
pub fn is_amd(uuid: &str) -> bool {
    uuid.strip_prefix("GPU-")
        .is_some_and(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn number(file: &Path) -> Result<u64, ReadError> {
    let text = fs::read_to_string(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ReadError::Gone(error.to_string()),
        std::io::ErrorKind::PermissionDenied => ReadError::Fatal(error.to_string()),
        _ => ReadError::Retry(error.to_string()),
    })?;
    text.trim().parse().map_err(|_| ReadError::Retry(format!("`{}` is no number", text.trim())))
}

fn watts(microwatts: u64) -> Watts {
    Watts::new(microwatts as f64 / 1e6)
}

impl Device for AmdGpu {
    fn name(&self) -> &str {
        &self.uuid
    }

    fn read(&mut self) -> Result<Raw, ReadError> {
        match &self.energy {
            Some(file) => number(file).map(Raw::Counter),
            None => number(&self.power).map(|microwatts| Raw::Power(watts(microwatts))),
        }
    }

    /// 64 bits of microjoules do not wrap: a fall is a reset.
    fn range(&self) -> Option<u64> {
        None
    }

    fn max_power(&self) -> Option<Watts> {
        self.limit
    }

    fn usual_power(&self) -> Watts {
        self.limit.map_or(UNKNOWN, |limit| limit * 0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{check_counter, check_power};

    /// A machine with a card, an NVIDIA one, and an outlet.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        for (folder, vendor) in [("card0", MAKER), ("card1", "0x10de"), ("card0-DP-1", MAKER)] {
            let device = root.path().join(folder).join("device");
            fs::create_dir_all(device.join("hwmon/hwmon4")).unwrap();
            fs::write(device.join("vendor"), format!("{vendor}\n")).unwrap();
        }
        let device = root.path().join("card0/device");
        for (name, text) in [
            ("unique_id", "1d3f2a9b00c4e5f6\n"),
            ("product_name", "AMD Instinct MI300X\n"),
            ("hwmon/hwmon4/power1_cap", "750000000\n"),
        ] {
            fs::write(device.join(name), text).unwrap();
        }
        fs::create_dir_all(device.join("drm/renderD128")).unwrap();
        fs::create_dir_all(root.path().join("dev/dri")).unwrap();
        for node in ["kfd", "dri/renderD128"] {
            fs::write(root.path().join("dev").join(node), "").unwrap();
        }
        for (name, text) in files {
            fs::write(device.join(name), text).unwrap();
        }
        (root, device)
    }

    #[test]
    fn a_card_by_its_power_keeps_the_contract() {
        let (root, device) = machine(&[("hwmon/hwmon4/power1_average", "0\n")]);
        let mut found = gpus(root.path(), &root.path().join("dev"));
        let (gpu, mut card) = found.remove(0);
        assert!(found.is_empty());
        assert_eq!(
            (gpu.uuid.as_str(), gpu.name.as_str(), gpu.power_limit),
            ("GPU-1d3f2a9b00c4e5f6", "AMD Instinct MI300X", Some(Watts::new(750.0)))
        );
        assert_eq!(card.how(), "amdgpu power, integrated");
        let file = device.join("hwmon/hwmon4/power1_average");
        check_power(&mut card, |watts| {
            fs::write(&file, format!("{}\n", u64::from(watts) * 1_000_000)).unwrap();
        });
        fs::remove_file(&file).unwrap();
        assert!(matches!(card.read(), Err(ReadError::Gone(_))));
    }

    #[test]
    fn a_card_with_a_counter_keeps_the_contract() {
        let (root, device) =
            machine(&[("hwmon/hwmon4/power1_input", "0\n"), ("hwmon/hwmon4/energy1_input", "77\n")]);
        let (_, mut card) = gpus(root.path(), &root.path().join("dev")).remove(0);
        assert_eq!(card.how(), "amdgpu energy counter");
        let file = device.join("hwmon/hwmon4/energy1_input");
        check_counter(&mut card, |joules| {
            fs::write(&file, format!("{}\n", 77 + joules * 1_000_000)).unwrap();
        });
    }

    #[test]
    fn what_cannot_be_metered_or_leased_is_no_card() {
        let (root, device) = machine(&[]);
        assert!(gpus(root.path(), &root.path().join("dev")).is_empty(), "no power");
        fs::write(device.join("hwmon/hwmon4/power1_average"), "5\n").unwrap();
        assert_eq!(gpus(root.path(), &root.path().join("dev")).len(), 1);
        fs::remove_file(device.join("unique_id")).unwrap();
        assert!(gpus(root.path(), &root.path().join("dev")).is_empty(), "integrated graphics");
        assert!(gpus(&root.path().join("nothing"), root.path()).is_empty());
    }

    #[test]
    fn a_card_of_the_host_that_a_container_was_not_given_is_none() {
        let (root, _) = machine(&[("hwmon/hwmon4/power1_average", "5\n")]);
        let gpus = |root: &Path| gpus(root, &root.join("dev")).len();
        assert_eq!(gpus(root.path()), 1);
        fs::remove_file(root.path().join("dev/dri/renderD128")).unwrap();
        assert_eq!(gpus(root.path()), 0);
        fs::write(root.path().join("dev/dri/renderD128"), "").unwrap();
        fs::remove_file(root.path().join("dev/kfd")).unwrap();
        assert_eq!(gpus(root.path()), 0);
    }

    #[test]
    fn identities_tell_the_maker() {
        assert!(is_amd("GPU-1d3f2a9b00c4e5f6"));
        assert!(!is_amd("GPU-5f2c1b7e-1a2b-3c4d-5e6f-708192a3b4c5") && !is_amd("GPU-a"));
    }
}
