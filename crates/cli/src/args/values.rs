//! Words of the command line that stand for one of several things.

use clap::ValueEnum;
use gramwise_report::{Format, GroupBy, Statement};
use gramwise_search::strategy::{Pruner, Sampler};
use gramwise_trust::Role;

/// [`gramwise_meter::IdlePolicy`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IdleArg {
    /// Who reserved it, as SCI asks.
    Reserved,
    /// Nobody: trials pay for what they make the hardware do.
    Used,
    /// The trials that run meanwhile, in proportion.
    Amortised,
}

impl From<IdleArg> for gramwise_meter::IdlePolicy {
    fn from(arg: IdleArg) -> Self {
        match arg {
            IdleArg::Reserved => Self::Reserved,
            IdleArg::Used => Self::Used,
            IdleArg::Amortised => Self::Amortised,
        }
    }
}

/// [`Sampler`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SamplerArg {
    /// A Gaussian process over configurations and learning curves.
    Gp,
    /// Tree-structured Parzen estimator.
    Tpe,
    /// Scrambled Sobol points.
    Sobol,
    /// Independent draws.
    Random,
    /// Every combination of listed values.
    Grid,
}

/// [`Pruner`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrunerArg {
    /// By expected gain per gram.
    GainPerKg,
    /// Never.
    None,
    /// Worse than the median of the others at the same step.
    Median,
    /// Asynchronous successive halving.
    Asha,
    /// Successive halving in brackets.
    Hyperband,
}

impl From<SamplerArg> for Sampler {
    fn from(arg: SamplerArg) -> Self {
        match arg {
            SamplerArg::Gp => Self::Gp,
            SamplerArg::Tpe => Self::Tpe,
            SamplerArg::Sobol => Self::Sobol,
            SamplerArg::Random => Self::Random,
            SamplerArg::Grid => Self::Grid,
        }
    }
}

impl From<PrunerArg> for Pruner {
    fn from(arg: PrunerArg) -> Self {
        match arg {
            PrunerArg::GainPerKg => Self::GainPerKg,
            PrunerArg::None => Self::None,
            PrunerArg::Median => Self::Median,
            PrunerArg::Asha => Self::Asha,
            PrunerArg::Hyperband => Self::Hyperband,
        }
    }
}

/// [`Format`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// For programs; stable.
    Json,
    /// For spreadsheets.
    Csv,
    /// The bare value.
    Value,
}

/// [`GroupBy`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Calendar month (UTC).
    Month,
    /// Sweep name.
    Name,
    /// Who submitted.
    User,
    /// Grid zone.
    Zone,
}

impl From<Form> for Format {
    fn from(form: Form) -> Self {
        match form {
            Form::Table => Self::Table,
            Form::Json => Self::Json,
            Form::Csv => Self::Csv,
            Form::Value => Self::Value,
        }
    }
}

impl From<By> for GroupBy {
    fn from(by: By) -> Self {
        match by {
            By::Month => Self::Month,
            By::Name => Self::Name,
            By::User => Self::User,
            By::Zone => Self::Zone,
        }
    }
}

/// [`Statement`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatementArg {
    /// A paragraph on compute resources.
    Paper,
    /// `co2_eq_emissions` of a model card on the Hugging Face Hub.
    Huggingface,
    /// `emissions.csv` of `CodeCarbon`, a line a trial.
    Codecarbon,
    /// A report of `BoAmps` 1.1.0.
    Boamps,
    /// The Software Carbon Intensity, of a trial and of a point gained.
    Sci,
    /// `OpenMetrics` text, for a collector.
    Openmetrics,
}

impl From<StatementArg> for Statement {
    fn from(arg: StatementArg) -> Self {
        match arg {
            StatementArg::Paper => Self::Paper,
            StatementArg::Huggingface => Self::HuggingFace,
            StatementArg::Codecarbon => Self::CodeCarbon,
            StatementArg::Boamps => Self::BoAmps,
            StatementArg::Sci => Self::Sci,
            StatementArg::Openmetrics => Self::OpenMetrics,
        }
    }
}

/// [`Role`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// Become a worker, and run trials.
    Worker,
    /// Submit sweeps, ask about them, and end them.
    Client,
}

impl From<RoleArg> for Role {
    fn from(arg: RoleArg) -> Self {
        match arg {
            RoleArg::Worker => Self::Worker,
            RoleArg::Client => Self::Client,
        }
    }
}
