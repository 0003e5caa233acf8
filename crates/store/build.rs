//! A number for the code that a snapshot is made of: one that other code wrote is not believed.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    let crates = PathBuf::from("..");
    let mut hasher = DefaultHasher::new();
    for name in ["carbon", "model", "surrogate", "search"] {
        let folder = crates.join(name).join("src");
        println!("cargo:rerun-if-changed={}", folder.display());
        hash(&folder, &mut hasher)?;
    }
    // Of 63 bits, so that it is an integer to SQLite.
    println!("cargo:rustc-env=GRAMWISE_STATE_BUILD={}", hasher.finish() >> 1);
    Ok(())
}

fn hash(folder: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            hash(&path, hasher)?;
        } else {
            path.file_name().hash(hasher);
            std::fs::read(&path)?.hash(hasher);
        }
    }
    Ok(())
}
