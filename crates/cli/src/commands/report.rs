//! What did the search cost, and what did it find: `gramwise report`, and the end of `gramwise run`.

use gramwise_model::rows::SweepRecord;
use gramwise_report::{
    Markup, Terminal, report as answer, report_csv, report_html, report_json, report_marked_up, report_text,
    report_value,
};
use gramwise_store::Reader;

use crate::args::ReportForm;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The report of a sweep in a form.
pub(super) fn rendered(
    reader: &Reader,
    record: &SweepRecord,
    form: ReportForm,
    terminal: Terminal,
) -> anyhow::Result<String> {
    let report = answer(record);
    Ok(match form {
        ReportForm::Table => report_text(&report, record, terminal),
        ReportForm::Json => report_json(&report),
        ReportForm::Csv => report_csv(&report),
        ReportForm::Value => report_value(&report),
        ReportForm::Html => report_html(&report, record, &reader.all_steps(record.sweep.id)?, VERSION),
        ReportForm::Markdown => report_marked_up(&report, record, Markup::Markdown, VERSION),
        ReportForm::Latex => report_marked_up(&report, record, Markup::Latex, VERSION),
    })
}
