//! Reads deposits, and finds which verifications fit one.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::super::backend::TransferStatus;
use super::super::deposits::matching::{Candidate, Found, Output, matched};
use super::super::deposits::words::{
    Deposit, DepositInquiry, DepositReason, DepositSearch, DepositSeen, DepositState,
};
use super::row::vasp;
use super::{Database, DatabaseFault, unsigned};
use crate::enclave::coin::has_case_aside;
use crate::enclave::database::vault::VaultFault;

/// How many open verifications of one address are looked at. With more of them nothing is unambiguous.
const CANDIDATES_MAX: usize = 64;
/// How old a verification may be to which coins still belong, in seconds.
const REACH_S: u64 = 7 * 86_400;
/// How many deposits are shown at once.
const PAGE_MAX: u32 = 100;

const CANDIDATES: &str = "\
SELECT row_key, verification_uuid, originating_vasp_id || '/' || request_digest AS transfer, kind, origin, units, tx_hash, vout, created_at \
FROM verifications AS v WHERE role = 'beneficiary' AND result = 'VERIFIED' AND beneficiary_account_number = ?1 AND asset = ?2 \
AND created_at >= ?3 AND NOT EXISTS (SELECT 1 FROM deposits AS d WHERE d.transfer = v.originating_vasp_id || '/' || v.request_digest) \
ORDER BY verification_id DESC LIMIT ?4";

/// The same where letter case parts no two addresses.
fn candidates(asset: &str) -> String {
    let exact = "beneficiary_account_number = ?1";
    match has_case_aside(asset) {
        true => CANDIDATES.replace(exact, "beneficiary_account_number = ?1 COLLATE NOCASE"),
        false => CANDIDATES.to_owned(),
    }
}

impl Database {
    /// One deposit with everything that is known of it.
    pub(in super::super) async fn deposit(&self, id: i64) -> Result<Option<Deposit>, DatabaseFault> {
        let row = sqlx::query("SELECT * FROM deposits WHERE deposit_id = ?").bind(id);
        match row.fetch_optional(&self.pool).await? {
            Some(row) => self.read_deposit(&row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The newest deposits that are wanted, at most a hundred.
    pub(in super::super) async fn deposits(
        &self,
        search: &DepositSearch,
    ) -> Result<Vec<Deposit>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT * FROM deposits WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR tx_hash = ?2) \
             AND (?3 IS NULL OR deposit_id < ?3) ORDER BY deposit_id DESC LIMIT ?4",
        );
        let before = search.before.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
        let query = query.bind(search.state.map(DepositState::as_str)).bind(&search.tx_hash).bind(before);
        let mut deposits = Vec::new();
        for row in query.bind(PAGE_MAX).fetch_all(&self.pool).await? {
            deposits.push(self.read_deposit(&row).await?);
        }
        Ok(deposits)
    }

    async fn read_deposit(&self, row: &SqliteRow) -> Result<Deposit, DatabaseFault> {
        let id: i64 = row.try_get("deposit_id")?;
        let word = |column: &'static str| row.try_get::<String, _>(column);
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let state = DepositState::parse(&word("state")?).ok_or(VaultFault::Unreadable("state"))?;
        let candidates = match state {
            DepositState::Ambiguous => {
                let mut within = self.pool.acquire().await?;
                match look(&mut within, row).await?.0 {
                    Found::Several(several) => several.into_iter().map(|one| one.uuid).collect(),
                    Found::One(one, _) => vec![one.uuid],
                    Found::None { .. } => Vec::new(),
                }
            }
            DepositState::Waiting | DepositState::Matched | DepositState::Unmatched => Vec::new(),
        };
        Ok(Deposit {
            id: id.unsigned_abs(),
            seen: DepositSeen {
                symbol: word("symbol")?,
                network: some(word("network")?),
                tx_hash: word("tx_hash")?,
                vout: some(word("vout")?),
                address: word("address")?,
                amount: word("amount")?,
                received_at: unsigned(row.try_get("received_at")?),
            },
            state,
            reason: row.try_get::<Option<String>, _>("reason")?.as_deref().and_then(DepositReason::parse),
            uuid: row.try_get("verification_uuid")?,
            candidates,
            inquiries: self.inquiries(id).await?,
            is_open: row.try_get::<Option<i64>, _>("next_try_at")?.is_some(),
            created_at: unsigned(row.try_get("created_at")?),
            settled_at: row.try_get::<Option<i64>, _>("settled_at")?.map(unsigned),
        })
    }

    /// The last word about each verification.
    async fn inquiries(&self, deposit: i64) -> Result<Vec<DepositInquiry>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT * FROM inquiries WHERE inquiry_id IN (SELECT max(inquiry_id) FROM inquiries WHERE deposit_id = ? \
             GROUP BY verification_uuid) ORDER BY inquiry_id",
        );
        let read = |row: &SqliteRow| {
            let status: Option<String> = row.try_get("status")?;
            Ok(DepositInquiry {
                uuid: row.try_get("verification_uuid")?,
                vasp: vasp(row, "originating_vasp_id")?,
                status: status.as_deref().and_then(TransferStatus::parse),
                tx_hash: row.try_get("tx_hash")?,
                vout: row.try_get("vout")?,
                asked_at: unsigned(row.try_get("asked_at")?),
            })
        };
        query.bind(deposit).fetch_all(&self.pool).await?.iter().map(read).collect()
    }
}

/// What fits a deposit, and the transfer it would use up.
pub(super) async fn look(
    within: &mut SqliteConnection,
    row: &SqliteRow,
) -> Result<(Found, Option<String>), DatabaseFault> {
    let word = |column: &'static str| row.try_get::<String, _>(column);
    let (hash, vout, units) = (word("tx_hash")?, word("vout")?, word("units")?);
    let received: i64 = row.try_get("received_at")?;
    let (address, asset) = (word("address")?, word("asset")?);
    let query = sqlx::query(AssertSqlSafe(candidates(&asset))).bind(address).bind(asset);
    let query = query
        .bind(received.saturating_sub_unsigned(REACH_S))
        .bind(i64::try_from(CANDIDATES_MAX).unwrap_or(i64::MAX));
    let rows = query.fetch_all(&mut *within).await?;
    let is_full = rows.len() >= CANDIDATES_MAX;
    let all = rows.iter().map(candidate).collect::<Result<Vec<_>, _>>()?;
    let output = Output {
        tx_hash: &hash,
        vout: Some(vout.as_str()).filter(|vout| !vout.is_empty()),
        units: &units,
        received_at: unsigned(received),
    };
    let found = match matched(output, all) {
        // There may be more that fit than were looked at.
        Found::One(one, DepositReason::Amount) if is_full => Found::Several(vec![one]),
        found => found,
    };
    let transfer = match &found {
        Found::One(one, _) => Some(one.transfer.clone()),
        Found::Several(_) | Found::None { .. } => None,
    };
    Ok((found, transfer))
}

fn candidate(row: &SqliteRow) -> Result<Candidate, sqlx::Error> {
    let word = |column: &'static str| row.try_get::<String, _>(column);
    // An order about an address alone has no amount.
    let units = Some(word("units")?)
        .filter(|units| !(word("kind").is_ok_and(|kind| kind == "account") && units == "1"));
    Ok(Candidate {
        row_key: word("row_key")?,
        uuid: word("verification_uuid")?,
        transfer: word("transfer")?,
        units,
        tx_hash: row.try_get("tx_hash")?,
        vout: row.try_get("vout")?,
        created_at: unsigned(row.try_get("created_at")?),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::enclave::database::vault::{DataKey, Vault};

    /// Nothing else is written while a deposit is matched: it must not read more than one address's rows.
    #[tokio::test]
    async fn candidates_are_looked_up_by_their_address_also_where_letter_case_parts_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, Vault::new(&DataKey::new(&[1; 32])).unwrap()).await.unwrap();
        for (asset, index) in [
            ("bip122:000000000019d6689c085ae165831e93/slip44:0", "verifications_beneficiary"),
            ("eip155:1/slip44:60", "verifications_beneficiary_nocase"),
        ] {
            let plan = format!("EXPLAIN QUERY PLAN {}", candidates(asset));
            let plan = sqlx::query(AssertSqlSafe(plan)).bind("a").bind(asset).bind(0).bind(64);
            let steps = plan.fetch_all(&db.pool).await.unwrap();
            let steps: Vec<String> = steps.iter().map(|step| step.get("detail")).collect();
            let wanted = format!("SEARCH v USING INDEX {index} (beneficiary_account_number=?)");
            assert!(steps.contains(&wanted), "{asset}: {steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{asset}: {steps:?}");
        }
    }
}
