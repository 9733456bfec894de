//! The log, verified here: every leaf is hashed again and compared with the signed and cosigned head. Believes nobody.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::connect::{ConnectArgs, Profile, Session};
use crate::audit::{Cosignature, LogKey, LogVerifier, VerifiedCheckpoint, WitnessKey};
use crate::cli::answer::{Answer, Facts};
use crate::cli::problem::{Exit, Problem};
use crate::desk::Role;
use crate::wire::v1;
use crate::withdrawal::Code;

/// What is done with each entry: its index and leaf.
type Take<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), Problem>;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Read the whole log, rebuild its root, and compare with the signed and cosigned head
    #[command(after_help = "\
Examples:
  countersign audit verify --profile auditor.toml --log-key 'exchange.example/signer+…' --cosigner-key 'exchange.example/cosigner+…'
  countersign audit verify --file log-2026-08.jsonl --log-key '…' --cosigner-key '…'

Take both keys from the trust file, not from whom you audit. Ends with 1 if anything does not hold.")]
    Verify(VerifyArgs),
    /// Write the whole log with its head into a file, for verifying elsewhere
    #[command(after_help = "\
Example:
  countersign audit export --profile auditor.toml --out log-2026-08.jsonl

The first line holds the checkpoint; each further line is one leaf, byte for byte, in order.")]
    Export(ExportArgs),
}

/// Whose log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Party {
    /// The signer's
    Signer,
    /// The co-signer's own
    Cosigner,
}

/// What `audit verify` takes.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Whose log is asked for
    #[arg(long, value_enum, default_value = "signer")]
    pub party: Party,
    /// Verify an exported file instead of asking a service
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The verifier key of the log (C2SP signed-note), as the trust file's log.signer has it
    #[arg(long, value_name = "VKEY")]
    pub log_key: Option<String>,
    /// The verifier key of the co-signer's cosignatures, as the trust file's log.cosigner has it
    #[arg(long, value_name = "VKEY")]
    pub cosigner_key: Option<String>,
}

/// What `audit export` takes.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Whose log is asked for
    #[arg(long, value_enum, default_value = "signer")]
    pub party: Party,
    /// The new file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// The first line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    countersign: String,
    checkpoint: String,
}

const HEADING: &str = "audit export v1";

/// Runs one of the commands.
pub async fn run(command: &AuditCommand) -> Result<Answer, Problem> {
    match command {
        AuditCommand::Verify(args) => verify(args).await,
        AuditCommand::Export(args) => export(args).await,
    }
}

fn role(party: Party) -> Role {
    match party {
        Party::Signer => Role::Signer,
        Party::Cosigner => Role::Cosigner,
    }
}

/// The keys against which a log is verified.
struct Keys {
    log: LogKey,
    cosigner: Option<WitnessKey>,
}

impl Keys {
    fn of(args: &VerifyArgs, profile: &Profile) -> Result<Self, Problem> {
        let log = args.log_key.as_ref().or(profile.log_key.as_ref());
        let log = log.ok_or_else(|| {
            Problem::config("--log-key", "is missing", "take it from the trust file's log.signer")
        })?;
        let cosigner = args
            .cosigner_key
            .as_ref()
            .or(profile.cosigner_key.as_ref())
            .filter(|_| args.party == Party::Signer);
        Ok(Self {
            log: LogKey::parse(log).map_err(|error| Problem::from(error).at("--log-key"))?,
            cosigner: cosigner
                .map(|key| WitnessKey::parse(key).map_err(|error| Problem::from(error).at("--cosigner-key")))
                .transpose()?,
        })
    }
}

/// A verification under way.
struct Verifying {
    verifier: LogVerifier,
    checkpoint: VerifiedCheckpoint,
    cosigned: Option<Cosignature>,
}

impl Verifying {
    fn begin(note: &str, keys: &Keys) -> Result<Self, Problem> {
        let checkpoint = VerifiedCheckpoint::open(note, &keys.log)?;
        let cosigned = keys.cosigner.as_ref().map(|key| Cosignature::open(note, key)).transpose()?;
        let verifier = LogVerifier::new(&[&checkpoint])?;
        Ok(Self { verifier, checkpoint, cosigned })
    }

    fn end(self) -> Result<Answer, Problem> {
        let verified = self.verifier.finish()?;
        let head = verified.head();
        let root = HEXLOWER.encode(&head.root.0);
        let cosigned = self.cosigned.as_ref().map(|by| format!("{} at {}", by.witness(), by.at()));
        let facts = Facts::new()
            .line("log", self.checkpoint.origin())
            .line("entries", head.size)
            .line("root", &root)
            .line("last entry", verified.last_at())
            .line("signed", "yes, by the log's key")
            .line(
                "cosigned",
                cosigned.clone().unwrap_or_else(|| "not checked: give --cosigner-key".to_owned()),
            )
            .line("verified", "every leaf leads to the signed root");
        let json = json!({
            "verified": true, "origin": self.checkpoint.origin(), "tree_size": head.size, "root_hex": root,
            "last_at": verified.last_at().0, "cosigned_by": self.cosigned.as_ref().map(Cosignature::witness),
            "cosigned_at": self.cosigned.as_ref().map(|by| by.at().0), "checkpoint": self.checkpoint.note(),
        });
        Ok(Answer { exit: Exit::Ok, json, text: facts.text() })
    }
}

async fn verify(args: &VerifyArgs) -> Result<Answer, Problem> {
    let keys = Keys::of(args, &args.connect.profile()?)?;
    if let Some(path) = &args.file {
        return verify_file(path, &keys);
    }
    let session = args.connect.open_to(role(args.party))?;
    let checkpoint = checkpoint(&session).await?;
    let mut verifying = Verifying::begin(&checkpoint.note, &keys)?;
    let size = verifying.checkpoint.head().size;
    each_leaf(&session, size, &mut |index, leaf| {
        Ok(verifying.verifier.leaf(index, leaf, None).map(|_| ())?)
    })
    .await?;
    verifying.end()
}

async fn checkpoint(session: &Session) -> Result<v1::Checkpoint, Problem> {
    Ok(session
        .client
        .audit()
        .get_checkpoint(session.request(v1::GetCheckpointRequest {}))
        .await?
        .into_inner())
}

/// Shows every leaf below `size` to `take`, in the order in which they come.
async fn each_leaf(session: &Session, size: u64, take: Take<'_>) -> Result<(), Problem> {
    if size == 0 {
        return Ok(());
    }
    let message = v1::ListEntriesRequest { start_index: 0, end_index: Some(size) };
    let mut stream = session.client.audit().list_entries(message).await?.into_inner();
    while let Some(batch) = stream.message().await? {
        for entry in batch.entries {
            take(entry.index, &entry.leaf)?;
        }
    }
    Ok(())
}

fn verify_file(path: &Path, keys: &Keys) -> Result<Answer, Problem> {
    let file = std::fs::File::open(path).map_err(|error| Problem::file(path, &error))?;
    let mut lines = BufReader::new(file).split(b'\n');
    let no = |problem: &str| {
        Problem::config(path.display().to_string(), problem, "use the file of `countersign audit export`")
    };
    let first = lines.next().ok_or_else(|| no("is empty"))?.map_err(|error| Problem::file(path, &error))?;
    let head: Head = serde_json::from_slice(&first).map_err(|_| no("does not begin with a checkpoint"))?;
    if head.countersign != HEADING {
        return Err(no("is of a version this program does not know"));
    }
    let mut verifying = Verifying::begin(&head.checkpoint, keys)?;
    for (index, line) in (0..).zip(lines) {
        let leaf = line.map_err(|error| Problem::file(path, &error))?;
        verifying.verifier.leaf(index, &leaf, None)?;
    }
    verifying.end()
}

async fn export(args: &ExportArgs) -> Result<Answer, Problem> {
    let session = args.connect.open_to(role(args.party))?;
    let checkpoint = checkpoint(&session).await?;
    let fault = |error: std::io::Error| Problem::file(&args.out, &error);
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&args.out).map_err(fault)?;
    let mut file = std::io::BufWriter::new(file);
    let head = Head { countersign: HEADING.to_owned(), checkpoint: checkpoint.note };
    let head =
        serde_json::to_string(&head).map_err(|error| Problem::of(Code::Internal, error.to_string()))?;
    writeln!(file, "{head}").map_err(fault)?;
    let mut count = 0_u64;
    each_leaf(&session, checkpoint.tree_size, &mut |index, leaf| {
        if index != count {
            return Err(Problem::of(
                Code::Internal,
                format!("leaf {count} is missing; leaf {index} came in its place"),
            ));
        }
        count = count.saturating_add(1);
        file.write_all(leaf).and_then(|()| file.write_all(b"\n")).map_err(fault)
    })
    .await?;
    file.flush().map_err(fault)?;
    let facts = Facts::new().line("written", args.out.display()).line("entries", count);
    let text = format!("{}Nothing is verified yet: run `countersign audit verify --file`.\n", facts.text());
    Ok(Answer::ok(json!({ "file": args.out, "entries": count }), text))
}
