//! Compiles `proto/` into Rust types and a descriptor set, without a system protoc.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use protox::prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    let descriptors = protox::compile(proto_files(Path::new("proto/countersign/v1"))?, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("countersign.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // These two carry personal data: their `Debug` is written by hand and leaves it out.
        .skip_debug([".countersign.v1.CreateWithdrawalRequest", ".countersign.v1.PrepareWithdrawalRequest"])
        .compile_fds(descriptors)?;
    Ok(())
}

fn proto_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
