//! Asking for a withdrawal: builds the request's canonical text, signs it with the request key, and sends it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect::{self, ConnectArgs, Profile, given, key_file};
use super::view;
use crate::cli::answer::Answer;
use crate::cli::keyfile;
use crate::cli::now;
use crate::cli::problem::Problem;
use crate::evidence::{CancelRequest, Signed, ed25519, sign_cancel, sign_request};
use crate::wire::v1;
use crate::withdrawal::{
    Amount, Asset, Code, CustomerRef, Organisation, RequestId, Seconds, VaspId, WithdrawalRequest,
};

/// Who signs.
#[derive(Debug, Args)]
pub struct RequestKeyArgs {
    /// The exchange that asks, as the trust file names it
    #[arg(long, value_name = "NAME")]
    pub organisation: Option<String>,
    /// The file of its request key
    #[arg(long, value_name = "FILE")]
    pub request_key: Option<PathBuf>,
    /// The key's id in the trust file
    #[arg(long, value_name = "ID")]
    pub request_key_id: Option<String>,
    /// When it was asked, in unix seconds; now where nothing is said. To ask again after a fault, give the same
    #[arg(long, value_name = "SECONDS")]
    pub asked_at: Option<u64>,
}

/// What `withdraw` takes.
#[derive(Debug, Args)]
pub struct WithdrawArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Who signs.
    #[command(flatten)]
    pub signer: RequestKeyArgs,
    /// A JSON file with the fields of a request, and `ivms101` where there is one; flags count before it
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,
    /// The idempotency key: 1 to 64 of A-Z a-z 0-9 . _ - :
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// The customer, by a reference that names no person
    #[arg(long, value_name = "REF")]
    pub customer_ref: Option<String>,
    /// A network's name or a CAIP-19 id
    #[arg(long, value_parser = connect::asset)]
    pub asset: Option<Asset>,
    /// Where to pay to
    #[arg(long, value_name = "ADDRESS")]
    pub destination: Option<String>,
    /// How much the payee gets, in base units (satoshi)
    #[arg(long, value_name = "UNITS")]
    pub amount: Option<String>,
    /// The most the network fee may be, in base units
    #[arg(long, value_name = "UNITS")]
    pub fee_max: Option<String>,
    /// The VASP that holds the destination; 0 for the customer's own registered wallet
    #[arg(long, value_name = "ID")]
    pub beneficiary_vasp: Option<String>,
    /// Originator and beneficiary as IVMS101 JSON
    #[arg(long, value_name = "FILE")]
    pub ivms101: Option<PathBuf>,
    /// Only have the travel rule verified; ask for the payment later with the same request
    #[arg(long)]
    pub prepare: bool,
    /// Print the signed request and send nothing
    #[arg(long, conflicts_with = "prepare")]
    pub sign_only: bool,
}

/// A request in a file. Its field names are those of the canonical text.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RequestFile {
    organisation: Option<String>,
    request_id: Option<String>,
    customer_ref: Option<String>,
    asset: Option<String>,
    destination: Option<String>,
    amount: Option<String>,
    fee_max: Option<String>,
    beneficiary_vasp: Option<String>,
    asked_at: Option<u64>,
    ivms101: Option<Value>,
}

/// Asks for a withdrawal.
pub async fn run(args: &WithdrawArgs) -> Result<Answer, Problem> {
    let profile = args.connect.profile()?;
    let file = args.request.as_deref().map_or_else(|| Ok(RequestFile::default()), read_file)?;
    let request = build(args, &file, &profile)?;
    let payload = payload(args, file.ivms101)?;
    let (key, key_id) = request_key(&args.signer, &profile)?;
    let signed = wire(sign_request(&request, ed25519(&key))?, key_id);
    if args.sign_only {
        return Ok(signed_only(&signed));
    }
    let session = args.connect.open()?;
    let mut client = session.client.withdrawals();
    let sent = if args.prepare {
        let message = v1::PrepareWithdrawalRequest { request: Some(signed), ivms101_payload: payload };
        client.prepare_withdrawal(session.request(message)).await
    } else {
        let message = v1::CreateWithdrawalRequest { request: Some(signed), ivms101_payload: payload };
        client.create_withdrawal(session.request(message)).await
    };
    match sent {
        Ok(withdrawal) => view::answer(withdrawal.into_inner()),
        Err(status) => {
            let problem = Problem::from(status);
            let open = problem.may_have_happened || problem.code.is_none();
            let again = format!(
                "{}; to ask again for the same, give --asked-at {}",
                problem.cure, request.asked_at.0
            );
            Err(if open { problem.cure(again) } else { problem })
        }
    }
}

fn read_file(path: &Path) -> Result<RequestFile, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem::file(path, &error))?;
    serde_json::from_str(&text).map_err(|error| {
        // A parser's message can repeat what it read, which may be personal data: only the place is told.
        let problem = format!("line {} cannot be read", error.line());
        let cure = "write a JSON object with organisation, request_id, customer_ref, asset, destination, amount, fee_max, \
                    beneficiary_vasp, asked_at and ivms101; amounts are strings";
        Problem::config(path.display().to_string(), problem, cure)
    })
}

fn build(args: &WithdrawArgs, file: &RequestFile, profile: &Profile) -> Result<WithdrawalRequest, Problem> {
    let organisation = args.signer.organisation.as_ref().or(file.organisation.as_ref());
    let organisation = given("--organisation", organisation, profile.organisation.as_ref())?;
    let given = |flag: &str, flagged: &Option<String>, known: &Option<String>| {
        given(flag, flagged.as_ref(), known.as_ref())
    };
    let in_file = file.asset.as_deref().map(connect::asset).transpose()?;
    let asset = connect::asset_of(args.asset.as_ref().or(in_file.as_ref()), profile)?;
    Ok(WithdrawalRequest {
        organisation: Organisation::parse(&organisation)?,
        request_id: RequestId::parse(&given("--request-id", &args.request_id, &file.request_id)?)?,
        customer_ref: CustomerRef::parse(&given("--customer-ref", &args.customer_ref, &file.customer_ref)?)?,
        asset,
        destination: given("--destination", &args.destination, &file.destination)?,
        amount: Amount::parse("amount", &given("--amount", &args.amount, &file.amount)?)?,
        fee_max: Amount::parse("fee_max", &given("--fee-max", &args.fee_max, &file.fee_max)?)?,
        beneficiary_vasp: VaspId::parse(&given(
            "--beneficiary-vasp",
            &args.beneficiary_vasp,
            &file.beneficiary_vasp,
        )?)?,
        asked_at: args.signer.asked_at.or(file.asked_at).map_or_else(now, Seconds),
    })
}

fn payload(args: &WithdrawArgs, in_file: Option<Value>) -> Result<Vec<u8>, Problem> {
    match (&args.ivms101, in_file) {
        (Some(path), _) => std::fs::read(path).map_err(|error| Problem::file(path, &error)),
        (None, Some(value)) => Ok(value.to_string().into_bytes()),
        (None, None) => Ok(Vec::new()),
    }
}

/// The request key, and its id in the trust file.
pub fn request_key(
    args: &RequestKeyArgs,
    profile: &Profile,
) -> Result<(ed25519_dalek::SigningKey, String), Problem> {
    let key = key_file("--request-key", args.request_key.as_ref(), profile.request_key.as_ref())?;
    let key = keyfile::read("--request-key", key)?;
    Ok((key, given("--request-key-id", args.request_key_id.as_ref(), profile.request_key_id.as_ref())?))
}

/// A signed text for the wire.
pub fn wire(signed: Signed, key_id: String) -> v1::SignedText {
    v1::SignedText { text: signed.text, key_id, signature: signed.signature.to_vec() }
}

/// The answer where nothing is sent.
pub fn signed_only(signed: &v1::SignedText) -> Answer {
    let signature = data_encoding::HEXLOWER.encode(&signed.signature);
    let text = format!("{}\nkey id:    {}\nsignature: {signature}\n", signed.text, signed.key_id);
    Answer::ok(json!({ "text": signed.text, "key_id": signed.key_id, "signature": signature }), text)
}

/// What `cancel` takes.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// Who signs.
    #[command(flatten)]
    pub signer: RequestKeyArgs,
    /// The request that is to be undone
    #[arg(value_name = "REQUEST_ID")]
    pub request_id: String,
}

/// Takes a request back.
pub async fn cancel(args: &CancelArgs) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    let organisation =
        given("--organisation", args.signer.organisation.as_ref(), session.profile.organisation.as_ref())?;
    let cancel = CancelRequest {
        organisation: Organisation::parse(&organisation)?,
        request_id: RequestId::parse(&args.request_id)?,
        asked_at: args.signer.asked_at.map_or_else(now, Seconds),
    };
    let (key, key_id) = request_key(&args.signer, &session.profile)?;
    let signed = wire(sign_cancel(&cancel, ed25519(&key))?, key_id);
    let message = v1::CancelWithdrawalRequest { cancellation: Some(signed) };
    let answer = session.client.withdrawals().cancel_withdrawal(session.request(message)).await?;
    let view = view::read(answer.into_inner())?;
    let cancelled = view::findings(&view.outcome).iter().any(|finding| finding.code == Code::Cancelled);
    let exit = if cancelled { crate::cli::problem::Exit::Ok } else { crate::cli::problem::Exit::No };
    Ok(Answer { exit, json: view::document(&view), text: view::text(&view) })
}
