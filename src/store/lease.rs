//! Leases: whose turn it is among replicas. They save wasted work and protect nothing; the fence is the swap of the head.

use crate::withdrawal::time::Seconds;

use super::conn::{Bind, Columns, FromColumns, Statement};
use super::fault::{fault, is_duplicate};
use super::row::KEY_LEN_MAX;
use super::{Store, StoreFault};

/// Who has a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// The caller has it until this time.
    Taken {
        /// When it ends unless it is taken again.
        until: Seconds,
    },
    /// Someone else has it.
    Held {
        /// The other's name.
        holder: String,
        /// When the other's lease ends unless it is taken again.
        until: Seconds,
    },
}

struct LeaseRow(String, i64);

impl FromColumns for LeaseRow {
    fn from_columns(row: &dyn Columns) -> Result<Self, sqlx::Error> {
        Ok(Self(row.key(0)?, row.int(1)?))
    }
}

fn seconds(at: Seconds) -> Result<i64, StoreFault> {
    i64::try_from(at.0).map_err(|_| StoreFault::Malformed("a time is out of range"))
}

impl Store {
    /// Takes the lease `name` for `ttl_s` seconds from `now` on, or takes it again. A lease that has ended is free.
    /// An error means that it may have been taken; taking it again is harmless.
    pub async fn lease_take(
        &self,
        name: &str,
        holder: &str,
        ttl_s: u64,
        now: Seconds,
    ) -> Result<Lease, StoreFault> {
        if [name, holder].iter().any(|text| text.is_empty() || text.len() > KEY_LEN_MAX) {
            return Err(StoreFault::Malformed("a lease's name and holder have 1 to 191 bytes"));
        }
        let until = now.plus(ttl_s);
        let (now_s, until_s) = (seconds(now)?, seconds(until)?);
        let mut conn = self.backend.connect().await.map_err(|error| fault(&error))?;
        let update = Statement::new(
            "UPDATE lease SET holder = ?, until_s = ? WHERE name = ? AND (until_s <= ? OR holder = ?)",
        )
        .with(Bind::Key(holder))
        .with(Bind::Int(until_s))
        .with(Bind::Key(name))
        .with(Bind::Int(now_s))
        .with(Bind::Key(holder));
        if conn.execute(&update).await.map_err(|error| fault(&error))? == 1 {
            return Ok(Lease::Taken { until });
        }
        let insert = Statement::new("INSERT INTO lease (name, holder, until_s) VALUES (?, ?, ?)")
            .with(Bind::Key(name))
            .with(Bind::Key(holder))
            .with(Bind::Int(until_s));
        match conn.execute(&insert).await {
            Ok(_) => return Ok(Lease::Taken { until }),
            Err(error) if is_duplicate(&error) => {}
            Err(error) => return Err(fault(&error)),
        }
        let select = Statement::new("SELECT holder, until_s FROM lease WHERE name = ?").with(Bind::Key(name));
        let found: Vec<LeaseRow> = conn.fetch(&select).await.map_err(|error| fault(&error))?;
        match found.into_iter().next() {
            Some(LeaseRow(holder, until)) => {
                Ok(Lease::Held { holder, until: Seconds(u64::try_from(until).unwrap_or(0)) })
            }
            None => Err(StoreFault::Busy),
        }
    }

    /// Gives a lease back before it ends. Does nothing if someone else has it.
    pub async fn lease_release(&self, name: &str, holder: &str) -> Result<(), StoreFault> {
        let mut conn = self.backend.connect().await.map_err(|error| fault(&error))?;
        let update = Statement::new("UPDATE lease SET until_s = 0 WHERE name = ? AND holder = ?")
            .with(Bind::Key(name))
            .with(Bind::Key(holder));
        conn.execute(&update).await.map(drop).map_err(|error| fault(&error))
    }
}
