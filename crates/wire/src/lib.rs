//! Protobuf to model and back. Only this crate knows protobuf.
//!
//! [`v1`] holds the generated messages, clients and servers; [`convert`] turns messages into [`gramwise_model::work`]
//! types, once, at the door: what it returns is legal, and what is not legal is a [`Malformed`] that names the field.

pub mod convert;
pub mod token;

pub use convert::Malformed;

/// Bytes of a message at most. A report holds at most 100 steps of each attempt, and a step's line at most 64 KiB.
pub const LARGEST_MESSAGE: usize = 64 * 1024 * 1024;

/// The generated code of `proto/gramwise/v1`.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated from proto/, where the documentation is"
)]
pub mod v1 {
    tonic::include_proto!("gramwise.v1");
}
