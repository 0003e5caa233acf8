//! The command line.

mod cluster;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use cluster::{EnqueueArgs, ServeArgs, SweepNumber, TokenCommand, WorkerArgs};
pub(crate) use values::{
    By, Days, Form, GoalArg, IdleArg, ListForm, PrunerArg, ReportForm, RoleArg, SamplerArg, StatementArg,
};

/// A hyperparameter search that counts its carbon.
#[derive(Debug, Parser)]
#[command(name = "gramwise", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The database [default: gramwise.db in the user's data folder].
    #[arg(long, env = "GRAMWISE_DB", value_name = "FILE", global = true)]
    pub(crate) db: Option<PathBuf>,
    /// Ask or command the coordinator at this address, HOST:PORT [default: questions are answered from the database].
    #[arg(long, env = "GRAMWISE_COORDINATOR", value_name = "ADDRESS", global = true)]
    pub(crate) coordinator: Option<String>,
    /// The file with the token for the coordinator [default: beside the database, `.token` for its ending].
    #[arg(long, env = "GRAMWISE_TOKEN_FILE", value_name = "FILE", global = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// Say more on stderr; repeat for more.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// Say nothing on stderr but errors.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a sweep on this machine: from the file to the report. Again with the same file: resumes it.
    Run(RunArgs),
    /// Coordinate sweeps for workers that are processes of their own, until it is told to end. What runs goes on without it.
    Serve(ServeArgs),
    /// Run trials for a coordinator on this machine, one sweep after the other, until it is told to end.
    Worker(WorkerArgs),
    /// Hand a sweep to a coordinator.
    Submit {
        /// The sweep file.
        file: PathBuf,
    },
    /// Begin no more trials of a sweep for now; running ones go on.
    Pause(SweepNumber),
    /// Run the best trials of a sweep again, with several seeds each: then its report says which of them differ. On this machine, or
    /// by the coordinator that `--coordinator` names.
    Replicate(Box<ReplicateArgs>),
    /// Rank entries of a competition: those that cannot be told apart are one group, and inside a group fewer grams are better.
    Leaderboard(Box<LeaderboardArgs>),
    /// Take over the sweeps of other databases, so that one history covers all. What is known already is not counted twice.
    Import {
        /// Databases of other coordinators; copies will do.
        #[arg(required = true, value_name = "DB")]
        from: Vec<PathBuf>,
    },
    /// Let a paused sweep go on.
    Resume(SweepNumber),
    /// End a sweep once its running trials have finished.
    Stop(SweepNumber),
    /// End a sweep: no new trials, running ones are stopped.
    Cancel(SweepNumber),
    /// Have a configuration tried before any that the search chooses.
    Enqueue(EnqueueArgs),
    /// Take a machine out of service: its trials finish, and its worker ends.
    Drain {
        /// The worker's name, or its host's.
        worker: String,
    },
    /// Make, list and revoke what workers and clients show to the coordinator of this machine.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Check a sweep file and say what it means; run nothing.
    Check {
        /// The sweep file.
        file: PathBuf,
    },
    /// What a sweep will take, before it starts: from earlier sweeps and from its budget.
    Preview(PreviewArgs),
    #[command(flatten)]
    Query(Query),
    /// What a sweep cost by the grid's actual intensities: other grams, the same energy. What was first stated stays.
    Restate {
        #[command(flatten)]
        sweep: SweepArg,
        /// A CSV with `from_utc` (and perhaps `to_utc`) and `g_per_kwh`, or a publisher: `uk`, `electricity-maps:DE`, `watttime:CAISO_NORTH`.
        #[arg(long, value_name = "FILE|SOURCE")]
        intensity: String,
        /// The file's column of grams per kWh, where it is called otherwise.
        #[arg(long, value_name = "NAME")]
        column: Option<String>,
        #[command(flatten)]
        grid: GridArgs,
        #[command(flatten)]
        output: Output,
    },
    /// What a publisher says of a grid's intensity: by the hour, as CSV that `restate` reads, or as a table.
    Intensity(IntensityArgs),
    /// Replay the search against tables of learning curves, in virtual time.
    Bench(BenchArgs),
    /// Drive the search from another program: JSON messages on stdin, one answer a line on stdout.
    Engine,
    /// Run a command and say what it burnt, as `time` says how long it took: on stderr, and with its exit code.
    Meter(MeterArgs),
    /// Learn what this machine draws anyway, and how the whole node follows its components. Takes two minutes; let nothing else run.
    Calibrate(CalibrateArgs),
    /// What is measured, modelled or missing on this machine, and how to fix it.
    Doctor {
        #[command(flatten)]
        devices: Devices,
        #[command(flatten)]
        output: Output,
    },
}

/// A question that a database answers, be it at hand or a coordinator's.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Query {
    /// List the sweeps of the database.
    Ls {
        #[command(flatten)]
        output: ListOutput,
    },
    /// Where a sweep is: trials by state, budget, best so far.
    Status {
        #[command(flatten)]
        sweep: SweepArg,
        /// Keep watching until the sweep ends.
        #[arg(short, long)]
        watch: bool,
        #[command(flatten)]
        output: Output,
    },
    /// List the trials of a sweep.
    Trials {
        #[command(flatten)]
        sweep: SweepArg,
        #[command(flatten)]
        output: ListOutput,
    },
    /// Show one trial: configuration, attempts, steps, footprint.
    Show {
        #[command(flatten)]
        trial: TrialArg,
        #[command(flatten)]
        output: Output,
    },
    /// Show the best trial by the first objective.
    Best {
        #[command(flatten)]
        sweep: SweepArg,
        #[command(flatten)]
        output: Output,
    },
    /// List the Pareto front.
    Front {
        #[command(flatten)]
        sweep: SweepArg,
        #[command(flatten)]
        output: ListOutput,
    },
    /// Why a trial was continued, paused, promoted or pruned, with the numbers.
    Explain {
        #[command(flatten)]
        trial: TrialArg,
        #[command(flatten)]
        output: Output,
    },
    /// Print what a trial wrote.
    Logs {
        #[command(flatten)]
        trial: TrialArg,
        /// Keep printing until the trial ends.
        #[arg(short, long)]
        follow: bool,
        /// An earlier attempt [default: the newest].
        #[arg(long, value_name = "N")]
        attempt: Option<u32>,
        /// What it wrote to stderr rather than to stdout.
        #[arg(long)]
        stderr: bool,
        /// Leave out so many bytes: they were printed already.
        #[arg(long, hide = true, default_value_t = 0, value_name = "BYTES")]
        skip: u64,
    },
    /// What the search cost, what it found, and whether that was worth it.
    Report {
        #[command(flatten)]
        sweep: SweepArg,
        /// The form of what is printed.
        #[arg(short = 'o', long = "output", value_enum, default_value_t = ReportForm::Table, value_name = "FORM")]
        form: ReportForm,
    },
    /// What a sweep cost, in the form that a paper, a model card or another tool asks for.
    Statement {
        #[command(flatten)]
        sweep: SweepArg,
        /// The form.
        #[arg(long = "as", value_enum, value_name = "FORM", default_value_t = StatementArg::Paper)]
        form: StatementArg,
    },
    /// What all sweeps of the database cost.
    History(Box<HistoryArgs>),
}

/// What `history` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct HistoryArgs {
    /// Sum by these, several by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) group_by: Vec<By>,
    /// Only sweeps submitted in this month or on this day (UTC) or later, such as 2026-11 or 2026-11-24.
    #[arg(long, value_name = "DAY", value_parser = Days::parse)]
    pub(crate) since: Option<Days>,
    /// Only sweeps submitted in this month or on this day or before.
    #[arg(long, value_name = "DAY", value_parser = Days::parse)]
    pub(crate) until: Option<Days>,
    /// Only this sweep, by name or number.
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// Only sweeps of this name.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Only sweeps of this project.
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// Only sweeps with this tag.
    #[arg(long)]
    pub(crate) tag: Option<String>,
    /// Only sweeps that this user submitted.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Only sweeps on the grid of this zone.
    #[arg(long)]
    pub(crate) zone: Option<String>,
    /// Only what this machine burnt.
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// Only what machines with this graphics card burnt, by its model.
    #[arg(long, value_name = "MODEL")]
    pub(crate) gpu: Option<String>,
    #[command(flatten)]
    pub(crate) output: ListOutput,
}

/// What `run` takes.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The sweep file.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) methods: Methods,
    #[command(flatten)]
    pub(crate) here: RunHere,
}

/// What `replicate` takes.
#[derive(Debug, Args)]
pub(crate) struct ReplicateArgs {
    #[command(flatten)]
    pub(crate) sweep: SweepArg,
    /// So many configurations, the best by the first objective.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) top: u32,
    /// So often each, with as many seeds; the same for all.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) seeds: u32,
    /// Emit no more than this, such as 20g [default: what the sweep's own budget has left, if that was of grams or energy].
    #[arg(long, value_name = "MASS", value_parser = gramwise_model::co2e_of)]
    pub(crate) co2e: Option<gramwise_carbon::GramsCo2e>,
    /// Say what it would take, and run nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) here: RunHere,
}

/// How a sweep is run on this machine.
#[derive(Debug, Args)]
pub(crate) struct RunHere {
    /// Trials at once [default: one per GPU, without GPUs one per CPU core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) slots: Option<u32>,
    /// Begin a new sweep even if an unfinished one of the same file is there.
    #[arg(long)]
    pub(crate) new: bool,
    #[command(flatten)]
    pub(crate) carbon: CarbonArgs,
    #[command(flatten)]
    pub(crate) grid: GridArgs,
    /// The time from one look at the grid's intensity to the next.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(crate) intensity_every: std::time::Duration,
    /// The time a trial has between SIGTERM and SIGKILL.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) grace: std::time::Duration,
    #[command(flatten)]
    pub(crate) devices: Devices,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What `meter` takes.
#[derive(Debug, Args)]
pub(crate) struct MeterArgs {
    /// Charge the command for this GPU only, by UUID; repeat for several [default: all of this machine].
    #[arg(long, value_name = "UUID")]
    pub(crate) gpu: Vec<String>,
    #[command(flatten)]
    pub(crate) carbon: CarbonArgs,
    #[command(flatten)]
    pub(crate) grid: GridArgs,
    /// Write what it burnt into this file, not to stderr.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) devices: Devices,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The command with its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// How energy becomes grams; in place of what a sweep file says.
#[derive(Debug, Args)]
pub(crate) struct CarbonArgs {
    /// Grid zone, such as FR, US-CA or aws:eu-west-3 [default: the world's mean].
    #[arg(long, env = "GRAMWISE_ZONE", value_name = "CODE")]
    pub(crate) zone: Option<String>,
    /// Power usage effectiveness of the facility, 1 or more [default: no facility is counted].
    #[arg(long, env = "GRAMWISE_PUE", value_parser = pue)]
    pub(crate) pue: Option<gramwise_carbon::Pue>,
    /// The grid's intensity over time: a publisher (`uk`, `electricity-maps:DE`, `watttime:CAISO_NORTH`) or a CSV [default: the
    /// zone's yearly mean].
    #[arg(long, value_name = "FILE|SOURCE")]
    pub(crate) intensity: Option<String>,
}

/// How publishers of intensities are asked.
#[derive(Debug, Args)]
pub(crate) struct GridArgs {
    /// A publisher's address, for a mirror [default: its own].
    #[arg(long, env = "GRAMWISE_INTENSITY_URL", value_name = "URL")]
    pub(crate) intensity_url: Option<String>,
}

/// What `intensity` takes.
#[derive(Debug, Args)]
pub(crate) struct IntensityArgs {
    /// `uk`, `electricity-maps:DE` or `watttime:CAISO_NORTH`.
    pub(crate) source: String,
    /// From this time in UTC, such as 2026-11-24T04:30Z [default: a day ago].
    #[arg(long, value_name = "TIME", value_parser = utc_time)]
    pub(crate) from: Option<u64>,
    /// To this time in UTC [default: now].
    #[arg(long, value_name = "TIME", value_parser = utc_time)]
    pub(crate) to: Option<u64>,
    /// What one more kWh emits rather than the average (WattTime): for when to run, never for what it cost.
    #[arg(long)]
    pub(crate) marginal: bool,
    #[command(flatten)]
    pub(crate) grid: GridArgs,
    #[command(flatten)]
    pub(crate) output: Output,
}

fn utc_time(text: &str) -> Result<u64, String> {
    gramwise_carbon::utc::parse(text)
        .ok_or_else(|| format!("`{text}` is no time in UTC, such as 2026-11-24T04:30Z"))
}

fn pue(text: &str) -> Result<gramwise_carbon::Pue, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    gramwise_carbon::Pue::new(number).map_err(|problem| problem.to_string())
}

/// What `preview` takes.
#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    /// The sweep file.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) methods: Methods,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Words of the sweep file that the command line overrules.
#[derive(Debug, Args)]
pub(crate) struct Methods {
    /// How configurations are proposed, whatever the file's `method` says.
    #[arg(long, value_enum)]
    pub(crate) sampler: Option<SamplerArg>,
    /// How trials are ended early, whatever the file's `prune` says.
    #[arg(long, value_enum)]
    pub(crate) pruner: Option<PrunerArg>,
    /// Learn from an earlier sweep in the database, by name or number, in place of the file's `warm_start`; repeat for several.
    #[arg(long, value_name = "SWEEP")]
    pub(crate) warm_start: Vec<String>,
}

/// What `bench` takes.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The folder of tables, one folder a task.
    pub(crate) dir: PathBuf,
    /// Tasks by name, several by commas; `lcbench_*` for all that begin so [default: all].
    #[arg(long, value_delimiter = ',')]
    pub(crate) tasks: Vec<String>,
    /// Seeds, from 0.
    #[arg(long, default_value_t = 10)]
    pub(crate) seeds: u64,
    /// Workers.
    #[arg(long, default_value_t = 8)]
    pub(crate) workers: usize,
    /// Grams to spend, in full trainings (FTE).
    #[arg(long, default_value_t = 40.0)]
    pub(crate) budget: f64,
    /// Search error and grams together.
    #[arg(long)]
    pub(crate) several: bool,
    /// How configurations are proposed.
    #[arg(long, value_enum, default_value_t = SamplerArg::Gp)]
    pub(crate) sampler: SamplerArg,
    /// How trials are ended early.
    #[arg(long, value_enum, default_value_t = PrunerArg::GainPerKg)]
    pub(crate) pruner: PrunerArg,
    /// Epochs before a trial may be paused.
    #[arg(long, default_value_t = 1)]
    pub(crate) grace: u64,
    /// Weigh trials at their rungs without stopping them, as sweeps do: they go on where a gram buys most in them, and end for
    /// good where it is not worth its price.
    #[arg(long)]
    pub(crate) in_place: bool,
    /// The share of doomed trials that run on all the same. Implies `--in-place`.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) audit: f64,
    /// Trials cannot be resumed: what would be a pause is an end. Implies `--in-place`.
    #[arg(long)]
    pub(crate) no_checkpoint: bool,
    /// What a full training is worth, in shares of the way from the best to the median configuration; the search then ends by
    /// itself [default: it spends its budget].
    #[arg(long)]
    pub(crate) worth: Option<f64>,
    /// Learn from a search of the same budget on this table, whose space must be the same.
    #[arg(long, value_name = "TASK")]
    pub(crate) warm_start: Option<String>,
    /// Threads [default: all cores].
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Turn a knob of the strategy.
    #[arg(long, value_parser = knob, value_name = "NAME=VALUE")]
    pub(crate) knob: Vec<(String, f64)>,
    /// Draw regret by carbon spent into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

fn knob(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let value = value.parse().map_err(|_| format!("`{value}` is no number"))?;
    Ok((name.to_owned(), value))
}

/// What `calibrate` takes.
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// How long nothing is done.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    pub(crate) idle_time: std::time::Duration,
    /// How long the processors are kept busy after that, some of them after the others.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    pub(crate) load_time: std::time::Duration,
    #[command(flatten)]
    pub(crate) devices: Devices,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Where the meter looks.
#[derive(Debug, Args)]
pub(crate) struct Devices {
    /// The NVML library [default: libnvidia-ml.so.1].
    #[arg(long, env = "GRAMWISE_NVML_LIB", value_name = "FILE")]
    pub(crate) nvml_lib: Option<PathBuf>,
    /// Use no GPU, and do not look for one.
    #[arg(long)]
    pub(crate) no_gpu: bool,
    /// Use GPUs also while other programs compute on them.
    #[arg(long)]
    pub(crate) use_busy_gpus: bool,
    /// Where RAPL's zones are, for containers that hide them: a bind mount [default: /sys/class/powercap].
    #[arg(long, env = "GRAMWISE_POWERCAP", value_name = "DIR")]
    pub(crate) powercap: Option<PathBuf>,
    /// A meter of the whole node: `hwmon[:FOLDER]`, `exec:COMMAND` (prints watts, joules, or a Redfish `Power` document), or `off`
    /// [default: the kernel's power meter, if there is one].
    #[arg(long, env = "GRAMWISE_NODE", value_name = "SOURCE")]
    pub(crate) node: Option<gramwise_meter::NodeSource>,
    /// What `gramwise calibrate` wrote [default: host.json in the user's data folder].
    #[arg(long, env = "GRAMWISE_HOST_PROFILE", value_name = "FILE")]
    pub(crate) host_profile: Option<PathBuf>,
    /// Who is charged for what hardware draws anyway.
    #[arg(long, env = "GRAMWISE_IDLE", value_enum, default_value_t = IdleArg::Reserved, value_name = "POLICY")]
    pub(crate) idle: IdleArg,
}

/// The form of an answer.
#[derive(Debug, Clone, Args)]
pub(crate) struct Output {
    /// The form of what is printed.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Form::Table, value_name = "FORM")]
    pub(crate) form: Form,
}

/// The form of a list.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListOutput {
    /// The form of what is printed.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = ListForm::Table, value_name = "FORM")]
    pub(crate) form: ListForm,
}

/// What `leaderboard` takes.
#[derive(Debug, Args)]
pub(crate) struct LeaderboardArgs {
    /// CSV files with `entry`, `score`, and perhaps `seed` and `co2e_g`; a row a run. An entry's grams are the sum of its rows'.
    #[arg(value_name = "CSV")]
    pub(crate) files: Vec<PathBuf>,
    /// A sweep of the database as an entry, by name or number: its best trial, and all that the search emitted; repeat for several.
    #[arg(long = "sweep", value_name = "SWEEP")]
    pub(crate) sweeps: Vec<String>,
    /// Which way is better [default: what the first sweep's objective says, else maximize].
    #[arg(long, value_enum)]
    pub(crate) goal: Option<GoalArg>,
    /// A difference smaller than this does not matter [default: what the first sweep's `meaningful` says, else 0].
    #[arg(long, value_name = "DIFFERENCE")]
    pub(crate) margin: Option<f64>,
    #[command(flatten)]
    pub(crate) output: ListOutput,
}

/// A sweep.
#[derive(Debug, Clone, Args)]
pub(crate) struct SweepArg {
    /// Number or name of the sweep [default: the newest].
    pub(crate) sweep: Option<String>,
}

/// A trial.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrialArg {
    /// The trial's number.
    pub(crate) trial: u32,
    /// Number or name of the sweep [default: the newest].
    #[arg(long)]
    pub(crate) sweep: Option<String>,
}
