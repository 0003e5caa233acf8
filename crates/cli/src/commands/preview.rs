//! `gramwise preview`: what will a sweep take, before it starts?

use gramwise_carbon::CarbonFactors;
use gramwise_report::preview as answer;
use gramwise_store::Reader;

use super::check;
use crate::args::{Common, PreviewArgs};
use crate::database;
use crate::exit::Exit;
use crate::output::{print, terminal};

/// Answers from earlier sweeps of the database, if there is one, and from the file's budget.
pub(super) fn preview(common: &Common, args: &PreviewArgs) -> anyhow::Result<Exit> {
    let spec = check::overruled(check::read(&args.file, common.quiet)?, &args.methods)?;
    let factors = CarbonFactors::yearly(spec.carbon.zone.as_deref(), spec.carbon.pue)?;
    let path = database::path(common)?;
    let past = if path.exists() { Reader::open(&path)?.summaries()? } else { Vec::new() };
    print(answer(&spec, &factors, &past, args.output.form.into(), terminal()))?;
    Ok(Exit::Success)
}
