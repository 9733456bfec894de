//! The program: hands over to the terminal's room, and the sandbox to its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    countersign::cli::main(countersign::sandbox::main)
}
