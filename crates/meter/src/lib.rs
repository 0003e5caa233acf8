//! Placeholder meter: CPU seconds of the process trees at a fixed power. Replaced by the real one.
#![allow(missing_docs, missing_debug_implementations, clippy::all, clippy::pedantic)]
use gramwise_carbon::{Energy, Joules, Provenance, Watts};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
#[derive(Debug, Clone, Default)]
pub struct ProbeOptions {
    pub nvml_lib: Option<PathBuf>,
    pub powercap: PathBuf,
    pub procfs: PathBuf,
    pub no_gpu: bool,
}
#[derive(Debug, Clone)]
pub struct Gpu {
    pub uuid: String,
    pub name: String,
    pub memory_bytes: u64,
    pub power_limit: Option<Watts>,
}
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    pub hostname: String,
    pub cpu_model: String,
    pub cpus: u32,
    pub memory_bytes: u64,
    pub gpus: Vec<Gpu>,
}
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Status {
    Measured,
    Modelled,
    Missing,
}
#[derive(Debug, Clone)]
pub struct Finding {
    pub component: String,
    pub status: Status,
    pub how: String,
    pub fix: Option<String>,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u64);
#[derive(Debug, Clone, Default)]
pub struct HostSnapshot {
    pub at: Duration,
    pub total: Energy,
    pub idle: Energy,
    pub overhead: Energy,
    pub other: Energy,
    pub consumers: BTreeMap<ConsumerId, Energy>,
}
#[derive(Debug, thiserror::Error)]
#[error("probe")]
pub struct ProbeError;
#[derive(Debug, Default)]
struct Inner {
    pids: BTreeMap<ConsumerId, u32>,
    cpu: BTreeMap<ConsumerId, f64>,
}
#[derive(Debug)]
pub struct HostMeter {
    inventory: Inventory,
}
impl HostMeter {
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }
    pub fn findings(&self) -> &[Finding] {
        &[]
    }
    pub fn probe(_options: &ProbeOptions) -> Result<Self, ProbeError> {
        Ok(Self {
            inventory: Inventory {
                hostname: "host".into(),
                cpu_model: "cpu".into(),
                cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
                ..Inventory::default()
            },
        })
    }
}
pub struct MeterThread;
impl MeterThread {
    pub fn spawn(meter: HostMeter) -> Result<MeterHandle, ProbeError> {
        Ok(MeterHandle { inner: Arc::default(), inventory: Arc::new(meter.inventory) })
    }
}
#[derive(Debug, Clone)]
pub struct MeterHandle {
    inner: Arc<Mutex<Inner>>,
    inventory: Arc<Inventory>,
}
fn tree(pid: u32) -> f64 {
    let mut sum = 0.0;
    let mut all = vec![];
    for e in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(p) = e.file_name().to_str().and_then(|s| s.parse::<u32>().ok()) else { continue };
        let Ok(s) = std::fs::read_to_string(e.path().join("stat")) else { continue };
        let Some((_, r)) = s.rsplit_once(')') else { continue };
        let f: Vec<&str> = r.split_whitespace().collect();
        let t: f64 = f[11..15].iter().map(|x| x.parse::<f64>().unwrap_or(0.0)).sum();
        all.push((p, f[1].parse::<u32>().unwrap_or(0), t));
    }
    let mut todo = vec![pid];
    while let Some(p) = todo.pop() {
        for a in &all {
            if a.0 == p {
                sum += a.2;
            }
            if a.1 == p {
                todo.push(a.0);
            }
        }
    }
    sum / 100.0
}
impl MeterHandle {
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }
    pub fn findings(&self) -> &[Finding] {
        &[]
    }
    pub fn open(&self, c: ConsumerId, _g: &[String]) {
        self.inner.lock().unwrap().cpu.insert(c, 0.0);
    }
    pub fn attach(&self, c: ConsumerId, pid: u32) {
        self.inner.lock().unwrap().pids.insert(c, pid);
    }
    pub fn close(&self, c: ConsumerId, cpu: Option<Duration>) {
        let mut i = self.inner.lock().unwrap();
        i.pids.remove(&c);
        if let (Some(d), Some(v)) = (cpu, i.cpu.get_mut(&c)) {
            *v = v.max(d.as_secs_f64());
        }
    }
    pub fn snapshot(&self, reply: impl FnOnce(HostSnapshot) + Send + 'static) {
        let mut i = self.inner.lock().unwrap();
        let pids: Vec<_> = i.pids.iter().map(|(c, p)| (*c, *p)).collect();
        for (c, p) in pids {
            let t = tree(p);
            let v = i.cpu.get_mut(&c).unwrap();
            *v = v.max(t);
        }
        let mut s = HostSnapshot::default();
        for (c, v) in &i.cpu {
            let e = Energy::new(Joules::new(v * 6.0).to_exact(), Provenance::Modelled);
            s.consumers.insert(*c, e);
            s.total += e;
        }
        reply(s);
    }
}
