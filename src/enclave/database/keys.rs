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
    generation INTEGER NOT NULL,
    key_id TEXT NOT NULL UNIQUE,
    public_key BLOB NOT NULL,
    private_key BLOB NOT NULL,
    made_for TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (suite, key_type, key_identifier, generation)
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

/// How long a key of a type is given out, in seconds. Time is cut into such lives from its beginning on, and each has its own key: what
/// was recorded is out of reach once the life's key is gone.
const fn life_s(key_type: KeyType) -> u64 {
    match key_type {
        KeyType::PerVasp => 30 * DAY_S,
        KeyType::PerAddress => 90 * DAY_S,
        KeyType::PerVerification => DAY_S,
    }
}

const DAY_S: u64 = 86_400;

fn generation(key_type: KeyType, at: Seconds) -> i64 {
    i64::try_from(at.0.checked_div(life_s(key_type)).unwrap_or_default()).unwrap_or(i64::MAX)
}

/// A key pair of one's own.
pub(in super::super) struct OwnKey {
    pub(in super::super) public: PublicKey,
    pub(in super::super) private: Zeroizing<Vec<u8>>,
}

impl Database {
    /// How many keys of a type were made for this VASP in the last day.
    pub(in super::super) async fn own_keys_made(
        &self,
        key_type: KeyType,
        made_for: VaspId,
        now: Seconds,
    ) -> Result<u64, DatabaseFault> {
        let made = "SELECT count(*) FROM own_keys WHERE key_type = ? AND made_for = ? AND created_at >= ?";
        let made = sqlx::query_scalar(made).bind(key_type.as_str()).bind(made_for.to_string());
        let made: i64 = made.bind(signed(Seconds(now.0.saturating_sub(DAY_S)))).fetch_one(&self.pool).await?;
        Ok(made.unsigned_abs())
    }

    /// Lets go of every key whose life ended more than `kept_on_s` ago; says how many there were.
    pub(in super::super) async fn own_keys_forget(
        &self,
        now: Seconds,
        kept_on_s: u64,
    ) -> Result<u64, DatabaseFault> {
        let since = Seconds(now.0.saturating_sub(kept_on_s));
        let mut gone = 0u64;
        for key_type in KeyType::ALL {
            let old = sqlx::query("DELETE FROM own_keys WHERE key_type = ? AND generation < ?");
            let old = old.bind(key_type.as_str()).bind(generation(key_type, since));
            gone = gone.saturating_add(old.execute(&self.pool).await?.rows_affected());
        }
        Ok(gone)
    }

    /// Keeps a new key pair, made for a VASP's sake, unless there is one for that purpose in this life.
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
            "INSERT INTO own_keys (suite, key_type, key_identifier, generation, key_id, public_key, private_key, made_for, created_at) \
             VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (suite, key_type, key_identifier, generation) DO NOTHING",
        );
        let query = query.bind(key.public.suite().as_str()).bind(purpose.0.as_str()).bind(purpose.1);
        let query = query.bind(generation(purpose.0, now)).bind(key_id);
        let query = query.bind(key.public.bytes()).bind(private).bind(made_for.to_string());
        query.bind(signed(now)).execute(&self.pool).await?;
        Ok(())
    }

    /// The key pair for a purpose that is given out now.
    pub(in super::super) async fn own_key(
        &self,
        suite: Suite,
        purpose: (KeyType, &str),
        now: Seconds,
    ) -> Result<Option<OwnKey>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT * FROM own_keys WHERE suite = ? AND key_type = ? AND key_identifier = ? AND generation = ?",
        );
        let query = query.bind(suite.as_str()).bind(purpose.0.as_str()).bind(purpose.1);
        let row = query.bind(generation(purpose.0, now)).fetch_optional(&self.pool).await?;
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
        let kept = db.own_key(Suite::X25519, purpose, Seconds(2)).await.unwrap();
        assert_eq!(kept.unwrap().private.to_vec(), vec![1; 32]);
        db.close().await;
        let other = Database {
            pool: connect(&path).await.unwrap(),
            vault: RwLock::new(Arc::new(vault(2))),
            vasps: Default::default(),
        };
        assert!(matches!(
            other.own_key(Suite::X25519, purpose, Seconds(2)).await,
            Err(DatabaseFault::Vault(VaultFault::Unreadable("private_key")))
        ));
    }

    #[tokio::test]
    async fn each_life_has_its_key_and_a_key_ends_after_its_life() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, vault(1)).await.unwrap();
        let key = |n| OwnKey {
            public: PublicKey::new(Suite::X25519, vec![n; 32]).unwrap(),
            private: Zeroizing::new(vec![n; 32]),
        };
        let purpose = (KeyType::PerVerification, "7");
        let (first, second) = (Seconds(10 * DAY_S + 1), Seconds(11 * DAY_S));
        db.own_key_insert(purpose, VaspId(7), "a", &key(1), first).await.unwrap();
        assert!(db.own_key(Suite::X25519, purpose, second).await.unwrap().is_none());
        db.own_key_insert(purpose, VaspId(7), "b", &key(2), second).await.unwrap();
        let given_out = db.own_key(Suite::X25519, purpose, second).await.unwrap().unwrap();
        assert_eq!(given_out.private.to_vec(), vec![2; 32]);
        assert_eq!(db.own_keys_made(KeyType::PerVerification, VaspId(7), second).await.unwrap(), 2);
        assert_eq!(db.own_keys_forget(second, 1).await.unwrap(), 0, "what is under way still opens");
        assert!(db.own_key_named("a").await.unwrap().is_some());
        assert_eq!(db.own_keys_forget(second, 0).await.unwrap(), 1);
        assert!(db.own_key_named("a").await.unwrap().is_none());
        assert!(db.own_key_named("b").await.unwrap().is_some());
    }
}
