//! Letting go of verifications that need not be kept any longer, with everything that followed them.

use super::{Database, DatabaseFault, signed};
use crate::withdrawal::Seconds;

/// Those of which nothing was heard since; what still waits is none of them.
const OLD: &str = "SELECT verification_id FROM verifications WHERE created_at < ?1 AND asked_at < ?1 \
     AND coalesce(ordered_at, 0) < ?1 AND coalesce(verified_at, 0) < ?1 AND state <> 'waiting' AND NOT EXISTS (SELECT 1 FROM reports AS r \
     WHERE r.role = verifications.role AND r.row_key = verifications.row_key AND r.reported_at >= ?1) ORDER BY created_at, verification_id LIMIT ?2";

impl Database {
    /// Deletes at most `most` verifications of which nothing was heard since that time; says how many. The file's freed pages are
    /// overwritten.
    pub(in super::super) async fn verifications_forget(
        &self,
        since: Seconds,
        most: u32,
    ) -> Result<u64, DatabaseFault> {
        let mut tx = self.begin().await?;
        let followed = [
            format!(
                "DELETE FROM reports WHERE EXISTS (SELECT 1 FROM verifications AS v WHERE v.role = reports.role \
                 AND v.row_key = reports.row_key AND v.verification_id IN ({OLD}))"
            ),
            format!(
                "DELETE FROM former_uuids WHERE row_key IN (SELECT row_key FROM verifications WHERE verification_id IN ({OLD}))"
            ),
            "DELETE FROM commands WHERE command_id IN \
             (SELECT command_id FROM commands WHERE finished_at < ?1 ORDER BY finished_at LIMIT ?2)"
                .to_owned(),
        ];
        for text in followed {
            sqlx::query(sqlx::AssertSqlSafe(text)).bind(signed(since)).bind(most).execute(&mut *tx).await?;
        }
        let gone = format!("DELETE FROM verifications WHERE verification_id IN ({OLD})");
        let gone =
            sqlx::query(sqlx::AssertSqlSafe(gone)).bind(signed(since)).bind(most).execute(&mut *tx).await?;
        // A deposit stays as long as the verification it has used up: it is no other's.
        let deposits = "DELETE FROM deposits WHERE deposit_id IN (SELECT deposit_id FROM deposits AS d WHERE created_at < ?1 \
             AND next_try_at IS NULL AND NOT EXISTS (SELECT 1 FROM verifications AS v WHERE v.role = 'beneficiary' \
             AND v.request_digest = substr(d.transfer, instr(d.transfer, '/') + 1) \
             AND v.originating_vasp_id || '/' || v.request_digest = d.transfer) ORDER BY created_at LIMIT ?2)";
        let inquiries = "DELETE FROM inquiries WHERE inquiry_id IN \
             (SELECT inquiry_id FROM inquiries WHERE asked_at < ?1 ORDER BY asked_at LIMIT ?2)";
        for text in [deposits, inquiries] {
            sqlx::query(text).bind(signed(since)).bind(most).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(gone.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::enclave::database::vault::{DataKey, Vault};

    async fn put(db: &Database, key: &str, state: &str, times: [i64; 3]) {
        let text = "INSERT INTO verifications (role, row_key, origin, state, kind, key_type, network, symbol, amount, asset, units, \
            originating_vasp_id, beneficiary_vasp_id, originator_account_number, beneficiary_account_number, request_digest, \
            fingerprint, expires_at, next_try_at, tries, created_at, asked_at, ordered_at) \
            VALUES ('originator', ?, 'order', ?, 'user', 'PerVasp', 'regtest', 'BTC', '1', '', '1', '1', '2', '', '', '', x'00', \
            0, 0, 0, ?, ?, ?)";
        let [created, asked, ordered] = times;
        let query = sqlx::query(text).bind(key).bind(state).bind(created).bind(asked).bind(ordered);
        query.execute(&db.pool).await.unwrap();
        let report = "INSERT INTO reports (role, row_key, number, verification_uuid, report, reported_at) VALUES ('originator', ?, 1, ?, 'tx', 0)";
        sqlx::query(report).bind(key).bind(key).execute(&db.pool).await.unwrap();
        let former = "INSERT INTO former_uuids (verification_uuid, row_key) VALUES (?, ?)";
        sqlx::query(former).bind(key).bind(key).execute(&db.pool).await.unwrap();
    }

    async fn left(db: &Database, table: &str) -> Vec<String> {
        let text = format!("SELECT row_key FROM {table} ORDER BY row_key");
        sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_all(&db.pool).await.unwrap()
    }

    #[tokio::test]
    async fn only_what_is_old_in_every_way_is_let_go_with_what_followed_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, Vault::new(&DataKey::new(&[1; 32])).unwrap()).await.unwrap();
        put(&db, "old", "answered", [10, 10, 10]).await;
        put(&db, "older", "expired", [1, 1, 0]).await;
        put(&db, "waits", "waiting", [1, 1, 0]).await;
        put(&db, "asked again", "answered", [1, 100, 0]).await;
        put(&db, "sent late", "answered", [1, 1, 100]).await;
        put(&db, "reported late", "answered", [1, 1, 0]).await;
        let late = "UPDATE reports SET reported_at = 100 WHERE row_key = 'reported late'";
        sqlx::query(late).execute(&db.pool).await.unwrap();
        put(&db, "young", "answered", [100, 100, 100]).await;
        assert_eq!(
            db.verifications_forget(Seconds(100), 1).await.unwrap(),
            1,
            "batch by batch, the oldest first"
        );
        assert!(!left(&db, "reports").await.contains(&"older".to_owned()));
        assert_eq!(db.verifications_forget(Seconds(100), 10).await.unwrap(), 1);
        assert_eq!(db.verifications_forget(Seconds(100), 10).await.unwrap(), 0);
        for table in ["verifications", "reports", "former_uuids"] {
            assert_eq!(
                left(&db, table).await,
                ["asked again", "reported late", "sent late", "waits", "young"],
                "{table}"
            );
        }
    }

    #[tokio::test]
    async fn a_deposit_stays_as_long_as_the_verification_it_has_used_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, Vault::new(&DataKey::new(&[1; 32])).unwrap()).await.unwrap();
        put(&db, "old", "answered", [10, 10, 10]).await;
        put(&db, "young", "answered", [100, 100, 100]).await;
        let used = "UPDATE verifications SET role = 'beneficiary', request_digest = row_key";
        sqlx::query(used).execute(&db.pool).await.unwrap();
        for (n, transfer, open) in
            [(1, Some("1/old"), None), (2, Some("1/young"), None), (3, None, None), (4, None, Some(1))]
        {
            let text = "INSERT INTO deposits (deposit_id, symbol, network, asset, tx_hash, vout, address, amount, units, received_at, \
                state, transfer, created_at, next_try_at) VALUES (?1, 'BTC', '', '', ?1, '', '', '', '', 1, 'MATCHED', ?2, 1, ?3)";
            sqlx::query(text).bind(n).bind(transfer).bind(open).execute(&db.pool).await.unwrap();
            let said = "INSERT INTO inquiries (verification_uuid, originating_vasp_id, deposit_id, asked_at) VALUES ('', '1', ?1, 40 * ?1)";
            sqlx::query(said).bind(n).execute(&db.pool).await.unwrap();
        }
        db.verifications_forget(Seconds(100), 10).await.unwrap();
        let left = |table: &'static str| {
            let text = format!("SELECT deposit_id FROM {table} ORDER BY deposit_id");
            let db = &db;
            async move {
                sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(text)).fetch_all(&db.pool).await.unwrap()
            }
        };
        assert_eq!(left("deposits").await, [2, 4]);
        assert_eq!(left("inquiries").await, [3, 4]);
    }
}
