//! What `sandbox` takes. The play itself stands above this room.

use std::path::PathBuf;

use clap::Args;

/// What is said below the help of `sandbox`.
pub const HELP: &str = "\
Examples:
  countersign sandbox
  countersign sandbox --json
  countersign sandbox --serve
  countersign sandbox --file my-withdrawals.json
  countersign sandbox --evm target/components/evm

Signer, co-signer, relay and a counterparty run as processes of their own on loopback, with throwaway keys, an own CA and
SQLite. Nothing of it is of worth, and nothing is broadcast. With --evm a private chain runs beside them, the Safe is put there by
the canonical factory, an observer and an executor run before it, and what the Safe pays arrives.";

/// What `sandbox` takes.
#[derive(Debug, Clone, Args)]
pub struct SandboxArgs {
    /// Stay up after the play; print every listener and a ready client call
    #[arg(long)]
    pub serve: bool,
    /// The withdrawals to play, as JSON; those of the repository where nothing is said
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Work in this new folder and keep it, instead of a temporary one
    #[arg(long = "keep", value_name = "FOLDER")]
    pub keep_dir: Option<PathBuf>,
    /// Pay on a chain too: a folder whose node_modules has npm's @foundry-rs/anvil and @safe-global/safe-contracts 1.4.1
    /// [default: COUNTERSIGN_EVM, where it is set]
    #[arg(long = "evm", value_name = "FOLDER")]
    pub evm_dir: Option<PathBuf>,
    /// Whether one JSON document is printed: the flag of every command.
    #[arg(skip)]
    pub json: bool,
}
