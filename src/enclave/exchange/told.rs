//! Owns what the exchange's backend is told: the bodies of successes, in the documented words.

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use zeroize::Zeroizing;

use super::errors::Refused;
use crate::enclave::{AccountReply, AssetInfo, Ordered, Page, Record, Transfer, VaspHealth, VaspListed};
use crate::withdrawal::{Seconds, VaspId};

/// JSON that wipes itself once it was sent, and that no cache may keep.
pub(super) struct Told(Zeroizing<Vec<u8>>);

impl Told {
    /// Writes it into room made beforehand, so that growing leaves no copies behind.
    pub(super) fn write(body: &impl Serialize, room: usize) -> Result<Self, Refused> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        serde_json::to_writer(&mut *bytes, body).map_err(|_| Refused::internal())?;
        Ok(Self(bytes))
    }
}

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
        (headers, Body::from(Bytes::from_owner(self.0))).into_response()
    }
}

const SMALL: usize = 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderedBody<'a> {
    verification_uuid: &'a str,
    created_at: String,
}

/// The acknowledgement of an order.
pub(super) fn ordered(ordered: &Ordered) -> Result<Told, Refused> {
    let created_at = ordered.created_at.to_string();
    Told::write(&OrderedBody { verification_uuid: &ordered.uuid, created_at }, SMALL)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountBody {
    account_verification_result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    verified_at: String,
}

/// What the other VASP says of an address.
pub(super) fn account(reply: &AccountReply) -> Result<Told, Refused> {
    let body = AccountBody {
        account_verification_result: if reply.verified { "VERIFIED" } else { "DENIED" },
        reason: reply.reason.filter(|_| !reply.verified).map(|reason| reason.as_str()),
        verified_at: reply.verified_at.to_string(),
    };
    Told::write(&body, SMALL)
}

/// `{"result": true}`.
pub(super) fn taken() -> Result<Told, Refused> {
    Told::write(&serde_json::json!({ "result": true }), SMALL)
}

/// The own id.
pub(super) fn own(vasp: VaspId) -> Result<Told, Refused> {
    Told::write(&serde_json::json!({ "vaspId": vasp.to_string() }), SMALL)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransferBody<'a> {
    verification_uuid: &'a str,
    transaction_status: &'static str,
    tx_hash: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vout: Option<&'a str>,
}

/// How far a transfer has come.
pub(super) fn transfer(uuid: &str, transfer: &Transfer) -> Result<Told, Refused> {
    let body = TransferBody {
        verification_uuid: uuid,
        transaction_status: transfer.status.as_str(),
        tx_hash: transfer.tx_hash.as_deref().unwrap_or_default(),
        vout: transfer.vout.as_deref(),
    };
    Told::write(&body, SMALL)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VaspBody {
    health: &'static str,
    vasp_id: String,
    vasp_name: String,
    protocol: &'static str,
    vasp_status: &'static str,
    created_at: String,
    updated_at: String,
}

/// The VASPs of our own network. Their times are those at which this enclave took up its trust file: it holds no others.
pub(super) fn vasps(
    listed: &[VaspListed],
    name: impl Fn(VaspId) -> Option<String>,
    since: Seconds,
) -> Result<Told, Refused> {
    let line = |one: &VaspListed| VaspBody {
        health: match one.health {
            VaspHealth::Up => "UP",
            VaspHealth::Down => "DOWN",
        },
        vasp_id: one.vasp.to_string(),
        vasp_name: name(one.vasp).unwrap_or_else(|| one.vasp.to_string()),
        protocol: "VERIFYVASP",
        vasp_status: "VERIFIED-MEMBER",
        created_at: since.to_string(),
        updated_at: since.to_string(),
    };
    let all: Vec<VaspBody> = listed.iter().map(line).collect();
    Told::write(&serde_json::json!({ "vasps": all }), SMALL)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordBody<'a> {
    verification_id: u64,
    verification_uuid: &'a str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    asset_info: &'a AssetInfo,
    tx_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vout: Option<&'a str>,
    originating_vasp_id: String,
    originator_account_number: &'a str,
    #[serde(rename = "ivms101Originator")]
    ivms101_originator: &'a str,
    #[serde(rename = "ivms101OriginatingVasp")]
    ivms101_originating_vasp: &'a str,
    beneficiary_vasp_id: String,
    beneficiary_account_number: &'a str,
    #[serde(rename = "ivms101Beneficiary")]
    ivms101_beneficiary: &'a str,
    #[serde(rename = "ivms101BeneficiaryVasp")]
    ivms101_beneficiary_vasp: &'a str,
    verified_at: Option<String>,
    ordered_at: Option<String>,
    created_at: String,
}

impl<'a> From<&'a Record> for RecordBody<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            verification_id: record.id,
            verification_uuid: &record.uuid,
            result: record.result.as_str(),
            reason: record.reason.as_deref(),
            message: record.message.as_deref(),
            asset_info: &record.asset_info,
            tx_hash: record.tx_hash.as_deref(),
            vout: record.vout.as_deref(),
            originating_vasp_id: record.originating_vasp.to_string(),
            originator_account_number: &record.originator_account,
            ivms101_originator: &record.ivms101_originator,
            ivms101_originating_vasp: &record.ivms101_originating_vasp,
            beneficiary_vasp_id: record.beneficiary_vasp.to_string(),
            beneficiary_account_number: &record.beneficiary_account,
            ivms101_beneficiary: &record.ivms101_beneficiary,
            ivms101_beneficiary_vasp: &record.ivms101_beneficiary_vasp,
            verified_at: record.verified_at.map(|at| at.to_string()),
            ordered_at: record.ordered_at.map(|at| at.to_string()),
            created_at: record.created_at.to_string(),
        }
    }
}

/// Room for a record: within a text every quote and backslash takes two bytes.
fn room(record: &Record) -> usize {
    let persons = [
        &record.ivms101_originator,
        &record.ivms101_originating_vasp,
        &record.ivms101_beneficiary,
        &record.ivms101_beneficiary_vasp,
    ];
    8 * SMALL + 2 * persons.into_iter().map(|text| text.len()).sum::<usize>()
}

/// One verification.
pub(super) fn record(record: &Record) -> Result<Told, Refused> {
    Told::write(&RecordBody::from(record), room(record))
}

#[derive(Serialize)]
struct PageBody<'a> {
    count: u64,
    page: u32,
    rpp: u32,
    verifications: Vec<RecordBody<'a>>,
}

/// One page of verifications.
pub(super) fn page(page: &Page) -> Result<Told, Refused> {
    let verifications = page.records.iter().map(RecordBody::from).collect();
    let body = PageBody { count: page.count, page: page.page, rpp: page.rpp, verifications };
    Told::write(&body, SMALL + page.records.iter().map(room).sum::<usize>())
}
