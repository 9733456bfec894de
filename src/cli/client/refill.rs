//! Refills from cold: asks for one, hands its PSBTs out, takes signed copies back.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::VerifyingKey;
use serde_json::json;

use super::connect::{self, ConnectArgs};
use super::{attested, view};
use crate::cli::answer::{Answer, Facts, table};
use crate::cli::problem::Problem;
use crate::desk::{ColdCoinOrder, RefillOrder, RefillView};
use crate::evidence::signature::read_public_key;
use crate::wire::v1;
use crate::withdrawal::{Amount, Asset, Code};

/// The longest id of a refill, in bytes.
const ID_LEN_MAX: usize = 64;

/// What can be done about refills.
#[derive(Debug, Subcommand)]
pub enum RefillCommand {
    /// Operator: ask for coins from cold
    #[command(after_help = "\
Examples:
  countersign refill request --profile operator.toml --asset mainnet
  countersign refill request --profile operator.toml --asset mainnet --amount 250000000
  countersign refill request --profile operator.toml --asset mainnet --coin @deposit.hex:0:0/17

Without --amount it asks for what held withdrawals and the flow of the last day will need, as far as the share allows once
those withdrawals have left. The coins of the service's own sweeps are known; others are given once with --coin: the raw
transaction in hex (or @ and a file), the output, and branch and index of the cold wallet. The share is judged by both
parties; the address is derived, never typed.")]
    Request(RequestArgs),
    /// Operator, auditor: show every refill and how far it has come
    #[command(after_help = "\
Example:
  countersign refill list --profile auditor.toml")]
    List(ListArgs),
    /// Operator: write the PSBTs of a refill and the co-signer's attestation into a folder, for the cold room
    #[command(after_help = "\
Example:
  countersign refill export --profile operator.toml rf_00000042 --out /media/cold

Writes <refill>-1.psbt and so on (BIP-174, binary) and <refill>.attestation. Files that are there are not overwritten. With the
co-signer's attestation_key in the profile nothing is written unless its word holds for every PSBT. Have two keys of the cold
wallet sign every input of each, and hand the copies back before they are finalised.")]
    Export(ExportArgs),
    /// Operator: hand signed copies back
    #[command(after_help = "\
Example:
  countersign refill import --profile operator.toml rf_00000042 /media/cold/rf_00000042-1-signed.psbt

Binary or base64. Checked: the same transaction as exported, two good signatures of the cold wallet at every input and no
more. When the last is in, `countersign refill list --json` shows the finished transactions; broadcast them.")]
    Import(ImportArgs),
    /// Operator: take a refill back that carries no signature yet
    #[command(after_help = "\
Example:
  countersign refill cancel --profile operator.toml rf_00000042 --reason 'withdrawals were cancelled'")]
    Cancel(CancelArgs),
}

/// What `request` takes.
#[derive(Debug, Args)]
pub struct RequestArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Of what: a network's name or a CAIP-19 id
    #[arg(long, value_parser = connect::asset)]
    pub asset: Asset,
    /// How much, in base units; what is wanted where nothing is said
    #[arg(long, value_name = "UNITS")]
    pub amount: Option<u64>,
    /// A coin of the cold wallet: raw transaction or @file, output, branch/index
    #[arg(long = "coin", value_name = "HEX:VOUT:BRANCH/INDEX")]
    pub coins: Vec<String>,
}

/// What `list` takes.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// What `export` takes.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The refill
    pub refill: String,
    /// The folder to write into
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub out: PathBuf,
}

/// What `import` takes.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The refill
    pub refill: String,
    /// The signed PSBTs
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// What `cancel` takes.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The refill
    pub refill: String,
    /// Why
    #[arg(long)]
    pub reason: String,
}

/// Runs one of them.
pub async fn run(command: &RefillCommand) -> Result<Answer, Problem> {
    match command {
        RefillCommand::Request(args) => request(args).await,
        RefillCommand::List(args) => list(args).await,
        RefillCommand::Export(args) => export(args).await,
        RefillCommand::Import(args) => import(args).await,
        RefillCommand::Cancel(args) => {
            let session = args.connect.open()?;
            let (refill, reason) = (args.refill.clone(), args.reason.clone());
            let message = session.request(v1::CancelRefillRequest { refill, reason });
            answer(session.client.refills().cancel_refill(message).await?.into_inner())
        }
    }
}

fn answer(wire: v1::Refill) -> Result<Answer, Problem> {
    let view = RefillView::try_from(wire)?;
    Ok(Answer::ok(document(&view), shown(&view, claimed(&view))))
}

async fn request(args: &RequestArgs) -> Result<Answer, Problem> {
    let coins = args.coins.iter().map(|text| coin(text)).collect::<Result<_, _>>()?;
    let order = RefillOrder { asset: args.asset, amount: args.amount.map(Amount::from_sat), coins };
    let session = args.connect.open()?;
    let message = session.request(v1::CreateRefillRequest::from(order));
    answer(session.client.refills().create_refill(message).await?.into_inner())
}

/// Reads `<hex or @file>:<vout>:<branch>/<index>`.
fn coin(text: &str) -> Result<ColdCoinOrder, Problem> {
    let no = || {
        let cure =
            "write the raw transaction in hex or @ and its file, the output, branch/index: 0200…:0:0/17";
        Problem::config("--coin", "is not HEX:VOUT:BRANCH/INDEX", cure)
    };
    let (rest, place) = text.rsplit_once(':').ok_or_else(no)?;
    let (raw, vout) = rest.rsplit_once(':').ok_or_else(no)?;
    let (branch, index) = place.split_once('/').ok_or_else(no)?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| no());
    let digits = match raw.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|error| Problem::file(path.as_ref(), &error))?,
        None => raw.to_owned(),
    };
    let raw_transaction = HEXLOWER.decode(digits.trim().as_bytes()).map_err(|_| no())?;
    let (vout, branch, index) = (number(vout)?, number(branch)?, number(index)?);
    Ok(ColdCoinOrder { raw_transaction, vout, branch, index })
}

async fn list(args: &ListArgs) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    let message = session.request(v1::ListRefillsRequest {});
    let found = session.client.refills().list_refills(message).await?.into_inner();
    let views = found.refills.into_iter().map(TryInto::try_into).collect::<Result<Vec<RefillView>, _>>()?;
    let line = |view: &RefillView| {
        let earmarks = view.earmarks.len().to_string();
        let parts = view.parts.len().to_string();
        [
            view.id.clone(),
            view.state.as_str().to_owned(),
            total(view),
            parts,
            earmarks,
            view.expires_at.to_string(),
        ]
    };
    let lines: Vec<_> = views.iter().map(line).collect();
    let text = if lines.is_empty() {
        "no refill was ever asked for\n".to_owned()
    } else {
        table(["refill", "state", "amount", "transactions", "held", "waits until"], &lines)
    };
    Ok(Answer::ok(json!({ "refills": views.iter().map(document).collect::<Vec<_>>() }), text))
}

async fn export(args: &ExportArgs) -> Result<Answer, Problem> {
    let refill = file_name(&args.refill)?;
    let session = args.connect.open()?;
    let key = session.profile.attestation_key.as_deref();
    let key = key.map(|key| read_public_key("attestation_key", key)).transpose()?;
    let message = session.request(v1::ExportRefillRequest { refill: refill.to_owned() });
    let wire = session.client.refills().export_refill(message).await?.into_inner();
    handed_out(&RefillView::try_from(wire)?, refill, key.as_ref(), &args.out)
}

/// Writes what was handed out. With the co-signer's attestation key in the profile nothing that it did not attest is written.
fn handed_out(
    view: &RefillView,
    refill: &str,
    key: Option<&VerifyingKey>,
    folder: &Path,
) -> Result<Answer, Problem> {
    if view.id != refill {
        let cure = "nothing was written; find out who altered the answer";
        return Err(Problem::of(Code::EvidenceInvalid, "the service sent another refill").cure(cure));
    }
    let word = match key {
        Some(key) => attested::check(view, key).map(|()| "by the co-signer; it holds for every PSBT")?,
        None => claimed(view),
    };
    let mut facts = Facts::new();
    for (number, part) in (1..).zip(&view.parts) {
        let path = folder.join(format!("{refill}-{number}.psbt"));
        write_new(&path, &part.psbt)?;
        facts = facts.line("written", path.display());
    }
    if let Some(word) = &view.attestation {
        let path = folder.join(format!("{refill}.attestation"));
        let signature = HEXLOWER.encode(&word.signature);
        write_new(&path, format!("{}signature: {signature}\n", word.text).as_bytes())?;
        facts = facts.line("attestation", path.display());
    }
    Ok(Answer::ok(document(view), format!("{}{}", shown(view, word), facts.text())))
}

/// An id that can stand in the name of a file.
fn file_name(refill: &str) -> Result<&str, Problem> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !refill.is_empty() && refill.len() <= ID_LEN_MAX && refill.bytes().all(is_plain) {
        return Ok(refill);
    }
    let cure = "write it as `countersign refill list` shows it, such as rf_00000042";
    Err(Problem::config("REFILL", "is no id of a refill", cure))
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| Problem::file(path, &error))
}

async fn import(args: &ImportArgs) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    let mut last = None;
    for path in &args.files {
        let bytes = std::fs::read(path).map_err(|error| Problem::file(path, &error))?;
        let message = v1::ImportRefillRequest { refill: args.refill.clone(), psbt: binary(bytes) };
        let imported = session.client.refills().import_refill(session.request(message)).await?;
        last = Some(imported.into_inner());
    }
    answer(last.unwrap_or_default())
}

/// Base64 as many tools write it, or the bytes as they are.
fn binary(bytes: Vec<u8>) -> Vec<u8> {
    let text: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(&text).unwrap_or(bytes)
}

fn coins(refill: &RefillView, amount: Amount) -> String {
    view::coin(amount, refill.asset)
}

fn total(view: &RefillView) -> String {
    let units: u128 = view.parts.iter().map(|part| part.amount.units()).sum();
    coins(view, Amount::from_units(units))
}

/// What the service says of the co-signer's word.
fn claimed(view: &RefillView) -> &'static str {
    if view.attestation.is_some() { "claimed, not checked here" } else { "not yet" }
}

fn shown(view: &RefillView, attested: &str) -> String {
    let mut facts = Facts::new()
        .line("refill", &view.id)
        .line("state", view.state.as_str())
        .line("amount", total(view))
        .line("to", format!("{} (branch 1, index {})", view.address, view.index))
        .line("attested", attested)
        .line("asked by", &view.requested_by)
        .line("waits until", view.expires_at);
    for (number, part) in (1..).zip(&view.parts) {
        let state = match (part.seen, part.raw_transaction.is_empty()) {
            (true, _) => "seen",
            (false, false) => "signed: broadcast it",
            (false, true) => "to be signed",
        };
        let amounts = format!("{}, fee {}", coins(view, part.amount), coins(view, part.fee));
        facts = facts.line(
            format!("transaction {number}"),
            format!("{}, {amounts}, {} inputs, {state}", part.txid, part.inputs),
        );
    }
    for (withdrawal, amount) in &view.earmarks {
        facts = facts.line("made for", format!("{withdrawal} ({})", coins(view, *amount)));
    }
    facts.text()
}

fn document(view: &RefillView) -> serde_json::Value {
    let part = |part: &crate::desk::RefillPart| {
        json!({
            "txid": part.txid,
            "amount": part.amount.to_string(),
            "fee": part.fee.to_string(),
            "inputs": part.inputs,
            "psbt": BASE64.encode(&part.psbt),
            "tx_hex": HEXLOWER.encode(&part.raw_transaction),
            "seen": part.seen,
        })
    };
    let earmark = |(id, amount): &(crate::withdrawal::WithdrawalId, Amount)| json!({ "withdrawal": id.to_string(), "amount": amount.to_string() });
    json!({
        "refill": view.id,
        "state": view.state.as_str(),
        "asset": view.asset.to_string(),
        "address": view.address,
        "index": view.index,
        "parts": view.parts.iter().map(part).collect::<Vec<_>>(),
        "earmarks": view.earmarks.iter().map(earmark).collect::<Vec<_>>(),
        "requested_by": view.requested_by,
        "requested_at": view.requested_at.0,
        "expires_at": view.expires_at.0,
        "attestation": view.attestation.as_ref().map(|word| json!({
            "text": word.text,
            "signature": HEXLOWER.encode(&word.signature),
        })),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cold_coin_is_read_in_one_way_and_a_copy_in_two() {
        let order = ColdCoinOrder { raw_transaction: vec![2, 0], vout: 3, branch: 1, index: 17 };
        assert_eq!(coin("0200:3:1/17").unwrap(), order);
        for text in ["", "0200", "0200:3", "0200:3:1", "0200:x:1/17", "02:3:1/x", "zz:3:1/17"] {
            assert_eq!(coin(text).unwrap_err().field.as_deref(), Some("--coin"), "{text}");
        }
        assert_eq!(binary(b"cHNidP8=\n".to_vec()), b"psbt\xff");
        assert_eq!(binary(b"psbt\xff\x01".to_vec()), b"psbt\xff\x01");
    }

    fn view(id: &str) -> RefillView {
        RefillView {
            id: id.into(),
            state: crate::desk::RefillState::Exported,
            asset: Asset::Bitcoin(crate::withdrawal::Network::Regtest),
            address: "bcrt1q".into(),
            index: 0,
            parts: Vec::new(),
            earmarks: Vec::new(),
            requested_by: "kim".into(),
            requested_at: crate::withdrawal::Seconds(1),
            expires_at: crate::withdrawal::Seconds(2),
            attestation: Some(crate::desk::SignedText {
                text: "forged\n".into(),
                key_id: String::new(),
                signature: [1; 64],
            }),
        }
    }

    #[test]
    fn what_the_service_sends_is_no_path_and_its_word_is_only_claimed() {
        for text in ["", ".", "..", "../x", "/etc/x", "a/b", "a\\b", "rf 1", "rf\u{e9}", &"x".repeat(65)] {
            assert_eq!(file_name(text).unwrap_err().field.as_deref(), Some("REFILL"), "{text}");
        }
        let refill = file_name("rf_00000042").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        for other in ["../rf_00000042", "rf_00000043"] {
            let no = handed_out(&view(other), refill, None, folder.path()).unwrap_err();
            assert_eq!((no.code, files()), (Some(Code::EvidenceInvalid), 0), "{no}");
        }
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
        handed_out(&view(refill), refill, Some(&key), folder.path()).unwrap_err();
        assert_eq!(files(), 0, "what does not hold is not written");
        let told = handed_out(&view(refill), refill, None, folder.path()).unwrap();
        assert!(told.text.contains("claimed, not checked here"), "{}", told.text);
        assert_eq!(files(), 1);
    }
}
