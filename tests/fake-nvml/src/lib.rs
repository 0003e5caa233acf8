//! A scripted `libnvidia-ml.so` for tests: the real `nvml-wrapper` loads it and finds GPUs that do as told.
//!
//! This file has the exported C functions, with the names, arguments and structs of NVIDIA's `nvml.h`. What
//! NVML has beyond them is left out; `nvml-wrapper` looks each symbol up when it first needs it.
//!
//! Two variables of the environment are read by the first `nvmlInit`, and again by an `nvmlInit` that
//! follows the last `nvmlShutdown`:
//!
//! - `FAKE_NVML_SCRIPT`: a JSON file with the GPUs; `src/script.rs` has its fields. Without it there are
//!   two GPUs at a constant 100 W. When the file is bad, `nvmlInit` answers [`Code::Unknown`], and one line on stderr
//!   says why.
//! - `FAKE_NVML_EPOCH_NS`: time 0 of the script, in nanoseconds of `CLOCK_BOOTTIME`, so that several
//!   processes see the same GPUs. Without it, time 0 is the first `nvmlInit` of the process.
//!
//! # Pointers
//!
//! A nullable pointer to one value is an [`Option`] of a reference here, which has the same form in memory:
//! a C caller that keeps to `nvml.h` (null, or aligned and good for a write) keeps to Rust's rules, and null
//! is told from the rest without `unsafe`. What is left of `unsafe` is text, in and out.

#![warn(missing_docs, clippy::pedantic, clippy::undocumented_unsafe_blocks)]
#![allow(non_snake_case, reason = "the names are those of nvml.h")]

mod code;
mod driver;
mod gpu;
mod script;
mod trace;

use std::ffi::{CStr, c_char, c_uint, c_ulonglong};
use std::mem::MaybeUninit;
use std::ptr;

pub use code::Code;
pub use driver::Handle;

use driver::{Asked, Driver};

/// A place for the answer, which the caller need not have filled; null is `None`.
type Out<'a, T> = Option<&'a mut MaybeUninit<T>>;

const DRIVER_VERSION: &CStr = c"570.0.0";
const NVML_VERSION: &CStr = c"12.570.0.0";
const TEMPERATURE_C: c_uint = 40;

/// Slices of a GPU of this kind.
const MOST_INSTANCES: c_uint = 7;

/// `NVML_TEMPERATURE_GPU`, the only sensor there is.
const SENSOR_GPU: c_uint = 0;
/// `NVML_COMPUTEMODE_DEFAULT`: any number of processes.
const COMPUTE_MODE_DEFAULT: c_uint = 0;
/// `NVML_DEVICE_ARCH_HOPPER`.
const ARCHITECTURE_HOPPER: c_uint = 9;

/// `nvmlUtilization_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Utilization {
    /// Percent of the time in which a kernel ran.
    pub gpu: c_uint,
    /// Percent of the time in which memory was read or written.
    pub memory: c_uint,
}

/// `nvmlMemory_t`, in bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// All there is.
    pub total: c_ulonglong,
    /// Not allocated.
    pub free: c_ulonglong,
    /// Allocated, the driver's share included.
    pub used: c_ulonglong,
}

/// `nvmlMemory_v2_t`: the caller fills in the version, the library the rest.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct VersionedMemory {
    /// [`VersionedMemory::VERSION`].
    pub version: c_uint,
    /// The answer.
    pub bytes: MaybeUninit<MemoryShares>,
}

/// The answer in a [`VersionedMemory`], in bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MemoryShares {
    /// All there is.
    pub total: c_ulonglong,
    /// The driver's share.
    pub reserved: c_ulonglong,
    /// Not allocated.
    pub free: c_ulonglong,
    /// Allocated.
    pub used: c_ulonglong,
}

impl VersionedMemory {
    /// `nvmlMemory_v2`: the size of the struct, and its number in the top byte.
    #[expect(clippy::cast_possible_truncation, reason = "40 bytes")]
    pub const VERSION: c_uint = size_of::<Self>() as c_uint | (2 << 24);
}

/// Initialises the library.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> Code {
    driver::init().into()
}

/// Initialises the library; the flags say how to deal with GPUs that are missing or not attached, and there
/// are none such.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> Code {
    driver::init().into()
}

/// Takes back one initialisation.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> Code {
    driver::shutdown().into()
}

/// The words for an answer; any number will do, before the initialisation too.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(result: c_uint) -> *const c_char {
    code::words(result).as_ptr()
}

/// The version of the driver: an old one, whose field numbers `nvml-wrapper` does not translate.
///
/// # Safety
///
/// `version` is null or good for writing `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) -> Code {
    // SAFETY: the caller vouches for the buffer.
    driver::with(|_| unsafe { copy_text(DRIVER_VERSION, version, length) }).into()
}

/// The version of the library.
///
/// # Safety
///
/// `version` is null or good for writing `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetNVMLVersion(version: *mut c_char, length: c_uint) -> Code {
    // SAFETY: the caller vouches for the buffer.
    driver::with(|_| unsafe { copy_text(NVML_VERSION, version, length) }).into()
}

/// How many GPUs there are, lost ones included.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetCount_v2(count: Out<'_, c_uint>) -> Code {
    answer(count, |driver| Ok(driver.count()))
}

/// The handle of a GPU by its index, in the order of the script.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: Out<'_, Handle>) -> Code {
    answer(device, |driver| driver.handle(index))
}

/// The handle of a GPU by its UUID.
///
/// # Safety
///
/// `uuid` is null or a text that ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, device: Out<'_, Handle>) -> Code {
    answer(device, |driver| {
        if uuid.is_null() {
            return Err(Code::InvalidArgument);
        }
        // SAFETY: not null, so the caller vouches for a text that ends in NUL.
        driver.handle_by_uuid(unsafe { CStr::from_ptr(uuid) })
    })
}

/// The index of a GPU.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetIndex(device: Handle, index: Out<'_, c_uint>) -> Code {
    answer_of(device, index, |asked| Ok(asked.index))
}

/// The UUID of a GPU.
///
/// # Safety
///
/// `uuid` is null or good for writing `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(device: Handle, uuid: *mut c_char, length: c_uint) -> Code {
    driver::with(|driver| match driver.instance(device) {
        // SAFETY: the caller vouches for the buffer.
        Some(instance) => unsafe { copy_text(&instance.uuid, uuid, length) },
        // SAFETY: the caller vouches for the buffer.
        None => unsafe { copy_text(&driver.gpu(device)?.gpu.uuid, uuid, length) },
    })
    .into()
}

/// The product name of a GPU.
///
/// # Safety
///
/// `name` is null or good for writing `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(device: Handle, name: *mut c_char, length: c_uint) -> Code {
    // SAFETY: the caller vouches for the buffer.
    driver::with(|driver| match driver.instance(device) {
        // SAFETY: the caller vouches for the buffer.
        Some(_) => unsafe { copy_text(c"Fake H100 MIG", name, length) },
        // SAFETY: the caller vouches for the buffer.
        None => unsafe { copy_text(&driver.gpu(device)?.gpu.name, name, length) },
    })
    .into()
}

/// The energy counter, in millijoules.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetTotalEnergyConsumption(device: Handle, energy: Out<'_, c_ulonglong>) -> Code {
    answer_of(device, energy, |asked| asked.gpu.counter_mj(asked.now_ns))
}

/// The power of this instant, in milliwatts.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetPowerUsage(device: Handle, power: Out<'_, c_uint>) -> Code {
    answer_of(device, power, |asked| Ok(asked.gpu.power_mw(asked.now_ns)))
}

/// The power limit, in milliwatts. A trace may go above it, as real GPUs do for a moment.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetEnforcedPowerLimit(device: Handle, limit: Out<'_, c_uint>) -> Code {
    answer_of(device, limit, |asked| Ok(asked.gpu.limit_mw()))
}

/// How busy the GPU is: as much as its power is of its limit. Its memory rests.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetUtilizationRates(device: Handle, utilization: Out<'_, Utilization>) -> Code {
    answer_of(device, utilization, |asked| {
        Ok(Utilization { gpu: asked.gpu.busy_percent(asked.now_ns), memory: 0 })
    })
}

/// The memory; what others hold is used.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMemoryInfo(device: Handle, memory: Out<'_, Memory>) -> Code {
    answer_of(device, memory, |asked| {
        let (total, used) = (asked.gpu.memory_bytes(), asked.gpu.used_bytes(asked.now_ns));
        Ok(Memory { total, free: total.saturating_sub(used), used })
    })
}

/// The memory, in the struct that has a version; `nvml-wrapper` asks for this one.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Handle, memory: Option<&mut VersionedMemory>) -> Code {
    let Some(VersionedMemory { version, bytes }) = memory else {
        return answer_of(device, None, |_| Ok(()));
    };
    answer_of(device, Some(bytes), |asked| {
        if *version != VersionedMemory::VERSION {
            return Err(Code::ArgumentVersionMismatch);
        }
        let (total, used) = (asked.gpu.memory_bytes(), asked.gpu.used_bytes(asked.now_ns));
        Ok(MemoryShares { total, reserved: 0, free: total.saturating_sub(used), used })
    })
}

/// The temperature of the GPU, the same at all times.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetTemperature(device: Handle, sensor: c_uint, temp: Out<'_, c_uint>) -> Code {
    answer_of(device, temp, |_| match sensor {
        SENSOR_GPU => Ok(TEMPERATURE_C),
        _ => Err(Code::InvalidArgument),
    })
}

/// The compute mode: the default.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetComputeMode(device: Handle, mode: Out<'_, c_uint>) -> Code {
    answer_of(device, mode, |_| Ok(COMPUTE_MODE_DEFAULT))
}

/// `nvmlProcessInfo_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ProcessInfo {
    /// Its number.
    pub pid: c_uint,
    /// The memory that it holds, in bytes.
    pub memory: c_ulonglong,
    /// The instance that it is on, of a GPU that is cut; all bits set for none.
    pub instance: c_uint,
    /// The same of its compute.
    pub compute_instance: c_uint,
}

/// The processes that compute on the GPU, as many as the caller has room for; without enough, how many there are.
///
/// # Safety
///
/// `processes` is null or good for writing as many as `count` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: Handle,
    count: Option<&mut c_uint>,
    processes: *mut ProcessInfo,
) -> Code {
    driver::with(|driver| {
        let count = count.ok_or(Code::InvalidArgument)?;
        let Asked { gpu, now_ns, .. } = driver.gpu(device)?;
        let none = c_uint::MAX;
        let found: Vec<ProcessInfo> = gpu
            .others(now_ns)
            .filter_map(|other| {
                let memory = c_ulonglong::from(other.memory_gb) << 30;
                Some(ProcessInfo { pid: other.pid?, memory, instance: none, compute_instance: none })
            })
            .collect();
        let room = std::mem::replace(count, c_uint::try_from(found.len()).unwrap_or(c_uint::MAX));
        if found.len() > room as usize || (processes.is_null() && !found.is_empty()) {
            return Err(Code::InsufficientSize);
        }
        if !found.is_empty() {
            // SAFETY: not null, and the caller vouches for `room` places, which are enough.
            unsafe { ptr::copy_nonoverlapping(found.as_ptr(), processes, found.len()) };
        }
        Ok(())
    })
    .into()
}

/// The architecture: Hopper.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetArchitecture(device: Handle, architecture: Out<'_, c_uint>) -> Code {
    answer_of(device, architecture, |_| Ok(ARCHITECTURE_HOPPER))
}

/// Whether the GPU is cut into instances.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMigMode(
    device: Handle,
    current: Out<'_, c_uint>,
    pending: Out<'_, c_uint>,
) -> Code {
    let mode = |asked: Asked<'_>| if asked.gpu.mig.is_empty() { Err(Code::NotSupported) } else { Ok(1) };
    match answer_of(device, pending, mode) {
        Code::Success => answer_of(device, current, mode),
        failure => failure,
    }
}

/// How many instances there can be.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: Handle, count: Out<'_, c_uint>) -> Code {
    answer_of(device, count, |asked| Ok(if asked.gpu.mig.is_empty() { 0 } else { MOST_INSTANCES }))
}

/// The handle of an instance by its index.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: Handle,
    index: c_uint,
    instance: Out<'_, Handle>,
) -> Code {
    answer(instance, |driver| driver.instance_handle(device, index))
}

/// `nvmlDeviceAttributes_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes {
    /// Multiprocessors.
    pub multiprocessors: c_uint,
    /// Copy engines, decoders, encoders, JPEG and optical flow engines.
    pub engines: [c_uint; 5],
    /// Slices of the GPU.
    pub gpu_slices: c_uint,
    /// Slices of its compute.
    pub compute_slices: c_uint,
    /// Memory.
    pub memory_mb: c_ulonglong,
}

/// What an instance has.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetAttributes_v2(device: Handle, attributes: Out<'_, Attributes>) -> Code {
    answer(attributes, |driver| {
        let instance = driver.instance(device).ok_or(Code::NotSupported)?;
        let slices = instance.slices;
        Ok(Attributes {
            gpu_slices: slices,
            compute_slices: slices,
            memory_mb: u64::from(slices) * 10_240,
            ..Attributes::default()
        })
    })
}

/// Puts the library's answer in its place; a failure leaves the place alone.
fn answer<T>(out: Out<'_, T>, ask: impl FnOnce(&Driver) -> Result<T, Code>) -> Code {
    driver::with(|driver| {
        let out = out.ok_or(Code::InvalidArgument)?;
        out.write(ask(driver)?);
        Ok(())
    })
    .into()
}

/// Puts a GPU's answer in its place.
fn answer_of<T>(device: Handle, out: Out<'_, T>, ask: impl FnOnce(Asked<'_>) -> Result<T, Code>) -> Code {
    answer(out, |driver| ask(driver.gpu(device)?))
}

/// Copies a text and its closing NUL into the caller's buffer.
///
/// # Safety
///
/// `buffer` is null or good for writing `length` bytes.
unsafe fn copy_text(text: &CStr, buffer: *mut c_char, length: c_uint) -> Result<(), Code> {
    if buffer.is_null() {
        return Err(Code::InvalidArgument);
    }
    let size = text.count_bytes() + 1;
    if size > length as usize {
        return Err(Code::InsufficientSize);
    }
    // SAFETY: `text` is `size` bytes long with its NUL; `buffer` is not null, and the caller vouches for
    // `length` bytes of it, which are `size` at least. The caller's buffer is no part of this library's text.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), buffer, size) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test for all that shares the library's one state.
    #[test]
    fn a_call_in_the_wrong_way_gets_the_right_code() {
        let mut text = [0x7f; 96];
        let buffer = text.as_mut_ptr();
        let mut count = MaybeUninit::uninit();
        let mut handle = MaybeUninit::new(ptr::null());

        assert_eq!(nvmlDeviceGetCount_v2(Some(&mut count)), Code::Uninitialized);
        assert_eq!(nvmlShutdown(), Code::Uninitialized);
        // SAFETY: the buffer is 96 bytes long.
        assert_eq!(unsafe { nvmlSystemGetDriverVersion(buffer, 96) }, Code::Uninitialized);

        assert_eq!(nvmlInit_v2(), Code::Success);
        assert_eq!(nvmlInitWithFlags(0), Code::Success);

        assert_eq!(nvmlDeviceGetCount_v2(None), Code::InvalidArgument);
        assert_eq!(nvmlDeviceGetHandleByIndex_v2(2, Some(&mut handle)), Code::InvalidArgument);
        assert_eq!(nvmlDeviceGetHandleByIndex_v2(u32::MAX, Some(&mut handle)), Code::InvalidArgument);
        // SAFETY: the text is null, or ends in NUL.
        unsafe {
            assert_eq!(nvmlDeviceGetHandleByUUID(ptr::null(), Some(&mut handle)), Code::InvalidArgument);
            assert_eq!(nvmlDeviceGetHandleByUUID(c"GPU-".as_ptr(), Some(&mut handle)), Code::NotFound);
        }
        assert_eq!(nvmlDeviceGetHandleByIndex_v2(1, Some(&mut handle)), Code::Success);
        // SAFETY: it was filled from the start.
        let gpu = unsafe { handle.assume_init() };

        assert_eq!(nvmlDeviceGetIndex(ptr::null(), Some(&mut count)), Code::InvalidArgument);
        assert_eq!(nvmlDeviceGetIndex(ptr::without_provenance(99), Some(&mut count)), Code::InvalidArgument);
        assert_eq!(nvmlDeviceGetTemperature(gpu, 1, Some(&mut count)), Code::InvalidArgument);
        let mut memory = VersionedMemory { version: 1, bytes: MaybeUninit::uninit() };
        assert_eq!(nvmlDeviceGetMemoryInfo_v2(gpu, Some(&mut memory)), Code::ArgumentVersionMismatch);
        assert_eq!(nvmlDeviceGetMemoryInfo_v2(gpu, None), Code::InvalidArgument);
        assert_eq!(nvmlDeviceGetMigMode(gpu, Some(&mut count), None), Code::InvalidArgument);

        // "Fake H100" is nine bytes and a NUL.
        // SAFETY: the buffer is null, or 96 bytes long.
        unsafe {
            assert_eq!(nvmlDeviceGetName(gpu, ptr::null_mut(), 96), Code::InvalidArgument);
            assert_eq!(nvmlDeviceGetName(gpu, buffer, 9), Code::InsufficientSize);
            assert_eq!(nvmlDeviceGetName(gpu, buffer, 10), Code::Success);
        }
        assert_eq!(text[9], 0);
        assert!(text[10..].iter().all(|&byte| byte == 0x7f), "nothing is written past the NUL");

        // The first of two shutdowns leaves the library open.
        assert_eq!(nvmlShutdown(), Code::Success);
        assert_eq!(nvmlDeviceGetIndex(gpu, Some(&mut count)), Code::Success);
        assert_eq!(nvmlShutdown(), Code::Success);
        assert_eq!(nvmlDeviceGetIndex(gpu, Some(&mut count)), Code::Uninitialized);
    }

    #[test]
    fn the_structs_have_the_layout_of_the_header() {
        assert_eq!(size_of::<Memory>(), 24);
        assert_eq!(std::mem::offset_of!(VersionedMemory, bytes), 8);
        assert_eq!(VersionedMemory::VERSION, 0x0200_0028);
        assert_eq!(size_of::<Out<'_, Handle>>(), size_of::<*mut Handle>());
    }
}
