//! One source of energy readings.

use gramwise_carbon::Watts;

/// What a device answers when it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Raw {
    /// A cumulative counter, in microjoules since some moment that is its own.
    Counter(u64),
    /// The power drawn now; energy is integrated from it.
    Power(Watts),
}

/// Why a device did not answer, and what that means for its reader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not this time. The previous reading is kept, so that the next good one covers the hole.
    #[error("not readable now: {0}")]
    Retry(String),
    /// The hardware is away until the driver starts anew. What it would have measured is estimated and labelled so.
    #[error("gone: {0}")]
    Gone(String),
    /// The reader itself is at fault, such as by rights that were taken from it: asking again cannot help, an operator can.
    /// Estimated like what is gone.
    #[error("not readable any more: {0}")]
    Fatal(String),
}

/// A counter or power source of one component.
///
/// Promises: a counter never decreases except by a reset or by wrapping at [`Device::range`]; reading it has no effect on what
/// the next reading says; two readings at one moment agree; a power is finite and not negative. See `contract.rs`.
pub trait Device: Send {
    /// A name for logs and findings, such as `GPU-5f2…` or `package-0`.
    fn name(&self) -> &str;
    /// Reads it. May block for as long as a driver does; never call it on an async thread.
    fn read(&mut self) -> Result<Raw, ReadError>;
    /// The value at which a counter wraps to zero, in microjoules, where it does.
    fn range(&self) -> Option<u64>;
    /// The most it can draw, where known: tells a wrap from a reset, and bounds what a gap is filled with.
    fn max_power(&self) -> Option<Watts>;
    /// The power to assume for a gap before which none was seen.
    fn usual_power(&self) -> Watts;
}
