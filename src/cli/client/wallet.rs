//! Customers' own self-hosted wallets: a challenge, its registration, and its removal.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::{self, ConnectArgs, asset_of, given};
use super::withdraw::{RequestKeyArgs, request_key, wire};
use crate::cli::answer::{Answer, Facts, table};
use crate::cli::now;
use crate::cli::problem::Problem;
use crate::desk::{ChallengeOrder, ChallengeView, SignedText, WalletView};
use crate::evidence::signature::read_public_key;
use crate::evidence::wallet_challenge::parse_challenge;
use crate::evidence::{
    ProofKind, WalletClaim, WalletRegistration, WalletRemoval, challenge_name, digest, ed25519,
    ownership_message, sign_registration, sign_removal, verify_challenge,
};
use crate::wire::v1;
use crate::withdrawal::{Asset, Code, CustomerRef, Invalid, Organisation, Seconds};

/// What can be done with customers' own wallets.
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Get a challenge: the message that the customer signs with the wallet
    #[command(
        after_help = "Example:\n  countersign --json wallet challenge customer-7 --address bc1q… > challenge.json"
    )]
    Challenge(ChallengeArgs),
    /// Register the wallet with the customer's signature; it counts after the delay
    #[command(
        after_help = "Example:\n  countersign wallet register --challenge challenge.json --proof AkcwRAIg…\n\n\
        Of a wallet on an EVM chain the proof is what `personal_sign` gives: 0x and 130 hex digits."
    )]
    Register(RegisterArgs),
    /// List registered wallets, removed ones too
    #[command(after_help = "Example:\n  countersign wallet list")]
    List(ListArgs),
    /// Remove a registration at both parties, for ever
    #[command(
        after_help = "Example:\n  countersign wallet remove 3f2a…  (the name that `wallet list` shows)"
    )]
    Remove(RemoveArgs),
}

/// What `wallet challenge` takes.
#[derive(Debug, Args)]
pub struct ChallengeArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The customer, by a reference that names no person
    #[arg(value_name = "CUSTOMER_REF")]
    pub customer_ref: String,
    /// The wallet's address: of type P2WPKH, P2TR or P2WSH (2-of-3), or an account of an EVM chain with its EIP-55 checksum
    #[arg(long)]
    pub address: String,
    /// The exchange, as the trust file names it
    #[arg(long, value_name = "NAME")]
    pub organisation: Option<String>,
    /// A network's name or a CAIP-19 id
    #[arg(long, value_parser = connect::asset)]
    pub asset: Option<Asset>,
}

/// What `wallet register` takes.
#[derive(Debug, Args)]
pub struct RegisterArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Who signs.
    #[command(flatten)]
    pub signer: RequestKeyArgs,
    /// What `wallet challenge --json` printed
    #[arg(long, value_name = "FILE")]
    pub challenge: PathBuf,
    /// The customer's signature over the message: BIP-322 simple, base64; on an EVM chain EIP-191, 0x and hex
    #[arg(long)]
    pub proof: String,
    /// How it proves: bip322-simple, eip191 or eip1271; by the chain where nothing is said
    #[arg(long, value_name = "KIND", value_parser = proof_kind)]
    pub proof_kind: Option<ProofKind>,
}

/// What `wallet list` takes.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Only this organisation's
    #[arg(long, value_name = "NAME")]
    pub organisation: Option<String>,
}

/// What `wallet remove` takes.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Who signs.
    #[command(flatten)]
    pub signer: RequestKeyArgs,
    /// The registration's name: 64 hex digits
    #[arg(value_name = "NAME")]
    pub name: String,
}

fn proof_kind(text: &str) -> Result<ProofKind, String> {
    ProofKind::parse(text).map_err(|no| no.problem)
}

/// A challenge in a file; what else the file says is not needed.
#[derive(Debug, Deserialize)]
struct ChallengeFile {
    challenge: ChallengeText,
}

#[derive(Debug, Deserialize)]
struct ChallengeText {
    text: String,
    key_id: String,
    signature: String,
}

/// Does one of them.
pub async fn run(command: &WalletCommand) -> Result<Answer, Problem> {
    match command {
        WalletCommand::Challenge(args) => challenge(args).await,
        WalletCommand::Register(args) => register(args).await,
        WalletCommand::List(args) => list(args).await,
        WalletCommand::Remove(args) => remove(args).await,
    }
}

async fn challenge(args: &ChallengeArgs) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    let profile = &session.profile;
    let organisation = given("--organisation", args.organisation.as_ref(), profile.organisation.as_ref())?;
    let order = ChallengeOrder {
        organisation: Organisation::parse(&organisation)?,
        customer_ref: CustomerRef::parse(&args.customer_ref)?,
        asset: asset_of(args.asset.as_ref(), profile)?,
        address: args.address.clone(),
    };
    let message = v1::CreateWalletChallengeRequest::from(order.clone());
    let answer = session.client.wallets().create_wallet_challenge(session.request(message)).await?;
    let view = ChallengeView::try_from(answer.into_inner())?;
    check(&view, order, profile.attestation_key.as_deref())?;
    let facts = Facts::new().line("challenge", &view.name).line("until", view.expires_at);
    let text = format!(
        "{}\nThe customer signs, without a line feed at the end:\n\n{}\n",
        facts.text(),
        view.message
    );
    let document = json!({
        "name": view.name, "message": view.message, "expires_at": view.expires_at.0,
        "challenge": signed_document(&view.challenge),
    });
    Ok(Answer::ok(document, text))
}

/// The customer must not be asked to sign for something else than was asked for.
fn check(view: &ChallengeView, order: ChallengeOrder, attestation_key: Option<&str>) -> Result<(), Problem> {
    let ChallengeOrder { organisation, customer_ref, asset, address } = order;
    let claim = WalletClaim { organisation, customer_ref, asset, address };
    let text = &view.challenge.text;
    if let Some(key) = attestation_key {
        verify_challenge(text, &view.challenge.signature, &read_public_key("attestation_key", key)?)?;
    }
    let same = parse_challenge(text)?.claim == claim
        && view.name == challenge_name(text)
        && view.message == ownership_message(&claim, &view.name);
    if same {
        return Ok(());
    }
    let problem = Problem::of(Code::EvidenceInvalid, "the challenge is not for what was asked");
    Err(problem.cure("let nobody sign it; find out who altered it"))
}

async fn register(args: &RegisterArgs) -> Result<Answer, Problem> {
    let challenge = read_challenge(&args.challenge)?;
    let session = args.connect.open()?;
    let claim = parse_challenge(&challenge.text)?.claim;
    let proof_kind = args.proof_kind.unwrap_or_else(|| ProofKind::of_key(claim.asset.chain()));
    let registration = WalletRegistration {
        claim,
        challenge: digest(&challenge.text),
        proof_kind,
        proof: args.proof.clone(),
        registered_at: args.signer.asked_at.map_or_else(now, Seconds),
    };
    let (key, key_id) = request_key(&args.signer, &session.profile)?;
    let message = v1::CreateWalletRegistrationRequest {
        registration: Some(wire(sign_registration(&registration, ed25519(&key))?, key_id)),
        challenge: Some(challenge),
    };
    let sent = session.client.wallets().create_wallet_registration(session.request(message)).await;
    match sent {
        Ok(answer) => one(answer.into_inner()),
        Err(status) => {
            let problem = Problem::from(status);
            let again = format!(
                "{}; to ask again for the same, give --asked-at {}",
                problem.cure, registration.registered_at.0
            );
            Err(if problem.may_have_happened { problem.cure(again) } else { problem })
        }
    }
}

fn read_challenge(path: &Path) -> Result<v1::SignedText, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem::file(path, &error))?;
    let unreadable = |problem: String| {
        Problem::config(
            path.display().to_string(),
            problem,
            "give the file that `wallet challenge --json` made",
        )
    };
    let file: ChallengeFile = serde_json::from_str(&text)
        .map_err(|error| unreadable(format!("line {} cannot be read", error.line())))?;
    let ChallengeText { text, key_id, signature } = file.challenge;
    let signature = HEXLOWER.decode(signature.as_bytes());
    let signature = signature.map_err(|_| unreadable("`signature` is no lower-case hex".to_owned()))?;
    Ok(v1::SignedText { text, key_id, signature })
}

async fn list(args: &ListArgs) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    let mut client = session.client.wallets();
    let mut views = Vec::new();
    let mut page_token = String::new();
    loop {
        let organisation = args.organisation.clone().unwrap_or_default();
        let message = v1::ListWalletRegistrationsRequest { page_size: 0, page_token, organisation };
        let page = client.list_wallet_registrations(session.request(message)).await?.into_inner();
        for wire in page.wallet_registrations {
            views.push(WalletView::try_from(wire)?);
        }
        if page.next_page_token.is_empty() {
            break;
        }
        page_token = page.next_page_token;
    }
    let row = |view: &WalletView| {
        let state =
            view.removed_at.map_or_else(|| view.effective_at.to_string(), |at| format!("removed {at}"));
        [view.customer_ref.to_string(), view.address.clone(), state, view.name.clone()]
    };
    let rows: Vec<_> = views.iter().map(row).collect();
    let text = table(["customer", "address", "effective", "name"], &rows);
    let documents: Vec<Value> = views.iter().map(document).collect();
    Ok(Answer::ok(json!({ "wallets": documents }), text))
}

async fn remove(args: &RemoveArgs) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    let organisation =
        given("--organisation", args.signer.organisation.as_ref(), session.profile.organisation.as_ref())?;
    let challenge = HEXLOWER.decode(args.name.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    let not_a_name = || {
        let cure = "give the name that `wallet list` shows";
        Invalid::new(Code::FieldMalformed, "name", "is not 64 lower-case hex digits", cure)
    };
    let removal = WalletRemoval {
        organisation: Organisation::parse(&organisation)?,
        challenge: challenge.ok_or_else(not_a_name)?,
        asked_at: args.signer.asked_at.map_or_else(now, Seconds),
    };
    let (key, key_id) = request_key(&args.signer, &session.profile)?;
    let signed = wire(sign_removal(&removal, ed25519(&key))?, key_id);
    let message = v1::DeleteWalletRegistrationRequest { removal: Some(signed) };
    let answer = session.client.wallets().delete_wallet_registration(session.request(message)).await?;
    one(answer.into_inner())
}

fn one(wire: v1::WalletRegistration) -> Result<Answer, Problem> {
    let view = WalletView::try_from(wire)?;
    let facts = Facts::new()
        .line("name", &view.name)
        .line("customer", &view.customer_ref)
        .line("address", &view.address)
        .line("effective", view.effective_at)
        .maybe("removed", view.removed_at);
    Ok(Answer::ok(document(&view), facts.text()))
}

fn document(view: &WalletView) -> Value {
    json!({
        "name": view.name, "organisation": view.organisation.as_str(),
        "customer_ref": view.customer_ref.as_str(), "asset": view.asset.to_string(), "address": view.address,
        "effective_at": view.effective_at.0, "removed_at": view.removed_at.map(|at| at.0),
        "registration": signed_document(&view.evidence.registration),
        "challenge": signed_document(&view.evidence.challenge),
    })
}

fn signed_document(signed: &SignedText) -> Value {
    json!({ "text": signed.text, "key_id": signed.key_id, "signature": HEXLOWER.encode(&signed.signature) })
}
