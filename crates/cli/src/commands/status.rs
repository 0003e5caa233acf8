//! `gramwise status`: where is a sweep, once or until it ends.

use std::io::IsTerminal;
use std::time::Duration;

use gramwise_model::rows::SweepState;
use gramwise_report::status as answer;

use crate::args::{Common, Form};
use crate::database;
use crate::exit::Exit;
use crate::output::{print, terminal};

/// How often a watched sweep is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Prints where a sweep is; with `watch`, again each second until it ends.
pub(super) fn status(common: &Common, sweep: Option<&str>, watch: bool, form: Form) -> anyhow::Result<Exit> {
    let reader = database::reader(common)?;
    let chosen = database::sweep(&reader, sweep)?.id.to_string();
    loop {
        let record = database::record(&reader, Some(&chosen))?;
        let text = answer(&record, database::now(), form.into(), terminal());
        if watch && std::io::stdout().is_terminal() && form == Form::Table {
            // Home, print, and clear what an earlier, longer text left below.
            print(&format!("\x1b[H\x1b[2J{text}"))?;
        } else {
            print(&text)?;
        }
        if !watch || record.sweep.state == SweepState::Ended {
            return Ok(Exit::Success);
        }
        std::thread::sleep(LOOK);
    }
}
