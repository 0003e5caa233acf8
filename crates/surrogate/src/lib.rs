//! Numbers in, numbers out: what the search computes with. Knows no trial and depends on nothing here.
//!
//! To know: [`CurveProcess`] (where learning curves end, with their spread), [`staged`] (what it is worth to let one go on),
//! [`Region`] (hypervolume improvement), [`pareto_order`], and [`Sobol`]. Everywhere, smaller is better.

mod curve_process;
mod ehvi;
mod factor;
mod hypervolume;
mod importance;
mod lbfgs;
mod loglinear;
mod normal;
mod pareto;
mod sobol;
mod staged;
mod tpe;
mod warp;

pub use curve_process::{Axis, CurveProcess, Forecast, MAX_RUNGS, Means, Observation, Parameters, fit};
pub use ehvi::{Profile, Region};
pub use hypervolume::{hypervolume, hypervolume_gain};
pub use importance::importance;
pub use loglinear::{LogLinear, LogRow};
pub use normal::{
    expected_improvement, log_expected_improvement, normal_cdf, normal_density, normal_quantile, student_cdf,
};
pub use pareto::{dominates, front, pareto_order};
pub use sobol::{MAX_DIMENSIONS, Sobol};
pub use staged::{Payoff, Staged, staged};
pub use tpe::tpe_point;
pub use warp::Warp;
