//! What was ordered from an enclave server of the network, by the digest of the request: one row for each, written before the call.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use zeroize::Zeroizing;

use super::tellings::{Telling, telling_put, uuid_put};
use super::{Database, DatabaseFault, signed};
use crate::enclave::database::vault::Place;
use crate::withdrawal::Seconds;

pub(super) const SCHEMA: &str = "
CREATE TABLE adapter_orders (
    digest TEXT PRIMARY KEY,
    trade_ms INTEGER NOT NULL UNIQUE,
    state TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    facts TEXT NOT NULL,
    personal BLOB NOT NULL
) STRICT;
CREATE INDEX adapter_asked ON adapter_orders (asked_at);
";

const TABLE: &str = "adapter_orders";

/// Those that wait for nothing, of whose verifications nothing is to be told.
const OLD: &str = "SELECT digest FROM adapter_orders AS o WHERE asked_at < ?1 AND state IN ('settled', 'expired') \
     AND NOT EXISTS (SELECT 1 FROM adapter_uuids AS u WHERE u.digest = o.digest AND u.next_tell_at IS NOT NULL) \
     ORDER BY asked_at, digest LIMIT ?2";

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum OrderState {
    /// Nothing was begun at the enclave server.
    New,
    /// It is being begun, or nobody knows whether it was.
    Asking,
    /// It was begun, and has no result yet.
    Waiting,
    /// It has its result.
    Settled,
    /// Nobody waits for it any more.
    Expired,
}

impl OrderState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Asking => "asking",
            Self::Waiting => "waiting",
            Self::Settled => "settled",
            Self::Expired => "expired",
        }
    }
}

/// One order. No person is in it but in `personal`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct OrderRow {
    /// Of the request's text, hex.
    pub(in super::super) digest: String,
    /// Keyed hash of the payload, hex.
    pub(in super::super) fingerprint: String,
    /// Who is asked.
    pub(in super::super) vasp: u64,
    /// Where to.
    pub(in super::super) destination: String,
    /// Base units.
    pub(in super::super) amount: String,
    /// Its worth in won, as it was stated.
    pub(in super::super) krw: String,
    /// When it was valued, in milliseconds: of no other order, so that this one is known again by it.
    pub(in super::super) trade_ms: i64,
    /// How far it has come.
    pub(in super::super) state: OrderState,
    /// The verification, once it is known.
    pub(in super::super) uuid: Option<String>,
    /// When it was first asked for, or anew.
    pub(in super::super) asked_at: u64,
    /// When the call was made last.
    pub(in super::super) sent_at: u64,
    /// When nobody waits for it any more.
    pub(in super::super) expires_at: u64,
    /// The last report.
    pub(in super::super) report: Option<String>,
    /// What the door was told of it, and the verification is told.
    pub(in super::super) telling: Option<Telling>,
    /// The salt of the commitment, and the canonical payload.
    #[serde(skip)]
    pub(in super::super) personal: Zeroizing<Vec<u8>>,
}

impl Database {
    /// The order of a request.
    pub(in super::super) async fn order(&self, digest: &str) -> Result<Option<OrderRow>, DatabaseFault> {
        let found = sqlx::query("SELECT facts, personal FROM adapter_orders WHERE digest = ?").bind(digest);
        found.fetch_optional(&self.pool).await?.map(|row| self.order_of(&row)).transpose()
    }

    /// Writes an order down, in place of what was written before; a verification belongs to one order for ever.
    pub(in super::super) async fn order_put(&self, order: &OrderRow) -> Result<(), DatabaseFault> {
        let mut all = self.begin().await?;
        self.put(&mut all, order).await?;
        Ok(all.commit().await?)
    }

    /// The same, with what is to be told from now on of one of its verifications.
    pub(in super::super) async fn order_put_telling(
        &self,
        order: &OrderRow,
        (uuid, telling): (&str, &Telling),
        now: Seconds,
    ) -> Result<(), DatabaseFault> {
        let mut all = self.begin().await?;
        self.put(&mut all, order).await?;
        telling_put(&mut all, uuid, telling, now).await?;
        Ok(all.commit().await?)
    }

    async fn put(&self, within: &mut SqliteConnection, order: &OrderRow) -> Result<(), DatabaseFault> {
        let facts = serde_json::to_string(order).map_err(|no| sqlx::Error::Encode(Box::new(no)))?;
        let place = Place { table: TABLE, column: "personal", row: &order.digest };
        let personal = self.vault().seal(place, &order.personal)?;
        let put = sqlx::query(
            "INSERT INTO adapter_orders (digest, trade_ms, state, asked_at, facts, personal) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (digest) DO UPDATE SET \
             trade_ms = ?2, state = ?3, asked_at = ?4, facts = ?5, personal = ?6",
        );
        let put = put.bind(&order.digest).bind(order.trade_ms).bind(order.state.as_str());
        let put = put.bind(signed(Seconds(order.asked_at))).bind(facts).bind(personal);
        put.execute(&mut *within).await?;
        match &order.uuid {
            Some(uuid) => uuid_put(within, uuid, &order.digest).await,
            None => Ok(()),
        }
    }

    /// The latest time at which an order was valued, in milliseconds.
    pub(in super::super) async fn order_trade_ms_max(&self) -> Result<i64, DatabaseFault> {
        let latest: Option<i64> =
            sqlx::query_scalar("SELECT max(trade_ms) FROM adapter_orders").fetch_one(&self.pool).await?;
        Ok(latest.unwrap_or_default())
    }

    /// How many orders wait for a result.
    pub(in super::super) async fn orders_waiting(&self) -> Result<u64, DatabaseFault> {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM adapter_orders WHERE state NOT IN ('settled', 'expired')",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(waiting).unwrap_or_default())
    }

    /// Deletes at most `most` orders that were asked for before that time and wait for nothing, with their verifications; says how many.
    pub(in super::super) async fn orders_forget(
        &self,
        since: Seconds,
        most: u32,
    ) -> Result<u64, DatabaseFault> {
        let mut all = self.begin().await?;
        let gone = |table: &str| {
            let gone = format!("DELETE FROM {table} WHERE digest IN ({OLD})");
            sqlx::query(AssertSqlSafe(gone)).bind(signed(since)).bind(most)
        };
        gone("adapter_uuids").execute(&mut *all).await?;
        let gone = gone(TABLE).execute(&mut *all).await?;
        all.commit().await?;
        Ok(gone.rows_affected())
    }

    fn order_of(&self, row: &SqliteRow) -> Result<OrderRow, DatabaseFault> {
        let (facts, sealed): (String, Vec<u8>) = (row.try_get("facts")?, row.try_get("personal")?);
        let mut order: OrderRow =
            serde_json::from_str(&facts).map_err(|no| sqlx::Error::Decode(Box::new(no)))?;
        let place = Place { table: TABLE, column: "personal", row: &order.digest };
        order.personal = self.vault().open(place, &sealed)?;
        Ok(order)
    }
}
