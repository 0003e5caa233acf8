//! Who may speak to a coordinator, and how the two know each other. Only this crate holds secrets.
//!
//! To know: [`Token`] (what a user hands to a client or a new worker; names a [`Role`] and, where there is encryption, the
//! authority to trust), [`Authority`] (makes the certificates of one coordinator and its workers), [`Access`] (the coordinator's
//! list of who is let in, and for what), and [`Guard`] (asks it for every call). [`Peer`] is the other side: the way from an
//! address and what one holds to a connection.

mod access;
mod authority;
mod file;
mod guard;
mod peer;
mod pinned;
mod token;

pub use access::{Access, Door, Known, Principal, Refused, TokenRow, WorkerRow};
pub use authority::{Authority, Fingerprint, WorkerIdentity, WorkerKey};
pub use guard::{Bearer, Guard};
pub use peer::{Address, BadAddress, KEEP_ALIVE, Peer};
pub use pinned::{deepest, is_distrusted};
pub use token::{NoToken, Role, Token};

/// Why something of this crate did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {found}, expected {expected}\nhint: it is made by `gramwise serve --init`; restore it from a backup, or make the folder anew", path.display())]
    Content {
        /// Which.
        path: std::path::PathBuf,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    NoRandom,
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}
