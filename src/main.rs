//! The program: hands over to the terminal's room, and the sandbox to its own.

use std::process::ExitCode;

/// A seventh of the processor time of a withdrawal, measured against the system's: docs/benchmarks.md.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countersign::cli::main(countersign::sandbox::main)
}
