//! `gramwise leaderboard`: entries of a competition, with what each emitted beside its score.

use std::collections::BTreeMap;
use std::path::Path;

use gramwise_model::Goal;
use gramwise_report as answers;
use gramwise_report::{Contest, Entry};

use crate::args::{Common, LeaderboardArgs};
use crate::database;
use crate::exit::{Exit, Failure};
use crate::output::{print, say, terminal};

/// Ranks the entries of files and of sweeps.
pub(super) fn leaderboard(common: &Common, args: &LeaderboardArgs) -> anyhow::Result<Exit> {
    if args.files.is_empty() && args.sweeps.is_empty() {
        return Err(wrong(
            "no entries\nhint: name a CSV with `entry`, `score` and `co2e_g`, or `--sweep NAME`",
        ));
    }
    let mut entries = Vec::new();
    for file in &args.files {
        entries.extend(read(file)?);
    }
    let mut stated = None;
    if !args.sweeps.is_empty() {
        let reader = database::reader(common)?;
        for name in &args.sweeps {
            let record = database::record(&reader, Some(name))?;
            let (spec, id) = (&record.sweep.spec, record.sweep.id);
            if let Some(replicates) = &spec.replicates {
                return Err(wrong(&format!(
                    "sweep {id} runs trials of sweep {of} again\nhint: `--sweep {of}` counts both",
                    of = replicates.of
                )));
            }
            let primary = spec.primary();
            let first = stated.get_or_insert((primary.clone(), id));
            if (&first.0.name, first.0.goal) != (&primary.name, primary.goal) {
                return Err(wrong(&format!(
                    "sweeps {} and {id} cannot be compared: one is about {}, the other about {}",
                    first.1, first.0.name, primary.name
                )));
            }
            let entry = answers::entry(&record);
            entries.push(entry.ok_or_else(|| {
                wrong(&format!("sweep `{name}` has no completed trial that keeps the constraints"))
            })?);
        }
    }
    let (goal, meaningful) =
        stated.map_or((Goal::Maximize, None), |(primary, _)| (primary.goal, primary.meaningful));
    let margin = args.margin.or(meaningful).unwrap_or(0.0);
    if !(margin.is_finite() && margin >= 0.0) {
        return Err(wrong(&format!("`--margin` is a difference of 0 or more, found {margin}")));
    }
    let contest = Contest { goal: args.goal.map_or(goal, Into::into), margin };
    let better = match contest.goal {
        Goal::Minimize => "smaller",
        Goal::Maximize => "larger",
    };
    say(common, &format!("{better} scores are better; inside a group, fewer grams"));
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    let mut pairs = names.iter().zip(names.iter().skip(1));
    if let Some((twice, _)) = pairs.find(|(one, next)| one == next) {
        return Err(wrong(&format!("`{twice}` is an entry twice\nhint: rename one of them")));
    }
    print(answers::leaderboard(&entries, contest).written(args.output.form.into(), terminal()))?;
    Ok(Exit::Success)
}

fn wrong(message: &str) -> anyhow::Error {
    Failure::error(Exit::WrongInput, message.to_owned())
}

/// The entries of a file, in the order of their first rows.
fn read(file: &Path) -> anyhow::Result<Vec<Entry>> {
    let at = |line: u64, what: &str| wrong(&format!("{}:{line}: {what}", file.display()));
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(file)
        .map_err(|error| wrong(&format!("cannot read {}: {error}", file.display())))?;
    let header = reader.headers().map_err(|error| at(1, &error.to_string()))?.clone();
    let column = |name: &str| header.iter().position(|title| title.trim_start_matches('\u{feff}') == name);
    let needed = |name: &str| {
        let found = header.iter().collect::<Vec<_>>().join(", ");
        column(name).ok_or_else(|| at(1, &format!("no column `{name}`\nhint: it has {found}")))
    };
    let (name, score) = (needed("entry")?, needed("score")?);
    let (seed, co2e) = (column("seed"), column("co2e_g"));
    let mut entries: Vec<Entry> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| wrong(&format!("{}: {error}", file.display())))?;
        let line = record.position().map_or(0, csv::Position::line);
        let number = |column: usize, title: &str| {
            let text = record.get(column).unwrap_or_default();
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| at(line, &format!("`{title}` is a number, found `{text}`")))
        };
        let named = record.get(name).unwrap_or_default();
        if named.is_empty() {
            return Err(at(line, "`entry` is empty"));
        }
        let place = entries.iter().position(|entry| entry.name == named).unwrap_or_else(|| {
            entries.push(Entry { name: named.to_owned(), scores: BTreeMap::new(), co2e_g: None });
            entries.len() - 1
        });
        let entry = &mut entries[place];
        let own_seed = match seed.map(|column| record.get(column).unwrap_or_default()) {
            Some(text) => {
                text.parse().map_err(|_| at(line, &format!("`seed` is a whole number, found `{text}`")))?
            }
            // Seeds of its own: runs that nobody paired are compared in no pairs.
            None => (place as u64 + 1) << 40 | entry.scores.len() as u64,
        };
        if entry.scores.insert(own_seed, number(score, "score")?).is_some() {
            return Err(at(line, &format!("`{named}` has seed {own_seed} twice")));
        }
        if let Some(column) = co2e.filter(|column| record.get(*column).is_some_and(|text| !text.is_empty())) {
            let grams = number(column, "co2e_g")?;
            if grams < 0.0 {
                return Err(at(line, &format!("`co2e_g` is 0 or more, found {grams}")));
            }
            entry.co2e_g = Some(entry.co2e_g.unwrap_or(0.0) + grams);
        }
    }
    if entries.is_empty() {
        return Err(at(1, "there are no rows under the header"));
    }
    Ok(entries)
}
