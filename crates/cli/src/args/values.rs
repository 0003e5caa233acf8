//! Words of the command line that stand for one of several things.

use std::time::Duration;

use clap::ValueEnum;
use gramwise_model::{Goal, Timestamp};
use gramwise_report::{Format, GroupBy, ListFormat, Markup, Statement};
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

/// [`ListFormat`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListForm {
    /// For people.
    Table,
    /// For programs; stable.
    Json,
    /// For spreadsheets.
    Csv,
    /// The bare values.
    Value,
    /// For notes and issues.
    Markdown,
    /// For a paper.
    Latex,
    /// For data frames: `-o parquet > trials.parquet`.
    Parquet,
}

impl From<ListForm> for ListFormat {
    fn from(form: ListForm) -> Self {
        match form {
            ListForm::Table => Self::Table,
            ListForm::Json => Self::Json,
            ListForm::Csv => Self::Csv,
            ListForm::Value => Self::Value,
            ListForm::Markdown => Self::Markup(Markup::Markdown),
            ListForm::Latex => Self::Markup(Markup::Latex),
            ListForm::Parquet => Self::Parquet,
        }
    }
}

/// [`Goal`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GoalArg {
    /// Smaller scores are better.
    Minimize,
    /// Larger scores are better.
    Maximize,
}

impl From<GoalArg> for Goal {
    fn from(arg: GoalArg) -> Self {
        match arg {
            GoalArg::Minimize => Self::Minimize,
            GoalArg::Maximize => Self::Maximize,
        }
    }
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportForm {
    /// For people, on one screen.
    Table,
    /// For programs; stable.
    Json,
    /// For spreadsheets.
    Csv,
    /// The grams alone.
    Value,
    /// One page with plots that needs nothing else: `-o html > report.html`.
    Html,
    /// For notes and issues.
    Markdown,
    /// Tables for a paper.
    Latex,
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
    /// Project.
    Project,
    /// Tags, all of a sweep together.
    Tags,
    /// Each sweep by itself.
    Sweep,
    /// The machine that burnt it.
    Host,
    /// The models of that machine's graphics cards.
    Gpu,
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

impl From<Form> for ReportForm {
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
            By::Project => Self::Project,
            By::Tags => Self::Tags,
            By::Sweep => Self::Sweep,
            By::Host => Self::Host,
            By::Gpu => Self::Gpu,
        }
    }
}

/// A day or a month of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Days {
    /// When it begins.
    pub(crate) begins: Timestamp,
    /// When it is over.
    pub(crate) ends: Timestamp,
}

impl Days {
    /// `2026-11-24` or `2026-11`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a day or a month such as 2026-11-24 or 2026-11, found `{text}`");
        let at = |day: &str| gramwise_carbon::utc::parse(&format!("{day}T00:00Z")).map(Timestamp);
        let day = Duration::from_secs(86_400);
        if let Some(begins) = at(text) {
            return Ok(Self { begins, ends: begins.plus(day) });
        }
        let (year, month) = text.split_once('-').ok_or_else(wrong)?;
        let (year, month): (u32, u32) =
            (year.parse().map_err(|_| wrong())?, month.parse().map_err(|_| wrong())?);
        let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        let first = |(year, month): (u32, u32)| at(&format!("{year:04}-{month:02}-01")).ok_or_else(wrong);
        Ok(Self { begins: first((year, month))?, ends: first(next)? })
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
    /// What the calculator of Green Algorithms would have said, beside what was metered.
    GreenAlgorithms,
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
            StatementArg::GreenAlgorithms => Self::GreenAlgorithms,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_day_and_a_month_its_days() {
        let days = |text: &str| {
            let Days { begins, ends } = Days::parse(text).unwrap();
            ends.since(begins).as_secs() / 86_400
        };
        for (text, expected) in [("2026-11-24", 1), ("2026-11", 30), ("2026-12", 31), ("2028-02", 29)] {
            assert_eq!(days(text), expected, "{text}");
        }
        for wrong in ["", "2026", "2026-13", "2026-02-30", "yesterday", "2026-11-24T10:00Z"] {
            assert!(Days::parse(wrong).is_err(), "{wrong}");
        }
    }
}
