//! End-to-end tests: the real binary, real processes, loopback.
//!
//! To know: [`Place`] (a fresh folder with a database's name in it, where commands are run), [`Running`] and [`Done`] (a command
//! before and after its end), and [`eventually`] (waits for a condition). Nothing here waits for time to pass: every wait has a
//! condition and a deadline, and says at the deadline what it saw last. The trials are `src/bin/trial.rs`.

mod network;
mod place;
mod process;
pub mod story;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub use network::Host;
pub use place::Place;
pub use process::{Done, Running, is_alive, run};

/// The deadline of everything that has none of its own. Far beyond what anything takes: it tells a hang from a slow machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(10);

/// The `gramwise` program of this build, built if need be. Cargo tells a test only of the programs of its own package.
///
/// # Panics
/// If it cannot be built.
pub fn gramwise() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| built("gramwise", "gramwise"))
}

/// The file `name` in the folder of build results, after Cargo has brought `package` up to date: always asked, because it
/// answers at once when there is nothing to do, and a program left from yesterday would be tested otherwise.
///
/// # Panics
/// If it cannot be built.
pub fn built(package: &str, name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a running program has a file");
    // <target>/<profile>/deps/e2e-<hash>
    let results = this.ancestors().nth(2).expect("Cargo puts tests two folders deep");
    let target = results.parent().expect("profiles are folders of the target folder");
    let profile = match results.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--package", package, "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("Cargo runs this test, so it can be started");
    assert!(done.status.success(), "cannot build {package}:\n{}", String::from_utf8_lossy(&done.stderr));
    results.join(name)
}

/// Waits until `look` finds what it looks for, and answers that.
///
/// # Panics
/// At the deadline, with what `look` saw last.
pub fn eventually<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + within;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => {
                assert!(Instant::now() < deadline, "not within {within:?}: {what}; last seen: {seen}");
            }
        }
        std::thread::sleep(LOOK);
    }
}
