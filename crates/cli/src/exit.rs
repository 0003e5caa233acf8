//! Exit codes: stable, one constant each. Scripts may rely on them.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Success = 0,
    /// The sweep ended and no trial completed.
    SweepFailed = 1,
    /// The command line, a file, a folder or a name is wrong; nothing was changed.
    WrongInput = 2,
    /// The coordinator cannot be reached.
    NoCoordinator = 3,
    /// The coordinator or the database refused: it is in use, from a newer version, or not ours.
    Refused = 4,
    /// The budget was spent before any trial completed.
    BudgetSpent = 5,
    /// A fault of gramwise itself.
    Internal = 70,
    /// Ctrl-C or SIGTERM; `run` again resumes.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure that was foreseen: a message that names the remedy, and the code to end with.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    /// A failure as an error of a command.
    pub(crate) fn error(exit: Exit, message: impl Into<String>) -> anyhow::Error {
        Self { exit, message: message.into() }.into()
    }
}

/// The exit that another gramwise named by its code.
pub(crate) fn named(code: u32) -> Exit {
    let all = [
        Exit::Success,
        Exit::SweepFailed,
        Exit::WrongInput,
        Exit::NoCoordinator,
        Exit::Refused,
        Exit::BudgetSpent,
        Exit::Interrupted,
    ];
    all.into_iter().find(|exit| u32::from(*exit as u8) == code).unwrap_or(Exit::Internal)
}

/// The code that an error ends the program with.
pub(crate) fn of(error: &anyhow::Error) -> Exit {
    use gramwise_store::Error as Store;
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.exit;
    }
    if error.downcast_ref::<gramwise_meter::ProbeError>().is_some() {
        return Exit::WrongInput;
    }
    let of_environment =
        error.chain().any(|cause| cause.is::<std::io::Error>() || cause.is::<gramwise_trust::Error>());
    match error.chain().find_map(|cause| cause.downcast_ref::<Store>()) {
        Some(Store::InUse(_) | Store::Foreign(_) | Store::Newer { .. } | Store::Unreleased(_)) => {
            Exit::Refused
        }
        Some(error) if error.is_of_environment() => Exit::WrongInput,
        // A full disk, a folder that cannot be written in: the user's to mend, and no fault of gramwise.
        None if of_environment => Exit::WrongInput,
        Some(_) | None => Exit::Internal,
    }
}
