//! Compiles the object that the capture gives a recorded kernel (`src/capture/preload/object.rs`): the program carries
//! it along, for it is one file.

use std::{env, error::Error, fs, path::PathBuf, process::Command};

#[expect(clippy::disallowed_methods, reason = "cargo speaks through the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    let (object, layout) = ("src/capture/preload/object.rs", "src/capture/preload/layout.rs");
    println!("cargo::rerun-if-changed={object}");
    println!("cargo::rerun-if-changed={layout}");
    let target = env::var("TARGET")?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("preload.so");
    if target != "x86_64-unknown-linux-gnu" {
        // Without it everything is seen as well, only dearer. An object that is linked to another C library suits no kernel.
        fs::write(out, [])?;
        return Ok(());
    }
    let mut rustc = Command::new(env::var("RUSTC")?);
    rustc.args(["--edition=2024", "--crate-name=nbpack_preload", "--crate-type=cdylib", "--target", &target]);
    rustc.args(["-Copt-level=2", "-Cpanic=abort", "-Cstrip=symbols", "-Ctarget-feature=-crt-static"]);
    rustc.args(["-Clink-args=-nostartfiles -lc", "-o"]).arg(out).arg(object);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    let status = rustc.status()?;
    if status.success() { Ok(()) } else { Err(format!("rustc ended with {status} for {object}").into()) }
}
