//! The key tables: own pairs, the private half sealed, and the cached keys of counterparties.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zeroize::Zeroizing;

use super::super::wire::key::{KeyType, SignedKey};
use super::{Database, DatabaseFault, signed, unsigned};
use crate::enclave::database::vault::{Place, VaultFault};
use crate::enclave::wire::seal::{PublicKey, Suite};
use crate::withdrawal::{Seconds, VaspId};

pub(super) const SCHEMA: &str = "
CREATE TABLE own_keys (
    suite TEXT NOT NULL,
    key_type TEXT NOT NULL,
    key_identifier TEXT NOT NULL,
    key_id TEXT NOT NULL UNIQUE,
    public_key BLOB NOT NULL,
    private_key BLOB NOT NULL,
    made_for TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (suite, key_type, key_identifier)
) STRICT;
CREATE INDEX own_keys_made ON own_keys (key_type, made_for, created_at);
CREATE TABLE counter_party_keys (
    vasp_id TEXT NOT NULL,
    key_type TEXT NOT NULL,
    key_identifier TEXT NOT NULL,
    statement TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (vasp_id, key_type, key_identifier)
) STRICT;
";

/// A key pair of one's own.
pub(in super::super) struct OwnKey {
    pub(in super::super) public: PublicKey,
    pub(in super::super) private: Zeroizing<Vec<u8>>,
}

impl Database {
    /// Lets go of the keys for one verification each that were made for this VASP before `since`; says how many are left.
    pub(in super::super) async fn own_keys_once(
        &self,
        made_for: VaspId,
        since: Seconds,
    ) -> Result<u64, DatabaseFault> {
        let (once, made_for) = (KeyType::PerVerification.as_str(), made_for.to_string());
        let old = sqlx::query("DELETE FROM own_keys WHERE key_type = ? AND made_for = ? AND created_at < ?");
        old.bind(once).bind(&made_for).bind(signed(since)).execute(&self.pool).await?;
        let left = sqlx::query_scalar("SELECT count(*) FROM own_keys WHERE key_type = ? AND made_for = ?");
        let left: i64 = left.bind(once).bind(&made_for).fetch_one(&self.pool).await?;
        Ok(left.unsigned_abs())
    }

    /// Keeps a new key pair, made for a VASP's sake, unless there is one for that purpose.
    pub(in super::super) async fn own_key_insert(
        &self,
        purpose: (KeyType, &str),
        made_for: VaspId,
        key_id: &str,
        key: &OwnKey,
        now: Seconds,
    ) -> Result<(), DatabaseFault> {
        let private = self.vault().seal(private_place(key_id), &key.private)?;
        let query = sqlx::query(
            "INSERT INTO own_keys (suite, key_type, key_identifier, key_id, public_key, private_key, made_for, created_at) \
             VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (suite, key_type, key_identifier) DO NOTHING",
        );
        let query =
            query.bind(key.public.suite().as_str()).bind(purpose.0.as_str()).bind(purpose.1).bind(key_id);
        let query = query.bind(key.public.bytes()).bind(private).bind(made_for.to_string());
        query.bind(signed(now)).execute(&self.pool).await?;
        Ok(())
    }

    /// The key pair for a purpose.
    pub(in super::super) async fn own_key(
        &self,
        suite: Suite,
        purpose: (KeyType, &str),
    ) -> Result<Option<OwnKey>, DatabaseFault> {
        let query =
            sqlx::query("SELECT * FROM own_keys WHERE suite = ? AND key_type = ? AND key_identifier = ?");
        let row = query
            .bind(suite.as_str())
            .bind(purpose.0.as_str())
            .bind(purpose.1)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| self.read_key(&row)).transpose()
    }

    /// The key pair of that name.
    pub(in super::super) async fn own_key_named(
        &self,
        key_id: &str,
    ) -> Result<Option<OwnKey>, DatabaseFault> {
        let query = sqlx::query("SELECT * FROM own_keys WHERE key_id = ?").bind(key_id);
        let row = query.fetch_optional(&self.pool).await?;
        row.map(|row| self.read_key(&row)).transpose()
    }

    /// The cached key of a counterparty, and when it was fetched.
    pub(in super::super) async fn peer_key(
        &self,
        vasp: VaspId,
        purpose: (KeyType, &str),
    ) -> Result<Option<(SignedKey, Seconds)>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT statement, created_at FROM counter_party_keys \
             WHERE vasp_id = ? AND key_type = ? AND key_identifier = ?",
        );
        let query = query.bind(vasp.to_string()).bind(purpose.0.as_str()).bind(purpose.1);
        let Some(row) = query.fetch_optional(&self.pool).await? else { return Ok(None) };
        let statement: String = row.try_get("statement")?;
        let at = unsigned(row.try_get("created_at")?);
        Ok(serde_json::from_str(&statement).ok().map(|key| (key, at)))
    }

    /// Caches a counterparty's key.
    pub(in super::super) async fn peer_key_put(
        &self,
        vasp: VaspId,
        purpose: (KeyType, &str),
        statement: &str,
        now: Seconds,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "INSERT INTO counter_party_keys (vasp_id, key_type, key_identifier, statement, created_at) \
             VALUES (?,?,?,?,?) ON CONFLICT (vasp_id, key_type, key_identifier) \
             DO UPDATE SET statement = excluded.statement, created_at = excluded.created_at",
        );
        let query = query.bind(vasp.to_string()).bind(purpose.0.as_str()).bind(purpose.1);
        query.bind(statement).bind(signed(now)).execute(&self.pool).await?;
        Ok(())
    }

    /// Forgets a counterparty's cached keys.
    pub(in super::super) async fn peer_keys_forget(&self, vasp: VaspId) -> Result<(), DatabaseFault> {
        let query = sqlx::query("DELETE FROM counter_party_keys WHERE vasp_id = ?").bind(vasp.to_string());
        query.execute(&self.pool).await?;
        Ok(())
    }

    fn read_key(&self, row: &SqliteRow) -> Result<OwnKey, DatabaseFault> {
        let key_id: String = row.try_get("key_id")?;
        let public: Vec<u8> = row.try_get("public_key")?;
        let private: Vec<u8> = row.try_get("private_key")?;
        let suite: String = row.try_get("suite")?;
        let public = Suite::parse(&suite).and_then(|suite| PublicKey::new(suite, public));
        let public = public.ok_or(VaultFault::Unreadable("public_key"))?;
        Ok(OwnKey { public, private: self.vault().open(private_place(&key_id), &private)? })
    }
}

fn private_place(key_id: &str) -> Place<'_> {
    Place { table: "own_keys", column: "private_key", row: key_id }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, RwLock};

    use super::super::connect;
    use super::*;
    use crate::enclave::database::vault::{DataKey, Vault};

    fn vault(n: u8) -> Vault {
        Vault::new(&DataKey::new(&[n; 32])).unwrap()
    }

    #[tokio::test]
    async fn a_private_key_opens_with_the_database_key_alone_and_the_first_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, vault(1)).await.unwrap();
        let key = |n| OwnKey {
            public: PublicKey::new(Suite::X25519, vec![n; 32]).unwrap(),
            private: Zeroizing::new(vec![n; 32]),
        };
        let purpose = (KeyType::PerVasp, "7");
        db.own_key_insert(purpose, VaspId(7), "a", &key(1), Seconds(1)).await.unwrap();
        db.own_key_insert(purpose, VaspId(7), "b", &key(2), Seconds(1)).await.unwrap();
        assert_eq!(db.own_key(Suite::X25519, purpose).await.unwrap().unwrap().private.to_vec(), vec![1; 32]);
        db.close().await;
        let other = Database {
            pool: connect(&path).await.unwrap(),
            vault: RwLock::new(Arc::new(vault(2))),
            vasps: Default::default(),
        };
        assert!(matches!(
            other.own_key(Suite::X25519, purpose).await,
            Err(DatabaseFault::Vault(VaultFault::Unreadable("private_key")))
        ));
    }
}
