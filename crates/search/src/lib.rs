//! What to try, what to go on with, and what to end.
//!
//! The contract, in three functions: [`decide`] looks at the [`State`] and a [`Command`] and returns [`Fact`]s;
//! [`apply`] changes the state by one fact; [`effect`] says what a fact makes leave the coordinator. The facts are
//! written down before they are applied, and only they are kept: replaying them gives the same state again.
//!
//! Pure and deterministic: it never asks for time, draws from an addressed generator ([`rng`]) and touches no file.
//! It knows no process, no device and no socket.

mod apply;
mod audit;
mod checkpoints;
mod command;
mod curve;
mod decide;
mod effect;
mod fact;
mod fits;
mod money;
mod points;
mod reasons;
mod recall;
mod replicate;
mod rng;
mod snapshot;
mod state;
pub mod strategy;
mod sweep_strategy;
mod unit_cube;

pub use apply::apply;
pub use audit::audit;
pub use checkpoints::discardable;
pub use command::{Command, Refused};
pub use curve::Curve;
pub use decide::{decide, next_rested};
pub use effect::{Effect, assigned, effect, instructions};
pub use fact::{Dismissal, Fact, Next, Reservation};
pub use fits::{Fit, fits_due};
pub use points::{Points, points};
pub use recall::recall;
pub use replicate::{Replication, replicate};
pub use rng::{Purpose, rng};
pub use snapshot::Snapshot;
pub use state::{Attempt, LEASE, Phase, State, Step, Sweep, SweepPhase, Trial, Worker};
