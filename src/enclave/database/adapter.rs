//! What was ordered from an enclave server of the network, by the digest of the request: one row for each, written before the call.

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use zeroize::Zeroizing;

use super::{Database, DatabaseFault, signed};
use crate::enclave::database::vault::Place;
use crate::withdrawal::Seconds;

pub(super) const SCHEMA: &str = "
CREATE TABLE adapter_orders (
    digest TEXT PRIMARY KEY,
    uuid TEXT UNIQUE,
    trade_ms INTEGER NOT NULL UNIQUE,
    state TEXT NOT NULL,
    untold INTEGER NOT NULL,
    asked_at INTEGER NOT NULL,
    facts TEXT NOT NULL,
    personal BLOB NOT NULL
) STRICT;
CREATE INDEX adapter_untold ON adapter_orders (untold) WHERE untold = 1;
CREATE INDEX adapter_asked ON adapter_orders (asked_at);
";

const TABLE: &str = "adapter_orders";

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
    /// What is to be told.
    pub(in super::super) telling: Option<Telling>,
    /// Whether it still is.
    pub(in super::super) untold: bool,
    /// Since when.
    pub(in super::super) tell_at: u64,
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

    /// The order that a verification belongs to.
    pub(in super::super) async fn order_by_uuid(
        &self,
        uuid: &str,
    ) -> Result<Option<OrderRow>, DatabaseFault> {
        let found = sqlx::query("SELECT facts, personal FROM adapter_orders WHERE uuid = ?").bind(uuid);
        found.fetch_optional(&self.pool).await?.map(|row| self.order_of(&row)).transpose()
    }

    /// Orders of which something is to be told, the oldest first.
    pub(in super::super) async fn orders_untold(&self, most: u32) -> Result<Vec<OrderRow>, DatabaseFault> {
        let found = sqlx::query(
            "SELECT facts, personal FROM adapter_orders WHERE untold = 1 ORDER BY asked_at, digest LIMIT ?",
        );
        let rows = found.bind(most).fetch_all(&self.pool).await?;
        rows.iter().map(|row| self.order_of(row)).collect()
    }

    /// Writes an order down, in place of what was written before; a verification belongs to one order for ever.
    pub(in super::super) async fn order_put(&self, order: &OrderRow) -> Result<(), DatabaseFault> {
        let facts = serde_json::to_string(order).map_err(|no| sqlx::Error::Encode(Box::new(no)))?;
        let place = Place { table: TABLE, column: "personal", row: &order.digest };
        let personal = self.vault().seal(place, &order.personal)?;
        let put = sqlx::query(
            "INSERT INTO adapter_orders (digest, uuid, trade_ms, state, untold, asked_at, facts, personal) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (digest) DO UPDATE SET \
             uuid = ?2, trade_ms = ?3, state = ?4, untold = ?5, asked_at = ?6, facts = ?7, personal = ?8",
        );
        let put = put.bind(&order.digest).bind(&order.uuid).bind(order.trade_ms).bind(order.state.as_str());
        let put = put.bind(order.untold).bind(signed(Seconds(order.asked_at))).bind(facts).bind(personal);
        put.execute(&self.writer).await?;
        Ok(())
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

    /// Deletes at most `most` orders that were asked for before that time and wait for nothing; says how many.
    pub(in super::super) async fn orders_forget(
        &self,
        since: Seconds,
        most: u32,
    ) -> Result<u64, DatabaseFault> {
        let gone = sqlx::query(
            "DELETE FROM adapter_orders WHERE digest IN (SELECT digest FROM adapter_orders \
             WHERE asked_at < ?1 AND untold = 0 AND state IN ('settled', 'expired') ORDER BY asked_at LIMIT ?2)",
        );
        Ok(gone.bind(signed(since)).bind(most).execute(&self.writer).await?.rows_affected())
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
