//! What every question answers, in every form. The JSON snapshots are the documented interface: a key that
//! goes or changes its meaning breaks users.

use gramwise_model::{Timestamp, TrialId};
use gramwise_report::{
    Format, GroupBy, HistoryQuery, ListFormat, Markup, best, explain, front, history, report, report_csv,
    report_json, report_marked_up, report_text, report_value, show, status, sweeps, trials,
};
use insta::assert_snapshot;

use crate::sample::{PRUNED, START, empty, listed, record, steps, summaries, wide};

const NOW: Timestamp = Timestamp(START.0 + 900_000);

#[test]
fn the_report() {
    let record = record();
    let answer = report(&record);
    assert_snapshot!("report_json", report_json(&answer));
    assert_snapshot!("report_text", report_text(&answer, &record, wide()));
    assert_snapshot!("report_csv", report_csv(&answer));
    assert_snapshot!("report_markdown", report_marked_up(&answer, &record, Markup::Markdown, "0.1.0"));
    assert_snapshot!("report_latex", report_marked_up(&answer, &record, Markup::Latex, "0.1.0"));
    assert_eq!(report_value(&answer), format!("{}\n", answer.co2e_g));
}

#[test]
fn the_report_of_a_sweep_that_has_only_been_submitted() {
    let record = empty();
    let answer = report(&record);
    assert_snapshot!("report_text_empty", report_text(&answer, &record, wide()));
    assert_eq!((answer.best, answer.ended_at_ms, answer.embodied_g), (None, None, None));
    assert_eq!(best(&record, Format::Table, wide()), None);
    assert_eq!(listed(front(&record), ListFormat::Json), "[]\n");
}

#[test]
fn lists_of_trials() {
    let record = record();
    assert_snapshot!("trials_table", listed(trials(&record), ListFormat::Table));
    assert_snapshot!("trials_csv", listed(trials(&record), ListFormat::Csv));
    assert_snapshot!("trials_json", listed(trials(&record), ListFormat::Json));
    assert_snapshot!("front_table", listed(front(&record), ListFormat::Table));
    assert_eq!(listed(front(&record), ListFormat::Value), "2\n1\n");
}

#[test]
fn the_best() {
    let record = record();
    assert_snapshot!("best_table", best(&record, Format::Table, wide()).unwrap());
    assert_snapshot!("best_json", best(&record, Format::Json, wide()).unwrap());
    assert_eq!(best(&record, Format::Value, wide()).unwrap(), "2\n");
}

#[test]
fn one_trial() {
    let record = record();
    assert_snapshot!("show_table", show(&record, PRUNED, &steps(), Format::Table, wide()).unwrap());
    assert_snapshot!("show_json", show(&record, PRUNED, &steps(), Format::Json, wide()).unwrap());
    assert_snapshot!("show_csv", show(&record, PRUNED, &steps(), Format::Csv, wide()).unwrap());
    assert_snapshot!("show_failed", show(&record, TrialId(7), &[], Format::Table, wide()).unwrap());
    assert_eq!(show(&record, PRUNED, &[], Format::Value, wide()).unwrap(), "pruned\n");
    assert_eq!(show(&record, TrialId(99), &[], Format::Json, wide()), None);
}

#[test]
fn reasons() {
    let record = record();
    assert_snapshot!("explain_pruned", explain(&record, PRUNED, Format::Table, wide()).unwrap());
    assert_snapshot!("explain_paused", explain(&record, TrialId(6), Format::Table, wide()).unwrap());
    assert_snapshot!("explain_completed", explain(&record, TrialId(2), Format::Table, wide()).unwrap());
    assert_snapshot!("explain_json", explain(&record, PRUNED, Format::Json, wide()).unwrap());
    assert_snapshot!("explain_csv", explain(&record, PRUNED, Format::Csv, wide()).unwrap());
    assert_eq!(explain(&record, PRUNED, Format::Value, wide()).unwrap(), "prune\n");
    assert_eq!(explain(&record, TrialId(99), Format::Table, wide()), None);
}

#[test]
fn how_it_is_getting_on() {
    let mut record = record();
    record.sweep.ended_at = None;
    record.sweep.state = gramwise_model::rows::SweepState::Running;
    assert_snapshot!("status_table", status(&record, NOW, Format::Table, wide()));
    assert_snapshot!("status_json", status(&record, NOW, Format::Json, wide()));
    assert_snapshot!("status_csv", status(&record, NOW, Format::Csv, wide()));
    assert_snapshot!("status_empty", status(&empty(), NOW, Format::Table, wide()));
}

#[test]
fn many_sweeps() {
    let rows = summaries();
    let by_month = HistoryQuery { group_by: vec![GroupBy::Month, GroupBy::User], ..HistoryQuery::default() };
    assert_snapshot!("sweeps_table", listed(sweeps(&rows), ListFormat::Table));
    assert_snapshot!("sweeps_json", listed(sweeps(&rows[..1]), ListFormat::Json));
    assert_snapshot!("sweeps_csv", listed(sweeps(&rows), ListFormat::Csv));
    assert_snapshot!("history_table", listed(history(&rows, &by_month), ListFormat::Table));
    assert_snapshot!("history_json", listed(history(&rows, &by_month), ListFormat::Json));
    assert_snapshot!("history_csv", listed(history(&rows, &by_month), ListFormat::Csv));
    assert_snapshot!(
        "history_ungrouped",
        listed(history(&rows, &HistoryQuery::default()), ListFormat::Table)
    );
}
