//! What waits in the table of verifications: what is due, counterparty by counterparty, and how much waits.

use super::{Database, DatabaseFault, signed};
use crate::withdrawal::{Seconds, VaspId};

/// Each counterparty's longest due comes before anybody's second.
const DUE: &str = "\
SELECT row_key, beneficiary_vasp_id FROM (\
SELECT row_key, beneficiary_vasp_id, next_try_at, \
ROW_NUMBER() OVER (PARTITION BY beneficiary_vasp_id ORDER BY next_try_at, verification_id) AS turn \
FROM verifications WHERE role = 'originator' AND state = 'waiting' AND next_try_at <= ?) \
WHERE turn <= ? ORDER BY turn, next_try_at LIMIT ?";

impl Database {
    /// The originator's keys of verifications that should be tried now with their counterparties, in turns: at most `share` of one
    /// counterparty, and `most` in all.
    pub(in super::super) async fn verifications_due(
        &self,
        now: Seconds,
        share: u32,
        most: u32,
    ) -> Result<Vec<(String, String)>, DatabaseFault> {
        let query = sqlx::query_as(DUE).bind(signed(now)).bind(i64::from(share)).bind(i64::from(most));
        Ok(query.fetch_all(&self.pool).await?)
    }

    /// How many verifications wait for an answer.
    pub(in super::super) async fn verifications_waiting(&self) -> Result<u64, DatabaseFault> {
        let query = "SELECT count(*) FROM verifications WHERE role = 'originator' AND state = 'waiting'";
        let count: i64 = sqlx::query_scalar(query).fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }

    /// How many of them wait for that counterparty.
    pub(in super::super) async fn verifications_waiting_for(
        &self,
        vasp: VaspId,
    ) -> Result<u64, DatabaseFault> {
        let query = "SELECT count(*) FROM verifications \
             WHERE role = 'originator' AND state = 'waiting' AND beneficiary_vasp_id = ?";
        let count: i64 = sqlx::query_scalar(query).bind(vasp.to_string()).fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::enclave::database::vault::{DataKey, Vault};

    async fn put(db: &Database, key: &str, vasp: &str, due_at: i64) {
        let text = "INSERT INTO verifications (role, row_key, origin, state, kind, key_type, network, symbol, amount, asset, units, \
            originating_vasp_id, beneficiary_vasp_id, originator_account_number, beneficiary_account_number, request_digest, \
            fingerprint, expires_at, next_try_at, tries, created_at, asked_at) \
            VALUES ('originator', ?, 'order', 'waiting', 'user', 'PerVasp', 'regtest', 'BTC', '1', '', '1', '1', ?, '', '', '', x'00', \
            0, ?, 0, 0, 0)";
        sqlx::query(text).bind(key).bind(vasp).bind(due_at).execute(&db.pool).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_due_of_one_counterparty_does_not_hide_what_is_due_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, Vault::new(&DataKey::new(&[1; 32])).unwrap()).await.unwrap();
        for n in 0..9 {
            put(&db, &format!("silent {n}"), "7", n).await;
        }
        put(&db, "first", "8", 50).await;
        put(&db, "second", "8", 60).await;
        put(&db, "not yet", "8", 200).await;
        let due = async |share, most| {
            let due = db.verifications_due(Seconds(100), share, most).await.unwrap();
            due.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(due(2, 8).await, ["silent 0", "first", "silent 1", "second"]);
        assert_eq!(due(2, 3).await, ["silent 0", "first", "silent 1"]);
        assert_eq!(due(1, 8).await, ["silent 0", "first"]);
        assert_eq!(db.verifications_waiting().await.unwrap(), 12);
        assert_eq!(db.verifications_waiting_for(VaspId(8)).await.unwrap(), 3);
    }
}
