//! `gramwise import`: one history of several coordinators.

use std::path::PathBuf;

use gramwise_report::{Align, table};
use gramwise_store::{Imported, Journal, What};

use crate::args::Common;
use crate::database;
use crate::exit::{Exit, Failure};
use crate::output::{print, say, terminal};

/// Takes over the sweeps of other databases; prints what became of each.
pub(super) fn import(common: &Common, from: &[PathBuf]) -> anyhow::Result<Exit> {
    if let Some(missing) = from.iter().find(|other| !other.is_file()) {
        return Err(Failure::error(Exit::WrongInput, format!("no database at {}", missing.display())));
    }
    let path = database::path(common)?;
    let mut journal = Journal::open(&path)?;
    let mut rows = Vec::new();
    let mut is_otherwise = false;
    for other in from {
        let imported = journal.import(other, database::now()).map_err(|error| {
            // What to try is said of the database at hand, and this is another.
            let what = error.to_string();
            Failure::error(Exit::WrongInput, what.lines().next().unwrap_or_default().to_owned())
        })?;
        let count = |what| imported.iter().filter(|one| one.what == what).count();
        let (new, gone_on, known) = (count(What::New), count(What::GoneOn), count(What::Known));
        is_otherwise |= count(What::Otherwise) > 0;
        say(
            common,
            &format!("{}: new {new}, went on since {gone_on}, known already {known}", other.display()),
        );
        rows.extend(imported.iter().map(row));
    }
    let alignment = [Align::Right, Align::Left, Align::Left, Align::Right];
    print(table(&["sweep", "name", "is", "there"], rows, &alignment, terminal()))?;
    if is_otherwise {
        say(common, "what both databases know and tell otherwise was left as it is here");
        return Ok(Exit::Refused);
    }
    Ok(Exit::Success)
}

fn row(one: &Imported) -> Vec<String> {
    let what = match one.what {
        What::New => "new",
        What::GoneOn => "went on since",
        What::Known => "known already",
        What::Otherwise => "told otherwise here",
    };
    vec![one.here.to_string(), one.name.clone(), what.to_owned(), one.there.to_string()]
}
