//! `engine`: the search over stdin and stdout, one JSON message a line.

use std::io::{self, BufRead};

use gramwise_model::Config;
use gramwise_model::hyperparameter::{Hyperparameter, config};
use gramwise_model::{Space, Value as Scalar};
use gramwise_search::strategy::{
    AskTell, By, Choice, Fate, Goal, Knobs, Pruner, Sampler, Seen, Setting, Strategy, What, Word,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::output::print;

/// The objective that the engine measures itself: grams of the whole training.
const GRAMS: &str = "gco2e_full";
/// The protocol's version.
const PROTOCOL: u64 = 1;
/// Longer messages are no messages.
const LONGEST_LINE: usize = 64 << 20;

/// Answers messages until the input ends or says quit.
pub(crate) fn engine() -> anyhow::Result<Exit> {
    let mut input = io::stdin().lock();
    let mut session = Session::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if io::Read::take(&mut input, LONGEST_LINE as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(Exit::Success);
        }
        let text = String::from_utf8_lossy(&line);
        if text.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Message>(&with_numbers(&text)) {
            Ok(Message::Quit) => return Ok(Exit::Success),
            Ok(message) => session.answer(message).unwrap_or_else(|problem| json!({ "error": problem })),
            Err(error) => json!({ "error": format!("not a message: {error}") }),
        };
        print(format!("{answer}\n"))?;
    }
}

/// Python writes numbers that are not finite as words that JSON does not have: as `null` they are values that diverged.
fn with_numbers(text: &str) -> std::borrow::Cow<'_, str> {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
        || !(text.contains("NaN") || text.contains("Infinity"))
    {
        return text.into();
    }
    let mut inside = false;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if !inside
            && let Some(word) =
                ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| rest.starts_with(word))
        {
            out.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        if next == '"' && !out.ends_with('\\') {
            inside = !inside;
        }
        out.push(next);
        rest = &rest[next.len_utf8()..];
    }
    out.into()
}

/// What may be said.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Message {
    Init(Box<Init>),
    Ask {},
    Started { trial: u64, config: Value },
    Report(Report),
    End { trial: u64, reason: String },
    Quit,
}

#[derive(Debug, Deserialize)]
struct Init {
    #[serde(default = "one")]
    protocol: u64,
    hyperparameters: Vec<Hyperparameter>,
    max_epoch: u64,
    #[serde(default)]
    seed: u64,
    #[serde(default = "one")]
    workers: u64,
    objectives: Vec<String>,
    #[serde(default)]
    budget_gco2e: Option<f64>,
    #[serde(default)]
    price: Option<Price>,
    #[serde(default)]
    sampler: Option<String>,
    #[serde(default)]
    pruner: Option<String>,
    #[serde(default)]
    grace: Option<u64>,
    #[serde(default)]
    pool: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Price {
    gain_per_kg: f64,
}

#[derive(Debug, Deserialize)]
struct Report {
    trial: u64,
    epoch: u64,
    #[serde(default)]
    gco2e: Option<f64>,
    #[serde(default)]
    last: bool,
    #[serde(flatten)]
    metrics: Map<String, Value>,
}

fn one() -> u64 {
    1
}

#[derive(Default)]
struct Session {
    search: Option<AskTell>,
    objectives: Vec<String>,
    /// Steps reported of each trial, and whether it was told to end.
    trials: Vec<Known>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    epoch: u64,
    running: bool,
    last: bool,
}

impl Session {
    fn answer(&mut self, message: Message) -> Result<Value, String> {
        match message {
            Message::Init(init) => self.init(*init),
            Message::Ask {} => {
                let choice = self.search.as_mut().ok_or(NO_INIT)?.ask();
                if let What::Resume(trial) = choice.what {
                    self.trials[trial].running = true;
                }
                Ok(suggestion(choice))
            }
            Message::Started { trial, config: stated } => {
                let search = self.search.as_mut().ok_or(NO_INIT)?;
                if trial != self.trials.len() as u64 {
                    return Err(format!("trial {trial} started: expected number {}", self.trials.len()));
                }
                let config = checked(&search.strategy().setting().space, config(&stated)?)?;
                search.started(config);
                self.trials.push(Known { epoch: 0, running: true, last: false });
                Ok(json!({}))
            }
            Message::Report(report) => self.report(&report),
            Message::End { trial, reason } => {
                let at = self.known(trial)?;
                let fate = match reason.as_str() {
                    "completed" => Fate::Complete,
                    "paused" => Fate::Paused,
                    "stopped" => Fate::Stopped,
                    "failed" => Fate::Failed,
                    other => {
                        return Err(format!(
                            "reason `{other}`: expected completed, stopped, paused or failed"
                        ));
                    }
                };
                self.trials[at].running = false;
                self.search.as_mut().ok_or(NO_INIT)?.ended(at, fate);
                Ok(json!({}))
            }
            Message::Quit => Ok(json!({})),
        }
    }

    fn init(&mut self, init: Init) -> Result<Value, String> {
        if init.protocol != PROTOCOL {
            return Err(format!("protocol {}: this engine speaks {PROTOCOL}", init.protocol));
        }
        if init.max_epoch == 0 {
            return Err("max_epoch is 0: expected at least 1".to_owned());
        }
        if init.objectives.iter().all(|name| name == GRAMS) {
            return Err(format!("objectives: expected at least one besides `{GRAMS}`"));
        }
        if let Some(twice) =
            (1..init.objectives.len()).find(|at| init.objectives[..*at].contains(&init.objectives[*at]))
        {
            return Err(format!("objective `{}` is there twice", init.objectives[twice]));
        }
        if init.budget_gco2e.is_some_and(|grams| grams.is_nan() || grams <= 0.0) {
            return Err("budget_gco2e: expected grams above 0".to_owned());
        }
        let price = init.price.map(|price| price.gain_per_kg / 1000.0);
        if price.is_some_and(|price| !price.is_finite() || price < 0.0) {
            return Err("price: gain_per_kg: expected a number of at least 0".to_owned());
        }
        let space = Space::from_hyperparameters(&init.hyperparameters)?;
        let pool = init
            .pool
            .iter()
            .enumerate()
            .map(|(at, stated)| {
                config(stated)
                    .and_then(|config| checked(&space, config))
                    .map_err(|what| format!("pool entry {at}: {what}"))
            })
            .collect::<Result<Vec<Config>, String>>()?;
        let sampler = named("sampler", init.sampler.as_deref(), &Sampler::ALL, Sampler::Gp)?;
        let pruner = named("pruner", init.pruner.as_deref(), &Pruner::ALL, Pruner::GainPerKg)?;
        let goal = |name: &String| if name == GRAMS { Goal::Grams } else { Goal::Reported };
        self.trials.clear();
        self.search = Some(AskTell::new(Strategy::new(
            Setting {
                pool,
                first_step: init.grace.unwrap_or(1).clamp(1, init.max_epoch),
                seed: init.seed,
                workers: usize::try_from(init.workers).unwrap_or(usize::MAX),
                price,
                sampler,
                pruner,
                ..Setting::new(space, init.max_epoch, init.objectives.iter().map(goal).collect())
            },
            Knobs::default(),
        )));
        self.objectives = init.objectives;
        Ok(json!({}))
    }

    fn report(&mut self, report: &Report) -> Result<Value, String> {
        let at = self.known(report.trial)?;
        let known = self.trials[at];
        if !known.running || known.last {
            return Err(format!("trial {} is not running", report.trial));
        }
        if report.epoch <= known.epoch {
            return Err(format!(
                "epoch {} of trial {}: epoch {} was reported before",
                report.epoch, report.trial, known.epoch
            ));
        }
        let search = self.search.as_mut().ok_or(NO_INIT)?;
        let costs = self
            .objectives
            .iter()
            .filter(|name| *name != GRAMS)
            .map(|name| match report.metrics.get(name) {
                None => Err(format!("objective `{name}` is missing")),
                Some(Value::Number(number)) => Ok(number.as_f64().unwrap_or(f64::INFINITY)),
                // What is no number has diverged.
                Some(Value::Null) => Ok(f64::INFINITY),
                Some(other) => Err(format!("objective `{name}`: expected a number or null, not {other}")),
            })
            .collect::<Result<Vec<f64>, String>>()?;
        let last = report.last || report.epoch >= search.strategy().setting().last_step;
        let grams = report.gco2e.unwrap_or(0.0);
        let seen = Seen { step: report.epoch, costs, grams, last, feasible: true };
        let word = search.report(at, &seen);
        self.trials[at].epoch = report.epoch;
        self.trials[at].last = last;
        let (decision, why) = match word {
            Word::Continue => ("continue", if last { "the last step" } else { "its segment goes on" }),
            Word::Pause => ("pause", "its segment is over: it is weighed against all others"),
            Word::Stop => ("stop", "it diverged, or is worse than others were at this step"),
        };
        Ok(json!({ "decision": decision, "because": { "why": why, "epoch": report.epoch, "gco2e": grams } }))
    }

    fn known(&self, trial: u64) -> Result<usize, String> {
        let at = usize::try_from(trial).ok().filter(|at| *at < self.trials.len());
        at.ok_or_else(|| format!("trial {trial} is not known: `started` comes first"))
    }
}

fn suggestion(choice: Choice) -> Value {
    let mut answer = match choice.what {
        What::New { pool: Some(at), .. } => json!({ "config_id": at }),
        What::New { config, .. } => {
            let members = config.iter().map(|(name, value)| (name.clone(), value.to_json()));
            json!({ "config": Value::Object(members.collect()) })
        }
        What::Resume(trial) => json!({ "resume": trial }),
        What::Wait | What::Refit => return json!({ "wait": true }),
        What::Done(why) => return json!({ "done": true, "because": why }),
    };
    let price_per_kg = choice.price * 1000.0;
    answer["because"] = match choice.by {
        By::Gain(promise) => json!({
            "by": "gain",
            "gain": promise.gain,
            "gco2e": promise.grams,
            "gain_per_kg": promise.gain / promise.grams * 1000.0,
            "price_per_kg": price_per_kg,
            "predicted": promise.predicted,
            "predicted_low": promise.predicted_low,
            "predicted_high": promise.predicted_high,
        }),
        By::Rank => json!({ "by": "rank", "price_per_kg": price_per_kg }),
        By::ColdStart => json!({ "by": "cold_start" }),
        By::Sampler | By::Nothing => json!({ "by": "sampler" }),
    };
    answer
}

/// One of several by its name.
fn named<T: Copy>(what: &str, stated: Option<&str>, all: &[(&str, T)], default: T) -> Result<T, String> {
    let Some(stated) = stated else { return Ok(default) };
    let found = all.iter().find(|(name, _)| *name == stated).map(|(_, one)| *one);
    found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        format!("{what} `{stated}`: expected one of {}", names.join(", "))
    })
}

const NO_INIT: &str = "`init` comes first";

/// A configuration of the space: each member is one of its hyperparameters, and numbers are numbers.
fn checked(space: &Space, config: Config) -> Result<Config, String> {
    for (name, value) in &config {
        let Some(parameter) = space.parameters().iter().find(|parameter| parameter.name == *name) else {
            return Err(format!("hyperparameter `{name}` is not in the space"));
        };
        if !parameter.distribution.could_be(value) {
            return Err(format!("hyperparameter `{name}`: {} is none of its values", shown(value)));
        }
    }
    Ok(config)
}

fn shown(value: &Scalar) -> String {
    value.to_json().to_string()
}
