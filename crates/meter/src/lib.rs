//! Watts and joules from hardware. Only this crate knows devices.
//!
//! To know: [`HostMeter`] (reads every cumulative counter of a host and splits each interval's energy over consumers, in whole
//! microjoules, so that nothing is lost or counted twice), [`MeterThread`] (the OS thread it lives on: NVML blocks) and
//! [`Device`] (one counter or power source; every implementation passes the suite in `contract.rs`).
//!
//! It never runs inside a trial: a pruned trial is a killed process, and what it burnt must be known all the same.

mod amd;
mod attribution;
mod calibrate;
mod clock;
#[cfg(test)]
mod contract;
mod counter;
mod cpu_model;
mod device;
mod doctor;
mod gauge;
mod handover;
mod host;
#[cfg(test)]
mod host_schedules;
#[cfg(test)]
mod host_tests;
mod line;
mod memory_model;
mod node;
mod nvml;
mod obstacles;
mod probe;
mod processes;
mod profile;
mod rapl;
#[cfg(test)]
mod replay;
mod rest;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
mod thread;

pub use amd::is_amd;
pub use attribution::HostSnapshot;
pub use calibrate::{Calibration, Phases, calibrate};
pub use clock::boot_time;
pub use device::{Device, Raw, ReadError};
pub use doctor::{Finding, Status};
pub use handover::{Adopted, Ending, Handover};
pub use host::{ConsumerId, HostMeter, IdlePolicy};
pub use node::{NodeSource, UnknownNodeSource};
pub use probe::{Gpu, Inventory, ProbeError, ProbeOptions};
pub use processes::cgroup_cpu;
pub use profile::{NodeModel, Profile};
pub use thread::{MeterHandle, MeterThread};
