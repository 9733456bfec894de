//! Looks at a trust file as a party would open it: who signed it, and whom it makes the party believe.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::answer::{Answer, Facts};
use super::config::load;
use super::descriptor::party_of;
use super::problem::Problem;
use crate::evidence::trust_file::RequestKeyEntry;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum TrustCommand {
    /// Open the trust file of a configuration and show what it says
    #[command(after_help = "\
Example:
  countersign trust check --config signer.toml

Opens it exactly as the service would: the quorum of the configuration must have signed these bytes.")]
    Check(CheckArgs),
}

/// What `check` takes.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A signer's or co-signer's configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Runs one of the commands.
pub fn run(command: &TrustCommand) -> Result<Answer, Problem> {
    let TrustCommand::Check(args) = command;
    let party = party_of(&args.config)?;
    let trust = load::trust(&party.trust)?;
    let content = trust.content();
    let signers: Vec<&str> = trust.signers().collect();
    let digest = data_encoding::HEXLOWER.encode(trust.digest());
    let list = |items: Vec<String>| items.join(", ");
    let facts = Facts::new()
        .line("version", trust.version())
        .line("digest", &digest)
        .line("signed by", signers.join(", "))
        .line("own VASP", format!("{} {}", trust.vasp_id(), trust.vasp_name()))
        .line("networks", list(trust.chains().map(|chain| chain.to_string()).collect()))
        .line("log of the signer", trust.signer_log_key())
        .line("log of the co-signer", trust.cosigner_log_key())
        .line("request keys", list(content.request_keys.iter().map(request_key).collect()))
        .line(
            "statement keys",
            list(
                content
                    .statement_keys
                    .iter()
                    .map(|key| format!("{} ({})", key.observer, key.kinds.join(" ")))
                    .collect(),
            ),
        )
        .line(
            "operators",
            list(
                content
                    .operators
                    .iter()
                    .map(|person| format!("{} ({})", person.name, person.groups.join(" ")))
                    .collect(),
            ),
        )
        .line(
            "counterparties",
            list(
                content
                    .vasps
                    .iter()
                    .map(|vasp| {
                        format!("{} {}{}", vasp.id, vasp.name, if vasp.active { "" } else { " (not active)" })
                    })
                    .collect(),
            ),
        );
    let json =
        json!({ "version": trust.version(), "digest": digest, "signers": signers, "content": content });
    Ok(Answer::ok(json, facts.text()))
}

/// A request key with the people who can sign with it.
fn request_key(key: &RequestKeyEntry) -> String {
    let name = format!("{}/{}", key.organisation, key.id);
    if key.people.is_empty() { name } else { format!("{name} ({})", key.people.join(" ")) }
}
