//! The search driven from another program, over stdin and stdout: sensible with sensible messages, unmoved by others.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

struct Engine {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Engine {
    fn start() -> Self {
        let mut child = Command::new(e2e::gramwise())
            .arg("engine")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, input, output }
    }

    /// Says a line and returns the answer.
    fn line(&mut self, line: &str) -> Value {
        writeln!(self.input, "{line}").expect("it listens");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("it speaks");
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error} in {answer:?} to {line:?}"))
    }

    fn say(&mut self, message: &Value) -> Value {
        self.line(&message.to_string())
    }

    fn quit(mut self) {
        writeln!(self.input, r#"{{"op":"quit"}}"#).expect("it listens");
        assert!(self.child.wait().expect("it ends").success());
    }
}

fn init(hyperparameters: &Value, more: &Value) -> Value {
    let mut message = json!({"op": "init", "protocol": 1, "task": "t", "hyperparameters": hyperparameters, "max_epoch": 9,
        "seed": 3, "workers": 4, "objectives": ["val_error"], "budget_gco2e": 1e6, "intensity_g_per_kwh": 400.0});
    for (name, value) in more.as_object().into_iter().flatten() {
        message[name] = value.clone();
    }
    message
}

fn numbers(dimensions: usize) -> Value {
    (0..dimensions)
        .map(|at| json!({"name": format!("x{at}"), "type": "float", "lower": 0.0, "upper": 1.0}))
        .collect()
}

/// Runs trials one at a time until so many questions were answered; returns everything that was answered. `loss` is a JSON text:
/// it may be what JSON does not allow. `grams` are those so far.
fn drive(
    engine: &mut Engine,
    questions: usize,
    loss: &mut dyn FnMut(u64, u64) -> String,
    grams: &dyn Fn(u64) -> f64,
) -> Vec<Value> {
    let (mut answers, mut epochs): (Vec<Value>, Vec<u64>) = (Vec::new(), Vec::new());
    for _ in 0..questions {
        let answer = engine.say(&json!({"op": "ask", "now_s": 0.0, "spent_gco2e": 0.0}));
        answers.push(answer.clone());
        let trial = match (answer.get("resume"), answer.get("config")) {
            (Some(trial), _) => trial.as_u64().expect("a number"),
            (None, Some(config)) => {
                let trial = epochs.len() as u64;
                epochs.push(0);
                assert_eq!(
                    engine.say(&json!({"op": "started", "trial": trial, "config": config, "now_s": 0.0})),
                    json!({})
                );
                trial
            }
            (None, None) => break,
        };
        loop {
            let epoch = epochs[usize::try_from(trial).expect("small")] + 1;
            epochs[usize::try_from(trial).expect("small")] = epoch;
            let report = format!(
                r#"{{"op":"report","trial":{trial},"epoch":{epoch},"val_error":{},"seconds":{epoch},"gco2e":{},"last":{},"now_s":0,"spent_gco2e":0}}"#,
                loss(trial, epoch),
                grams(epoch),
                epoch == 9
            );
            let answer = engine.line(&report);
            answers.push(answer.clone());
            let reason = match answer["decision"].as_str() {
                Some("continue") if epoch < 9 => continue,
                Some("continue") => "completed",
                Some("pause") => "paused",
                Some("stop") => "stopped",
                _ => panic!("{answer} to {report}"),
            };
            assert_eq!(engine.say(&json!({"op": "end", "trial": trial, "reason": reason})), json!({}));
            break;
        }
    }
    answers
}

fn quality(trial: u64, epoch: u64) -> String {
    format!("{:.6}", 0.2 + (trial as f64 * 0.618).fract() / (epoch as f64).sqrt())
}

#[test]
fn the_same_seed_and_reports_get_the_same_decisions() {
    let run = |seed: u64| {
        let mut engine = Engine::start();
        engine.say(&init(&numbers(3), &json!({"seed": seed})));
        let answers = drive(&mut engine, 60, &mut quality, &|epoch| epoch as f64);
        // Beginning afresh in the same process forgets all.
        engine.say(&init(&numbers(3), &json!({"seed": seed})));
        let again = drive(&mut engine, 60, &mut quality, &|epoch| epoch as f64);
        engine.quit();
        assert_eq!(answers, again);
        answers
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
    let by = |why: &str| first.iter().filter(|answer| answer["because"]["by"] == why).count();
    assert!(
        by("gain") > 10 && by("rank") > 0 && by("cold_start") > 5,
        "{} {} {}",
        by("gain"),
        by("rank"),
        by("cold_start")
    );
}

/// A name, the loss of a trial at an epoch as JSON text, and grams so far by epoch.
type Case<'a> = (&'a str, &'a dyn Fn(u64, u64) -> String, &'a dyn Fn(u64) -> f64);

#[test]
fn strange_curves_do_no_harm() {
    let cases: [Case<'_>; 10] = [
        ("constant", &|_, _| "0.5".into(), &|epoch| epoch as f64),
        ("zero grams", &|trial, epoch| quality(trial, epoch), &|_| 0.0),
        ("falling counters", &|trial, epoch| quality(trial, epoch), &|epoch| 10.0 - epoch as f64),
        ("huge", &|trial, _| if trial % 2 == 0 { "1e300".into() } else { "-1e300".into() }, &|epoch| {
            epoch as f64
        }),
        ("tiny", &|trial, _| format!("{}e-300", trial + 1), &|epoch| epoch as f64),
        ("not a number", &|_, _| "NaN".into(), &|epoch| epoch as f64),
        (
            "infinite",
            &|trial, epoch| if trial % 3 == 0 { "-Infinity".into() } else { quality(trial, epoch) },
            &|epoch| epoch as f64,
        ),
        (
            "null",
            &|trial, epoch| if trial % 2 == 0 { "null".into() } else { quality(trial, epoch) },
            &|epoch| epoch as f64,
        ),
        ("rising", &|trial, epoch| format!("{}", trial + epoch * epoch), &|epoch| epoch as f64 * 1e-12),
        ("tremendous grams", &|trial, epoch| quality(trial, epoch), &|epoch| epoch as f64 * 1e200),
    ];
    for (name, loss, grams) in cases {
        let mut engine = Engine::start();
        engine.say(&init(&numbers(2), &json!({})));
        let answers = drive(&mut engine, 70, &mut |trial, epoch| loss(trial, epoch), grams);
        let asked = answers.iter().filter(|answer| answer.get("decision").is_none()).count();
        assert_eq!(asked, 70, "{name}: no question is left without something to do");
        engine.quit();
    }
}

#[test]
fn strange_spaces_do_no_harm() {
    let category = |name: &str| json!({"name": name, "type": "categorical", "choices": ["a", "b", "c"]});
    let conditional: Vec<Value> = (0..6)
        .map(|at| {
            let mut one = category(&format!("c{at}"));
            if at > 0 {
                one["condition"] = json!({"parent": format!("c{}", at - 1), "values": ["a", "b"]});
            }
            one
        })
        .collect();
    let all_categorical: Vec<Value> = (0..8).map(|at| category(&format!("c{at}"))).collect();
    for (name, space) in [
        ("200 dimensions", numbers(200)),
        ("all categorical", Value::Array(all_categorical)),
        ("all conditional", Value::Array(conditional)),
        (
            "an ordinal and a wide integer",
            json!([{"name": "o", "type": "ordinal", "choices": [1, 4, 16]},
            {"name": "i", "type": "int", "lower": 1, "upper": 1_000_000_000_000_i64, "log": true}]),
        ),
    ] {
        let mut engine = Engine::start();
        assert_eq!(engine.say(&init(&space, &json!({}))), json!({}), "{name}");
        let answers = drive(&mut engine, 50, &mut quality, &|epoch| epoch as f64);
        assert!(answers.iter().all(|answer| answer.get("error").is_none()), "{name}");
        engine.quit();
    }
    // Three configurations are all there is: they are trained, and then it ends.
    let mut engine = Engine::start();
    engine.say(&init(&json!([category("only")]), &json!({})));
    let answers = drive(&mut engine, 100, &mut quality, &|epoch| epoch as f64);
    assert_eq!(answers.last().expect("something")["done"], true);
    engine.quit();
}

#[test]
fn baselines_answer_behind_the_same_door() {
    for sampler in ["gp", "tpe", "sobol", "random"] {
        for pruner in ["none", "median", "asha", "hyperband", "gain-per-kg"] {
            let mut engine = Engine::start();
            let more = json!({"sampler": sampler, "pruner": pruner, "seed": 5});
            assert_eq!(engine.say(&init(&numbers(2), &more)), json!({}));
            let answers = drive(&mut engine, 40, &mut quality, &|epoch| epoch as f64);
            let ends_early =
                answers.iter().any(|answer| ["pause", "stop"].iter().any(|word| answer["decision"] == *word));
            assert_eq!(ends_early, pruner != "none", "{sampler} {pruner}");
            engine.quit();
        }
    }
}

#[test]
fn a_stated_price_ends_the_search() {
    let mut engine = Engine::start();
    engine.say(&init(&numbers(2), &json!({"price": {"gain_per_kg": 5.0}})));
    let answers = drive(&mut engine, 2000, &mut quality, &|epoch| epoch as f64);
    assert_eq!(answers.last().expect("something")["done"], true, "{} answers", answers.len());
    engine.quit();
}

#[test]
fn several_objectives_and_a_pool() {
    let mut engine = Engine::start();
    let pool: Vec<Value> = (0..30).map(|at| json!({"x0": f64::from(at) / 30.0, "x1": 0.5})).collect();
    let more = json!({"objectives": ["val_error", "gco2e_full"], "pool": pool});
    assert_eq!(engine.say(&init(&numbers(2), &more)), json!({}));
    let (mut seen, mut started) = (std::collections::BTreeSet::new(), 0);
    for _ in 0..4 {
        let answer = engine.say(&json!({"op": "ask"}));
        let id = answer["config_id"].as_u64().unwrap_or_else(|| panic!("{answer}"));
        assert!(seen.insert(id), "each entry once");
        let config = &pool[usize::try_from(id).expect("small")];
        assert_eq!(engine.say(&json!({"op": "started", "trial": started, "config": config})), json!({}));
        started += 1;
    }
    engine.quit();
}

#[test]
fn malformed_messages_are_refused_and_change_nothing() {
    let mut engine = Engine::start();
    let refused = |engine: &mut Engine, line: &str, what: &str| {
        let answer = engine.line(line);
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{answer} to {line}"));
        assert!(error.contains(what), "{error} to {line}");
    };
    refused(&mut engine, r#"{"op":"ask"}"#, "`init` comes first");
    refused(&mut engine, "{", "not a message");
    refused(&mut engine, r#"{"op":"dance"}"#, "dance");
    refused(&mut engine, "\u{0}\u{1}", "not a message");
    for (more, what) in [
        (json!({"protocol": 2}), "speaks 1"),
        (json!({"max_epoch": 0}), "max_epoch"),
        (json!({"objectives": []}), "objectives"),
        (json!({"objectives": ["a", "a"]}), "twice"),
        (json!({"sampler": "grid-ish"}), "expected one of gp"),
        (json!({"pruner": "x"}), "gain-per-kg"),
        (json!({"budget_gco2e": -1}), "budget_gco2e"),
        (json!({"price": {"gain_per_kg": -1}}), "gain_per_kg"),
        (json!({"pool": [{"y": 1}]}), "pool entry 0"),
        (json!({"hyperparameters": [{"name": "x", "type": "float", "lower": 1, "upper": 0}]}), "no range"),
    ] {
        refused(&mut engine, &init(&numbers(2), &more).to_string(), what);
    }
    engine.say(&init(&numbers(1), &json!({})));
    let config = engine.say(&json!({"op": "ask"}))["config"].clone();
    refused(&mut engine, r#"{"op":"started","trial":3,"config":{"x0":0.5}}"#, "expected number 0");
    refused(&mut engine, r#"{"op":"started","trial":0,"config":{"z":0.5}}"#, "`z` is not in the space");
    refused(&mut engine, r#"{"op":"started","trial":0,"config":{"x0":"a"}}"#, "none of its values");
    engine.say(&json!({"op": "started", "trial": 0, "config": config}));
    refused(&mut engine, r#"{"op":"report","trial":1,"epoch":1,"val_error":1}"#, "not known");
    refused(&mut engine, r#"{"op":"report","trial":0,"epoch":1}"#, "`val_error` is missing");
    refused(&mut engine, r#"{"op":"report","trial":0,"epoch":1,"val_error":"bad"}"#, "expected a number");
    let answer = engine.line(r#"{"op":"report","trial":0,"epoch":1,"val_error":0.5,"gco2e":1}"#);
    assert_eq!(answer["decision"], "continue");
    refused(
        &mut engine,
        r#"{"op":"report","trial":0,"epoch":1,"val_error":0.5,"gco2e":1}"#,
        "was reported before",
    );
    refused(&mut engine, r#"{"op":"end","trial":0,"reason":"bored"}"#, "expected completed");
    engine.quit();
}

/// A table of 40 configurations, written as `bench` reads it.
fn write_table(folder: &std::path::Path) {
    std::fs::create_dir_all(folder).expect("a folder can be made");
    let space = r#"{"task":"made","max_epoch":4,"hyperparameters":[{"name":"x","type":"float","lower":0,"upper":1}]}"#;
    let (mut configs, mut curves) =
        ("config_id,x\n".to_owned(), "config_id,epoch,val_error,seconds,energy_j\n".to_owned());
    for id in 0..40 {
        let x = f64::from(id) / 40.0;
        let _ = writeln!(configs, "{id},{x}");
        for epoch in 1..=4 {
            let error = (x - 0.6).powi(2) + 0.1 / f64::from(epoch);
            let _ = writeln!(curves, "{id},{epoch},{error},{epoch},{}", 1000 * epoch);
        }
    }
    std::fs::write(folder.join("space.json"), space).expect("a file can be written");
    std::fs::write(folder.join("configs.csv"), configs).expect("a file can be written");
    let file = std::fs::File::create(folder.join("curves.csv.gz")).expect("a file can be made");
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all(curves.as_bytes()).and_then(|()| packed.finish()).expect("a file can be written");
}

#[test]
fn bench_tells_a_table_a_file_and_a_picture() {
    let place = e2e::Place::new();
    write_table(&place.path("tables/made"));
    let run = |more: &[&str]| {
        let all =
            [&["bench", "tables", "--seeds", "3", "--budget", "10", "--workers", "2", "-q"], more].concat();
        place.gramwise(&all)
    };
    let table = run(&["--plot", "plot.svg"]);
    assert!(table.stdout.contains("made ") && table.stdout.contains("mean of medians"), "{table}");
    assert!(std::fs::read_to_string(place.path("plot.svg")).unwrap().contains("</svg>"));
    let json: Value = serde_json::from_str(&run(&["-o", "json"]).stdout).unwrap();
    assert_eq!(json.as_array().map(Vec::len), Some(3));
    let one = run(&["-o", "csv", "--threads", "1"]).stdout;
    assert_eq!(one, run(&["-o", "csv", "--threads", "3"]).stdout, "threads change nothing");
    assert_eq!(one.lines().count(), 4);
    let wrong = place.gramwise(&["bench", "nowhere"]);
    assert_eq!(wrong.code, Some(2), "{wrong}");
    place.write("tables/made/configs.csv", "config_id\n1\n");
    let wrong = run(&[]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("no column `x`"), "{wrong}");
}
