//! Owns the enclave's own SQLite file: all of this room's SQL. Personal data and private keys reach it sealed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row, SqlitePool};
use zeroize::Zeroizing;

use super::vault::{Place, Vault, VaultFault};
use super::wire::key::{KeyType, SignedKey};
use crate::withdrawal::{Seconds, VaspId};

const SCHEMA: &str = "
CREATE TABLE data_key (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    check_value BLOB NOT NULL
) STRICT;
CREATE TABLE own_keys (
    key_type TEXT NOT NULL,
    key_identifier TEXT NOT NULL,
    key_id TEXT NOT NULL UNIQUE,
    public_key BLOB NOT NULL,
    private_key BLOB NOT NULL,
    made_for TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (key_type, key_identifier)
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
CREATE TABLE verifications (
    role TEXT NOT NULL,
    row_key TEXT NOT NULL,
    verification_uuid TEXT,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    counterparty TEXT NOT NULL,
    asset TEXT NOT NULL,
    network TEXT NOT NULL,
    destination TEXT NOT NULL,
    amount TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    ivms101 BLOB,
    reply_ivms101 BLOB,
    envelope TEXT,
    answer_text TEXT,
    answer_signature BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    next_try_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    PRIMARY KEY (role, row_key)
) STRICT;
CREATE INDEX verifications_due ON verifications (role, state, next_try_at);
PRAGMA user_version = 2;
";
const SCHEMA_VERSION: i64 = 2;

/// The enclave's database fails.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseFault {
    /// There is no database at that place.
    #[error("there is no enclave database at `{0}`")]
    Missing(String),
    /// There is one already.
    #[error("there is an enclave database at `{0}` already")]
    Exists(String),
    /// Its file cannot be made.
    #[error("the enclave database at `{0}` cannot be created")]
    File(String, #[source] io::Error),
    /// It was written by another version.
    #[error("the enclave database has schema version {0}, this program has {SCHEMA_VERSION}")]
    Version(i64),
    /// It was begun with another data key.
    #[error("`enclave.data_key` is not the key of the enclave database at `{0}`")]
    OtherKey(String),
    /// SQLite fails; a write may have happened.
    #[error("the enclave database does not answer")]
    Sqlite(#[from] sqlx::Error),
    /// A sealed column does not open.
    #[error(transparent)]
    Vault(#[from] VaultFault),
}

/// Which side of a verification a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Originator,
    Beneficiary,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Originator => "originator",
            Self::Beneficiary => "beneficiary",
        }
    }
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Answered,
    Expired,
}

impl State {
    const fn as_str(self) -> &'static str {
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
pub(super) struct Signed {
    pub(super) text: String,
    pub(super) signature: [u8; 64],
}

/// One verification. `row_key` is the request digest for the originator, `from:uuid` for the beneficiary.
pub(super) struct Verification {
    pub(super) role: Role,
    pub(super) row_key: String,
    pub(super) uuid: Option<String>,
    pub(super) state: State,
    pub(super) kind: String,
    pub(super) counterparty: String,
    pub(super) asset: String,
    pub(super) network: String,
    pub(super) destination: String,
    pub(super) amount: String,
    pub(super) request_digest: String,
    /// The keyed hash of what was asked, personal data included.
    pub(super) fingerprint: Vec<u8>,
    /// The canonical payload; sealed on disk.
    pub(super) ivms: Option<Zeroizing<Vec<u8>>>,
    /// What came back, or what this side gave back; sealed on disk.
    pub(super) reply: Option<Zeroizing<Vec<u8>>>,
    pub(super) envelope: Option<String>,
    pub(super) answer: Option<Signed>,
    pub(super) created_at: Seconds,
    pub(super) expires_at: Seconds,
    pub(super) next_try_at: Seconds,
    pub(super) tries: u32,
}

/// A key pair of one's own.
pub(super) struct OwnKey {
    pub(super) public: [u8; 32],
    pub(super) private: Zeroizing<Vec<u8>>,
}

/// The open database.
pub(super) struct Database {
    pool: SqlitePool,
    vault: Vault,
}

impl Database {
    /// Creates the file; refuses to touch an existing one.
    pub(super) async fn create(path: &Path) -> Result<(), DatabaseFault> {
        create_file(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => DatabaseFault::Exists(path.display().to_string()),
            _ => DatabaseFault::File(path.display().to_string(), error),
        })?;
        let laid_out = lay_out(path).await;
        if laid_out.is_err() {
            remove_file(path);
        }
        Ok(laid_out?)
    }

    /// Opens the file; never creates it. The first key it is opened with is its key for ever.
    pub(super) async fn open(path: &Path, vault: Vault) -> Result<Self, DatabaseFault> {
        if !path.exists() {
            return Err(DatabaseFault::Missing(path.display().to_string()));
        }
        let pool = connect(path).await?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&pool).await?;
        if version != SCHEMA_VERSION {
            return Err(DatabaseFault::Version(version));
        }
        if !is_key_of(&pool, &vault).await? {
            return Err(DatabaseFault::OtherKey(path.display().to_string()));
        }
        Ok(Self { pool, vault })
    }

    /// The sealing key, for fingerprints.
    pub(super) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Whether it answers.
    pub(super) async fn is_well(&self) -> bool {
        sqlx::query_scalar::<_, i64>("SELECT 1").fetch_one(&self.pool).await.is_ok()
    }

    /// Flushes and closes.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Writes a verification down unless there is one by that key; says whether it did.
    pub(super) async fn verification_insert(&self, v: &Verification) -> Result<bool, DatabaseFault> {
        let ivms = self.seal_some(v, "ivms101", v.ivms.as_ref())?;
        let reply = self.seal_some(v, "reply_ivms101", v.reply.as_ref())?;
        let done = sqlx::query(
            "INSERT INTO verifications (role, row_key, verification_uuid, state, kind, counterparty, asset, network, \
             destination, amount, request_digest, fingerprint, ivms101, reply_ivms101, envelope, answer_text, \
             answer_signature, created_at, expires_at, next_try_at, tries) \
             VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (role, row_key) DO NOTHING",
        )
        .bind(v.role.as_str())
        .bind(&v.row_key)
        .bind(&v.uuid)
        .bind(v.state.as_str())
        .bind(&v.kind)
        .bind(&v.counterparty)
        .bind(&v.asset)
        .bind(&v.network)
        .bind(&v.destination)
        .bind(&v.amount)
        .bind(&v.request_digest)
        .bind(&v.fingerprint)
        .bind(ivms)
        .bind(reply)
        .bind(&v.envelope)
        .bind(v.answer.as_ref().map(|a| a.text.as_str()))
        .bind(v.answer.as_ref().map(|a| a.signature.to_vec()))
        .bind(signed(v.created_at))
        .bind(signed(v.expires_at))
        .bind(signed(v.next_try_at))
        .bind(i64::from(v.tries))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Reads a verification.
    pub(super) async fn verification(
        &self,
        role: Role,
        key: &str,
    ) -> Result<Option<Verification>, DatabaseFault> {
        let row = sqlx::query("SELECT * FROM verifications WHERE role = ? AND row_key = ?")
            .bind(role.as_str())
            .bind(key)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| self.read(role, &row)).transpose()
    }

    /// The originator's keys of verifications that should be tried now, the longest due first.
    pub(super) async fn verifications_due(
        &self,
        now: Seconds,
        most: u32,
    ) -> Result<Vec<String>, DatabaseFault> {
        let query = sqlx::query_scalar(
            "SELECT row_key FROM verifications WHERE role = 'originator' AND state = 'waiting' AND next_try_at <= ? \
             ORDER BY next_try_at LIMIT ?",
        );
        Ok(query.bind(signed(now)).bind(i64::from(most)).fetch_all(&self.pool).await?)
    }

    /// How many verifications wait for an answer.
    pub(super) async fn verifications_waiting(&self) -> Result<u64, DatabaseFault> {
        let query = "SELECT count(*) FROM verifications WHERE role = 'originator' AND state = 'waiting'";
        let count: i64 = sqlx::query_scalar(query).fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }

    /// Notes under which uuid a waiting verification is about to be sent (or, with `None`, that it must be sealed anew).
    pub(super) async fn verification_sent(
        &self,
        key: &str,
        sent: Option<(&str, &str)>,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE verifications SET verification_uuid = ?, envelope = ? \
             WHERE role = 'originator' AND row_key = ? AND state = 'waiting'",
        );
        query.bind(sent.map(|s| s.0)).bind(sent.map(|s| s.1)).bind(key).execute(&self.pool).await?;
        Ok(())
    }

    /// Puts off a waiting verification.
    pub(super) async fn verification_put_off(
        &self,
        key: &str,
        tries: u32,
        until: Seconds,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE verifications SET tries = ?, next_try_at = ? \
             WHERE role = 'originator' AND row_key = ? AND state = 'waiting'",
        );
        query.bind(i64::from(tries)).bind(signed(until)).bind(key).execute(&self.pool).await?;
        Ok(())
    }

    /// Asks anew about an answered verification: it waits again, under no uuid yet. Its answer stays until there is a newer one.
    /// Whoever saw another answer than the one kept (by its uuid) renews nothing.
    pub(super) async fn verification_renewed(
        &self,
        v: &Verification,
        now: Seconds,
        expires_at: Seconds,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE verifications SET state = 'waiting', verification_uuid = NULL, envelope = NULL, created_at = ?, \
             expires_at = ?, next_try_at = ?, tries = 0 \
             WHERE role = 'originator' AND row_key = ? AND state = 'answered' AND verification_uuid IS ?",
        );
        let query = query.bind(signed(now)).bind(signed(expires_at)).bind(signed(now));
        query.bind(&v.row_key).bind(&v.uuid).execute(&self.pool).await?;
        Ok(())
    }

    /// The answer kept for a request digest.
    pub(super) async fn answer(&self, digest: &str) -> Result<Option<Signed>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT answer_text, answer_signature FROM verifications WHERE role = 'originator' AND row_key = ?",
        );
        let row = query.bind(digest).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| read_answer(&row)).transpose()?.flatten())
    }

    /// The newest answers with their request digests, the newest first.
    pub(super) async fn answers(&self, most: usize) -> Result<Vec<(String, Signed)>, DatabaseFault> {
        let query = sqlx::query(
            "SELECT row_key, answer_text, answer_signature FROM verifications \
             WHERE role = 'originator' AND answer_text IS NOT NULL ORDER BY rowid DESC LIMIT ?",
        );
        let rows = query.bind(i64::try_from(most).unwrap_or(i64::MAX)).fetch_all(&self.pool).await?;
        let mut answers = Vec::with_capacity(rows.len());
        for row in rows {
            let digest: String = row.try_get("row_key")?;
            answers.extend(read_answer(&row)?.map(|answer| (digest, answer)));
        }
        Ok(answers)
    }

    /// Keeps the answer to a waiting verification, in place of an older one; says whether it still waited.
    pub(super) async fn verification_answered(
        &self,
        v: &Verification,
        answer: &Signed,
        reply: &Zeroizing<Vec<u8>>,
    ) -> Result<bool, DatabaseFault> {
        let reply = self.seal_some(v, "reply_ivms101", Some(reply))?;
        let query = sqlx::query(
            "UPDATE verifications SET state = 'answered', answer_text = ?, answer_signature = ?, reply_ivms101 = ?, \
             envelope = NULL WHERE role = 'originator' AND row_key = ? AND state = 'waiting'",
        );
        let query = query.bind(&answer.text).bind(answer.signature.to_vec()).bind(reply).bind(&v.row_key);
        Ok(query.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Gives up on a waiting verification.
    pub(super) async fn verification_expired(&self, key: &str) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE verifications SET state = 'expired', envelope = NULL \
             WHERE role = 'originator' AND row_key = ? AND state = 'waiting'",
        );
        query.bind(key).execute(&self.pool).await?;
        Ok(())
    }

    /// Lets go of the keys for one verification each that were made for this VASP before `since`; says how many are left.
    pub(super) async fn own_keys_once(&self, made_for: VaspId, since: Seconds) -> Result<u64, DatabaseFault> {
        let (once, made_for) = (KeyType::PerVerification.as_str(), made_for.to_string());
        let old = sqlx::query("DELETE FROM own_keys WHERE key_type = ? AND made_for = ? AND created_at < ?");
        old.bind(once).bind(&made_for).bind(signed(since)).execute(&self.pool).await?;
        let left = sqlx::query_scalar("SELECT count(*) FROM own_keys WHERE key_type = ? AND made_for = ?");
        let left: i64 = left.bind(once).bind(&made_for).fetch_one(&self.pool).await?;
        Ok(left.unsigned_abs())
    }

    /// Keeps a new key pair, made for a VASP's sake, unless there is one for that purpose.
    pub(super) async fn own_key_insert(
        &self,
        purpose: (KeyType, &str),
        made_for: VaspId,
        key_id: &str,
        key: &OwnKey,
        now: Seconds,
    ) -> Result<(), DatabaseFault> {
        let private = self.vault.seal(private_place(key_id), &key.private)?;
        let query = sqlx::query(
            "INSERT INTO own_keys (key_type, key_identifier, key_id, public_key, private_key, made_for, created_at) \
             VALUES (?,?,?,?,?,?,?) ON CONFLICT (key_type, key_identifier) DO NOTHING",
        );
        let query = query.bind(purpose.0.as_str()).bind(purpose.1).bind(key_id);
        let query = query.bind(key.public.to_vec()).bind(private).bind(made_for.to_string());
        query.bind(signed(now)).execute(&self.pool).await?;
        Ok(())
    }

    /// The key pair for a purpose.
    pub(super) async fn own_key(&self, purpose: (KeyType, &str)) -> Result<Option<OwnKey>, DatabaseFault> {
        let query = sqlx::query("SELECT * FROM own_keys WHERE key_type = ? AND key_identifier = ?");
        let row = query.bind(purpose.0.as_str()).bind(purpose.1).fetch_optional(&self.pool).await?;
        row.map(|row| self.read_key(&row)).transpose()
    }

    /// The key pair of that name.
    pub(super) async fn own_key_named(&self, key_id: &str) -> Result<Option<OwnKey>, DatabaseFault> {
        let query = sqlx::query("SELECT * FROM own_keys WHERE key_id = ?").bind(key_id);
        let row = query.fetch_optional(&self.pool).await?;
        row.map(|row| self.read_key(&row)).transpose()
    }

    /// The cached key of a counterparty, and when it was fetched.
    pub(super) async fn peer_key(
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
    pub(super) async fn peer_key_put(
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
    pub(super) async fn peer_keys_forget(&self, vasp: VaspId) -> Result<(), DatabaseFault> {
        let query = sqlx::query("DELETE FROM counter_party_keys WHERE vasp_id = ?").bind(vasp.to_string());
        query.execute(&self.pool).await?;
        Ok(())
    }

    fn seal_some(
        &self,
        v: &Verification,
        column: &'static str,
        value: Option<&Zeroizing<Vec<u8>>>,
    ) -> Result<Option<Vec<u8>>, VaultFault> {
        let row = row_place(v.role, &v.row_key);
        value.map(|plain| self.vault.seal(place(column, &row), plain)).transpose()
    }

    fn open_some(
        &self,
        row: &SqliteRow,
        column: &'static str,
        key: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, DatabaseFault> {
        let sealed: Option<Vec<u8>> = row.try_get(column)?;
        Ok(sealed.map(|sealed| self.vault.open(place(column, key), &sealed)).transpose()?)
    }

    fn read(&self, role: Role, row: &SqliteRow) -> Result<Verification, DatabaseFault> {
        let row_key: String = row.try_get("row_key")?;
        let sealed_under = row_place(role, &row_key);
        let state: String = row.try_get("state")?;
        let tries: i64 = row.try_get("tries")?;
        Ok(Verification {
            role,
            uuid: row.try_get("verification_uuid")?,
            state: State::parse(&state).ok_or(VaultFault::Unreadable("state"))?,
            kind: row.try_get("kind")?,
            counterparty: row.try_get("counterparty")?,
            asset: row.try_get("asset")?,
            network: row.try_get("network")?,
            destination: row.try_get("destination")?,
            amount: row.try_get("amount")?,
            request_digest: row.try_get("request_digest")?,
            fingerprint: row.try_get("fingerprint")?,
            ivms: self.open_some(row, "ivms101", &sealed_under)?,
            reply: self.open_some(row, "reply_ivms101", &sealed_under)?,
            envelope: row.try_get("envelope")?,
            answer: read_answer(row)?,
            created_at: unsigned(row.try_get("created_at")?),
            expires_at: unsigned(row.try_get("expires_at")?),
            next_try_at: unsigned(row.try_get("next_try_at")?),
            tries: u32::try_from(tries).unwrap_or(u32::MAX),
            row_key,
        })
    }

    fn read_key(&self, row: &SqliteRow) -> Result<OwnKey, DatabaseFault> {
        let key_id: String = row.try_get("key_id")?;
        let public: Vec<u8> = row.try_get("public_key")?;
        let private: Vec<u8> = row.try_get("private_key")?;
        let public = public.try_into().map_err(|_| VaultFault::Unreadable("public_key"))?;
        Ok(OwnKey { public, private: self.vault.open(private_place(&key_id), &private)? })
    }
}

fn read_answer(row: &SqliteRow) -> Result<Option<Signed>, sqlx::Error> {
    let text: Option<String> = row.try_get("answer_text")?;
    let signature: Option<Vec<u8>> = row.try_get("answer_signature")?;
    let signature = signature.and_then(|s| s.try_into().ok());
    Ok(text.zip(signature).map(|(text, signature)| Signed { text, signature }))
}

/// Creates an empty file that only its owner can read, and makes its name durable. SQLite gives the files beside it the same mode.
fn create_file(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Takes an unfinished file away again, with what SQLite puts beside it.
fn remove_file(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let removed = std::fs::remove_file(&name);
        if let Err(error) =
            removed.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
        {
            tracing::warn!(%error, "an unfinished enclave database could not be removed");
        }
    }
}

async fn lay_out(path: &Path) -> Result<(), sqlx::Error> {
    let pool = connect(path).await?;
    let done = sqlx::raw_sql(SCHEMA).execute(&pool).await;
    pool.close().await;
    done.map(drop)
}

/// Whether this is the key the database was begun with; a database that has none yet begins with this one.
async fn is_key_of(pool: &SqlitePool, vault: &Vault) -> Result<bool, sqlx::Error> {
    let value = vault.check_value().to_vec();
    let begin =
        sqlx::query("INSERT INTO data_key (one, check_value) VALUES (1, ?) ON CONFLICT (one) DO NOTHING");
    begin.bind(&value).execute(pool).await?;
    let kept: Vec<u8> = sqlx::query_scalar("SELECT check_value FROM data_key").fetch_one(pool).await?;
    Ok(kept == value)
}

async fn connect(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        // Freed pages are overwritten: a deleted row leaves nothing behind in the file.
        .pragma("secure_delete", "ON");
    SqlitePoolOptions::new().max_connections(4).connect_with(options).await
}

fn place<'a>(column: &'static str, row: &'a str) -> Place<'a> {
    Place { table: "verifications", column, row }
}

fn row_place(role: Role, key: &str) -> String {
    format!("{}:{key}", role.as_str())
}

fn private_place(key_id: &str) -> Place<'_> {
    Place { table: "own_keys", column: "private_key", row: key_id }
}

/// SQLite has no unsigned 64-bit integer; no point in time that matters lies beyond the signed one.
fn signed(at: Seconds) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

fn unsigned(at: i64) -> Seconds {
    Seconds(u64::try_from(at).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::super::EnclaveFault;
    use super::super::vault::DataKey;
    use super::*;
    use crate::withdrawal::Code;

    fn vault(n: u8) -> Vault {
        Vault::new(&DataKey::new(&[n; 32])).unwrap()
    }

    #[tokio::test]
    async fn no_database_is_made_by_a_mistyped_path_and_none_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        assert!(matches!(Database::open(&path, vault(1)).await, Err(DatabaseFault::Missing(_))));
        assert!(!path.exists());
        Database::create(&path).await.unwrap();
        assert!(matches!(Database::create(&path).await, Err(DatabaseFault::Exists(_))));
        assert!(Database::open(&path, vault(1)).await.unwrap().is_well().await);
    }

    #[tokio::test]
    async fn the_database_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, vault(1)).await.unwrap();
        db.verification_expired("wakes the files beside it").await.unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        }
    }

    #[tokio::test]
    async fn what_could_not_be_finished_is_taken_away_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        std::fs::create_dir(dir.path().join("enclave.db-wal")).unwrap();
        assert!(matches!(Database::create(&path).await, Err(DatabaseFault::Sqlite(_))));
        assert!(!path.exists());
        std::fs::remove_dir(dir.path().join("enclave.db-wal")).unwrap();
        Database::create(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_private_key_opens_with_the_database_key_alone_and_the_first_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        let db = Database::open(&path, vault(1)).await.unwrap();
        let key = |n| OwnKey { public: [n; 32], private: Zeroizing::new(vec![n; 32]) };
        let purpose = (KeyType::PerVasp, "7");
        db.own_key_insert(purpose, VaspId(7), "a", &key(1), Seconds(1)).await.unwrap();
        db.own_key_insert(purpose, VaspId(7), "b", &key(2), Seconds(1)).await.unwrap();
        assert_eq!(db.own_key(purpose).await.unwrap().unwrap().private.to_vec(), vec![1; 32]);
        db.close().await;
        let other = Database { pool: connect(&path).await.unwrap(), vault: vault(2) };
        assert!(matches!(
            other.own_key(purpose).await,
            Err(DatabaseFault::Vault(VaultFault::Unreadable("private_key")))
        ));
    }

    #[tokio::test]
    async fn another_data_key_opens_nothing_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enclave.db");
        Database::create(&path).await.unwrap();
        Database::open(&path, vault(1)).await.unwrap().close().await;
        let fault = EnclaveFault::from(Database::open(&path, vault(2)).await.err().unwrap());
        assert_eq!(fault.code(), Code::StoreOtherKey);
        assert!(fault.to_string().contains("enclave.data_key") && fault.to_string().contains("enclave.db"));
        assert!(Database::open(&path, vault(1)).await.unwrap().is_well().await);
    }
}
