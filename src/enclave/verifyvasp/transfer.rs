//! Owns what is ordered of an enclave server, and the report that is made of its result. Knows no state.

use serde_json::json;
use zeroize::Zeroizing;

use super::adapter::Office;
use crate::enclave::EnclaveFault;
use crate::enclave::answer::{Decision, Kind, Reason};
use crate::enclave::database::OrderRow;
use crate::enclave::exchange::answers::with_member;
use crate::enclave::ivms::Payload;
use crate::evidence::answer::commitment;
use crate::evidence::{RouteAnswer, VerificationAnswer, VerificationReport, render_report};
use crate::withdrawal::{Amount, Seconds, VaspId};

/// How long the salt before the payload is, in bytes.
pub(super) const SALT_LEN: usize = 32;

/// The report of a result; nothing while there is none. One that is about anything else than what was ordered is no yes.
pub(super) fn report(
    office: &Office,
    order: &OrderRow,
    said: &RouteAnswer,
) -> Result<Option<String>, EnclaveFault> {
    let Some(result) = said.result else { return Ok(None) };
    let no = |_| EnclaveFault::Unknown;
    let amount = Amount::parse("amount", &order.amount)?;
    let asset = office.server.names().own();
    let same = [
        said.named,
        said.originating_vasp == office.vasp,
        said.beneficiary_vasp == VaspId(order.vasp),
        said.asset == Some(asset),
        said.amount == Some(amount),
        said.verified_at.is_some() || result != Decision::Verified,
    ];
    let error = (Decision::Error, Reason::UndefinedError.as_str().to_owned());
    let (result, reason) = match (result, said.destination == order.destination) {
        _ if same.contains(&false) => {
            tracing::error!(uuid = %said.uuid, "the enclave server tells of another transfer than was ordered");
            error
        }
        (Decision::Verified, false) => {
            (Decision::Denied, Reason::BeneficiaryAccountNotMatched.as_str().to_owned())
        }
        (result, _) => (result, said.reason.clone()),
    };
    let (salt, _) = order.personal.split_first_chunk::<SALT_LEN>().ok_or(EnclaveFault::Unknown)?;
    let payload = payload_of(order, (office.now)())?;
    let digest = data_encoding::HEXLOWER.decode(order.digest.as_bytes()).map_err(no)?;
    let answer = VerificationAnswer {
        uuid: said.uuid,
        kind: Kind::User,
        originating_vasp: office.vasp,
        beneficiary_vasp: VaspId(order.vasp),
        asset,
        network: asset.chain(),
        destination: order.destination.clone(),
        amount,
        commitment: Some(commitment(salt, payload.beneficiary_canonical().as_bytes())),
        result,
        reason,
        answered_at: said.verified_at.unwrap_or((office.now)()),
        request_digest: digest.try_into().map_err(|_| EnclaveFault::Unknown)?,
    };
    let report = VerificationReport { said: answer, route: office.server.url().to_owned() };
    Ok(Some(render_report(&report)))
}

/// The persons that an order was given with.
pub(super) fn payload_of(order: &OrderRow, now: Seconds) -> Result<Payload, EnclaveFault> {
    let (_, canonical) = order.personal.split_first_chunk::<SALT_LEN>().ok_or(EnclaveFault::Unknown)?;
    Ok(Payload::parse(canonical, now)?)
}

/// The body of the order. The name must match whatever the amount: below a threshold nobody would look at it.
pub(super) fn body_of(office: &Office, order: &OrderRow) -> Result<Zeroizing<String>, EnclaveFault> {
    let unwritable = |_| EnclaveFault::State("the order cannot be written");
    let payload = payload_of(order, (office.now)())?;
    let denomination = office.server.names().denomination();
    let is_legal = payload.beneficiaries().first().is_some_and(|person| person.is_legal);
    let required = match is_legal {
        true => "ACCOUNT_NUMBER,LEGAL_PERSON_NAME,CORPORATE_REPRESENTATIVE_NAME",
        false => "ACCOUNT_NUMBER,NATURAL_PERSON_NAME",
    };
    let head = json!({
        "keyType": office.key_type.as_str(),
        "beneficiaryVaspId": order.vasp.to_string(),
        "assetInfo": {
            "symbol": denomination.symbol(),
            "network": office.server.names().network(),
            "amount": Amount::parse("amount", &order.amount)?.in_coin(denomination.decimals()),
            "isExceedingThreshold": true,
            "tradePrice": order.krw,
            "tradeCurrency": "KRW",
            "tradeISODatetime": iso(order.trade_ms),
        },
        "requiredBeneficiaryInfo": required,
    });
    let canonical = payload.canonical();
    let member = ["\"payload\":{\"version\":\"1.0\",\"ivms101\":", &*canonical, "}"];
    with_member(&head, &member).map_err(unwritable)
}

/// A moment as the network writes it: ISO 8601, UTC, with milliseconds.
pub(super) fn iso(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}
