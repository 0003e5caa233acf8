//! `gramwise calibrate`: a host's own figures, in place of assumptions.

use std::time::Duration;

use anyhow::Context;
use gramwise_carbon::utc;
use gramwise_meter::{Calibration, Phases, Profile};
use gramwise_report::{Align, csv, table};
use indicatif::{ProgressBar, ProgressStyle};

use super::doctor;
use crate::args::{CalibrateArgs, Common, Form};
use crate::database;
use crate::exit::{Exit, Failure};
use crate::output::{print, terminal};

/// Calibrates, writes the profile, and prints what it found.
pub(super) fn calibrate(common: &Common, args: &CalibrateArgs) -> anyhow::Result<Exit> {
    let path = doctor::profile(&args.devices)
        .context("cannot find the home directory\nhint: name a file with --host-profile")?;
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    if [args.idle_time, args.load_time].iter().any(|time| *time < second || *time > day) {
        let message = "--idle-time and --load-time are each from 1s to 1day";
        return Err(Failure::error(Exit::WrongInput, message));
    }
    let phases = Phases { idle: args.idle_time, load: args.load_time };
    let bar = if common.quiet { ProgressBar::hidden() } else { ProgressBar::new(1000) };
    bar.set_style(ProgressStyle::with_template("{bar:30} {percent} %  {msg}").context("the bar's form")?);
    let made = utc::minute(database::now().0);
    let found = gramwise_meter::calibrate(&doctor::options(&args.devices), phases, &made, |what, done| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
        bar.set_position((done * 1000.0) as u64);
        bar.set_message(what.to_owned());
    });
    bar.finish_and_clear();
    let Calibration { profile, missing } = found?;
    for what in &missing {
        eprintln!("not learnt: {what}");
    }
    if profile.idle_w.is_empty() && profile.node.is_none() {
        eprintln!("nothing was learnt, and nothing was written");
        return Ok(Exit::WrongInput);
    }
    profile.write(&path).map_err(|error| {
        Failure::error(Exit::WrongInput, format!("cannot write {}: {error}", path.display()))
    })?;
    print(&rendered(&profile, args.output.form)?)?;
    if !common.quiet {
        eprintln!("written to {}: `gramwise run`, `meter` and `doctor` on this host use it", path.display());
    }
    Ok(Exit::Success)
}

fn rendered(profile: &Profile, form: Form) -> anyhow::Result<String> {
    let mut rows: Vec<Vec<String>> = profile
        .idle_w
        .iter()
        .map(|(name, idle)| vec![name.clone(), "idle".to_owned(), format!("{:.1} W", idle.get())])
        .collect();
    if let Some(node) = &profile.node {
        let line =
            format!("{:.1} W + {:.3} x components (off by {:.1} W)", node.base_w, node.factor, node.rmse_w);
        rows.push(vec!["node".to_owned(), "follows".to_owned(), line]);
    }
    Ok(match form {
        Form::Table => table(&["device", "what", "figure"], rows, &[Align::Left; 3], terminal()),
        Form::Csv => csv(&["device", "what", "figure"], &rows),
        Form::Json => serde_json::to_string_pretty(profile)? + "\n",
        Form::Value => rows.iter().map(|row| row[2].clone() + "\n").collect(),
    })
}
