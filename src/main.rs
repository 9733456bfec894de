//! The program: hands over to the terminal's room, and the sandbox to its own.

use std::process::ExitCode;

use countersign::cli::{self, SandboxArgs};

fn main() -> ExitCode {
    cli::main(sandbox)
}

/// PLACEHOLDER until the sandbox is merged: then `countersign::sandbox::run(args)`.
fn sandbox(_: SandboxArgs) -> ExitCode {
    eprintln!("error: the sandbox is not part of this build");
    ExitCode::from(3)
}
