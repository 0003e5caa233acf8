//! A list of things: sweeps, trials, groups. One answer in every form that lists have.

use crate::output::Terminal;
use crate::sheet::{Markup, Sheet};
use crate::{csv, parquet};

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    /// For people.
    Table,
    /// For programs: documented, versioned, additive.
    Json,
    /// For spreadsheets: one line per row, all columns, exact units in the headings.
    Csv,
    /// One bare value per line, for a shell's `$(...)`.
    Value,
    /// For notes or a paper.
    Markup(Markup),
    /// The columns of [`ListFormat::Csv`] with their types, for data frames.
    Parquet,
}

/// A list that is not written yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    pub(crate) sheet: Sheet,
    pub(crate) records: Records,
    pub(crate) json: String,
    pub(crate) values: String,
}

/// Rows of exact values under a header; what is not known is empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Records {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Listing {
    /// Written in a form: text, but for Parquet.
    pub fn written(self, format: ListFormat, terminal: Terminal) -> Vec<u8> {
        match format {
            ListFormat::Table => self.sheet.laid_out(terminal).into_bytes(),
            ListFormat::Json => self.json.into_bytes(),
            ListFormat::Csv => self.records.csv().into_bytes(),
            ListFormat::Value => self.values.into_bytes(),
            ListFormat::Markup(markup) => self.sheet.marked_up(markup).into_bytes(),
            ListFormat::Parquet => parquet::file(&self.records.header, &self.records.rows),
        }
    }
}

impl Records {
    pub(crate) fn csv(&self) -> String {
        let header: Vec<&str> = self.header.iter().map(String::as_str).collect();
        csv(&header, &self.rows)
    }
}
