//! What can keep a worker from its work.

use std::path::PathBuf;

use gramwise_trust::BadAddress;
use gramwise_wire::convert::Malformed;
use tonic::{Code, Status};

/// Why a worker ended otherwise than by the end of its sweep.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The coordinator's address is none.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// The coordinator refused for good.
    #[error("the coordinator refused: {0}")]
    Refused(String),
    /// What was shown does not open.
    #[error("{0}")]
    Token(String),
    /// The coordinator broke the protocol.
    #[error("the coordinator sent a malformed message: {0}")]
    Malformed(#[from] Malformed),
    /// The folder for checkpoints, outputs and the journal cannot be written in.
    #[error("cannot write in {}: {source}\nhint: trials need a folder with room; the same command resumes the sweep", folder.display())]
    Files {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The sweep's setup failed.
    #[error("{0}")]
    Setup(String),
    /// The meter's thread is gone.
    #[error("the meter stopped")]
    Meter,
}

impl Error {
    /// By what the coordinator answered for good.
    pub(crate) fn refused(status: &Status) -> Self {
        let why = status.message().to_owned();
        if status.code() == Code::Unauthenticated { Self::Token(why) } else { Self::Refused(why) }
    }
}
