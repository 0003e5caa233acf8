//! The nouns: what a sweep, a trial and an attempt are, and the values they are made of.
//!
//! Three types to know: [`SweepSpec`] (a legal sweep; [`SweepSpec::from_yaml`] is the only door to it),
//! [`Space`] with its [`Config`]s, and [`Because`] (why something was decided, with the numbers).
//! Plain data with invariants; this crate never reads a clock, a file or a device.

mod because;
mod document;
pub mod hyperparameter;
mod id;
mod methods;
mod metric;
mod objective;
pub mod rows;
mod space;
mod sweep;
mod text;
mod timestamp;
mod value;
pub mod work;

pub use because::{Because, Comparison, GainEstimate, Guard};
pub use document::{Problem, Problems};
pub use id::{AttemptId, SweepId, TrialId, WorkerId};
pub use methods::{Pruner, Sampler};
pub use metric::{Metric, Metrics};
pub use objective::{CO2E, Constraint, Goal, Objective};
pub use space::{Condition, Distribution, Forbidden, Parameter, Space};
pub use sweep::{
    Budget, CarbonSpec, Defer, GainPerKg, IntensityFrom, Keep, Original, PruneSpec, Replicates, Resource,
    Resources, Retry, RetryAction, RetryRule, SweepSpec, co2e_of,
};
pub use text::nearest;
pub use timestamp::Timestamp;
pub use value::{Config, Value};
