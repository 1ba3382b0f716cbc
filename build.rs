//! Packs the dashboard, which is published as an .xz stream, so that no hook has to.

use std::{env, fs, io::Write, path::Path};

use lzma_rust2::{XzOptions, XzWriter};

/// As far as the compiler knows its way around: the highest preset makes it no smaller.
const PRESET: u32 = 6;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source = "src/observability/velero_backups.json";
    println!("cargo::rerun-if-changed={source}");
    let mut packed = XzWriter::new(Vec::new(), XzOptions::with_preset(PRESET))?;
    packed.write_all(&fs::read(source)?)?;
    let folder = env::var_os("OUT_DIR").ok_or("Cargo names no folder for what is built")?;
    fs::write(Path::new(&folder).join("velero_backups.json.xz"), packed.finish()?)?;
    Ok(())
}
