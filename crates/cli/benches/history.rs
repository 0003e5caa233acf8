//! What a history of 1,000 sweeps of 100 trials takes to answer, by each grouping, and whether its totals are those of the reports.
//!
//! `cargo bench -p gramwise --bench history` writes the database and prints processor seconds of `gramwise history`. The floor beside
//! them is what the same program takes to answer of an empty database.

#![expect(clippy::print_stdout, reason = "its figures are what it is for")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use gramwise_carbon::{CarbonFactors, Footprint};
use gramwise_model::{SweepId, SweepSpec, Timestamp};
use gramwise_search::Fact;
use gramwise_sim::{Cluster, Weather};
use gramwise_store::{Journal, Reader};

const TRIALS: u32 = 100;
const SWEEPS: u32 = 1000;
/// Journals differ; few of them are simulated, and each is many sweeps.
const WORLDS: u32 = 10;
const MONTH_MS: u64 = 30 * 86_400_000;

fn main() {
    let sweeps = std::env::var("GRAMWISE_SWEEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(SWEEPS);
    let folder = tempfile::tempdir().expect("a folder");
    let [database, empty] = ["history.db", "empty.db"].map(|name| folder.path().join(name));
    drop(Journal::open(&empty).expect("a database"));
    let began = Instant::now();
    write(&database, sweeps);
    let bytes = database.metadata().map_or(0, |found| found.len());
    println!("{sweeps} sweeps x {TRIALS} trials: {} MB, written in {:.0?}", bytes >> 20, began.elapsed());
    let (floor, _) = asked(&empty, &["history"]);
    println!("an empty database: {floor:.3?}");
    for by in ["month", "name", "user", "zone", "project", "tags", "sweep", "host", "gpu", "user,month,gpu"] {
        let (took, _) = asked(&database, &["history", "--group-by", by]);
        println!("by {by}: {took:.3?}");
    }
    let (took, _) = asked(&database, &["history", "--host", "gpu01", "--since", "2026-01"]);
    println!("of one host: {took:.3?}");
    let (_, answer) = asked(&database, &["history", "-o", "json"]);
    println!("history, to the microjoule: {}", in_total(&answer));
    let reader = Reader::open(&database).expect("a database");
    let began = Instant::now();
    let reports = reader.sweeps().expect("readable").into_iter().fold(0, |sum, sweep| {
        let record = reader.record(sweep.id).expect("readable").expect("there");
        let accounts = record.accounts.iter().fold(Footprint::ZERO, |sum, row| sum + row.footprint);
        sum + accounts.energy.total().get()
    });
    println!("all reports together: {reports} uJ (read in {:.0?})", began.elapsed());
}

/// The total of a history's JSON.
fn in_total(answer: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(answer).expect("JSON");
    format!("{} uJ", answer["total"]["energy_uj"])
}

/// What a question takes of the processor, and its answer. The best of three.
fn asked(database: &Path, words: &[&str]) -> (Duration, String) {
    let once = || {
        let before = children();
        let told = Command::new(env!("CARGO_BIN_EXE_gramwise"))
            .args(["--db".as_ref(), database.as_os_str()])
            .args(words)
            .output()
            .expect("the program runs");
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        (children().saturating_sub(before), String::from_utf8_lossy(&told.stdout).into_owned())
    };
    (0..3).map(|_| once()).min_by_key(|(took, _)| *took).expect("three times")
}

/// Processor time of children that ended.
fn children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this process");
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks =
        |at: usize| after.split_whitespace().nth(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis((ticks(13) + ticks(14)) * 1000 / per_second)
}

fn world(seed: u64) -> Vec<Fact> {
    let yaml = format!(
        "name: world\ncommand: [train, \"${{args}}\"]\nmethod: random\nobjectives: [{{name: error, goal: minimize}}]\n\
         parameters: {{lr: {{distribution: log_uniform_values, min: 0.0001, max: 1.0}}, layers: {{min: 1, max: 9}}}}\n\
         resource: {{name: epoch, min: 1, max: 5, checkpoint: true}}\nprune: {{rule: median}}\nbudget: {{trials: {TRIALS}}}\n"
    );
    let (spec, _) = SweepSpec::from_yaml(&yaml).unwrap_or_else(|problems| panic!("{problems}"));
    let factors = CarbonFactors::yearly(Some("DE"), None).expect("Germany is in the table");
    Cluster::new(seed, 4, Weather::STORM).run(spec, &factors).expect("the world ends").facts
}

/// Sweeps of several users, projects, zones, hosts and months.
fn write(database: &Path, sweeps: u32) {
    let worlds: Vec<Vec<Fact>> = (0..WORLDS.min(sweeps)).map(|seed| world(u64::from(seed))).collect();
    let mut journal = Journal::open(database).expect("a database");
    let pick = |words: &[&str], at: u32| words[at as usize % words.len()].to_owned();
    for number in 1..=sweeps {
        let mut facts: Vec<Fact> = worlds[number as usize % worlds.len()]
            .iter()
            .map(|fact| fact.clone().renumbered(SweepId(number)))
            .collect();
        for fact in &mut facts {
            match fact {
                Fact::SweepSubmitted { spec, factors, by, at, .. } => {
                    spec.name = pick(&["digits", "translation", "speech", "protein"], number / 3);
                    spec.project = Some(pick(&["thesis", "course", "product"], number));
                    spec.tags = vec![pick(&["ablation", "final"], number / 2)];
                    *by = pick(&["ada@gpu01", "grace@gpu02", "alan@laptop"], number / 5);
                    let zone = pick(&["DE", "FR", "PL", "SE"], number / 7);
                    *factors = CarbonFactors::yearly(Some(&zone), None).expect("in the table");
                    *at = Timestamp(1_760_000_000_000 + u64::from(number % 18) * MONTH_MS);
                }
                Fact::WorkerJoined { host, .. } => *host = pick(&["gpu01", "gpu02", "gpu03"], number / 11),
                _ => {}
            }
        }
        journal.append(&facts, Timestamp(u64::from(number) * 1000)).expect("it is writable");
    }
}
