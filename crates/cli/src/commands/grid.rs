//! Grid intensities: which factors a command line asks for, and `gramwise intensity`.

use std::path::Path;

use anyhow::Context;
use etcetera::BaseStrategy;
use gramwise_carbon::{
    CarbonFactors, IntensityKind, IntensitySeries, Publisher, Signal, Source, StatedIntensity, utc, zone_hint,
};
use gramwise_grid::{Client, Fetched, Keys, series};
use gramwise_model::{CarbonSpec, IntensityFrom, SweepSpec};
use gramwise_report::{Align, csv, table};

use crate::args::{CarbonArgs, Common, Form, GridArgs, IntensityArgs};
use crate::database;
use crate::exit::{Exit, Failure};
use crate::output::{print, terminal};

const DAY: u64 = 86_400_000;

/// The sweep with what the command line says in place of the file's `carbon:`.
pub(super) fn overruled(spec: SweepSpec, args: &CarbonArgs) -> anyhow::Result<SweepSpec> {
    let carbon = overruled_carbon(spec.carbon, args)?;
    if let Some(IntensityFrom::File(file)) = &carbon.intensity {
        read(file, None)?;
    }
    Ok(SweepSpec { carbon, ..spec })
}

/// Are zone and source known?
pub(super) fn check(args: &CarbonArgs) -> anyhow::Result<()> {
    match overruled_carbon(CarbonSpec::default(), args)?.intensity {
        Some(IntensityFrom::File(file)) => read(&file, None).map(drop),
        Some(IntensityFrom::Publisher(_)) | None => Ok(()),
    }
}

fn overruled_carbon(file: CarbonSpec, args: &CarbonArgs) -> anyhow::Result<CarbonSpec> {
    let zone = args.zone.as_deref().map(|code| {
        gramwise_carbon::zone(code)
            .map(|zone| zone.code.clone())
            .map_err(|unknown| wrong(&format!("{unknown}\nhint: {}", zone_hint(code))))
    });
    let zone = zone.transpose()?.or(file.zone.clone());
    let intensity = args.intensity.as_deref().map(|text| {
        IntensityFrom::parse(text, zone.as_deref()).map_err(|unknown| wrong(&unknown.to_string()))
    });
    let intensity = match (intensity.transpose()?, file.intensity) {
        (Some(stated), _) => Some(stated),
        // A region that the file left to its zone follows the zone.
        (None, Some(IntensityFrom::Publisher(source))) if file.zone.as_ref() == Some(&source.region) => {
            let followed = Source::parse(source.publisher.name(), zone.as_deref());
            Some(IntensityFrom::Publisher(followed.map_err(|unknown| wrong(&unknown.to_string()))?))
        }
        (None, stated) => stated,
    };
    Ok(CarbonSpec { zone, intensity, pue: args.pue.or(file.pue), ..file })
}

/// Factors for what happened in a time (milliseconds since 1970): the mean of the intensities that a source tells of it, else the
/// zone's yearly mean, with a warning.
pub(super) fn factors(
    args: &CarbonArgs,
    grid: &GridArgs,
    (from, to): (u64, u64),
) -> anyhow::Result<CarbonFactors> {
    let carbon = overruled_carbon(CarbonSpec::default(), args)?;
    let yearly = CarbonFactors::yearly(carbon.zone.as_deref(), carbon.pue)?;
    let Some(source) = carbon.intensity else { return Ok(yearly) };
    let mean = told(&source, grid, None, (from, to)).and_then(|told| {
        let mean = told.series.mean(from, to).context("it tells nothing of that time")?;
        if mean.covered < 0.95 {
            eprintln!(
                "warning: {} tells of {:.0} % of that time; its mean is applied to all",
                told.source,
                mean.covered * 100.0
            );
        }
        let Told { source, basis, kind, .. } = told;
        Ok(StatedIntensity { intensity: mean.intensity, kind, source, basis, year: utc::year(to) })
    });
    match mean {
        Ok(stated) => Ok(yearly.with(&stated)),
        Err(error) => {
            eprintln!("warning: the yearly mean is used: {error:#}");
            Ok(yearly)
        }
    }
}

/// Intensities over time, and whose they are.
pub(super) struct Told {
    pub(super) series: IntensitySeries,
    pub(super) source: String,
    pub(super) kind: IntensityKind,
    basis: String,
}

/// The intensities of a time as a file or a publisher tells them.
pub(super) fn told(
    source: &IntensityFrom,
    grid: &GridArgs,
    column: Option<&str>,
    (from, to): (u64, u64),
) -> anyhow::Result<Told> {
    match source {
        IntensityFrom::File(file) => Ok(Told {
            series: read(file, column)?,
            source: file.display().to_string(),
            basis: "as the file counts".to_owned(),
            kind: IntensityKind::Actual,
        }),
        IntensityFrom::Publisher(source) => {
            let Fetched { readings, problem } = client(grid).fetch(source, (from, to.max(from + 1)), now());
            let Some(series) = series(&readings, &source.to_string()) else {
                let none = || "it has no figure of that time".to_owned();
                let why = problem.map_or_else(none, |problem| problem.to_string());
                return Err(wrong(&format!("no intensities from {source}: {why}")));
            };
            if let Some(problem) = problem {
                eprintln!("warning: {problem}; what it told before is used");
            }
            Ok(Told {
                series,
                source: format!("{}, {}", source.publisher.title(), source.region),
                basis: source.publisher.basis().to_owned(),
                kind: readings.iter().map(|reading| reading.kind).min().unwrap_or(IntensityKind::Estimated),
            })
        }
    }
}

/// Reads a file of intensities.
fn read(file: &Path, column: Option<&str>) -> anyhow::Result<IntensitySeries> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(&format!("cannot read {}: {error}", file.display())))?;
    IntensitySeries::parse(&text, column).map_err(|fault| wrong(&format!("{}, {fault}", file.display())))
}

/// A client with the keys of the environment, and answers kept in the user's cache folder.
pub(super) fn client(args: &GridArgs) -> Client {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let keys = Keys {
        electricity_maps: variable("ELECTRICITY_MAPS_TOKEN"),
        watttime: variable("WATTTIME_USER").zip(variable("WATTTIME_PASSWORD")),
    };
    // A mirror's answers are its own.
    let base = etcetera::base_strategy::choose_base_strategy().ok().filter(|_| args.intensity_url.is_none());
    let cache = base.map(|base| base.cache_dir().join("gramwise").join("intensity"));
    Client::new(keys, cache, args.intensity_url.clone())
}

/// Prints what a publisher says.
pub(super) fn intensity(common: &Common, args: &IntensityArgs) -> anyhow::Result<Exit> {
    let mut source: Source = args.source.parse().map_err(|unknown| wrong(&format!("{unknown}")))?;
    if args.marginal {
        if source.publisher != Publisher::WattTime {
            return Err(wrong("`--marginal` is published by `watttime` only"));
        }
        source.signal = Signal::Marginal;
    }
    let to = args.to.unwrap_or_else(now);
    let from = args.from.unwrap_or(to.saturating_sub(DAY));
    if from >= to {
        return Err(wrong(&format!(
            "the time ends ({}) before it begins ({})",
            utc::minute(to),
            utc::minute(from)
        )));
    }
    let Fetched { readings, problem } = client(&args.grid).fetch(&source, (from, to), now());
    if let Some(problem) = &problem {
        if readings.is_empty() {
            return Err(Failure::error(Exit::NoCoordinator, problem.to_string()));
        }
        eprintln!("warning: {problem}; this is what it told before");
    }
    if readings.is_empty() && !common.quiet {
        eprintln!("{source} has no figure from {} to {}", utc::minute(from), utc::minute(to));
    }
    let header = ["from_utc", "to_utc", "g_per_kwh", "kind"];
    let rows: Vec<Vec<String>> = readings
        .iter()
        .map(|one| {
            vec![
                utc::minute(one.from),
                utc::minute(one.to),
                one.intensity.get().to_string(),
                one.kind.name().to_owned(),
            ]
        })
        .collect();
    print(&match args.output.form {
        Form::Table => {
            table(&header, rows, &[Align::Left, Align::Left, Align::Right, Align::Left], terminal())
        }
        Form::Csv => csv(&header, &rows),
        Form::Json => {
            let object = |row: &Vec<String>| {
                let grams: f64 = row[2].parse().unwrap_or_default();
                serde_json::json!({"from_utc": row[0], "to_utc": row[1], "g_per_kwh": grams, "kind": row[3]})
            };
            serde_json::to_string_pretty(&rows.iter().map(object).collect::<Vec<_>>())? + "\n"
        }
        Form::Value => rows.iter().map(|row| row[2].clone() + "\n").collect(),
    })?;
    Ok(Exit::Success)
}

pub(super) fn now() -> u64 {
    database::now().0
}

fn wrong(message: &str) -> anyhow::Error {
    Failure::error(Exit::WrongInput, message.to_owned())
}
