//! Watts and joules from hardware. Only this crate knows devices.
//!
//! To know: [`HostMeter`] (reads every cumulative counter of a host and splits each interval's energy over consumers, in whole
//! microjoules, so that nothing is lost or counted twice), [`MeterThread`] (the OS thread it lives on: NVML blocks) and
//! [`Device`] (one counter or power source; every implementation passes the suite in `contract.rs`).
//!
//! It never runs inside a trial: a pruned trial is a killed process, and what it burnt must be known all the same.

mod attribution;
mod contract;
mod counter;
mod cpu_model;
mod device;
mod gauge;
mod host;
mod memory_model;
mod nvml;
mod probe;
mod processes;
mod rapl;
mod thread;

pub use device::{Device, Raw, ReadError};
pub use host::{ConsumerId, HostMeter, HostSnapshot};
pub use probe::{Finding, Gpu, Inventory, ProbeError, ProbeOptions, Status};
pub use thread::{MeterHandle, MeterThread};
