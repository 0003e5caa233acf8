//! Values on their way into and out of rows.

use gramwise_carbon::{Amount, Energy, Footprint, Microjoules, Nanograms};
use serde_json::Value as Json;

use crate::Error;

/// `SQLite`'s integers are signed; sums that large cannot be reached (9 TJ, 9,200 t).
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Back from `SQLite`; a negative balance would be a fault of ours.
pub(crate) fn uint(value: i64) -> Result<u64, Error> {
    u64::try_from(value).map_err(|_| Error::Damaged(format!("found {value} where no negative number can be")))
}

/// The columns of an energy: each component's amount by provenance, in microjoules.
pub(crate) const ENERGY: [&str; 12] = [
    "gpu_measured_uj",
    "gpu_modelled_uj",
    "gpu_estimated_uj",
    "cpu_measured_uj",
    "cpu_modelled_uj",
    "cpu_estimated_uj",
    "memory_measured_uj",
    "memory_modelled_uj",
    "memory_estimated_uj",
    "rest_measured_uj",
    "rest_modelled_uj",
    "rest_estimated_uj",
];

/// [`ENERGY`] in SQL, each by a function.
pub(crate) fn energy_columns(each: impl Fn(&str) -> String) -> String {
    ENERGY.map(each).join(", ")
}

/// The values of [`ENERGY`].
pub(crate) fn energy_values(energy: &Energy) -> [i64; 12] {
    let Energy { gpu, cpu, memory, rest } = energy;
    let mut values = [0; 12];
    for (place, part) in [gpu, cpu, memory, rest].into_iter().enumerate() {
        let Amount { measured, modelled, estimated } = part;
        for (offset, value) in [measured, modelled, estimated].into_iter().enumerate() {
            values[3 * place + offset] = int(value.get());
        }
    }
    values
}

/// [`ENERGY`] and grams in a row, starting at `first`.
pub(crate) fn footprint(row: &rusqlite::Row<'_>, first: usize) -> Result<Footprint, Error> {
    Ok(Footprint { energy: energy(row, first)?, co2e: Nanograms::new(uint(row.get(first + ENERGY.len())?)?) })
}

/// [`ENERGY`] in a row, starting at `first`.
fn energy(row: &rusqlite::Row<'_>, first: usize) -> Result<Energy, Error> {
    let value = |column: usize| -> Result<Microjoules, Error> {
        Ok(Microjoules::new(uint(row.get::<_, Option<i64>>(column)?.unwrap_or(0))?))
    };
    let part = |at: usize| -> Result<Amount, Error> {
        Ok(Amount { measured: value(at)?, modelled: value(at + 1)?, estimated: value(at + 2)? })
    };
    Ok(Energy { gpu: part(first)?, cpu: part(first + 3)?, memory: part(first + 6)?, rest: part(first + 9)? })
}

/// A value as JSON text. Our types always have one: their maps have text keys and their floats are finite or null.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our types have a JSON form")
}

/// A value from JSON text.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Damaged(format!("{error} in {}", excerpt(text))))
}

/// The word that a unit variant is spelt as in JSON.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value).expect("our types have a JSON form") {
        Json::String(word) => word,
        other => other.to_string(),
    }
}

/// The variant behind a word.
pub(crate) fn from_word<T: serde::de::DeserializeOwned>(word: &str) -> Result<T, Error> {
    serde_json::from_value(Json::String(word.to_owned())).map_err(|error| Error::Damaged(error.to_string()))
}

fn excerpt(text: &str) -> String {
    text.chars().take(120).collect()
}
