//! What `gramwise calibrate` learnt of a host.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use gramwise_carbon::Watts;
use serde::{Deserialize, Serialize};

/// A host's own figures, in place of assumptions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The host it is of.
    pub hostname: String,
    /// When it was made, in UTC.
    pub made_utc: String,
    /// The power of devices when nothing runs, by name: GPUs by UUID, `package-0`.
    pub idle_w: BTreeMap<String, Watts>,
    /// The whole node by its components, where it has a meter.
    pub node: Option<NodeModel>,
}

/// `node = base + factor x components`, least squares over the samples of a calibration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NodeModel {
    /// What it draws beside its components.
    pub base_w: f64,
    /// What a watt of its components comes to: power supplies, fans.
    pub factor: f64,
    /// Root mean square error.
    pub rmse_w: f64,
    /// How many samples it is from.
    pub samples: usize,
}

impl NodeModel {
    /// Fits `(components, node)` watts. `None` if there are fewer than three, or the components never changed.
    pub fn fit(samples: &[(f64, f64)]) -> Option<Self> {
        let count = samples.len() as f64;
        if samples.len() < 3 {
            return None;
        }
        let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|one| one.0), mean(|one| one.1));
        let spread: f64 = samples.iter().map(|one| (one.0 - x).powi(2)).sum();
        if spread <= 1e-9 * x.abs().max(1.0) {
            return None;
        }
        let factor = samples.iter().map(|one| (one.0 - x) * (one.1 - y)).sum::<f64>() / spread;
        let base_w = y - factor * x;
        let error = |one: &(f64, f64)| (base_w + factor * one.0 - one.1).powi(2);
        let rmse_w = (samples.iter().map(error).sum::<f64>() / count).sqrt();
        Some(Self { base_w, factor, rmse_w, samples: samples.len() })
    }

    /// What the node draws beside its components, at so many watts of those; never negative.
    pub fn rest(&self, components: Watts) -> Watts {
        Watts::new((self.base_w + (self.factor - 1.0) * components.get()).max(0.0))
    }
}

impl Profile {
    /// Reads a file; `Ok(None)` where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, String> {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|error| error.to_string())
                .and_then(Self::checked)
                .map(Some)
                .map_err(|what| {
                    format!("{}: {what}\nhint: `gramwise calibrate` writes it anew", path.display())
                }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }

    /// What no machine can be is no calibration.
    fn checked(self) -> Result<Self, String> {
        let odd = self.idle_w.iter().find(|(_, idle)| !(0.0..=1e5).contains(&idle.get()));
        if let Some((name, idle)) = odd {
            return Err(format!("{name} draws {} W when nothing runs", idle.get()));
        }
        match self.node {
            Some(node) if !(-1e5..=1e5).contains(&node.base_w) || !(0.0..=100.0).contains(&node.factor) => {
                Err(format!("a node of {} W + {} x components", node.base_w, node.factor))
            }
            Some(_) | None => Ok(self),
        }
    }

    /// Writes a file, its folder too.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        fs::write(path, text + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_fitted_by_its_components() {
        let samples: Vec<(f64, f64)> =
            (0..20).map(|k| (f64::from(k) * 10.0, 60.0 + 1.15 * f64::from(k) * 10.0)).collect();
        let model = NodeModel::fit(&samples).unwrap();
        assert!(
            (model.base_w - 60.0).abs() < 1e-9 && (model.factor - 1.15).abs() < 1e-9 && model.rmse_w < 1e-9
        );
        assert!((model.rest(Watts::new(100.0)).get() - 75.0).abs() < 1e-9);
        assert_eq!(NodeModel::fit(&samples[..2]), None);
        assert_eq!(
            NodeModel::fit(&[(5.0, 1.0), (5.0, 2.0), (5.0, 3.0)]),
            None,
            "the components never changed"
        );
        let odd = NodeModel { base_w: -500.0, ..model };
        assert_eq!(odd.rest(Watts::new(100.0)), Watts::new(0.0));
    }

    #[test]
    fn a_file_gives_back_what_was_written_and_a_broken_one_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/host.json");
        assert_eq!(Profile::read(&path), Ok(None));
        let profile = Profile {
            hostname: "gpu01".to_owned(),
            idle_w: [("package-0".to_owned(), Watts::new(31.5))].into(),
            ..Profile::default()
        };
        profile.write(&path).unwrap();
        assert_eq!(Profile::read(&path), Ok(Some(profile)));
        let odd =
            Profile { idle_w: [("package-0".to_owned(), Watts::new(-3.0))].into(), ..Profile::default() };
        odd.write(&path).unwrap();
        assert!(Profile::read(&path).unwrap_err().contains("package-0 draws -3 W"));
        fs::write(&path, "{\"hostname\": 3}").unwrap();
        assert!(Profile::read(&path).unwrap_err().contains("gramwise calibrate"));
    }
}
