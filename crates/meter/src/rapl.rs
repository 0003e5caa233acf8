//! Processors and memory by RAPL, through the kernel's powercap files.
//!
//! Only `package-*` at the top level, and `dram` below them, are energy of their own: `core` and `uncore` are parts of a
//! package, `psys` holds the packages, and `intel-rapl-mmio` shows a package a second time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gramwise_carbon::Watts;

use crate::device::{Device, Raw, ReadError};

/// No package draws more than this. A limit that the kernel tells may lie below what short bursts draw, so it is not asked.
const MOST: Watts = Watts::new(1000.0);
/// What a gap is filled with if no power was seen before it: a package at moderate load, and its memory.
const USUAL_PACKAGE: Watts = Watts::new(100.0);
const USUAL_DRAM: Watts = Watts::new(10.0);
/// Dies publish their counters up to a few milliseconds apart; a joule in microjoules.
const MIRROR_LAG: u64 = 1_000_000;
/// Counters below ten joules began just now: that they agree says nothing.
const YOUNGEST: u64 = 10_000_000;

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
    zones_read_by(powercap, number)
}

/// Reads by a function, since no file is unreadable to the root that tests may run as.
fn zones_read_by(powercap: &Path, read: impl Fn(&Path) -> io::Result<u64> + Copy) -> Found {
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
            match zone(&folder, domain, read) {
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

fn zone(folder: &Path, domain: Domain, read: impl Fn(&Path) -> io::Result<u64>) -> io::Result<RaplZone> {
    let energy = folder.join("energy_uj");
    read(&energy)?;
    let name = name_of(folder).unwrap_or_default();
    Ok(RaplZone { name, energy, range: read(&folder.join("max_energy_range_uj"))?, domain })
}

/// On some two-die processors each die shows the whole package. A counter that stands where another stood just before and
/// stands just after is that other one: two packages agree to a joule, out of a quarter million, by the rarest chance.
fn drop_mirrors(zones: &mut Vec<RaplZone>) {
    let mut kept: Vec<RaplZone> = Vec::new();
    for zone in zones.drain(..) {
        match kept.iter().find(|other| mirrors(&zone, other)) {
            Some(other) => tracing::info!(zone = zone.name, of = other.name, "a mirror is not metered twice"),
            None => kept.push(zone),
        }
    }
    *zones = kept;
}

fn mirrors(zone: &RaplZone, other: &RaplZone) -> bool {
    let readings = (number(&other.energy), number(&zone.energy), number(&other.energy));
    let (Ok(before), Ok(value), Ok(after)) = readings else { return false };
    let bounds = before.saturating_sub(MIRROR_LAG)..=after.saturating_add(MIRROR_LAG);
    zone.domain == other.domain && value > YOUNGEST && bounds.contains(&value)
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
            io::ErrorKind::PermissionDenied => ReadError::Fatal(error.to_string()),
            _ => ReadError::Retry(error.to_string()),
        })
    }

    fn range(&self) -> Option<u64> {
        Some(self.range)
    }

    fn max_power(&self) -> Option<Watts> {
        Some(MOST)
    }

    fn usual_power(&self) -> Watts {
        match self.domain {
            Domain::Package => USUAL_PACKAGE,
            Domain::Dram => USUAL_DRAM,
        }
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
    fn packages_that_merely_resemble_each_other_both_count() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), "intel-rapl:0", "package-0", 100_000_000_000);
        make(root.path(), "intel-rapl:1", "package-1", 100_001_000_001);
        make(root.path(), "intel-rapl:1/intel-rapl:1:0", "dram", 100_000_000_000);
        assert_eq!(found(root.path()), ["package-0", "package-1", "dram"]);
        make(root.path(), "intel-rapl:0", "package-0", 0);
        make(root.path(), "intel-rapl:1", "package-1", 0);
        assert_eq!(found(root.path()), ["package-0", "package-1", "dram"], "just after boot");
    }

    #[test]
    fn a_zone_that_may_not_be_read_is_told_from_none() {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), "intel-rapl:0", "package-0", 1);
        let read = |path: &Path| match path.file_name().and_then(|name| name.to_str()) {
            Some("energy_uj") => Err(io::ErrorKind::PermissionDenied.into()),
            _ => number(path),
        };
        let found = zones_read_by(root.path(), read);
        let Found::Forbidden(path) = found else { panic!("{found:?}") };
        assert_eq!(path, root.path().join("intel-rapl:0/energy_uj"));
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
        crate::contract::check_counter(&mut zones[0], |joules| {
            make(root.path(), "intel-rapl:0", "package-0", 7_000_000 + joules * 1_000_000);
        });
        fs::write(root.path().join("intel-rapl:0/energy_uj"), "garbage").unwrap();
        assert!(matches!(zones[0].read(), Err(ReadError::Retry(_))));
        fs::remove_file(root.path().join("intel-rapl:0/energy_uj")).unwrap();
        assert!(matches!(zones[0].read(), Err(ReadError::Gone(_))));
    }
}
