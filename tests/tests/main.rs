//! One story a file. `cargo test -p e2e resume` runs the tests of one.

#![expect(clippy::unwrap_used, reason = "all of this program is a test, its helpers too")]

mod control;
mod costs;
mod engine;
mod explain;
mod faults;
mod grid;
mod hosts;
mod kills;
mod ledger;
mod malformed;
mod meter;
mod nvml;
mod output;
mod processes;
mod quickstart;
mod resume;
mod search;
mod serve;
mod sweeps;
mod trust;
