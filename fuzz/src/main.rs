//! Drives the table of `countersign::fuzzing` by coverage (libFuzzer). `fuzz/run.sh` builds and runs this.
//!
//! `COUNTERSIGN_FUZZ` names the target. With `COUNTERSIGN_FUZZ_SEEDS=<folder>` its seeds are written there and nothing is run;
//! with `COUNTERSIGN_FUZZ=list` the names are.

#![no_main]

use std::sync::OnceLock;

use countersign::fuzzing::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

/// The target that the environment names; or the work that is done instead of fuzzing.
fn begin() {
    let name = std::env::var("COUNTERSIGN_FUZZ").unwrap_or_default();
    if name == "list" {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        std::process::exit(0);
    }
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("COUNTERSIGN_FUZZ names no target; with `list` every name is shown");
        std::process::exit(2);
    };
    if let Some(folder) = std::env::var_os("COUNTERSIGN_FUZZ_SEEDS") {
        for (n, seed) in (target.seeds)().into_iter().enumerate() {
            std::fs::write(std::path::Path::new(&folder).join(format!("seed-{n:04}")), seed).expect("a seed");
        }
        std::process::exit(0);
    }
    TARGET.get_or_init(|| *target);
}

fuzz_target!(init: begin(), |data: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(data);
    }
});
