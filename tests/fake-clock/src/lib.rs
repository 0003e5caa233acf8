//! A wall clock that is off by `$FAKE_CLOCK_SECONDS`, for a process that preloads this library (`LD_PRELOAD`): a host whose time is wrong.
//! Other clocks are as they are.

#![warn(missing_docs, clippy::pedantic, clippy::undocumented_unsafe_blocks)]

use std::ffi::{c_int, c_long};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use rustix::time::{ClockId, clock_gettime as real};

/// C's `struct timespec`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Timespec {
    seconds: c_long,
    nanoseconds: c_long,
}

/// C's `CLOCK_REALTIME`.
const REALTIME: c_int = 0;

/// In place of the C library's.
// SAFETY: the name is that of the C library, whose function it stands for, with the same arguments and answers.
#[unsafe(no_mangle)]
pub extern "C" fn clock_gettime(clock: c_int, time: Option<&mut MaybeUninit<Timespec>>) -> c_int {
    static OFF: OnceLock<c_long> = OnceLock::new();
    let id = match clock {
        REALTIME => ClockId::Realtime,
        1 => ClockId::Monotonic,
        2 => ClockId::ProcessCPUTime,
        3 => ClockId::ThreadCPUTime,
        7 => ClockId::Boottime,
        _ => return -1,
    };
    let Some(time) = time else { return -1 };
    let now = real(id);
    let off = *OFF.get_or_init(|| {
        std::env::var("FAKE_CLOCK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    });
    let off = if clock == REALTIME { off } else { 0 };
    time.write(Timespec { seconds: now.tv_sec + off, nanoseconds: now.tv_nsec });
    0
}
