//! Has the unwinder of GCC linked into the binary, where there is one to link (`libgcc_eh.a`, part of
//! every usual GCC). As a shared library it would be one more to be found on other machines, and to be
//! loaded: a twentieth of what a run of ten records takes.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if is_for_this_linux()
        && let Some(unwinder) = find_unwinder()
    {
        let dir = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
        // The linker takes the first that it finds under this name, and reads it as a script.
        let script = format!("INPUT(\"{unwinder}\")\n");
        fs::write(dir.join("libgcc_s.so"), script).expect("OUT_DIR is writable");
        println!("cargo::rerun-if-changed={unwinder}");
        println!("cargo::rustc-link-search=native={}", dir.display());
    }
}

/// Elsewhere GCC may be another one; and with musl, or the C library linked in, it is linked in as well.
fn is_for_this_linux() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && env::var_os("HOST") == env::var_os("TARGET")
        && !features.split(',').any(|feature| feature == "crt-static")
}

/// Where the linker has it.
fn find_unwinder() -> Option<String> {
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let found = Command::new(linker)
        .arg("-print-file-name=libgcc_eh.a")
        .output();
    let path = String::from_utf8(found.ok()?.stdout).ok()?;
    // What is not found is printed as it was asked for.
    let path = path.trim_end();
    path.starts_with('/').then(|| path.to_owned())
}
