//! What an enclave server is to be told of each verification that was begun there. One belongs to its order for ever, also when the
//! order goes on under another.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Database, DatabaseFault, signed, unsigned};
use crate::withdrawal::Seconds;

pub(super) const SCHEMA: &str = "
CREATE TABLE adapter_uuids (
    uuid TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    telling TEXT,
    tell_at INTEGER,
    next_tell_at INTEGER
) STRICT;
CREATE INDEX adapter_uuids_digest ON adapter_uuids (digest);
CREATE INDEX adapter_uuids_due ON adapter_uuids (next_tell_at) WHERE next_tell_at IS NOT NULL;
";

/// What the counterparty is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(in super::super) enum Telling {
    /// The transaction and its output.
    Tx {
        /// As nodes print it.
        tx_hash: String,
        /// Which output.
        vout: u32,
    },
    /// It will never happen: the reason.
    Error(String),
}

/// Something that is to be told now.
pub(in super::super) struct DueTelling {
    /// Of which verification.
    pub(in super::super) uuid: String,
    /// What.
    pub(in super::super) telling: Telling,
    /// Since when.
    pub(in super::super) since: Seconds,
    text: String,
}

/// Writes down that a verification is of that order. Fails where it is another's.
pub(super) async fn uuid_put(
    within: &mut SqliteConnection,
    uuid: &str,
    digest: &str,
) -> Result<(), DatabaseFault> {
    let put = sqlx::query(
        "INSERT INTO adapter_uuids (uuid, digest) SELECT ?1, ?2 \
         WHERE NOT EXISTS (SELECT 1 FROM adapter_uuids WHERE uuid = ?1 AND digest = ?2)",
    );
    put.bind(uuid).bind(digest).execute(within).await?;
    Ok(())
}

/// Writes down what is to be told of a verification, in place of what was before.
pub(super) async fn telling_put(
    within: &mut SqliteConnection,
    uuid: &str,
    telling: &Telling,
    now: Seconds,
) -> Result<(), DatabaseFault> {
    let text = serde_json::to_string(telling).map_err(|no| sqlx::Error::Encode(Box::new(no)))?;
    let put =
        sqlx::query("UPDATE adapter_uuids SET telling = ?1, tell_at = ?2, next_tell_at = ?2 WHERE uuid = ?3");
    put.bind(text).bind(signed(now)).bind(uuid).execute(within).await?;
    Ok(())
}

impl Database {
    /// What is, or was, to be told of a verification; nothing where it was not begun here.
    pub(in super::super) async fn telling_of(
        &self,
        uuid: &str,
    ) -> Result<Option<Option<Telling>>, DatabaseFault> {
        let found = sqlx::query_scalar("SELECT telling FROM adapter_uuids WHERE uuid = ?").bind(uuid);
        let found: Option<Option<String>> = found.fetch_optional(&self.pool).await?;
        found.map(|text| text.as_deref().map(read).transpose()).transpose()
    }

    /// What is to be told now, the longest due first: what cannot be told stands back behind what can.
    pub(in super::super) async fn tellings_due(
        &self,
        now: Seconds,
        most: u32,
    ) -> Result<Vec<DueTelling>, DatabaseFault> {
        let due = sqlx::query(
            "SELECT uuid, telling, tell_at FROM adapter_uuids WHERE next_tell_at <= ? ORDER BY next_tell_at, uuid LIMIT ?",
        );
        let due = due.bind(signed(now)).bind(most).fetch_all(&self.pool).await?;
        let one = |row: &SqliteRow| {
            let text: String = row.try_get("telling")?;
            let since = unsigned(row.try_get("tell_at")?);
            Ok(DueTelling { uuid: row.try_get("uuid")?, telling: read(&text)?, since, text })
        };
        due.iter().map(one).collect()
    }

    /// It is tried again then, unless something else is to be told meanwhile.
    pub(in super::super) async fn telling_put_off(
        &self,
        due: &DueTelling,
        until: Seconds,
    ) -> Result<(), DatabaseFault> {
        self.telling_moved(due, Some(signed(until))).await
    }

    /// It need not be told again, unless something else is to be told meanwhile.
    pub(in super::super) async fn telling_done(&self, due: &DueTelling) -> Result<(), DatabaseFault> {
        self.telling_moved(due, None).await
    }

    async fn telling_moved(&self, due: &DueTelling, next: Option<i64>) -> Result<(), DatabaseFault> {
        let moved = sqlx::query(
            "UPDATE adapter_uuids SET next_tell_at = ? WHERE uuid = ? AND telling = ? AND tell_at = ?",
        );
        let moved = moved.bind(next).bind(&due.uuid).bind(&due.text).bind(signed(due.since));
        moved.execute(&self.writer).await?;
        Ok(())
    }
}

fn read(text: &str) -> Result<Telling, DatabaseFault> {
    Ok(serde_json::from_str(text).map_err(|no| sqlx::Error::Decode(Box::new(no)))?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::adapter::{OrderRow, OrderState};
    use super::*;
    use crate::enclave::database::vault::{DataKey, Vault};

    async fn open(dir: &tempfile::TempDir) -> Database {
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        Database::open(&path, Vault::new(&DataKey::new(&[1; 32])).unwrap()).await.unwrap()
    }

    fn order(n: i64) -> OrderRow {
        OrderRow {
            digest: format!("d{n}"),
            fingerprint: String::new(),
            vasp: 7,
            destination: String::new(),
            amount: String::new(),
            krw: String::new(),
            trade_ms: n,
            state: OrderState::Settled,
            uuid: Some(format!("u{n}")),
            asked_at: 1,
            sent_at: 1,
            expires_at: 1,
            report: None,
            telling: None,
            personal: Default::default(),
        }
    }

    fn error(reason: &str) -> Telling {
        Telling::Error(reason.to_owned())
    }

    async fn told(db: &Database, n: i64, telling: &Telling, now: u64) {
        let order = order(n);
        db.order_put_telling(&order, (&format!("u{n}"), telling), Seconds(now)).await.unwrap();
    }

    async fn due(db: &Database, now: u64, most: u32) -> Vec<String> {
        let due = db.tellings_due(Seconds(now), most).await.unwrap();
        due.into_iter().map(|one| one.uuid).collect()
    }

    #[tokio::test]
    async fn what_cannot_be_told_holds_up_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(&dir).await;
        for n in 0..9 {
            told(&db, n, &error("X"), 10).await;
        }
        for stuck in db.tellings_due(Seconds(10), 8).await.unwrap() {
            db.telling_put_off(&stuck, Seconds(20)).await.unwrap();
        }
        told(&db, 9, &error("X"), 11).await;
        assert_eq!(due(&db, 11, 8).await, ["u8", "u9"]);
        db.telling_done(db.tellings_due(Seconds(11), 1).await.unwrap().first().unwrap()).await.unwrap();
        assert_eq!(due(&db, 11, 8).await, ["u9"]);
        assert_eq!(due(&db, 20, 3).await, ["u9", "u0", "u1"], "and its own time comes");
    }

    #[tokio::test]
    async fn what_took_the_place_of_another_telling_is_not_done_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(&dir).await;
        told(&db, 1, &Telling::Tx { tx_hash: "ab".into(), vout: 1 }, 10).await;
        let old = db.tellings_due(Seconds(10), 8).await.unwrap().remove(0);
        told(&db, 1, &error("X"), 12).await;
        db.telling_done(&old).await.unwrap();
        db.telling_put_off(&old, Seconds(99)).await.unwrap();
        let now = db.tellings_due(Seconds(12), 8).await.unwrap();
        assert_eq!(now.iter().map(|one| &one.telling).collect::<Vec<_>>(), [&error("X")]);
    }

    #[tokio::test]
    async fn a_verification_is_of_its_order_alone_also_after_another_one_took_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(&dir).await;
        let first = order(1);
        db.order_put(&first).await.unwrap();
        let anew = OrderRow { uuid: None, ..first.clone() };
        db.order_put_telling(&anew, ("u1", &error("X")), Seconds(10)).await.unwrap();
        db.order_put(&OrderRow { uuid: Some("u2".into()), ..first.clone() }).await.unwrap();
        assert_eq!(db.telling_of("u1").await.unwrap(), Some(Some(error("X"))));
        assert_eq!(db.telling_of("u2").await.unwrap(), Some(None));
        assert_eq!(db.telling_of("u3").await.unwrap(), None);
        assert!(db.order_put(&order(2)).await.is_err(), "it is the first order's");
        assert!(db.order("d2").await.unwrap().is_none());
        assert_eq!(db.orders_forget(Seconds(100), 10).await.unwrap(), 0, "something is to be told");
        db.telling_done(db.tellings_due(Seconds(10), 1).await.unwrap().first().unwrap()).await.unwrap();
        assert_eq!(db.orders_forget(Seconds(100), 10).await.unwrap(), 1);
        assert_eq!(db.telling_of("u1").await.unwrap(), None);
    }
}
