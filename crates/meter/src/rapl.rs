//! Processors and memory by RAPL, through the kernel's powercap files.
//!
//! Only `package-*` at the top level, and `dram` below them, are energy of their own: `core` and `uncore` are parts of a
//! package, `psys` holds the packages, and `intel-rapl-mmio` shows a package a second time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gramwise_carbon::Watts;

use crate::device::{Device, Raw, ReadError};

/// What a zone meters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    /// A processor package.
    Package,
    /// Its memory, which is not in the package's figure.
    Dram,
}

/// One zone.
#[derive(Debug)]
pub(crate) struct RaplZone {
    name: String,
    energy: PathBuf,
    range: u64,
    pub(crate) domain: Domain,
}

/// What looking for zones found.
#[derive(Debug)]
pub(crate) enum Found {
    /// These; none, if the machine has no RAPL (most virtual machines).
    Zones(Vec<RaplZone>),
    /// There is RAPL, and this user may not read it.
    Forbidden(PathBuf),
}

/// Finds the zones below a powercap folder.
pub(crate) fn zones(powercap: &Path) -> Found {
    let mut zones = Vec::new();
    for folder in folders(powercap) {
        let is_top = folder.file_name().and_then(|name| name.to_str()).is_some_and(is_package_folder);
        if !is_top || !name_of(&folder).is_some_and(|name| name.starts_with("package")) {
            continue;
        }
        let parts = folders(&folder).into_iter().filter(|part| name_of(part).as_deref() == Some("dram"));
        let candidates =
            [(folder.clone(), Domain::Package)].into_iter().chain(parts.map(|part| (part, Domain::Dram)));
        for (folder, domain) in candidates {
            match zone(&folder, domain) {
                Ok(zone) => zones.push(zone),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Found::Forbidden(folder.join("energy_uj"));
                }
                Err(error) => tracing::debug!(folder = %folder.display(), %error, "zone is not readable"),
            }
        }
    }
    drop_mirrors(&mut zones);
    Found::Zones(zones)
}

/// `intel-rapl:0` is a package; `intel-rapl:0:1` is a part of one; `intel-rapl-mmio:0` is its twin.
fn is_package_folder(name: &str) -> bool {
    name.strip_prefix("intel-rapl:").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(path).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).collect();
    found.retain(|path| path.join("energy_uj").exists());
    found.sort();
    found
}

fn name_of(folder: &Path) -> Option<String> {
    Some(fs::read_to_string(folder.join("name")).ok()?.trim().to_owned())
}

fn zone(folder: &Path, domain: Domain) -> io::Result<RaplZone> {
    number(&folder.join("energy_uj"))?;
    let name = name_of(folder).unwrap_or_default();
    Ok(RaplZone {
        name,
        energy: folder.join("energy_uj"),
        range: number(&folder.join("max_energy_range_uj"))?,
        domain,
    })
}

/// On some two-die processors each die shows the whole package: counters that agree to a thousandth at the same moment are
/// one counter.
fn drop_mirrors(zones: &mut Vec<RaplZone>) {
    let mut kept: Vec<(Domain, u64)> = Vec::new();
    zones.retain(|zone| {
        let Ok(value) = number(&zone.energy) else { return true };
        let is_mirror = |(domain, other): &(Domain, u64)| {
            *domain == zone.domain && value > 0 && other.abs_diff(value) < value.min(*other) / 1000
        };
        let mirrored = kept.iter().any(is_mirror);
        kept.push((zone.domain, value));
        !mirrored
    });
}

fn number(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.trim()
        .parse()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("not a number: {text:?}")))
}

impl Device for RaplZone {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self) -> Result<Raw, ReadError> {
        number(&self.energy).map(Raw::Counter).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ReadError::Gone(error.to_string()),
            _ => ReadError::Retry(error.to_string()),
        })
    }

    fn range(&self) -> Option<u64> {
        Some(self.range)
    }

    /// No package draws more than this; a limit from the kernel may be set below what short bursts draw.
    fn max_power(&self) -> Option<Watts> {
        Some(Watts::new(1000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(root: &Path, folder: &str, name: &str, energy: u64) {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("name"), format!("{name}\n")).unwrap();
        fs::write(folder.join("energy_uj"), format!("{energy}\n")).unwrap();
        fs::write(folder.join("max_energy_range_uj"), "262143328850\n").unwrap();
    }

    fn found(root: &Path) -> Vec<String> {
        match zones(root) {
            Found::Zones(zones) => zones.into_iter().map(|zone| zone.name).collect(),
            Found::Forbidden(path) => panic!("forbidden: {}", path.display()),
        }
    }

    #[test]
    fn packages_and_their_memory_count_and_nothing_twice() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), "intel-rapl:0", "package-0", 100_000_000);
        make(root.path(), "intel-rapl:0/intel-rapl:0:0", "core", 60_000_000);
        make(root.path(), "intel-rapl:0/intel-rapl:0:1", "dram", 30_000_000);
        make(root.path(), "intel-rapl:1", "package-1", 900_000_000);
        make(root.path(), "intel-rapl:2", "psys", 5_000_000_000);
        make(root.path(), "intel-rapl-mmio:0", "package-0", 100_000_000);
        assert_eq!(found(root.path()), ["package-0", "dram", "package-1"]);
    }

    #[test]
    fn dies_that_mirror_a_package_count_once() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), "intel-rapl:0", "package-0", 100_000_000);
        make(root.path(), "intel-rapl:1", "package-1", 100_000_500);
        assert_eq!(found(root.path()), ["package-0"]);
    }

    #[test]
    fn a_machine_without_rapl_has_no_zones() {
        assert!(found(Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn a_zone_keeps_the_contract_of_devices() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), "intel-rapl:0", "package-0", 7_000_000);
        let Found::Zones(mut zones) = zones(root.path()) else { panic!("readable") };
        crate::contract::check(&mut zones[0], |joules| {
            make(root.path(), "intel-rapl:0", "package-0", 7_000_000 + joules * 1_000_000);
        });
        fs::write(root.path().join("intel-rapl:0/energy_uj"), "garbage").unwrap();
        assert!(matches!(zones[0].read(), Err(ReadError::Retry(_))));
        fs::remove_file(root.path().join("intel-rapl:0/energy_uj")).unwrap();
        assert!(matches!(zones[0].read(), Err(ReadError::Gone(_))));
    }
}
