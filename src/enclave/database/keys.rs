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
            gone = gone.saturating_add(old.execute(&self.writer).await?.rows_affected());
        }
        self.held.forget_own(generation(KeyType::PerVasp, since));
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
        query.bind(signed(now)).execute(&self.writer).await?;
        Ok(())
    }

    /// The key pair for a purpose that is given out now.
    pub(in super::super) async fn own_key(
        &self,
        suite: Suite,
        purpose: (KeyType, &str),
        now: Seconds,
    ) -> Result<Option<Arc<OwnKey>>, DatabaseFault> {
        let generation = generation(purpose.0, now);
        if let Some(held) = self.held.own(suite, purpose, generation) {
            return Ok(Some(held));
        }
        let query = sqlx::query(
            "SELECT * FROM own_keys WHERE suite = ? AND key_type = ? AND key_identifier = ? AND generation = ?",
        );
        let query = query.bind(suite.as_str()).bind(purpose.0.as_str()).bind(purpose.1);
        let row = query.bind(generation).fetch_optional(&self.pool).await?;
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
        let key = OwnKey::new(public, self.vault().open(private_place(&key_id), &private)?);
        let key = Arc::new(key);
        let key_type: String = row.try_get("key_type")?;
        if KeyType::parse(&key_type) == Some(KeyType::PerVasp) {
            let identifier = row.try_get("key_identifier")?;
            self.held.keep_own(key_id, (identifier, row.try_get("generation")?), &key);
        }
        Ok(key)
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
    use super::super::held::Held;
    use super::*;
    use crate::enclave::database::vault::{DataKey, Vault};

    fn vault(n: u8) -> Vault {
        Vault::new(&DataKey::new(&[n; 32])).unwrap()
    }

    fn key(n: u8) -> OwnKey {
        OwnKey::new(PublicKey::new(Suite::X25519, vec![n; 32]).unwrap(), Zeroizing::new(vec![n; 32]))
    }

    /// A new database, and the folder it stands in.
    async fn opened() -> (tempfile::TempDir, Database) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, vault(1)).await.unwrap();
        (dir, db)
    }

    #[tokio::test]
    async fn a_private_key_opens_with_the_database_key_alone_and_the_first_one_stays() {
        let (dir, db) = opened().await;
        let path = dir.path().join("enclave.db");
        let purpose = (KeyType::PerVasp, "7");
        db.own_key_insert(purpose, VaspId(7), "a", &key(1), Seconds(1)).await.unwrap();
        db.own_key_insert(purpose, VaspId(7), "b", &key(2), Seconds(1)).await.unwrap();
        let kept = db.own_key(Suite::X25519, purpose, Seconds(2)).await.unwrap();
        assert_eq!(kept.unwrap().private.to_vec(), vec![1; 32]);
        db.close().await;
        let other = Database {
            pool: connect(&path).await.unwrap(),
            writer: connect(&path).await.unwrap(),
            vault: RwLock::new(Arc::new(vault(2))),
            held: Held::default(),
            vasps: Default::default(),
        };
        assert!(matches!(
            other.own_key(Suite::X25519, purpose, Seconds(2)).await,
            Err(DatabaseFault::Vault(VaultFault::Unreadable("private_key")))
        ));
    }

    #[tokio::test]
    async fn each_life_has_its_key_and_a_key_ends_after_its_life() {
        let (_dir, db) = opened().await;
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

    #[tokio::test]
    async fn a_held_key_is_given_out_in_its_life_alone_and_gone_when_it_is_let_go() {
        let (_dir, db) = opened().await;
        let (purpose, life) = ((KeyType::PerVasp, "7"), life_s(KeyType::PerVasp));
        for (n, name) in [(1, "a"), (2, "b")] {
            let at = Seconds(u64::from(n) * life);
            assert!(db.own_key(Suite::X25519, purpose, at).await.unwrap().is_none(), "the older one is held");
            db.own_key_insert(purpose, VaspId(7), name, &key(n), at).await.unwrap();
            let given = db.own_key(Suite::X25519, purpose, at).await.unwrap().unwrap();
            assert_eq!(given.private.to_vec(), vec![n; 32]);
        }
        assert!(db.own_key_named("a").await.unwrap().is_some(), "what was sealed to it opens");
        assert_eq!(db.own_keys_forget(Seconds(2 * life), 0).await.unwrap(), 1);
        assert!(db.own_key_named("a").await.unwrap().is_none());
        assert!(db.own_key_named("b").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn keys_for_a_whole_vasp_are_held_and_others_are_not() {
        let (_dir, db) = opened().await;
        let now = Seconds(1);
        for (n, key_type) in [(1, KeyType::PerVasp), (2, KeyType::PerAddress)] {
            db.own_key_insert((key_type, "7"), VaspId(7), key_type.as_str(), &key(n), now).await.unwrap();
            assert!(db.own_key(Suite::X25519, (key_type, "7"), now).await.unwrap().is_some());
        }
        sqlx::query("DELETE FROM own_keys").execute(&db.pool).await.unwrap();
        let own = |key_type, identifier| db.own_key(Suite::X25519, (key_type, identifier), now);
        assert!(own(KeyType::PerVasp, "7").await.unwrap().is_some(), "not read again");
        assert!(db.own_key_named("PerVasp").await.unwrap().is_some());
        assert!(own(KeyType::PerVasp, "8").await.unwrap().is_none(), "of another VASP");
        assert!(own(KeyType::PerAddress, "7").await.unwrap().is_none());
        assert!(db.own_key_named("PerAddress").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_counterpartys_key_that_is_forgotten_is_held_no_more() {
        let (_dir, db) = opened().await;
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
