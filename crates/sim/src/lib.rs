//! A whole cluster in one thread: virtual time, virtual workers, real decisions.
//!
//! [`Cluster`] drives the real [`gramwise_search`] core with workers that train along power-law curves, and with the faults of a
//! [`Weather`]: lost replies, repeated reports, workers that die, a coordinator that starts again from its journal. After
//! every fact the invariants are walked. The same seed gives the same history.

mod cluster;
pub mod replay;
mod trial;
mod worker;

pub use cluster::{Cluster, History, Weather};
