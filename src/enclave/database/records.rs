//! Verifications as they are shown: one by its uuid, and searched for.

use serde::Deserialize;
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row};
use zeroize::Zeroizing;

use super::super::answer::kind_of;
use super::super::asset_info::AssetInfo;
use super::super::ivms::Text;
use super::super::record::{Action, Outcome, Record, Search};
use super::row::{Role, read_asset_info, row_place, vasp};
use super::{Database, DatabaseFault, signed, unsigned};
use crate::enclave::database::vault::VaultFault;

/// The one part of a kept reply that is shown.
#[derive(Deserialize)]
struct Given {
    ivms101: Text,
}

impl Database {
    /// By its uuid, also one it had before it was asked for again.
    pub(in super::super) async fn record(&self, uuid: &str) -> Result<Option<Record>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT * FROM verifications WHERE verification_uuid = ?1 OR (role = 'originator' AND row_key = \
             (SELECT row_key FROM former_uuids WHERE verification_uuid = ?1)) ORDER BY verification_id LIMIT 1",
        );
        let row = query.bind(uuid).fetch_optional(&self.pool).await?;
        row.map(|row| self.read_record(&row)).transpose()
    }

    /// Whether a verification has that uuid, or had it once.
    pub(in super::super) async fn uuid_is_known(&self, uuid: &str) -> Result<bool, DatabaseFault> {
        let query = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM verifications WHERE verification_uuid = ?1) \
             OR EXISTS (SELECT 1 FROM former_uuids WHERE verification_uuid = ?1)",
        );
        Ok(query.bind(uuid).fetch_one(&self.pool).await?)
    }

    /// How many there are, and one page of them, the newest first. What has no uuid yet is known to nobody else and is not shown.
    pub(in super::super) async fn records(
        &self,
        search: &Search,
    ) -> Result<(u64, Vec<Record>), DatabaseFault> {
        let mut counting =
            QueryBuilder::new("SELECT count(*) FROM verifications WHERE verification_uuid IS NOT NULL");
        narrow(&mut counting, search);
        let count: i64 = counting.build_query_scalar().fetch_one(&self.pool).await?;
        let mut finding =
            QueryBuilder::new("SELECT * FROM verifications WHERE verification_uuid IS NOT NULL");
        narrow(&mut finding, search);
        let skip = i64::from(search.page.saturating_sub(1)).saturating_mul(i64::from(search.rpp));
        finding.push(" ORDER BY verification_id DESC LIMIT ").push_bind(i64::from(search.rpp));
        finding.push(" OFFSET ").push_bind(skip);
        let rows = finding.build().fetch_all(&self.pool).await?;
        let records = rows.iter().map(|row| self.read_record(row)).collect::<Result<_, _>>()?;
        Ok((count.unsigned_abs(), records))
    }

    fn read_record(&self, row: &SqliteRow) -> Result<Record, DatabaseFault> {
        let odd = VaultFault::Unreadable;
        let word = |column: &'static str| row.try_get::<String, _>(column);
        let role = Role::parse(&word("role")?).ok_or(odd("role"))?;
        let sealed_under = row_place(role, &word("row_key")?);
        let text = |column| self.open_text(row, column, &sealed_under).map(shown);
        let settled = self.read_settled(row, &sealed_under)?;
        let given = self.open_some(row, "reply", &sealed_under)?;
        let given = given.filter(|_| settled.result != Outcome::Denied);
        let given = given.and_then(|reply| serde_json::from_slice::<Given>(&reply).ok());
        let given = given.map(|given| Zeroizing::new(given.ivms101.as_str().to_owned()));
        let at = |column: &'static str| row.try_get::<Option<i64>, _>(column).map(|at| at.map(unsigned));
        let id: i64 = row.try_get("verification_id")?;
        Ok(Record {
            id: id.unsigned_abs(),
            uuid: word("verification_uuid")?,
            kind: kind_of(&word("kind")?).ok_or(odd("kind"))?,
            action: if role == Role::Originator { Action::Send } else { Action::Receive },
            result: settled.result,
            reason: settled.reason,
            message: settled.message,
            asset_info: asset_info(row)?,
            tx_hash: row.try_get("tx_hash")?,
            vout: row.try_get("vout")?,
            originating_vasp: vasp(row, "originating_vasp_id")?,
            beneficiary_vasp: vasp(row, "beneficiary_vasp_id")?,
            originator_account: word("originator_account_number")?,
            beneficiary_account: word("beneficiary_account_number")?,
            ivms101_originator: text("ivms101_originator")?,
            ivms101_originating_vasp: text("ivms101_originating_vasp")?,
            ivms101_beneficiary: match given.filter(|given| !given.is_empty()) {
                Some(given) => given,
                None => text("ivms101_beneficiary")?,
            },
            ivms101_beneficiary_vasp: text("ivms101_beneficiary_vasp")?,
            verified_at: at("verified_at")?,
            ordered_at: at("ordered_at")?,
            created_at: unsigned(row.try_get("created_at")?),
        })
    }
}

/// Where a verification was asked for without its worth, asset and amount are still known.
fn asset_info(row: &SqliteRow) -> Result<AssetInfo, DatabaseFault> {
    if let Some(info) = read_asset_info(row)? {
        return Ok(info);
    }
    Ok(AssetInfo {
        symbol: row.try_get("symbol")?,
        network: Some(row.try_get("network")?),
        amount: row.try_get("amount")?,
        is_exceeding_threshold: row.try_get("is_exceeding_threshold")?,
        trade_price: String::new(),
        trade_currency: String::new(),
        trade_iso_datetime: String::new(),
    })
}

fn shown(text: Option<Zeroizing<String>>) -> Zeroizing<String> {
    text.unwrap_or_else(|| Zeroizing::new("{}".to_owned()))
}

fn narrow(query: &mut QueryBuilder<Sqlite>, search: &Search) {
    let texts = [
        ("symbol", search.symbol.clone()),
        ("network", search.network.clone()),
        ("tx_hash", search.tx_hash.clone()),
        ("result", search.result.map(|result| result.as_str().to_owned())),
        ("originator_account_number", search.originator_account.clone()),
        ("beneficiary_account_number", search.beneficiary_account.clone()),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            query.push(" AND ").push(column).push(" = ").push_bind(text);
        }
    }
    if let Some(from) = search.from {
        query.push(" AND created_at >= ").push_bind(signed(from));
    }
    if let Some(to) = search.to {
        query.push(" AND created_at <= ").push_bind(signed(to));
    }
    if let Some(action) = search.action {
        let role = if action == Action::Send { Role::Originator } else { Role::Beneficiary };
        query.push(" AND role = ").push_bind(role.as_str());
    }
    if let Some(vasp) = search.opposite_vasp {
        let opposite = " = CASE role WHEN 'originator' THEN beneficiary_vasp_id ELSE originating_vasp_id END";
        query.push(" AND ").push_bind(vasp.to_string()).push(opposite);
    }
}
