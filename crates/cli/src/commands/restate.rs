//! `gramwise restate`: the series of intensities that grams are restated by.

use std::path::Path;

use gramwise_carbon::IntensitySeries;

use crate::exit::{Exit, Failure};

/// Reads a file of intensities.
pub(super) fn series(file: &Path, column: Option<&str>) -> anyhow::Result<IntensitySeries> {
    let wrong = |what: String| Failure::error(Exit::WrongInput, what);
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(format!("cannot read {}: {error}", file.display())))?;
    IntensitySeries::parse(&text, column).map_err(|fault| wrong(format!("{}, {fault}", file.display())))
}
