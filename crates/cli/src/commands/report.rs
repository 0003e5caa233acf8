//! What did the search cost, and what did it find: `gramwise report`, and the end of `gramwise run`.

use gramwise_model::rows::SweepRecord;
use gramwise_report::{Terminal, report as answer, report_csv, report_text, report_value};

use crate::args::Form;

/// The report of a sweep in a form.
pub(super) fn rendered(record: &SweepRecord, form: Form, terminal: Terminal) -> anyhow::Result<String> {
    let report = answer(record);
    Ok(match form {
        Form::Table => report_text(&report, record, terminal),
        Form::Json => serde_json::to_string_pretty(&report)? + "\n",
        Form::Csv => report_csv(&report),
        Form::Value => report_value(&report),
    })
}
