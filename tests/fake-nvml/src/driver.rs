//! What lasts between the calls: who has initialised the library, its GPUs and its clock.

use std::env;
use std::ffi::{CStr, c_uint, c_void};
use std::io::Write as _;
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::time::{ClockId, clock_gettime};

use crate::code::Code;
use crate::script::{self, Gpu, Instance};

/// A GPU as the callers hold it: its index plus one, never an address to look behind.
pub type Handle = *const c_void;

/// Bits of a handle below the number of an instance.
const INSTANCE: u32 = 16;

/// The library between `nvmlInit` and the `nvmlShutdown` that goes with it.
pub(crate) struct Driver {
    /// How many initialisations have not been shut down.
    inits: u32,
    gpus: Vec<Gpu>,
    /// Time 0 of the script, on the clock of [`boot_ns`].
    epoch_ns: i64,
}

/// A GPU that a call is about, and the time at which it asks.
pub(crate) struct Asked<'a> {
    pub(crate) index: c_uint,
    pub(crate) gpu: &'a Gpu,
    pub(crate) now_ns: i64,
}

/// `None` before the first `nvmlInit` and after the last `nvmlShutdown`.
static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

/// Reads the script, unless the library is initialised already: then it only counts.
pub(crate) fn init() -> Result<(), Code> {
    let mut driver = lock();
    if let Some(driver) = &mut *driver {
        driver.inits += 1;
        return Ok(());
    }
    match Driver::open() {
        Ok(opened) => {
            *driver = Some(opened);
            Ok(())
        }
        Err(fault) => {
            // Nobody is left to tell if even this fails, and a panic would take the caller down.
            let _ = writeln!(std::io::stderr(), "fake-nvml: {fault}");
            Err(Code::Unknown)
        }
    }
}

/// Takes back one initialisation; the last one closes the library.
pub(crate) fn shutdown() -> Result<(), Code> {
    let mut driver = lock();
    let open = driver.as_mut().ok_or(Code::Uninitialized)?;
    open.inits -= 1;
    if open.inits == 0 {
        *driver = None;
    }
    Ok(())
}

/// Asks the initialised library.
pub(crate) fn with<T>(ask: impl FnOnce(&Driver) -> Result<T, Code>) -> Result<T, Code> {
    ask(lock().as_ref().ok_or(Code::Uninitialized)?)
}

impl Driver {
    fn open() -> Result<Self, String> {
        let gpus = match env::var_os("FAKE_NVML_SCRIPT") {
            Some(file) => script::read(Path::new(&file))?,
            None => script::default_gpus(),
        };
        Ok(Self { inits: 1, gpus, epoch_ns: epoch_ns()? })
    }

    /// How many GPUs there are, lost ones included.
    pub(crate) fn count(&self) -> c_uint {
        c_uint::try_from(self.gpus.len()).unwrap_or(c_uint::MAX)
    }

    /// The handle of the GPU with this index.
    pub(crate) fn handle(&self, index: c_uint) -> Result<Handle, Code> {
        let handle = ptr::without_provenance((index as usize).wrapping_add(1));
        self.gpu(handle).map(|_| handle)
    }

    /// The handle of the GPU with this UUID.
    pub(crate) fn handle_by_uuid(&self, uuid: &CStr) -> Result<Handle, Code> {
        let number = |index: usize| c_uint::try_from(index).map_err(|_| Code::NotFound);
        if let Some(index) = self.gpus.iter().position(|gpu| gpu.uuid.as_c_str() == uuid) {
            return self.handle(number(index)?);
        }
        let instances = self.gpus.iter().enumerate().flat_map(|(index, gpu)| {
            gpu.mig.iter().enumerate().map(move |(part, instance)| (index, part, instance))
        });
        let (index, part, _) =
            instances.into_iter().find(|(.., one)| one.uuid.as_c_str() == uuid).ok_or(Code::NotFound)?;
        self.instance_handle(self.handle(number(index)?)?, number(part)?)
    }

    /// The handle of a GPU's instance.
    pub(crate) fn instance_handle(&self, device: Handle, index: c_uint) -> Result<Handle, Code> {
        let asked = self.gpu(device)?;
        asked.gpu.mig.get(index as usize).ok_or(Code::NotFound)?;
        Ok(ptr::without_provenance(((index as usize + 1) << INSTANCE) | (asked.index as usize + 1)))
    }

    /// The instance behind a handle; `None` for a whole GPU.
    pub(crate) fn instance(&self, handle: Handle) -> Option<&Instance> {
        let index = (handle.addr() >> INSTANCE).checked_sub(1)?;
        let gpu = self.gpus.get((handle.addr() & ((1 << INSTANCE) - 1)).checked_sub(1)?)?;
        gpu.mig.get(index)
    }

    /// The GPU behind a handle, now, unless it is lost. An instance of one is none: power and energy are the whole's.
    pub(crate) fn gpu(&self, handle: Handle) -> Result<Asked<'_>, Code> {
        if self.instance(handle).is_some() {
            return Err(Code::NotSupported);
        }
        let index = handle.addr().checked_sub(1).ok_or(Code::InvalidArgument)?;
        let gpu = self.gpus.get(index).ok_or(Code::InvalidArgument)?;
        let now_ns = boot_ns().saturating_sub(self.epoch_ns);
        if gpu.is_lost(now_ns) {
            return Err(Code::GpuIsLost);
        }
        Ok(Asked { index: c_uint::try_from(index).map_err(|_| Code::InvalidArgument)?, gpu, now_ns })
    }
}

/// Time 0: what the environment says, or else the first initialisation of this process.
fn epoch_ns() -> Result<i64, String> {
    static FIRST_INIT: OnceLock<i64> = OnceLock::new();
    let first_init = *FIRST_INIT.get_or_init(boot_ns);
    match env::var_os("FAKE_NVML_EPOCH_NS") {
        None => Ok(first_init),
        Some(text) => text
            .to_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("$FAKE_NVML_EPOCH_NS: {} is not a whole number", text.display())),
    }
}

/// The nanoseconds since the machine started, the time asleep included: the same in every process.
fn boot_ns() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn lock() -> MutexGuard<'static, Option<Driver>> {
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}
