//! The table of commands: what is to be told to the own backend or to another VASP, until it has been heard or a day has passed.
//!
//! A command is written in the transaction of what it tells about. Its body stands sealed, and is wiped once it was heard. The commands
//! of one lane are delivered one after another, in the order of their numbers.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zeroize::Zeroizing;

use super::{Database, DatabaseFault, signed, unsigned};
use crate::enclave::database::vault::Place;
use crate::withdrawal::Seconds;

pub(super) const SCHEMA: &str = "
CREATE TABLE commands (
    command_id INTEGER PRIMARY KEY,
    command_type TEXT NOT NULL,
    lane TEXT NOT NULL,
    number INTEGER NOT NULL,
    command_body BLOB,
    status TEXT NOT NULL,
    tries INTEGER NOT NULL,
    next_try_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    fetched_at INTEGER,
    finished_at INTEGER,
    UNIQUE (lane, number)
) STRICT;
CREATE INDEX commands_due ON commands (status, command_id);
CREATE INDEX commands_finished ON commands (status, finished_at);
CREATE INDEX commands_fetched ON commands (status, fetched_at, created_at);
";

/// A command to be written down.
pub(in super::super) struct NewCommand {
    /// What is told.
    pub(in super::super) kind: &'static str,
    /// What must not be told at the same time.
    pub(in super::super) lane: String,
    /// Its place in the lane.
    pub(in super::super) number: u64,
    /// What is told; may hold persons.
    pub(in super::super) body: Zeroizing<String>,
}

/// A command to be delivered.
pub(in super::super) struct Command {
    pub(in super::super) id: i64,
    pub(in super::super) kind: String,
    pub(in super::super) body: Zeroizing<Vec<u8>>,
    pub(in super::super) tries: u32,
    pub(in super::super) created_at: Seconds,
}

/// How long one try may take before it counts as lost, in seconds.
const STUCK_S: u64 = 120;

/// The first of each lane that is due, or that somebody took and never brought back. Each part ends with the last that is wanted: in
/// one with `OR`, SQLite looks at all that waits, each time.
const DUE: &str = "\
SELECT command_id FROM (SELECT command_id FROM commands AS c WHERE status = 'CREATED' AND next_try_at <= ?1 AND NOT EXISTS (\
SELECT 1 FROM commands AS e WHERE e.lane = c.lane AND e.number < c.number AND e.status IN ('CREATED', 'PROCESSING')) \
ORDER BY command_id LIMIT ?3) \
UNION ALL \
SELECT command_id FROM (SELECT command_id FROM commands AS c WHERE status = 'PROCESSING' AND fetched_at <= ?2 AND NOT EXISTS (\
SELECT 1 FROM commands AS e WHERE e.lane = c.lane AND e.number < c.number AND e.status IN ('CREATED', 'PROCESSING')) \
ORDER BY command_id LIMIT ?3) \
ORDER BY command_id LIMIT ?3";
/// Takes those, in one commit.
const TAKE: &str = "\
UPDATE commands SET status = 'PROCESSING', fetched_at = ?1 WHERE command_id IN (SELECT value FROM json_each(?2)) \
AND (status = 'CREATED' OR (status = 'PROCESSING' AND fetched_at <= ?3)) RETURNING *";

impl Database {
    /// Writes a command down within a transaction; the same number in the same lane is the same command.
    pub(super) async fn command_insert(
        &self,
        within: &mut SqliteConnection,
        command: &NewCommand,
        now: Seconds,
    ) -> Result<(), DatabaseFault> {
        let number = i64::try_from(command.number).unwrap_or(i64::MAX);
        let row = body_row(&command.lane, number);
        let body = self.vault().seal(body_place(&row), command.body.as_bytes())?;
        let query = sqlx::query(
            "INSERT INTO commands (command_type, lane, number, command_body, status, tries, next_try_at, created_at) \
             VALUES (?,?,?,?,'CREATED',0,?,?) ON CONFLICT (lane, number) DO NOTHING",
        );
        let query = query.bind(command.kind).bind(&command.lane).bind(number).bind(body);
        query.bind(signed(now)).bind(signed(now)).execute(within).await?;
        Ok(())
    }

    /// Takes commands that are due, at most one of each lane.
    pub(in super::super) async fn commands_fetch(
        &self,
        now: Seconds,
        most: usize,
    ) -> Result<Vec<Command>, DatabaseFault> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let stuck = signed(Seconds(now.0.saturating_sub(STUCK_S)));
        let due = sqlx::query_scalar(DUE).bind(signed(now)).bind(stuck).bind(most);
        let due: Vec<i64> = due.fetch_all(&self.pool).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let taking = sqlx::query(TAKE).bind(signed(now)).bind(list(&due)).bind(stuck);
        let taken = taking.fetch_all(&self.writer).await?;
        let mut fetched = Vec::with_capacity(taken.len());
        for row in &taken {
            let id = row.try_get("command_id")?;
            match self.read_command(id, row) {
                Ok(command) => fetched.push(command),
                // The rest must not wait for it; it is tried again, and found each time.
                Err(fault) => tracing::error!(command = id, %fault, "a command cannot be read"),
            }
        }
        fetched.sort_unstable_by_key(|command| command.id);
        Ok(fetched)
    }

    /// Commands were heard: their bodies are wiped, in one commit.
    pub(in super::super) async fn commands_done(
        &self,
        ids: &[i64],
        now: Seconds,
    ) -> Result<(), DatabaseFault> {
        self.commands_finished(ids, "DONE", now).await
    }

    /// A command is given up; its body is wiped.
    pub(in super::super) async fn command_failed(&self, id: i64, now: Seconds) -> Result<(), DatabaseFault> {
        self.commands_finished(&[id], "ERROR", now).await
    }

    async fn commands_finished(&self, ids: &[i64], status: &str, now: Seconds) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE commands SET status = ?, finished_at = ?, command_body = NULL \
             WHERE command_id IN (SELECT value FROM json_each(?)) AND status = 'PROCESSING'",
        );
        query.bind(status).bind(signed(now)).bind(list(ids)).execute(&self.writer).await?;
        Ok(())
    }

    /// Puts a command off.
    pub(in super::super) async fn command_put_off(
        &self,
        id: i64,
        tries: u32,
        until: Seconds,
    ) -> Result<(), DatabaseFault> {
        let query = sqlx::query(
            "UPDATE commands SET status = 'CREATED', tries = ?, next_try_at = ? \
             WHERE command_id = ? AND status = 'PROCESSING'",
        );
        query.bind(i64::from(tries)).bind(signed(until)).bind(id).execute(&self.writer).await?;
        Ok(())
    }

    /// At the start: what was under way when the last one stopped is taken up again, and what was finished before `since` is let go.
    pub(in super::super) async fn commands_recover(&self, since: Seconds) -> Result<(), DatabaseFault> {
        sqlx::query("UPDATE commands SET status = 'CREATED' WHERE status = 'PROCESSING'")
            .execute(&self.writer)
            .await?;
        let old = sqlx::query("DELETE FROM commands WHERE status IN ('DONE', 'ERROR') AND finished_at < ?");
        old.bind(signed(since)).execute(&self.writer).await?;
        Ok(())
    }

    fn read_command(&self, id: i64, row: &SqliteRow) -> Result<Command, DatabaseFault> {
        let lane: String = row.try_get("lane")?;
        let sealed: Vec<u8> = row.try_get("command_body")?;
        let tries: i64 = row.try_get("tries")?;
        Ok(Command {
            id,
            kind: row.try_get("command_type")?,
            body: self.vault().open(body_place(&body_row(&lane, row.try_get("number")?)), &sealed)?,
            tries: u32::try_from(tries).unwrap_or(u32::MAX),
            created_at: unsigned(row.try_get("created_at")?),
        })
    }
}

/// A list as SQLite's `json_each` reads it.
fn list(ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("[{}]", ids.join(","))
}

fn body_row(lane: &str, number: i64) -> String {
    format!("{lane}/{number}")
}

fn body_place(row: &str) -> Place<'_> {
    Place { table: "commands", column: "command_body", row }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::enclave::database::vault::{DataKey, Vault};

    async fn database(dir: &tempfile::TempDir) -> Database {
        let path = dir.path().join("enclave.db");
        if !path.exists() {
            Database::create(&path).await.unwrap();
        }
        Database::open(&path, Vault::new(&DataKey::new(&[1; 32])).unwrap()).await.unwrap()
    }

    async fn put(db: &Database, lane: &str, number: u64) {
        let body = Zeroizing::new(format!("{lane} {number}"));
        let command = NewCommand { kind: "REPORT", lane: lane.into(), number, body };
        let mut within = db.begin().await.unwrap();
        db.command_insert(&mut within, &command, Seconds(1)).await.unwrap();
        within.commit().await.unwrap();
    }

    async fn fetched(db: &Database, now: u64) -> Vec<(i64, String)> {
        let commands = db.commands_fetch(Seconds(now), 10).await.unwrap();
        commands.into_iter().map(|c| (c.id, String::from_utf8(c.body.to_vec()).unwrap())).collect()
    }

    fn bodies(commands: &[(i64, String)]) -> Vec<&str> {
        commands.iter().map(|(_, body)| body.as_str()).collect()
    }

    #[tokio::test]
    async fn a_lane_is_told_in_order_and_another_lane_does_not_wait_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let db = database(&dir).await;
        for (lane, number) in [("a", 2), ("a", 1), ("b", 1), ("a", 1)] {
            put(&db, lane, number).await;
        }
        let first = fetched(&db, 1).await;
        assert_eq!(bodies(&first), ["a 1", "b 1"]);
        assert!(fetched(&db, 1).await.is_empty(), "what is under way is not taken twice");
        db.command_put_off(first.first().unwrap().0, 1, Seconds(5)).await.unwrap();
        assert!(fetched(&db, 4).await.is_empty());
        let again = fetched(&db, 5).await;
        assert_eq!(bodies(&again), ["a 1"]);
        db.commands_done(&[again.first().unwrap().0], Seconds(6)).await.unwrap();
        assert_eq!(bodies(&fetched(&db, 6).await), ["a 2"]);
    }

    /// What is due, in one plain condition: it looks at all that waits.
    const PLAIN: &str = "\
SELECT command_id FROM commands AS c WHERE ((status = 'CREATED' AND next_try_at <= ?1) OR (status = 'PROCESSING' AND fetched_at <= ?2)) AND NOT EXISTS (\
SELECT 1 FROM commands AS e WHERE e.lane = c.lane AND e.number < c.number AND e.status IN ('CREATED', 'PROCESSING')) \
ORDER BY command_id LIMIT ?3";

    async fn due(db: &Database, query: &'static str, (now, stuck, most): (i64, i64, i64)) -> Vec<i64> {
        let due = sqlx::query_scalar(query).bind(now).bind(stuck).bind(most);
        due.fetch_all(&db.pool).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_due_is_what_the_plain_condition_says_and_is_found_without_looking_at_all_that_waits() {
        let dir = tempfile::tempdir().unwrap();
        let db = database(&dir).await;
        let mut within = db.begin().await.unwrap();
        for n in 0..400i64 {
            let status = match n * 7 % 5 {
                1 => "PROCESSING",
                2 => "DONE",
                3 => "ERROR",
                _ => "CREATED",
            };
            let put = sqlx::query(
                "INSERT INTO commands (command_type, lane, number, status, tries, next_try_at, created_at, fetched_at) \
                 VALUES ('REPORT', ?, ?, ?, 0, ?, 1, ?)",
            );
            // Lanes of several numbers, which were not written down in their order.
            let put = put.bind(format!("lane {}", n * 31 % 170)).bind(400 - n).bind(status);
            put.bind(n * 13 % 29).bind(n * 17 % 23).execute(&mut *within).await.unwrap();
        }
        within.commit().await.unwrap();
        let mut found = 0;
        for now in 0..30 {
            for (stuck, most) in [(-1, 1), (5, 16), (22, 1_000), (now, 3)] {
                let wanted = due(&db, PLAIN, (now, stuck, most)).await;
                assert_eq!(due(&db, DUE, (now, stuck, most)).await, wanted, "{now} {stuck} {most}");
                found += wanted.len();
            }
        }
        assert!(found > 1_000, "{found}");
        let plan = sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {DUE}")));
        let plan: Vec<(i64, i64, i64, String)> =
            plan.bind(1).bind(1).bind(1).fetch_all(&db.pool).await.unwrap();
        let says = |what: &str| plan.iter().any(|step| step.3.contains(what));
        assert!(says("commands_due (status=?)") && !says("MULTI-INDEX OR"), "{plan:?}");
    }

    #[tokio::test]
    async fn what_was_under_way_is_taken_up_at_the_next_start_or_when_it_takes_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let db = database(&dir).await;
        put(&db, "a", 1).await;
        assert_eq!(fetched(&db, 1).await.len(), 1);
        db.close().await;
        let db = database(&dir).await;
        assert!(fetched(&db, 2).await.is_empty());
        db.commands_recover(Seconds(0)).await.unwrap();
        assert_eq!(bodies(&fetched(&db, 2).await), ["a 1"]);
        assert!(fetched(&db, 1 + STUCK_S).await.is_empty());
        assert_eq!(bodies(&fetched(&db, 2 + STUCK_S).await), ["a 1"]);
    }

    #[tokio::test]
    async fn a_finished_command_has_no_body_and_is_let_go_after_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let db = database(&dir).await;
        put(&db, "a", 1).await;
        put(&db, "b", 1).await;
        for (n, (id, _)) in fetched(&db, 1).await.into_iter().enumerate() {
            match n {
                0 => db.commands_done(&[id], Seconds(10)).await.unwrap(),
                _ => db.command_failed(id, Seconds(20)).await.unwrap(),
            }
        }
        let left = "SELECT count(*) FROM commands WHERE command_body IS NULL";
        let count = || async { sqlx::query_scalar::<_, i64>(left).fetch_one(&db.pool).await.unwrap() };
        assert_eq!(count().await, 2);
        db.commands_recover(Seconds(15)).await.unwrap();
        assert_eq!(count().await, 1);
    }
}
