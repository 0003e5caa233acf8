//! Protobuf to model and back. Only this crate knows protobuf.
//!
//! [`v1`] holds the generated messages, clients and servers; [`convert`] turns messages into [`gramwise_model::work`]
//! types, once, at the door: what it returns is legal, and what is not legal is a [`Malformed`] that names the field.

pub mod convert;

pub use convert::Malformed;

/// Bytes of a message at most. A worker tells its steps in parts that stay far below it.
pub const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;

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
