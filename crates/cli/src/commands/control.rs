//! `gramwise submit`, `pause`, `resume`, `stop`, `cancel`, `enqueue`, `drain`: words to a coordinator.

use std::path::Path;

use gramwise_model::{Config, Value};
use gramwise_wire::convert::config_to_wire;
use gramwise_wire::v1::control_request::Action;
use gramwise_wire::v1::{ControlRequest, DrainRequest, EnqueueRequest, SubmitRequest};

use super::{check, client, run, runtime};
use crate::args::{Common, EnqueueArgs};
use crate::exit::{Exit, Failure};
use crate::output::{print, say};

/// Hands a sweep over; prints its number.
pub(super) fn submit(common: &Common, file: &Path) -> anyhow::Result<Exit> {
    check::read(file, common.quiet)?;
    let yaml = std::fs::read_to_string(file)?;
    runtime()?.block_on(async {
        let mut client = client::sweeps(common).await?;
        let asked = SubmitRequest { yaml, by: run::whoami() };
        let sweep = client.submit(asked).await.map_err(|status| client::refused(&status))?.into_inner().sweep;
        print(format!("{sweep}\n"))?;
        let address = client::address(common)?;
        say(common, &format!("sweep {sweep} is submitted; `gramwise status {sweep} --watch --coordinator {address}` shows it"));
        Ok(Exit::Success)
    })
}

/// Holds a sweep, lets it go on, or ends it.
pub(super) fn control(common: &Common, sweep: u32, action: Action) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        let mut client = client::sweeps(common).await?;
        let asked = ControlRequest { sweep, action: action.into(), by: run::whoami() };
        client.control(asked).await.map_err(|status| client::refused(&status))?;
        let what = match action {
            Action::Pause => "begins no more trials; running ones go on",
            Action::Resume => "goes on",
            Action::Stop => "ends once its running trials have finished",
            Action::Cancel => "is ending: its running trials are being stopped",
            Action::Unspecified => "is as it was",
        };
        say(common, &format!("sweep {sweep} {what}"));
        Ok(Exit::Success)
    })
}

/// Has a configuration tried; prints the trial's number.
pub(super) fn enqueue(common: &Common, args: &EnqueueArgs) -> anyhow::Result<Exit> {
    let mut config = Config::new();
    for text in &args.values {
        let (name, value) = value(text)?;
        if config.insert(name.clone(), value).is_some() {
            return Err(Failure::error(Exit::WrongInput, format!("`{name}` is given twice")));
        }
    }
    runtime()?.block_on(async {
        let mut client = client::sweeps(common).await?;
        let asked = EnqueueRequest { sweep: args.sweep, config: config_to_wire(&config), by: run::whoami() };
        let trial =
            client.enqueue(asked).await.map_err(|status| client::refused(&status))?.into_inner().trial;
        print(format!("{trial}\n"))?;
        say(common, &format!("trial {trial} of sweep {} is the next to be run", args.sweep));
        Ok(Exit::Success)
    })
}

/// `NAME=VALUE`, where the value is what it is in a sweep file: a number, `true`, `false`, `null`, or a word.
fn value(text: &str) -> anyhow::Result<(String, Value)> {
    let wrong =
        || Failure::error(Exit::WrongInput, format!("`{text}` is no NAME=VALUE\nhint: such as lr=0.01"));
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
    let value = match value {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        _ => match (value.parse::<i64>(), value.parse::<f64>()) {
            (Ok(whole), _) => Value::Int(whole),
            (Err(_), Ok(number)) if number.is_finite() => Value::Float(number),
            _ => Value::Text(value.to_owned()),
        },
    };
    Ok((name.to_owned(), value))
}

/// Takes a machine out of service; prints the workers that end.
pub(super) fn drain(common: &Common, worker: &str) -> anyhow::Result<Exit> {
    runtime()?.block_on(async {
        let mut client = client::sweeps(common).await?;
        let asked = DrainRequest { worker: worker.to_owned() };
        let drained =
            client.drain(asked).await.map_err(|status| client::refused(&status))?.into_inner().workers;
        print(drained.join("\n") + "\n")?;
        say(common, "what they run is finished, and then they end");
        Ok(Exit::Success)
    })
}
