//! The signer's counter for finished Safe transactions: reservations that were released, in the order of the log.

use super::SignerDesk;
use crate::desk::{Caller, DeskError, PageOrder, ReleaseDesk, SafeRelease, SafeReleases};
use crate::flow::ledger::journal::JournalFault;
use crate::flow::ledger::rows::{self, ReservationRow};
use crate::flow::treasury::leaving;
use crate::store::{PageToken, Row, Table};
use crate::withdrawal::{Code, Invalid, SafePlace};

/// The most data in one answer, in bytes; the first transaction is answered however long it is.
const DATA_BYTES_MAX: usize = 1024 * 1024;

#[tonic::async_trait]
impl ReleaseDesk for SignerDesk {
    async fn safe_releases(&self, _caller: &Caller, page: PageOrder) -> Result<SafeReleases, DeskError> {
        let bad = || {
            let cure = "send the token of the last answer, or none to begin anew";
            Invalid::new(Code::FieldMalformed, "page_token", "is no page token of this list", cure)
        };
        let after = page.token.as_deref().map(|t| PageToken::parse(t).ok_or_else(bad)).transpose()?;
        let size = usize::try_from(page.size_max).unwrap_or(1).clamp(1, 1_000);
        let found = self.store.rows_page(Table::Reservation, after.as_ref(), size).await;
        let found = found.map_err(|fault| JournalFault::from(fault).desk_error())?;
        let (mut items, mut bytes) = (Vec::new(), 0usize);
        for row in &found.rows {
            let Some((release, content)) = release_of(row) else { continue };
            bytes = bytes.saturating_add(release.data.len());
            let withheld = self.context.brake.withholds(leaving(&content), row.log_index());
            if withheld || (bytes > DATA_BYTES_MAX && !items.is_empty()) {
                return Ok(SafeReleases { items, next: at(row.log_index()) });
            }
            items.push(release);
        }
        let end = found.rows.last().map(|row| at(row.log_index().saturating_add(1)));
        let next = found.next.map(|token| token.to_string()).or(end).or(page.token).unwrap_or_default();
        Ok(SafeReleases { items, next })
    }
}

fn at(log_index: u64) -> String {
    PageToken::from(Table::Reservation, log_index).to_string()
}

fn release_of(row: &Row) -> Option<(SafeRelease, ReservationRow)> {
    let content: ReservationRow = rows::read(row.key(), row.content()).ok()?;
    let place = SafePlace::parse(content.inputs.first()?)?;
    let released = content.tx_hex.as_deref().filter(|_| content.state == "released")?;
    let release = SafeRelease {
        place,
        hash: content.txid.clone(),
        data: data_encoding::HEXLOWER.decode(released.as_bytes()).ok()?,
        log_index: row.log_index(),
        released_at: row.at(),
    };
    Some((release, content))
}
