//! One story a file. `cargo test -p e2e resume` runs the tests of one.

mod explain;
mod ledger;
mod malformed;
mod output;
mod processes;
mod quickstart;
mod resume;
mod sweeps;
