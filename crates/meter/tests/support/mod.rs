//! Machines with scripted GPUs: the fake NVML library, loaded by the real `nvml-wrapper`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

const EPOCH: &str = "FAKE_NVML_EPOCH_NS";
const SCRIPT: &str = "FAKE_NVML_SCRIPT";

/// Runs the body of the named test on a machine of this script, with the path of its NVML library. The library reads its script
/// from the environment, once: so the test runs itself again, as a process of its own, and only there the body.
///
/// Second 0 of the script is when that process reaches the body's machine, up to the time it takes to start.
pub(crate) fn machine(test: &str, script: &str, body: impl FnOnce(&Path)) {
    let library = library();
    if std::env::var_os(SCRIPT).is_some() {
        return body(&library);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script.json");
    std::fs::write(&path, script).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(SCRIPT, &path)
        .env(EPOCH, boot_time().as_nanos().to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "no test is named {test}: {said}");
    println!("{said}");
}

/// Seconds on the script's clock.
pub(crate) fn now() -> f64 {
    let epoch: u64 = std::env::var(EPOCH).unwrap().parse().unwrap();
    boot_time().as_secs_f64() - Duration::from_nanos(epoch).as_secs_f64()
}

/// Waits for a moment of the script.
pub(crate) fn wait_until(second: f64) {
    while now() < second {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn boot_time() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap(), u32::try_from(now.tv_nsec).unwrap())
}

/// The library, built into the folder that this test program was built into. Cargo holds no lock while tests run.
fn library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let profile = program.ancestors().nth(2).expect("test programs lie in <target>/<profile>/deps");
    let path = profile.join("libfake_nvml.so");
    if std::env::var_os(SCRIPT).is_some() {
        return path; // The process that started this one has built it.
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "fake-nvml", "--target-dir"]).arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    path
}
