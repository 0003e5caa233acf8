//! Messages to model types and back.

mod report;
mod values;
mod work;

pub use report::{instructions_from_wire, instructions_to_wire, report_from_wire, report_to_wire};
pub use values::{attempt_from_wire, attempt_to_wire, config_from_wire, config_to_wire};
pub use work::{assignment_from_wire, assignment_to_wire};

/// A message that breaks the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field that must be there is not.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A field holds what it must not.
    #[error("field `{field}` must be {expected}, found {found}")]
    Illegal {
        /// The field.
        field: &'static str,
        /// What would be legal.
        expected: &'static str,
        /// What it held.
        found: String,
    },
}

impl From<Malformed> for tonic::Status {
    fn from(malformed: Malformed) -> Self {
        Self::invalid_argument(malformed.to_string())
    }
}
