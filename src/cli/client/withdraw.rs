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
use crate::cli::problem::{Exit, Problem};
use crate::desk::Cancellation;
use crate::evidence::signature::read_public_key;
use crate::evidence::{CancelRequest, Signed, ed25519, sign_cancel, sign_request, verify_void};
use crate::wire::v1;
use crate::withdrawal::{
    Amount, Asset, CustomerRef, Organisation, RequestId, Seconds, VaspId, WithdrawalId, WithdrawalRequest,
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
    /// The co-signer's attestation key in hex: checks its receipt, without which nothing is cancelled
    #[arg(long, value_name = "HEX")]
    pub attestation_key: Option<String>,
}

/// Takes a request back. What counts is the co-signer's receipt, checked here: a signer that is not honest can say that
/// it cancelled, and pay all the same.
pub async fn cancel(args: &CancelArgs) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    let profile = &session.profile;
    let organisation =
        given("--organisation", args.signer.organisation.as_ref(), profile.organisation.as_ref())?;
    let key = given("--attestation-key", args.attestation_key.as_ref(), profile.attestation_key.as_ref())?;
    let attestation_key = read_public_key("attestation_key", &key)?;
    let cancel = CancelRequest {
        organisation: Organisation::parse(&organisation)?,
        request_id: RequestId::parse(&args.request_id)?,
        asked_at: args.signer.asked_at.map_or_else(now, Seconds),
    };
    let id = WithdrawalId::of(&cancel.organisation, &cancel.request_id);
    let (key, key_id) = request_key(&args.signer, profile)?;
    let signed = wire(sign_cancel(&cancel, ed25519(&key))?, key_id);
    let message = v1::CancelWithdrawalRequest { cancellation: Some(signed) };
    let answer = session.client.withdrawals().cancel_withdrawal(session.request(message)).await?;
    taken_back(&Cancellation::try_from(answer.into_inner())?, id, &attestation_key)
}

/// What a cancellation came to: a yes only with a receipt that holds.
fn taken_back(
    answer: &Cancellation,
    id: WithdrawalId,
    attestation_key: &ed25519_dalek::VerifyingKey,
) -> Result<Answer, Problem> {
    if let Some(receipt) = &answer.receipt {
        verify_void(&receipt.text, &receipt.signature, attestation_key, id).map_err(|no| {
            Problem::from(no)
                .cure("believe nothing of it and ask for nothing in its place; find out who altered it")
        })?;
    }
    let said = match &answer.receipt {
        Some(_) => "cancelled: the co-signer's receipt holds; it is never paid",
        None => "not cancelled: the co-signer gave no receipt; ask for nothing in its place",
    };
    let receipt = answer.receipt.as_ref().map(|receipt| {
        json!({ "text": receipt.text, "key_id": receipt.key_id,
            "signature": data_encoding::HEXLOWER.encode(&receipt.signature) })
    });
    let mut document =
        answer.withdrawal.as_ref().map_or_else(|| json!({ "withdrawal": id.to_string() }), view::document);
    if let Value::Object(fields) = &mut document {
        fields.insert("cancelled".to_owned(), json!(receipt.is_some()));
        fields.insert("void_receipt".to_owned(), json!(receipt));
    }
    let exit = if receipt.is_some() { Exit::Ok } else { Exit::No };
    let shown = answer.receipt.as_ref().map(|receipt| format!("\n{}", receipt.text)).unwrap_or_default();
    let view = answer
        .withdrawal
        .as_ref()
        .map_or_else(|| format!("{id} was never asked of this signer\n"), view::text);
    Ok(Answer { exit, json: document, text: format!("{said}\n\n{view}{shown}") })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::desk::SignedText;
    use crate::evidence::{VoidCause, WithdrawalVoid, sign_void};
    use crate::withdrawal::Code;

    fn void(request_id: &str) -> WithdrawalVoid {
        WithdrawalVoid {
            organisation: Organisation::parse("hanbit").unwrap(),
            request_id: RequestId::parse(request_id).unwrap(),
            cause: VoidCause::Cancelled,
            evidence: [1; 32],
            voided_at: Seconds(1_800_000_000),
        }
    }

    fn answer(void: &WithdrawalVoid, seed: u8) -> Cancellation {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let signed = sign_void(void, ed25519(&key)).unwrap();
        let receipt =
            SignedText { text: signed.text, key_id: "attestation".into(), signature: signed.signature };
        Cancellation { withdrawal: None, receipt: Some(receipt) }
    }

    #[test]
    fn a_cancel_is_believed_with_the_cosigners_receipt_for_it_and_by_nothing_else() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[5; 32]).verifying_key();
        let (own, other) = (void("w-1"), void("w-2"));
        let id = own.withdrawal();
        let yes = taken_back(&answer(&own, 5), id, &key).unwrap();
        assert_eq!((yes.exit, &yes.json["cancelled"]), (Exit::Ok, &json!(true)));
        assert!(yes.text.contains("countersign withdrawal-void v1\n"), "{}", yes.text);
        // the signer's claim alone; a receipt of its own making; one of another withdrawal
        let none = Cancellation { withdrawal: None, receipt: None };
        let no = taken_back(&none, id, &key).unwrap();
        assert_eq!((no.exit, &no.json["cancelled"]), (Exit::No, &json!(false)));
        for forged in [answer(&own, 6), answer(&other, 5)] {
            assert_eq!(taken_back(&forged, id, &key).err().unwrap().code, Some(Code::EvidenceInvalid));
        }
    }
}
