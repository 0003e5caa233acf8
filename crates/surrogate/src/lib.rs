//! Numbers in, numbers out: what the search computes with. Knows no trial and depends on nothing here.
//!
//! To know: [`Prediction`] (where a learning curve ends, with its spread), [`hypervolume`] with
//! [`hypervolume_gain`], [`pareto_order`], and [`Sobol`]. Everywhere, smaller is better.

mod curve;
mod hypervolume;
mod normal;
mod pareto;
mod sobol;

pub use curve::{Point, Prediction, predict};
pub use hypervolume::{hypervolume, hypervolume_gain};
pub use normal::{expected_improvement, normal_quantile};
pub use pareto::{dominates, front, pareto_order};
pub use sobol::{MAX_DIMENSIONS, Sobol};
