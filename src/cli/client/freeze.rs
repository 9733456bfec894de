//! What any one operator does in an emergency: stop both parties, and see how they stand.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::connect::given;
use super::parties::{self, Parties, PartiesArgs};
use super::sign::sign;
use crate::cli::answer::Answer;
use crate::cli::keyfile;
use crate::cli::problem::Problem;
use crate::evidence::{Addressee, FreezeText, NAMESPACE_FREEZE};
use crate::wire::v1;
use crate::withdrawal::{Code, FreezeId};

const SHOW_HELP: &str = "\
Example:
  countersign freeze show --profile operator.toml --json

It ends with 0 if every party answered, frozen or not. An operator or an auditor may ask.";

/// What `freeze` takes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct FreezeArgs {
    /// Something else than to freeze
    #[command(subcommand)]
    pub command: Option<FreezeCommand>,
    /// How to reach the parties.
    #[command(flatten)]
    pub parties: PartiesArgs,
    /// Which party: signer, cosigner or both
    #[arg(long, value_parser = party, default_value = "both")]
    pub party: Addressee,
    /// Why, in one line of at most 200 characters, without personal data; part of the signed text
    #[arg(long, required_unless_present = "text")]
    pub reason: Option<String>,
    /// The operator's name in the trust file
    #[arg(long, value_name = "NAME")]
    pub operator: Option<String>,
    /// Sign with this OpenSSH private key (Ed25519 or ECDSA P-256, unencrypted), or, if it is a .pub file, through the agent
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
    /// Write the text into this file, for `ssh-keygen -Y sign`, and hand in nothing
    #[arg(long, value_name = "FILE", conflicts_with = "ssh_key")]
    pub text_out: Option<PathBuf>,
    /// Hand in the text of this file, which --text-out wrote
    #[arg(long, value_name = "FILE", requires = "signature", conflicts_with_all = ["ssh_key", "text_out"])]
    pub text: Option<PathBuf>,
    /// The signature over it that `ssh-keygen -Y sign` made
    #[arg(long, value_name = "FILE", requires = "text")]
    pub signature: Option<PathBuf>,
}

/// What there is besides.
#[derive(Debug, Subcommand)]
pub enum FreezeCommand {
    /// Show how each party stands
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
}

/// What `freeze show` takes.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// How to reach the parties.
    #[command(flatten)]
    pub parties: PartiesArgs,
    /// Which party: signer, cosigner or both
    #[arg(long, value_parser = party, default_value = "both")]
    pub party: Addressee,
}

/// Reads which party is meant.
pub fn party(text: &str) -> Result<Addressee, String> {
    Addressee::parse(text).ok_or_else(|| "write signer, cosigner or both".to_owned())
}

/// Freezes, or shows.
pub async fn run(args: &FreezeArgs) -> Result<Answer, Problem> {
    if let Some(FreezeCommand::Show(args)) = &args.command {
        let parties = args.parties.open()?;
        let outcomes = parties::each(args.party, |party| parties.standing(party)).await;
        return Ok(parties::answer(&outcomes, |_| true));
    }
    let parties = args.parties.open()?;
    let (text, signature) = match (&args.text, &args.signature) {
        (Some(text), Some(signature)) => (read("--text", text)?, read("--signature", signature)?),
        _ => match signed(args, &parties)? {
            Signing::Signed(text, signature) => (text, signature),
            Signing::Told(answer) => return Ok(answer),
        },
    };
    let freeze = FreezeText::parse(&text)?;
    let message = v1::FreezeRequest { text, signature };
    let outcomes = parties::each(freeze.party, |party| parties.freeze(party, message.clone())).await;
    // A freeze that was seen before and has ended freezes nothing.
    Ok(parties::answer(&outcomes, |view| view.in_force.is_some()))
}

enum Signing {
    Signed(String, String),
    Told(Answer),
}

/// Writes the text of a new freeze, and signs it where there is a key. Nobody is asked twice: a freeze is the safe side.
fn signed(args: &FreezeArgs, parties: &Parties) -> Result<Signing, Problem> {
    let mut bytes = [0; 16];
    let random = getrandom::fill(&mut bytes);
    random.map_err(|_| Problem::of(Code::Internal, "the system gives no randomness"))?;
    let text = FreezeText {
        freeze: FreezeId::of_bytes(bytes),
        party: args.party,
        operator: given("--operator", args.operator.as_ref(), parties.profile.operator.as_ref())?,
        at: crate::cli::now(),
        reason: args.reason.clone().unwrap_or_default(),
    };
    let text = text.render();
    FreezeText::parse(&text)?;
    if let Some(path) = &args.text_out {
        keyfile::write_new(path, &text)?;
        let file = path.display();
        let sign = format!("ssh-keygen -Y sign -n {NAMESPACE_FREEZE} -f <your key> {file}");
        let send = format!("countersign freeze --text {file} --signature {file}.sig");
        let json = json!({ "text": text, "namespace": NAMESPACE_FREEZE, "sign": sign, "send": send });
        let shown = format!("{text}\nNOTHING IS FROZEN YET. Within ten minutes:\n  {sign}\n  {send}\n");
        return Ok(Signing::Told(Answer::ok(json, shown)));
    }
    let cure = "name your SSH key, or write ssh_key into the profile; with a security key: --text-out";
    let missing = || Problem::config("--ssh-key", "is missing", cure);
    let key = args.ssh_key.as_ref().or(parties.profile.ssh_key.as_ref()).ok_or_else(missing)?;
    let signature = sign(key, NAMESPACE_FREEZE, &text)?;
    Ok(Signing::Signed(text, signature))
}

/// Reads a file that a flag names.
pub fn read(flag: &str, path: &std::path::Path) -> Result<String, Problem> {
    std::fs::read_to_string(path).map_err(|error| Problem::file(path, &error).at(flag))
}
