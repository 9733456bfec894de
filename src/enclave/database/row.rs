//! One row of the table of verifications, and how its persons are sealed.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zeroize::Zeroizing;

use super::super::answer::Reason;
use super::super::asset_info::AssetInfo;
use super::super::record::Outcome;
use super::super::wire::key::KeyType;
use super::{Database, DatabaseFault, unsigned};
use crate::enclave::database::vault::{Place, VaultFault};
use crate::withdrawal::{Seconds, VaspId};

/// Which side of a verification a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Role {
    Originator,
    Beneficiary,
}

impl Role {
    pub(in super::super) const fn as_str(self) -> &'static str {
        match self {
            Self::Originator => "originator",
            Self::Beneficiary => "beneficiary",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Originator, Self::Beneficiary].into_iter().find(|r| r.as_str() == text)
    }
}

/// How a verification came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Origin {
    /// From a withdrawal the exchange signed.
    Withdrawal,
    /// The exchange's own backend ordered it, and is told its result.
    Order,
    /// Another VASP asked.
    Inbound,
}

impl Origin {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Withdrawal => "withdrawal",
            Self::Order => "order",
            Self::Inbound => "inbound",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Withdrawal, Self::Order, Self::Inbound].into_iter().find(|o| o.as_str() == text)
    }
}

/// What the worker has to do about a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum State {
    /// Ask.
    Waiting,
    /// Nothing: the other side's answer is here.
    Answered,
    /// Nothing: it ended without an answer.
    Expired,
}

impl State {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Answered => "answered",
            Self::Expired => "expired",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Answered, Self::Expired].into_iter().find(|s| s.as_str() == text)
    }
}

/// An answer with its signature.
pub(in super::super) struct Signed {
    pub(in super::super) text: String,
    pub(in super::super) signature: [u8; 64],
}

/// How a verification stands, in the documented words.
#[derive(Clone, PartialEq, Eq)]
pub(in super::super) struct Settled {
    pub(in super::super) result: Outcome,
    pub(in super::super) reason: Option<String>,
    /// Might be free text of another VASP; sealed on disk.
    pub(in super::super) message: Option<String>,
}

impl Settled {
    /// Not yet.
    pub(in super::super) fn waiting() -> Self {
        Self { result: Outcome::Wait, reason: None, message: None }
    }

    /// No.
    pub(in super::super) fn denied(reason: Reason) -> Self {
        Self { result: Outcome::Denied, reason: Some(reason.as_str().to_owned()), message: None }
    }

    /// It cannot be found out.
    pub(in super::super) fn error() -> Self {
        let reason = Some(Reason::UndefinedError.as_str().to_owned());
        Self { result: Outcome::Error, reason, message: None }
    }
}

/// One verification. `row_key` is the request digest for the originator, `from:uuid` for the beneficiary.
pub(in super::super) struct Verification {
    pub(in super::super) role: Role,
    pub(in super::super) row_key: String,
    pub(in super::super) origin: Origin,
    /// The uuid under which it is being asked.
    pub(in super::super) uuid: Option<String>,
    pub(in super::super) state: State,
    pub(in super::super) kind: String,
    pub(in super::super) key_type: KeyType,
    pub(in super::super) originating_vasp: VaspId,
    pub(in super::super) beneficiary_vasp: VaspId,
    pub(in super::super) symbol: String,
    /// CAIP-19.
    pub(in super::super) asset: String,
    pub(in super::super) network: String,
    pub(in super::super) destination: String,
    /// In base units.
    pub(in super::super) amount: String,
    /// In whole units.
    pub(in super::super) coins: String,
    /// As it was ordered; a withdrawal has none.
    pub(in super::super) asset_info: Option<AssetInfo>,
    pub(in super::super) required: Vec<String>,
    pub(in super::super) originator_account: String,
    pub(in super::super) request_digest: String,
    /// The keyed hash of what was asked, personal data included.
    pub(in super::super) fingerprint: Vec<u8>,
    /// Canonical, as asked; sealed on disk.
    pub(in super::super) originator: Option<Zeroizing<String>>,
    /// Canonical, as asked; sealed on disk.
    pub(in super::super) beneficiary: Option<Zeroizing<String>>,
    /// What came back, or what this side gave back; sealed on disk.
    pub(in super::super) reply: Option<Zeroizing<Vec<u8>>>,
    pub(in super::super) envelope: Option<String>,
    pub(in super::super) answer: Option<Signed>,
    pub(in super::super) settled: Settled,
    pub(in super::super) asked_at: Seconds,
    pub(in super::super) expires_at: Seconds,
    pub(in super::super) next_try_at: Seconds,
    pub(in super::super) tries: u32,
}

impl Verification {
    /// The VASP on the other side.
    pub(in super::super) fn counterparty(&self) -> VaspId {
        match self.role {
            Role::Originator => self.beneficiary_vasp,
            Role::Beneficiary => self.originating_vasp,
        }
    }
}

impl Database {
    pub(super) fn seal_some(
        &self,
        row: &str,
        column: &'static str,
        value: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, VaultFault> {
        value.map(|plain| self.vault().seal(place(column, row), plain)).transpose()
    }

    pub(super) fn open_some(
        &self,
        row: &SqliteRow,
        column: &'static str,
        key: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, DatabaseFault> {
        let sealed: Option<Vec<u8>> = row.try_get(column)?;
        Ok(sealed.map(|sealed| self.vault().open(place(column, key), &sealed)).transpose()?)
    }

    pub(super) fn open_text(
        &self,
        row: &SqliteRow,
        column: &'static str,
        key: &str,
    ) -> Result<Option<Zeroizing<String>>, DatabaseFault> {
        let bytes = self.open_some(row, column, key)?;
        Ok(bytes.map(|bytes| Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())))
    }

    pub(super) fn read_settled(&self, row: &SqliteRow, key: &str) -> Result<Settled, DatabaseFault> {
        let result: String = row.try_get("result")?;
        Ok(Settled {
            result: Outcome::parse(&result).ok_or(VaultFault::Unreadable("result"))?,
            reason: row.try_get("reason")?,
            message: self.open_text(row, "message", key)?.map(|text| text.to_string()),
        })
    }

    pub(super) fn read(&self, role: Role, row: &SqliteRow) -> Result<Verification, DatabaseFault> {
        let row_key: String = row.try_get("row_key")?;
        let sealed_under = row_place(role, &row_key);
        let word = |column: &'static str| row.try_get::<String, _>(column);
        let odd = VaultFault::Unreadable;
        let required = word("required_beneficiary_info")?;
        let tries: i64 = row.try_get("tries")?;
        Ok(Verification {
            role,
            origin: Origin::parse(&word("origin")?).ok_or(odd("origin"))?,
            uuid: row.try_get("sent_uuid")?,
            state: State::parse(&word("state")?).ok_or(odd("state"))?,
            kind: word("kind")?,
            key_type: KeyType::parse(&word("key_type")?).ok_or(odd("key_type"))?,
            originating_vasp: vasp(row, "originating_vasp_id")?,
            beneficiary_vasp: vasp(row, "beneficiary_vasp_id")?,
            symbol: word("symbol")?,
            asset: word("asset")?,
            network: word("network")?,
            destination: word("beneficiary_account_number")?,
            amount: word("units")?,
            coins: word("amount")?,
            asset_info: read_asset_info(row)?,
            required: required.split(',').filter(|code| !code.is_empty()).map(str::to_owned).collect(),
            originator_account: word("originator_account_number")?,
            request_digest: word("request_digest")?,
            fingerprint: row.try_get("fingerprint")?,
            originator: self.open_text(row, "ivms101_originator", &sealed_under)?,
            beneficiary: self.open_text(row, "ivms101_beneficiary", &sealed_under)?,
            reply: self.open_some(row, "reply", &sealed_under)?,
            envelope: row.try_get("envelope")?,
            answer: read_answer(row)?,
            settled: self.read_settled(row, &sealed_under)?,
            asked_at: unsigned(row.try_get("asked_at")?),
            expires_at: unsigned(row.try_get("expires_at")?),
            next_try_at: unsigned(row.try_get("next_try_at")?),
            tries: u32::try_from(tries).unwrap_or(u32::MAX),
            row_key,
        })
    }
}

pub(super) fn vasp(row: &SqliteRow, column: &'static str) -> Result<VaspId, DatabaseFault> {
    let text: String = row.try_get(column)?;
    Ok(VaspId::parse(&text).map_err(|_| VaultFault::Unreadable(column))?)
}

/// Asset and worth as they were ordered.
pub(super) fn read_asset_info(row: &SqliteRow) -> Result<Option<AssetInfo>, DatabaseFault> {
    let price: Option<String> = row.try_get("trade_price")?;
    let Some(trade_price) = price else { return Ok(None) };
    Ok(Some(AssetInfo {
        symbol: row.try_get("symbol")?,
        network: Some(row.try_get::<String, _>("network")?).filter(|network| !network.is_empty()),
        amount: row.try_get("amount")?,
        is_exceeding_threshold: row.try_get("is_exceeding_threshold")?,
        trade_price,
        trade_currency: row.try_get::<Option<String>, _>("trade_currency")?.unwrap_or_default(),
        trade_iso_datetime: row.try_get::<Option<String>, _>("trade_iso_datetime")?.unwrap_or_default(),
    }))
}

pub(super) fn read_answer(row: &SqliteRow) -> Result<Option<Signed>, sqlx::Error> {
    let text: Option<String> = row.try_get("answer_text")?;
    let signature: Option<Vec<u8>> = row.try_get("answer_signature")?;
    let signature = signature.and_then(|s| s.try_into().ok());
    Ok(text.zip(signature).map(|(text, signature)| Signed { text, signature }))
}

fn place<'a>(column: &'static str, row: &'a str) -> Place<'a> {
    Place { table: "verifications", column, row }
}

pub(super) fn row_place(role: Role, key: &str) -> String {
    format!("{}:{key}", role.as_str())
}
