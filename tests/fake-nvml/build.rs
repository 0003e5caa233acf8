//! Keeps the library in its process once it has been loaded.
//!
//! `nvml-wrapper` closes the library when its handle drops. Unloaded, the fake would forget its first
//! initialisation, and a second handle in the same process would start the script anew.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
    }
}
