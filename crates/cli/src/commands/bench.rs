//! `bench`: the search against tables of learning curves.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use gramwise_search::strategy::{AskTell, Goal, Knobs, Setting, Strategy};
use gramwise_sim::replay::{Course, MARKS, Outcome, Table, replay};

use crate::args::BenchArgs;
use crate::exit::{Exit, Failure};

/// Runs all seeds of all tasks.
pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<Exit> {
    let mut knobs = Knobs::default();
    for (name, value) in &args.knob {
        knobs.set(name, *value).map_err(|problem| Failure::error(Exit::WrongInput, problem))?;
    }
    let tables = tables(args)?;
    let jobs: Vec<(usize, u64)> =
        (0..args.seeds).flat_map(|seed| (0..tables.len()).map(move |table| (table, seed))).collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((table, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    let outcome = run(&tables[table], seed, args, knobs);
                    results
                        .lock()
                        .expect("no thread panics while it holds the lock")
                        .push((table, seed, outcome));
                }
            });
        }
    });
    let results = results.into_inner().expect("no thread panics while it holds the lock");
    print(&tables, &results);
    Ok(Exit::Success)
}

fn run(table: &Table, seed: u64, args: &BenchArgs, knobs: Knobs) -> Result<(Outcome, (u64, u64)), String> {
    let setting = Setting {
        space: table.space.clone(),
        pool: Vec::new(),
        first_step: args.grace,
        last_step: table.max_epoch,
        objectives: if args.several { vec![Goal::Reported, Goal::Grams] } else { vec![Goal::Reported] },
        seed,
        workers: args.workers,
        // Stated in shares of the way from the best to the median configuration per full training.
        price: args.worth.map(|worth| worth * (table.reference - table.best) / table.fte),
        sampler: args.sampler.into(),
        pruner: args.pruner.into(),
    };
    let course = Course { workers: args.workers, budget_fte: args.budget };
    let mut searcher = AskTell::new(Strategy::new(setting, knobs));
    let outcome = replay(table, &mut searcher, &course)?;
    Ok((outcome, searcher.strategy().calibration()))
}

fn tables(args: &BenchArgs) -> anyhow::Result<Vec<Table>> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&args.dir)
        .with_context(|| format!("cannot read {}", args.dir.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("space.json").is_file())
        .collect();
    folders.sort();
    let wanted = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        args.tasks.is_empty()
            || args.tasks.iter().any(|task| {
                *task == name || task.strip_suffix('*').is_some_and(|start| name.starts_with(start))
            })
    };
    folders.retain(wanted);
    folders.iter().map(|folder| read(folder).with_context(|| format!("in {}", folder.display()))).collect()
}

fn read(folder: &Path) -> anyhow::Result<Table> {
    let text = |name: &str| {
        std::fs::read_to_string(folder.join(name)).with_context(|| format!("cannot read {name}"))
    };
    let file = std::fs::File::open(folder.join("curves.csv.gz")).context("cannot read curves.csv.gz")?;
    let curves =
        std::io::read_to_string(flate2::read::GzDecoder::new(file)).context("cannot read curves.csv.gz")?;
    Table::parse(&text("space.json")?, &text("configs.csv")?, &curves).map_err(anyhow::Error::msg)
}

/// One line a run, in the harness's columns.
fn print(tables: &[Table], results: &[(usize, u64, Result<(Outcome, (u64, u64)), String>)]) {
    let marks = |what: &str| MARKS.map(|mark| format!("{what}@{mark}")).join(",");
    println!(
        "engine,task,seed,fte_g,spent_g,stopped_fte,trials,epochs,completed,best,held,below,{},{},trace",
        marks("nr"),
        marks("hv")
    );
    for (table, seed, outcome) in results {
        let table = &tables[*table];
        let list = |values: [f64; 7]| values.map(|value| format!("{value:.6}")).join(",");
        match outcome {
            Ok((outcome, (held, below))) => println!(
                "gramwise,{},{seed},{},{},{},{},{},{},{},{held},{below},{},{},{}",
                table.task,
                table.fte,
                outcome.spent,
                outcome.stopped_at.map_or_else(String::new, |grams| format!("{:.3}", grams / table.fte)),
                outcome.trials,
                outcome.epochs,
                outcome.completed,
                outcome.best,
                list(outcome.regret),
                list(outcome.volume),
                outcome.trace.iter().map(|(g, e)| format!("{g:.6}:{e:.6}")).collect::<Vec<_>>().join(" "),
            ),
            Err(problem) => eprintln!("{} seed {seed}: {problem}", table.task),
        }
    }
}
