//! `gramwise report`: what did the search cost, and what did it find?

use gramwise_model::rows::SweepRecord;
use gramwise_report::{report as answer, report_csv, report_text, report_value};

use crate::args::{Common, Form};
use crate::database;
use crate::output::{print, terminal};

/// Answers from the database alone, also while the sweep runs.
pub(super) fn report(common: &Common, sweep: Option<&str>, form: Form) -> anyhow::Result<()> {
    let record = database::record(&database::reader(common)?, sweep)?;
    print(&rendered(&record, form)?)
}

/// The report of a sweep in a form.
pub(super) fn rendered(record: &SweepRecord, form: Form) -> anyhow::Result<String> {
    let report = answer(record);
    Ok(match form {
        Form::Table => report_text(&report, record, terminal()),
        Form::Json => serde_json::to_string_pretty(&report)? + "\n",
        Form::Csv => report_csv(&report),
        Form::Value => report_value(&report),
    })
}
