//! How a quorum of operators ends a freeze: one text for each party, signed by each person, handed in together.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, json};

use super::freeze::read;
use super::parties::{self, Outcomes, Parties, PartiesArgs};
use super::sign::sign;
use crate::cli::answer::Answer;
use crate::cli::keyfile;
use crate::cli::problem::Problem;
use crate::evidence::{NAMESPACE_RESUME, ResumeText};
use crate::wire::v1;
use crate::withdrawal::{Code, KeyRole, Scope};

/// How long a resume may be handed in, in seconds, where nothing else is said.
const LIFE_S: u64 = 14_400;

const TEXT_HELP: &str = "\
Examples:
  countersign resume text --profile operator.toml --reviewed-signer 1204 --reviewed-cosigner 880 end-of-drill
  countersign resume text --profile operator.toml --reviewed-cosigner 880 --scope sweeps sweeps-at-the-cosigner

An index below the freeze's own entry, or one that the log does not have, is refused: see `countersign freeze show`.";

const SEND_HELP: &str = "\
Examples:
  countersign resume send --profile operator.toml end-of-drill
  countersign resume send --profile operator.toml end-of-drill --ssh-key ~/.ssh/id_ed25519

Takes every `resume-<party>.<name>.sig` beside each text. It ends with 0 if every party has taken its resume, which then
takes effect by itself after the party's delay.";

/// What `resume` can be told.
#[derive(Debug, Subcommand)]
pub enum ResumeCommand {
    #[command(after_help = TEXT_HELP)]
    /// Write the text of each party that is to resume into a folder, for the quorum to sign
    Text(TextArgs),
    #[command(after_help = SEND_HELP)]
    /// Hand in the texts of a folder with the signatures that stand beside them
    Send(SendArgs),
}

/// What `resume text` takes.
#[derive(Debug, Args)]
pub struct TextArgs {
    /// How to reach the parties.
    #[command(flatten)]
    pub parties: PartiesArgs,
    /// The largest index of the signer's log that was reviewed; without it the signer stays frozen
    #[arg(long, value_name = "INDEX", required_unless_present = "reviewed_cosigner")]
    pub reviewed_signer: Option<u64>,
    /// The largest index of the co-signer's log that was reviewed; without it the co-signer stays frozen
    #[arg(long, value_name = "INDEX")]
    pub reviewed_cosigner: Option<u64>,
    /// How much resumes: all, or sweeps to cold only
    #[arg(long, value_parser = scope, default_value = "all")]
    pub scope: Scope,
    /// How long it may be handed in, in seconds, at most a day
    #[arg(long, value_name = "SECONDS", default_value_t = LIFE_S)]
    pub life: u64,
    /// The folder for the texts; it is made
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// What `resume send` takes.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// How to reach the parties.
    #[command(flatten)]
    pub parties: PartiesArgs,
    /// Sign with this unencrypted OpenSSH private key, or with that of a .pub file through the agent, as well; may be given more
    /// than once
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Vec<PathBuf>,
    /// The folder that `resume text` wrote
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| "write all or sweeps".to_owned())
}

/// Writes texts, or hands them in.
pub async fn run(command: &ResumeCommand) -> Result<Answer, Problem> {
    match command {
        ResumeCommand::Text(args) => text(args).await,
        ResumeCommand::Send(args) => send(args).await,
    }
}

fn file(folder: &Path, party: KeyRole) -> PathBuf {
    folder.join(format!("resume-{}", party.as_str()))
}

async fn text(args: &TextArgs) -> Result<Answer, Problem> {
    let parties = args.parties.open()?;
    let wanted = [(KeyRole::Signer, args.reviewed_signer), (KeyRole::Cosigner, args.reviewed_cosigner)];
    std::fs::create_dir_all(&args.folder).map_err(|error| Problem::file(&args.folder, &error))?;
    let (mut shown, mut texts) = (String::new(), Map::new());
    for (party, reviewed) in wanted {
        let Some(reviewed) = reviewed else { continue };
        let text = text_of(&parties, party, reviewed, args).await?;
        let path = file(&args.folder, party);
        keyfile::write_new(&path, &text)?;
        let path = path.display();
        shown.push_str(&format!("{text}\n  ssh-keygen -Y sign -n {NAMESPACE_RESUME} -f <your key> {path}\n"));
        shown.push_str(&format!("  mv {path}.sig {path}.<your name>.sig\n\n"));
        texts.insert(party.as_str().to_owned(), json!(text));
    }
    let send = format!("countersign resume send {}", args.folder.display());
    shown.push_str(&format!("When enough people have signed:\n  {send}\n"));
    Ok(Answer::ok(json!({ "texts": texts, "namespace": NAMESPACE_RESUME, "send": send }), shown))
}

async fn text_of(
    parties: &Parties,
    party: KeyRole,
    reviewed: u64,
    args: &TextArgs,
) -> Result<String, Problem> {
    let view = parties.standing(party).await?;
    let Some(freeze) = view.in_force.and_then(|freeze| freeze.freeze) else {
        let problem = format!("no freeze of the {} has a name", party.as_str());
        return Err(Problem::of(Code::ResumeInvalid, problem).cure("see `countersign freeze show`"));
    };
    let at = view.at;
    let text = ResumeText { freeze, party, scope: args.scope, reviewed, at, expires_at: at.plus(args.life) };
    Ok(text.render())
}

async fn send(args: &SendArgs) -> Result<Answer, Problem> {
    let parties = args.parties.open()?;
    let mut outcomes: Outcomes = Vec::new();
    for party in [KeyRole::Signer, KeyRole::Cosigner] {
        let path = file(&args.folder, party);
        if !path.exists() {
            continue;
        }
        let outcome = match gathered(&path, &args.ssh_key) {
            Ok(message) => parties.resume(party, message).await,
            Err(problem) => Err(problem),
        };
        outcomes.push((party, outcome));
    }
    if outcomes.is_empty() {
        let cure = "name the folder that `countersign resume text` wrote";
        return Err(Problem::config("FOLDER", "holds no text of a resume", cure));
    }
    let taken =
        |view: &crate::desk::FreezeView| view.in_force.as_ref().is_none_or(|freeze| freeze.resume.is_some());
    Ok(parties::answer(&outcomes, taken))
}

/// A text with all signatures that stand beside it, `<text>.<name>.sig`, and those of the keys at hand.
fn gathered(path: &Path, keys: &[PathBuf]) -> Result<v1::ResumeRequest, Problem> {
    let text = read("FOLDER", path)?;
    ResumeText::parse(&text)?;
    let mut signatures = Vec::new();
    for beside in beside(path)? {
        signatures.push(read("FOLDER", &beside)?);
    }
    for key in keys {
        signatures.push(sign(key, NAMESPACE_RESUME, &text)?);
    }
    Ok(v1::ResumeRequest { text, signatures })
}

fn beside(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let (folder, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
    let begins = format!("{}.", name.to_string_lossy());
    let list = std::fs::read_dir(folder).map_err(|error| Problem::file(folder, &error))?;
    let mut found: Vec<PathBuf> = list.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&begins) && name.ends_with(".sig")
    });
    found.sort();
    Ok(found)
}
