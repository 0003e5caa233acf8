//! A whole cluster in one thread: virtual time, virtual workers, real decisions.
//!
//! [`Cluster`] drives the real [`gramwise_search`] core with workers that train along power-law curves, and with the faults of a
//! [`Weather`]: messages that are lost, repeated, delayed and overtaken, partitions, workers and coordinators that are killed, disks that
//! are full, clocks that step. After every command the invariants are walked, and after every start what was ever acknowledged is looked
//! for. The same seed gives the same history. [`Planted`] faults show that the looking would find something.

mod cluster;
mod coordinator;
mod network;
pub mod replay;
mod trial;
mod weather;
mod worker;

pub use cluster::{Cluster, History};
pub use weather::{Planted, Weather};
