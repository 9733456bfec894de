//! The key tables: own pairs, the private half sealed, and the cached keys of counterparties.

use std::sync::{Arc, OnceLock};

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zeroize::Zeroizing;

use super::super::wire::key::{KeyType, SignedKey};
use super::{Database, DatabaseFault, signed, unsigned};
use crate::enclave::database::vault::{Place, VaultFault};
use crate::enclave::wire::seal::{Binding, Envelope, Opener, PublicKey, SealFault, Suite};
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
    pub(super) private: Zeroizing<Vec<u8>>,
    opener: OnceLock<Opener>,
}

impl OwnKey {
    /// Takes both halves over.
    pub(in super::super) fn new(public: PublicKey, private: Zeroizing<Vec<u8>>) -> Self {
        Self { public, private, opener: OnceLock::new() }
    }

    /// Opens an envelope that was sealed to it.
    pub(in super::super) fn open(
        &self,
        binding: Binding<'_>,
        envelope: &Envelope,
    ) -> Result<Zeroizing<Vec<u8>>, SealFault> {
        if let Some(opener) = self.opener.get() {
            return opener.open(binding, envelope);
        }
        let opener = Opener::new(self.public.suite(), &self.private)?;
        self.opener.get_or_init(|| opener).open(binding, envelope)
    }
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
        old.bind(once).bind(&made_for).bind(signed(since)).execute(&self.writer).await?;
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
        let private = self.vault.seal(private_place(key_id), &key.private)?;
        let query = sqlx::query(
            "INSERT INTO own_keys (suite, key_type, key_identifier, key_id, public_key, private_key, made_for, created_at) \
             VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (suite, key_type, key_identifier) DO NOTHING",
        );
        let query =
            query.bind(key.public.suite().as_str()).bind(purpose.0.as_str()).bind(purpose.1).bind(key_id);
        let query = query.bind(key.public.bytes()).bind(private).bind(made_for.to_string());
        query.bind(signed(now)).execute(&self.writer).await?;
        Ok(())
    }

    /// The key pair for a purpose.
    pub(in super::super) async fn own_key(
        &self,
        suite: Suite,
        purpose: (KeyType, &str),
    ) -> Result<Option<Arc<OwnKey>>, DatabaseFault> {
        if let Some(held) = self.held.own(suite, purpose) {
            return Ok(Some(held));
        }
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
    ) -> Result<Option<Arc<OwnKey>>, DatabaseFault> {
        if let Some(held) = self.held.own_named(key_id) {
            return Ok(Some(held));
        }
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
        if let Some(held) = self.held.peer(vasp, purpose.0) {
            return Ok(Some(held));
        }
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
        key: &SignedKey,
        now: Seconds,
    ) -> Result<(), DatabaseFault> {
        let Ok(statement) = serde_json::to_string(key) else { return Ok(()) };
        let query = sqlx::query(
            "INSERT INTO counter_party_keys (vasp_id, key_type, key_identifier, statement, created_at) \
             VALUES (?,?,?,?,?) ON CONFLICT (vasp_id, key_type, key_identifier) \
             DO UPDATE SET statement = excluded.statement, created_at = excluded.created_at",
        );
        let query = query.bind(vasp.to_string()).bind(purpose.0.as_str()).bind(purpose.1);
        query.bind(statement).bind(signed(now)).execute(&self.writer).await?;
        self.held.keep_peer(vasp, purpose.0, (key.clone(), now));
        Ok(())
    }

    /// Forgets a counterparty's cached keys.
    pub(in super::super) async fn peer_keys_forget(&self, vasp: VaspId) -> Result<(), DatabaseFault> {
        let query = sqlx::query("DELETE FROM counter_party_keys WHERE vasp_id = ?").bind(vasp.to_string());
        self.held.forget_peer(vasp);
        query.execute(&self.writer).await?;
        Ok(())
    }

    fn read_key(&self, row: &SqliteRow) -> Result<Arc<OwnKey>, DatabaseFault> {
        let key_id: String = row.try_get("key_id")?;
        let public: Vec<u8> = row.try_get("public_key")?;
        let private: Vec<u8> = row.try_get("private_key")?;
        let suite: String = row.try_get("suite")?;
        let public = Suite::parse(&suite).and_then(|suite| PublicKey::new(suite, public));
        let public = public.ok_or(VaultFault::Unreadable("public_key"))?;
        let key_type: String = row.try_get("key_type")?;
        let key_type = KeyType::parse(&key_type).ok_or(VaultFault::Unreadable("key_type"))?;
        let key = Arc::new(OwnKey::new(public, self.vault.open(private_place(&key_id), &private)?));
        self.held.keep_own((key_type, &row.try_get::<String, _>("key_identifier")?), key_id, &key);
        Ok(key)
    }
}

fn private_place(key_id: &str) -> Place<'_> {
    Place { table: "own_keys", column: "private_key", row: key_id }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::connect;
    use super::super::held::Held;
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
        let key = |n| {
            let public = PublicKey::new(Suite::X25519, vec![n; 32]).unwrap();
            OwnKey::new(public, Zeroizing::new(vec![n; 32]))
        };
        let purpose = (KeyType::PerVasp, "7");
        db.own_key_insert(purpose, VaspId(7), "a", &key(1), Seconds(1)).await.unwrap();
        db.own_key_insert(purpose, VaspId(7), "b", &key(2), Seconds(1)).await.unwrap();
        assert_eq!(db.own_key(Suite::X25519, purpose).await.unwrap().unwrap().private.to_vec(), vec![1; 32]);
        db.close().await;
        let other = Database {
            pool: connect(&path).await.unwrap(),
            writer: connect(&path).await.unwrap(),
            vault: vault(2),
            held: Held::default(),
        };
        assert!(matches!(
            other.own_key(Suite::X25519, purpose).await,
            Err(DatabaseFault::Vault(VaultFault::Unreadable("private_key")))
        ));
    }

    #[tokio::test]
    async fn keys_for_a_whole_vasp_are_held_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, vault(1)).await.unwrap();
        for (n, key_type) in [(1, KeyType::PerVasp), (2, KeyType::PerAddress)] {
            let public = PublicKey::new(Suite::X25519, vec![n; 32]).unwrap();
            let key = OwnKey::new(public, Zeroizing::new(vec![n; 32]));
            db.own_key_insert((key_type, "7"), VaspId(7), key_type.as_str(), &key, Seconds(1)).await.unwrap();
            assert!(db.own_key(Suite::X25519, (key_type, "7")).await.unwrap().is_some());
        }
        sqlx::query("DELETE FROM own_keys").execute(&db.pool).await.unwrap();
        let own = |key_type, identifier| db.own_key(Suite::X25519, (key_type, identifier));
        assert!(own(KeyType::PerVasp, "7").await.unwrap().is_some(), "not read again");
        assert!(db.own_key_named("PerVasp").await.unwrap().is_some());
        assert!(own(KeyType::PerVasp, "8").await.unwrap().is_none(), "of another VASP");
        assert!(own(KeyType::PerAddress, "7").await.unwrap().is_none());
        assert!(db.own_key_named("PerAddress").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_counterpartys_key_that_is_forgotten_is_held_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, vault(1)).await.unwrap();
        let identity = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        let public = PublicKey::new(Suite::X25519, vec![5; 32]).unwrap();
        let (vasp, purpose) = (VaspId(7), (KeyType::PerVasp, "7"));
        let key = SignedKey::sign(&identity, vasp, purpose, (&public, &[Suite::X25519]), Seconds(1));
        db.peer_key_put(vasp, purpose, &key, Seconds(3)).await.unwrap();
        assert_eq!(db.peer_key(vasp, purpose).await.unwrap(), Some((key, Seconds(3))));
        assert_eq!(db.peer_key(VaspId(8), purpose).await.unwrap(), None);
        db.peer_keys_forget(vasp).await.unwrap();
        assert_eq!(db.peer_key(vasp, purpose).await.unwrap(), None);
    }
}
