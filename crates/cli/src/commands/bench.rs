//! `bench`: the search against tables of learning curves.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use anyhow::Context;
use gramwise_carbon::Spread;
use gramwise_report::{Avoided, GivenUp, avoided_in_all, pruned_winners};
use gramwise_search::strategy::{AskTell, EarlierTrial, Goal, Knobs, Setting, Strategy};
use gramwise_sim::replay::{Course, Fates, MARKS, Outcome, Summary, Table, plot, replay};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{BenchArgs, Common, Form};
use crate::exit::{Exit, Failure};
use crate::output::print;

/// Seeds of searches that others learn from are their own.
const EARLIER_SEED: u64 = 1000;

/// One replay: its table and seed, and what came of it with the statements that were held against outcomes.
type Run = (usize, u64, Result<(Outcome, (u64, u64)), String>);

/// Runs all seeds of all tasks.
pub(crate) fn bench(common: &Common, args: &BenchArgs) -> anyhow::Result<Exit> {
    let mut knobs = Knobs::default();
    for (name, value) in &args.knob {
        knobs.set(name, *value).map_err(|problem| Failure::error(Exit::WrongInput, problem))?;
    }
    let tables = tables(args, &args.tasks)?;
    let earlier = args.warm_start.as_ref().map(|task| earlier(args, task, &tables)).transpose()?;
    let jobs: Vec<(usize, u64)> =
        (0..args.seeds).flat_map(|seed| (0..tables.len()).map(move |table| (table, seed))).collect();
    let (next, runs) = (AtomicUsize::new(0), Mutex::new(Vec::<Run>::new()));
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let bar = progress(common, jobs.len());
    std::thread::scope(|scope| {
        for _ in 0..args.threads.unwrap_or(cores).max(1) {
            scope.spawn(|| {
                while let Some((table, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    let outcome = run(&tables[table], seed, args, knobs, earlier.as_ref());
                    runs.lock()
                        .expect("no thread panics while it holds the lock")
                        .push((table, seed, outcome));
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut runs = runs.into_inner().expect("no thread panics while it holds the lock");
    runs.sort_by_key(|(table, seed, _)| (*table, *seed));
    for (table, seed, outcome) in &runs {
        if let Err(problem) = outcome {
            anyhow::bail!("{} with seed {seed}: {problem}", tables[*table].task);
        }
    }
    let summaries = summaries(&tables, &runs);
    let covered = covered(&runs);
    if let Some(file) = &args.plot {
        std::fs::write(file, plot(&summaries)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    print(&match args.output.form {
        Form::Table => as_table(&summaries, args.several) + &covered,
        Form::Csv => as_csv(&tables, &runs),
        Form::Json => as_json(&tables, &runs)?,
        Form::Value => format!("{}\n", means(&summaries).map(|mean| format!("{mean:.4}")).join(" ")),
    })?;
    Ok(Exit::Success)
}

fn progress(common: &Common, length: usize) -> ProgressBar {
    if common.quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} replays, {eta} left");
    ProgressBar::new(length as u64).with_style(style.expect("the template is right"))
}

/// A search that others learn from, once a seed whatever the number of their tables.
struct Earlier {
    table: Table,
    by_seed: Vec<OnceLock<Result<Vec<EarlierTrial>, String>>>,
}

impl Earlier {
    fn of(&self, seed: u64, args: &BenchArgs, knobs: Knobs) -> Result<Vec<EarlierTrial>, String> {
        let find = || {
            let (_, searcher) = search(&self.table, seed + EARLIER_SEED, args, knobs, Vec::new())?;
            Ok(searcher.strategy().as_earlier(EarlierTrial::MOST))
        };
        let place = usize::try_from(seed).ok().and_then(|seed| self.by_seed.get(seed));
        place.map_or_else(find, |place| place.get_or_init(find).clone())
    }
}

fn run(
    table: &Table,
    seed: u64,
    args: &BenchArgs,
    knobs: Knobs,
    earlier: Option<&Earlier>,
) -> Result<(Outcome, (u64, u64)), String> {
    let earlier = earlier.map(|earlier| earlier.of(seed, args, knobs)).transpose()?;
    let (outcome, searcher) = search(table, seed, args, knobs, earlier.unwrap_or_default())?;
    Ok((outcome, searcher.strategy().calibration()))
}

fn search(
    table: &Table,
    seed: u64,
    args: &BenchArgs,
    knobs: Knobs,
    earlier: Vec<EarlierTrial>,
) -> Result<(Outcome, AskTell), String> {
    let objectives = if args.several { vec![Goal::Reported, Goal::Grams] } else { vec![Goal::Reported] };
    let setting = Setting {
        first_step: args.grace,
        seed,
        workers: args.workers,
        // Stated in shares of the way from the best to the median configuration per full training.
        price: args.worth.map(|worth| worth * (table.reference - table.best) / table.fte),
        sampler: args.sampler.into(),
        pruner: args.pruner.into(),
        resumable: !args.no_checkpoint,
        audit: args.audit,
        earlier,
        ..Setting::new(table.space.clone(), table.max_epoch, objectives)
    };
    let course = Course { workers: args.workers, budget_fte: args.budget };
    let mut searcher = AskTell::new(Strategy::new(setting, knobs));
    if args.in_place || args.no_checkpoint || args.audit > 0.0 {
        searcher = searcher.in_place();
    }
    let outcome = replay(table, &mut searcher, &course)?;
    Ok((outcome, searcher))
}

/// The table that was searched before.
fn earlier(args: &BenchArgs, task: &str, tables: &[Table]) -> anyhow::Result<Earlier> {
    let table = self::tables(args, &[task.to_owned()])?.swap_remove(0);
    match tables.iter().find(|other| other.space != table.space) {
        None => Ok(Earlier { table, by_seed: (0..args.seeds).map(|_| OnceLock::new()).collect() }),
        Some(other) => {
            let message = format!("`{task}` and `{}` have different hyperparameters", other.task);
            let hint = "hint: `--tasks` takes the tables that are searched";
            Err(Failure::error(Exit::WrongInput, format!("{message}\n{hint}")))
        }
    }
}

fn tables(args: &BenchArgs, tasks: &[String]) -> anyhow::Result<Vec<Table>> {
    let entries = std::fs::read_dir(&args.dir).map_err(|error| {
        Failure::error(Exit::WrongInput, format!("cannot read {}: {error}", args.dir.display()))
    })?;
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("space.json").is_file())
        .collect();
    folders.sort();
    let wanted = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        tasks.is_empty()
            || tasks.iter().any(|task| {
                *task == name || task.strip_suffix('*').is_some_and(|start| name.starts_with(start))
            })
    };
    folders.retain(wanted);
    if folders.is_empty() {
        let message = format!(
            "no such table in {}\nhint: a table is a folder with space.json, configs.csv and curves.csv.gz",
            args.dir.display()
        );
        return Err(Failure::error(Exit::WrongInput, message));
    }
    folders.iter().map(|folder| read(folder)).collect()
}

fn read(folder: &Path) -> anyhow::Result<Table> {
    let unreadable = |name: &str, error: std::io::Error| {
        Failure::error(Exit::WrongInput, format!("cannot read {}: {error}", folder.join(name).display()))
    };
    let text =
        |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|error| unreadable(name, error));
    let curves = std::fs::File::open(folder.join("curves.csv.gz"))
        .and_then(|file| std::io::read_to_string(flate2::read::GzDecoder::new(file)))
        .map_err(|error| unreadable("curves.csv.gz", error))?;
    Table::parse(&text("space.json")?, &text("configs.csv")?, &curves)
        .map_err(|problem| Failure::error(Exit::WrongInput, format!("{}: {problem}", folder.display())))
}

fn summaries(tables: &[Table], runs: &[Run]) -> Vec<Summary> {
    let of = |table: usize| {
        let mine = runs.iter().filter(|(of, _, _)| *of == table);
        let outcomes: Vec<(&Outcome, (u64, u64))> = mine
            .filter_map(|(_, _, outcome)| outcome.as_ref().ok())
            .map(|(outcome, record)| (outcome, *record))
            .collect();
        Summary::new(&tables[table], &outcomes)
    };
    (0..tables.len()).filter_map(of).collect()
}

/// What the trials that were given up would have needed, as a report states it. Nothing is metered here: the grams that were burnt are
/// exact.
fn avoided(outcome: &Outcome) -> Avoided {
    let given_up = outcome.given_up.iter().map(|one| GivenUp {
        grams: one.grams,
        predicted: one.predicted,
        growths: one.growths.clone(),
    });
    avoided_in_all(&given_up.collect::<Vec<_>>(), Spread::symmetric(0.0))
}

/// In how many replays the stated interval holds what the search would have cost without giving trials up.
fn covered(runs: &[Run]) -> String {
    let outcomes =
        runs.iter().filter_map(|(_, _, outcome)| outcome.as_ref().ok()).map(|(outcome, _)| outcome);
    let counted: Vec<&Outcome> = outcomes.filter(|outcome| !outcome.given_up.is_empty()).collect();
    if counted.is_empty() {
        return String::new();
    }
    let stated: Vec<(Avoided, f64)> =
        counted.iter().map(|outcome| (avoided(outcome), real_rest(outcome))).collect();
    // Sums of many grams are equal but for their rounding.
    let is_held = |(stated, real): &&(Avoided, f64)| {
        (stated.bounds.low * (1.0 - 1e-9)..=stated.bounds.high * (1.0 + 1e-9)).contains(real)
    };
    let (held, all) = (stated.iter().filter(is_held).count(), stated.len());
    let width = |(stated, _): &(Avoided, f64)| {
        (stated.bounds.high - stated.bounds.low) / (2.0 * stated.g.max(1e-300))
    };
    let mut widths: Vec<f64> = stated.iter().map(width).collect();
    widths.sort_by(f64::total_cmp);
    let median = 100.0 * widths[widths.len() / 2];
    let is_told = |outcome: &&&Outcome| {
        let Outcome { doomed, audited, .. } = outcome;
        let stated = pruned_winners(doomed.expected, audited.expected, audited.winners.into());
        (stated.low..=stated.high).contains(&u64::from(doomed.winners))
    };
    let judged: Vec<&&Outcome> = counted.iter().filter(|outcome| outcome.doomed.trials > 0).collect();
    let told = judged.iter().copied().filter(is_told).count();
    let regret = if judged.is_empty() {
        String::new()
    } else {
        format!(
            "pruned winners: their number is inside the stated interval in {told} of {} replays ({:.1} %)\n",
            judged.len(),
            100.0 * told as f64 / judged.len() as f64
        )
    };
    format!(
        "unpruned: the stated interval (± {median:.0} % in the median) holds what the trials that were given up would have cost in {held} of {all} replays ({:.1} %)\n{regret}",
        100.0 * held as f64 / all as f64
    )
}

fn real_rest(outcome: &Outcome) -> f64 {
    outcome.given_up.iter().map(|rest| rest.real).sum()
}

/// Means over tasks of the medians at each mark; tasks without a scale (the median configuration is the best) are left out.
fn means(summaries: &[Summary]) -> [f64; MARKS.len()] {
    let scaled: Vec<&Summary> = summaries.iter().filter(|one| one.has_scale).collect();
    let sum = |mark: usize| scaled.iter().map(|one| one.regret[mark][0]).sum::<f64>();
    std::array::from_fn(|mark| sum(mark) / scaled.len() as f64)
}

/// A number, or a dash where there is none.
fn cell(value: f64) -> String {
    if value.is_finite() { format!("{value:>8.3}") } else { format!("{:>8}", "-") }
}

/// A line a task: the median at each mark, or the mean hypervolume.
fn as_table(summaries: &[Summary], several: bool) -> String {
    let width = summaries.iter().map(|one| one.task.len()).chain([14]).max().unwrap_or(14);
    let cells = |values: [f64; MARKS.len()]| values.map(cell).concat();
    let heads = MARKS.map(|mark| format!("{:>8}", format!("@{mark}"))).concat();
    let judged = summaries.iter().any(|one| one.doomed.trials > 0);
    let ended = if judged { "  ended  winners       expected" } else { "" };
    let mut text = format!("{:width$}{heads}  seeds  below 5 %{ended}\n", "task");
    for one in summaries {
        let regret = one.regret.map(|[median, _, _]| if one.has_scale { median } else { f64::NAN });
        let values = if several { one.volume } else { regret };
        let below = one.below.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", 100.0 * share));
        let Fates { trials, winners, expected, .. } = one.doomed;
        let ended =
            format!("  {trials:>5}  {winners:>7}  {expected:>6.1} ± {:>4.1}", one.doomed.half_width());
        let ended = if judged { ended.as_str() } else { "" };
        let _ = writeln!(text, "{:width$}{}  {:>5}  {below:>9}{ended}", one.task, cells(values), one.seeds);
    }
    let (name, values) = if several {
        let count = summaries.len().max(1) as f64;
        let mean = |mark: usize| summaries.iter().map(|one| one.volume[mark]).sum::<f64>() / count;
        ("mean", std::array::from_fn(mean))
    } else {
        ("mean of medians", means(summaries))
    };
    let _ = writeln!(text, "{name:width$}{}", cells(values));
    let what = if several { "share of the whole hypervolume" } else { "normalised regret" };
    let _ = writeln!(
        text,
        "{what} by full trainings (FTE) of carbon spent; below 5 %: outcomes under their stated 5 % quantile"
    );
    if judged {
        let _ = writeln!(
            text,
            "ended: trials not worth their carbon; winners: those that the table says would have become the best; expected: as \
             stated when they were ended"
        );
    }
    text
}

/// One line a run, in the harness's columns.
fn as_csv(tables: &[Table], runs: &[Run]) -> String {
    let marks = |what: &str| MARKS.map(|mark| format!("{what}@{mark}")).join(",");
    let mut text = format!(
        "engine,task,seed,fte_g,spent_g,stopped_fte,trials,epochs,completed,best,held,below,{},{},doomed,winners,winners_expected,audited,audited_winners,audited_expected,avoided_g,avoided_low_g,avoided_high_g,avoided_real_g,trace\n",
        marks("nr"),
        marks("hv")
    );
    for (table, seed, outcome) in runs {
        let table = &tables[*table];
        let list = |values: [f64; MARKS.len()]| values.map(|value| format!("{value:.6}")).join(",");
        let Ok((outcome, (held, below))) = outcome else { continue };
        let avoided = avoided(outcome);
        let stopped =
            outcome.stopped_at.map_or_else(String::new, |grams| format!("{:.3}", grams / table.fte));
        let trace: Vec<String> =
            outcome.trace.iter().map(|(grams, error)| format!("{grams:.6}:{error:.6}")).collect();
        let _ = writeln!(
            text,
            "gramwise,{},{seed},{},{},{stopped},{},{},{},{},{held},{below},{},{},{},{},{:.6},{},{},{:.6},{},{},{},{},{}",
            table.task,
            table.fte,
            outcome.spent,
            outcome.trials,
            outcome.epochs,
            outcome.completed,
            outcome.best,
            list(outcome.regret),
            list(outcome.volume),
            outcome.doomed.trials,
            outcome.doomed.winners,
            outcome.doomed.expected,
            outcome.audited.trials,
            outcome.audited.winners,
            outcome.audited.expected,
            avoided.g,
            avoided.bounds.low,
            avoided.bounds.high,
            real_rest(outcome),
            trace.join(" ")
        );
    }
    text
}

fn as_json(tables: &[Table], runs: &[Run]) -> anyhow::Result<String> {
    let by_mark = |values: [f64; MARKS.len()]| {
        let member = |(mark, value): (f64, f64)| (mark.to_string(), serde_json::json!(value));
        serde_json::Value::Object(MARKS.into_iter().zip(values).map(member).collect())
    };
    let one = |(table, seed, outcome): &Run| {
        let (outcome, (held, below)) = outcome.as_ref().ok()?;
        let table = &tables[*table];
        let avoided = avoided(outcome);
        Some(serde_json::json!({
            "task": table.task, "seed": seed, "fte_g": table.fte, "spent_g": outcome.spent,
            "stopped_g": outcome.stopped_at, "trials": outcome.trials, "epochs": outcome.epochs,
            "completed": outcome.completed, "best": outcome.best, "regret_by_fte": by_mark(outcome.regret),
            "hypervolume_by_fte": by_mark(outcome.volume), "quantiles_held": held, "quantiles_failed": below,
            "doomed": outcome.doomed.trials, "winners_doomed": outcome.doomed.winners,
            "winners_doomed_expected": outcome.doomed.expected, "audited": outcome.audited.trials,
            "winners_audited": outcome.audited.winners, "winners_audited_expected": outcome.audited.expected, "improvements": outcome.trace,
            "avoided_g": avoided.g, "avoided_low_g": avoided.bounds.low, "avoided_high_g": avoided.bounds.high,
            "avoided_real_g": real_rest(outcome),
        }))
    };
    let all: Vec<serde_json::Value> = runs.iter().filter_map(one).collect();
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}
