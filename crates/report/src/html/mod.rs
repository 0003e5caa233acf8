//! The report as one self-contained page: no script, and nothing that is asked for outside.

mod chart;
mod flow;
mod plots;

use std::fmt::Write;

use gramwise_carbon::{GramsCo2e, Microjoules};
use gramwise_model::rows::{Account, StepRow, SweepRecord};

use self::chart::escaped;
use self::plots::Figure;
use crate::importance::trade_words;
use crate::statements::{Statement, statement};
use crate::units::{duration, energy, grams, number, share};
use crate::{Comparison, Report, calendar, pareto, words};

const STYLE: &str = include_str!("style.css");

/// So many rows of the front, and of what was run again.
const ROWS: usize = 12;

/// The report for a browser. `report` must be the answer for `record`, `steps` all that its trials reported; `version` names the program.
pub fn report_html(report: &Report, record: &SweepRecord, steps: &[StepRow], version: &str) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\
         <link rel=\"icon\" href=\"data:,\"><title>{name}: what the search cost</title><style>{STYLE}</style></head><body><main>",
        name = escaped(&report.name)
    );
    head(&mut page, report);
    tiles(&mut page, report);
    let figures = [
        (plots::front(report, record), ""),
        (plots::progress(report, record), ""),
        (plots::curves(record, steps), ""),
        (plots::timeline(record), ""),
        (flow::flow(report, record), ""),
        (report.importance.as_ref().and_then(plots::importance), ""),
        (plots::parallel(record), " class=\"wide\""),
    ];
    page.push_str("<div class=\"plots\">");
    for (figure, class) in figures {
        if let Some(figure) = figure {
            draw(&mut page, &figure, class);
        }
    }
    page.push_str("</div><div class=\"plots\">");
    accounts(&mut page, report);
    known(&mut page, report);
    ties(&mut page, report, record);
    front(&mut page, report, record);
    let _ = write!(
        page,
        "<section class=\"card wide\"><h2>To cite</h2><p class=\"statement\">{}</p></section></div>",
        escaped(statement(record, Statement::Paper, version).trim_end())
    );
    let _ = write!(
        page,
        "<footer>gramwise {} · sweep {} · grams of operation are location-based; those of making the hardware stand beside them, never in them</footer></main></body></html>",
        escaped(version),
        report.sweep
    );
    page.push('\n');
    page
}

fn mass(value: f64) -> String {
    grams(GramsCo2e::new(value))
}

fn head(page: &mut String, report: &Report) {
    let took =
        report.ended_at_ms.map(|end| format!(" after {}", duration(end.since(report.submitted_at_ms))));
    let because = report.ended_because.as_deref().map(|why| format!(": {why}"));
    let _ = write!(
        page,
        "<h1>{}</h1><p class=\"sub\">sweep {}, submitted {} by {}; {}{}{}</p>",
        escaped(&report.name),
        report.sweep,
        calendar::minute(report.submitted_at_ms),
        escaped(&report.submitted_by),
        words::sweep_state(report.state),
        took.unwrap_or_default(),
        escaped(&because.unwrap_or_default())
    );
}

fn tiles(page: &mut String, report: &Report) {
    page.push_str("<div class=\"tiles\">");
    let mut tile = |label: &str, figure: &str, more: &str| {
        let [label, figure, more] = [label, figure, more].map(escaped);
        let _ = write!(page, "<div class=\"tile\"><span>{label}</span><b>{figure}</b><em>{more}</em></div>");
    };
    tile(
        "CO2e of the search",
        &mass(report.co2e_g),
        &format!("{} to {} at about 95 %", mass(report.co2e_low_g), mass(report.co2e_high_g)),
    );
    tile(
        "energy of the equipment",
        &energy(Microjoules::new(report.energy_uj)),
        &format!("quality {}: {}", report.quality, report.quality.meaning()),
    );
    let counts = &report.trials;
    tile(
        "trials",
        &counts.total.to_string(),
        &crate::text::by_state(counts).trim_start_matches(": ").replace(", ", " · "),
    );
    if let (Some(best), Some(primary)) = (&report.best, report.objectives.first()) {
        let value = best.metrics.get(&primary.name).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
        let found = words::metric_value(&primary.name, value);
        tile(
            &format!("best {}", primary.name),
            &found,
            &format!("trial {}, {}", best.trial, mass(best.co2e_g)),
        );
    }
    let compared = report.ties.as_ref().filter(|ties| ties.by != Comparison::Nothing);
    if let Some(ties) = compared {
        let greenest = ties.greenest.zip(ties.greenest_co2e_g);
        let greenest = greenest
            .map_or(String::new(), |(trial, co2e)| format!("the greenest: trial {trial}, {}", mass(co2e)));
        let figure = if ties.trials.len() == 1 {
            "none".to_owned()
        } else {
            format!("{} of {}", ties.trials.len(), ties.of)
        };
        tile("cannot be told from the best", &figure, &greenest);
    }
    if let Some(first) = report.gains.first_tied.filter(|_| compared.is_some()) {
        tile(
            "after the first of those",
            &share(first.after_g, report.co2e_g),
            &format!("{} emitted after trial {}", mass(first.after_g), first.trial),
        );
    }
    let pruning = &report.pruning;
    if let (Some(avoided), Some(low), Some(high), true) =
        (pruning.avoided_g, pruning.avoided_low_g, pruning.avoided_high_g, pruning.avoided_trials > 0)
    {
        tile(
            "pruning avoided",
            &mass(avoided),
            &format!(
                "{} to {}, of {}",
                mass(low),
                mass(high),
                words::counted(pruning.avoided_trials, "trial")
            ),
        );
    }
    page.push_str("</div>");
}

fn draw(page: &mut String, figure: &Figure, class: &str) {
    let Figure { title, why, svg, key } = figure;
    let _ = write!(
        page,
        "<figure{class}><h2>{}</h2><p class=\"why\">{}</p><div class=\"scroll\">{svg}</div>",
        escaped(title),
        escaped(why)
    );
    if !key.is_empty() {
        page.push_str("<ul class=\"key\">");
        for (mark, meaning) in key {
            let _ = write!(
                page,
                "<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\">{mark}</svg>{}</li>",
                escaped(meaning)
            );
        }
        page.push_str("</ul>");
    }
    page.push_str("</figure>");
}

/// A table; columns whose heading ends in a space are of words, others of numbers.
fn table(page: &mut String, (title, why): (&str, &str), class: &str, header: &[&str], rows: &[Vec<String>]) {
    let _ = write!(page, "<section class=\"card{class}\"><h2>{}</h2>", escaped(title));
    if !why.is_empty() {
        let _ = write!(page, "<p class=\"why\">{}</p>", escaped(why));
    }
    let kind = |column: usize| {
        if header.get(column).is_some_and(|title| title.ends_with(' ')) { "" } else { " class=\"n\"" }
    };
    page.push_str("<div class=\"scroll\"><table><thead><tr>");
    for (column, title) in header.iter().enumerate() {
        let _ = write!(page, "<th{}>{}</th>", kind(column), escaped(title.trim_end()));
    }
    page.push_str("</tr></thead><tbody>");
    for row in rows {
        page.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(page, "<td{}>{}</td>", kind(column), escaped(cell));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div></section>");
}

fn accounts(page: &mut String, report: &Report) {
    let meaning = |account: Account| match account {
        Account::Trial => "attempts whose results count",
        Account::Lost => "attempts that were interrupted or lost",
        Account::Idle => "hosts that waited",
        Account::Overhead => "gramwise itself, and setup",
    };
    let mut rows: Vec<Vec<String>> = Account::ALL
        .iter()
        .map(|account| {
            let balance = report.accounts.get(*account);
            vec![
                format!("{account}: {}", meaning(*account)),
                mass(balance.co2e_g),
                share(balance.co2e_g, report.co2e_g),
                energy(Microjoules::new(balance.energy_uj)),
            ]
        })
        .collect();
    rows.push(vec![
        "total".to_owned(),
        mass(report.co2e_g),
        String::new(),
        energy(Microjoules::new(report.energy_uj)),
    ]);
    if let Some(made) = &report.embodied {
        let band =
            format!("beside it, making the graphics cards ({} to {})", mass(made.low_g), mass(made.high_g));
        rows.push(vec![band, mass(made.g), String::new(), String::new()]);
    }
    table(page, ("Who was charged", ""), "", &["account ", "CO2e", "share", "energy"], &rows);
}

fn ties(page: &mut String, report: &Report, record: &SweepRecord) {
    let Some(ties) = report.ties.as_ref().filter(|ties| ties.by != Comparison::Nothing) else { return };
    let why = format!(
        "by {}, {}; a difference below {} does not matter; the best is among them with {:.0} %",
        record.sweep.spec.primary().name,
        ties.by.words(),
        number(ties.margin),
        ties.confidence * 100.0
    );
    let of = |id| record.trials.iter().find(|trial| trial.id == id);
    let rows = ties.trials.iter().take(ROWS).filter_map(|id| {
        let (trial, result) = (of(*id)?, ties.results.iter().find(|one| one.trial == *id)?);
        let spread = result.sd.map_or(String::new(), |sd| format!(" ± {}", number(sd)));
        let green = if ties.greenest == Some(*id) { " (greenest)" } else { "" };
        Some(vec![
            id.to_string(),
            format!("{}{spread}", number(result.mean)),
            result.runs.to_string(),
            mass(trial.booked.co2e.grams().get()),
            format!("{}{green}", words::config(&trial.config)),
        ])
    });
    let title = format!("Cannot be told from the best: {} of {}", ties.trials.len(), ties.of);
    table(
        page,
        (&title, &why),
        " wide",
        &["trial", "mean", "runs", "CO2e", "config "],
        &rows.collect::<Vec<_>>(),
    );
}

fn front(page: &mut String, report: &Report, record: &SweepRecord) {
    let front = pareto::front(record);
    if front.len() < 2 {
        return;
    }
    let objectives = &record.sweep.spec.objectives;
    let mut header = vec!["trial"];
    header.extend(objectives.iter().map(|objective| objective.name.as_str()));
    header.push("and to the next of the front ");
    let rows = front.iter().take(ROWS).map(|trial| {
        let mut cells = vec![trial.id.to_string()];
        let shown =
            |name: &String| trial.metrics.get(name).map_or("-".to_owned(), |held| words::metric(name, *held));
        cells.extend(objectives.iter().map(|objective| shown(&objective.name)));
        let next = report.trades.iter().find(|trade| trade.from == trial.id);
        cells.push(next.map_or(String::new(), |trade| trade_words(record, trade)));
        cells
    });
    table(
        page,
        ("Along the front", "what is given up, what is gained, and what changes"),
        " wide",
        &header,
        &rows.collect::<Vec<_>>(),
    );
}

fn known(page: &mut String, report: &Report) {
    let parts = report.energy_by_provenance;
    let whole = report.energy_uj as f64;
    let part = |amount: u64| share(amount as f64, whole);
    let mut rows = vec![
        vec![
            "measured, modelled, estimated".to_owned(),
            format!("{}, {}, {}", part(parts.measured_uj), part(parts.modelled_uj), part(parts.estimated_uj)),
        ],
        vec![
            "PUE".to_owned(),
            format!(
                "{}{}",
                number(report.pue),
                if report.pue_stated { "" } else { " (not stated: no facility is counted)" }
            ),
        ],
    ];
    for grid in &report.grid {
        rows.push(vec![
            format!("grid {}", grid.zone),
            format!("{} g/kWh, {} ({})", number(grid.g_per_kwh), grid.source, grid.year),
        ]);
    }
    for host in &report.hosts {
        rows.push(vec!["host".to_owned(), host.description.clone()]);
    }
    table(page, ("How it is known", ""), "", &["what ", "how "], &rows);
}
