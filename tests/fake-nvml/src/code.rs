//! The answers of an NVML call, by number and in words.

use std::ffi::{CStr, c_uint};

/// What a call answers; the numbers are those of `nvmlReturn_t` in `nvml.h`.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The call did what it was asked.
    Success = 0,
    /// No `nvmlInit` came before, or the last one has been shut down.
    Uninitialized = 1,
    /// A null pointer, an index out of range, or a handle that this library never gave out.
    InvalidArgument = 2,
    /// This GPU has no such thing.
    NotSupported = 3,
    /// No GPU goes by that name.
    NotFound = 6,
    /// The caller's buffer is too short for the text and its closing NUL.
    InsufficientSize = 7,
    /// The GPU has fallen off the bus.
    GpuIsLost = 15,
    /// The caller's struct carries a version that this library does not know.
    ArgumentVersionMismatch = 25,
    /// Anything else; here, a script that cannot be read.
    Unknown = 999,
}

impl From<Result<(), Code>> for Code {
    fn from(result: Result<(), Code>) -> Self {
        result.err().unwrap_or(Self::Success)
    }
}

/// The words for the number of an answer; a number that the fake never answers is an unknown error.
pub(crate) fn words(code: c_uint) -> &'static CStr {
    const WORDS: [(Code, &CStr); 8] = [
        (Code::Success, c"Success"),
        (Code::Uninitialized, c"Uninitialized"),
        (Code::InvalidArgument, c"Invalid Argument"),
        (Code::NotSupported, c"Not Supported"),
        (Code::NotFound, c"Not Found"),
        (Code::InsufficientSize, c"Insufficient Size"),
        (Code::GpuIsLost, c"GPU is lost"),
        (Code::ArgumentVersionMismatch, c"Argument Version Mismatch"),
    ];
    WORDS.iter().find(|(known, _)| *known as c_uint == code).map_or(c"Unknown Error", |(_, words)| words)
}
