//! `gramwise meter -- COMMAND`: what a command burnt.

use std::io::Write;

use anyhow::Context;
use gramwise_carbon::Energy;
use gramwise_meter::{HostMeter, MeterThread};
use gramwise_report::{self as answers, MeteredCommand, Terminal};
use gramwise_worker::attend::{Metered, metered};

use super::{doctor, grid};
use crate::args::{Common, Form, MeterArgs};
use crate::exit::{Exit, Failure};
use crate::output::{colour_on_stderr, terminal};

/// Runs the command, and ends with its code.
pub(super) fn meter(common: &Common, args: &MeterArgs) -> anyhow::Result<u8> {
    let began = grid::now();
    // What is wrong with them is said before the command runs.
    grid::check(&args.carbon)?;
    let meter = HostMeter::probe(&doctor::options(&args.devices))?;
    let known: Vec<String> = meter.inventory().gpus.iter().map(|gpu| gpu.uuid.clone()).collect();
    if let Some(unknown) = args.gpu.iter().find(|uuid| !known.contains(uuid)) {
        let hint = if known.is_empty() { "none was found".to_owned() } else { known.join(", ") };
        let message = format!("no GPU `{unknown}` on this machine\nhint: GPUs here: {hint}");
        return Err(Failure::error(Exit::WrongInput, message));
    }
    // Before the command, which may run for long: what it burnt must have a place.
    let file = args.to.as_ref().map(|path| {
        let created = std::fs::File::create(path).map(|file| (file, path));
        created.map_err(|error| {
            Failure::error(Exit::WrongInput, format!("cannot write {}: {error}", path.display()))
        })
    });
    let file = file.transpose()?;
    let gpus = if args.gpu.is_empty() { known } else { args.gpu.clone() };
    let meter = MeterThread::spawn(meter).context("cannot start the meter")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let metered =
        runtime.block_on(metered(&args.command, &gpus, &meter)).context("cannot meter the command")?;
    let factors = grid::factors(&args.carbon, &args.grid, (began, grid::now()))?;
    let Metered { code, took, before, after } = &metered;
    let meanwhile = |now: Energy, then: Energy| now.since(&then).unwrap_or_default();
    let words: Vec<_> = args.command.iter().map(|word| word.to_string_lossy()).collect();
    let answer = MeteredCommand {
        command: &words.join(" "),
        code: *code,
        took: *took,
        energy: after.consumers.get(&Metered::CONSUMER).copied().unwrap_or_default(),
        idle: meanwhile(after.idle, before.idle),
        overhead: meanwhile(after.overhead, before.overhead),
        other: meanwhile(after.other, before.other),
        factors: &factors,
    };
    let screen = Terminal { colour: colour_on_stderr() && args.to.is_none(), ..terminal() };
    let text = answers::metered(&answer, args.output.form.into(), screen);
    let unwritten = file.and_then(|(mut file, path)| {
        let written = file.write_all(text.as_bytes());
        written.err().map(|error| eprintln!("error: cannot write {}: {error}", path.display()))
    });
    // For people it is talk, which can be silenced; for programs, or where a file failed, it is wanted.
    let is_silent = common.quiet && args.output.form == Form::Table;
    if unwritten.is_some() || (args.to.is_none() && !is_silent) {
        eprint!("{text}");
    }
    Ok(*code)
}
