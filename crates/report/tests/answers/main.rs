//! Every question asked of one sweep in which everything happened, and the laws that answers keep to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod contest;
mod explained;
mod formats;
mod history;
mod page;
mod sample;
mod statements;
mod sums;
mod widths;
mod worth;
