//! Owns the hourly look for what has had its time: verifications, which are kept for ever unless a time is set, and keys whose life ended.

use std::sync::Arc;
use std::time::Duration;

use super::room::Room;
use crate::withdrawal::Seconds;

const HOUR: Duration = Duration::from_secs(3600);
/// Between two batches, so that nobody waits long for the database.
const BREATH: Duration = Duration::from_millis(100);
const BATCH: u32 = 500;

/// How long a key whose life has ended still opens what is under way, beyond a verification's own time, in seconds.
const KEY_KEPT_ON_S: u64 = 2 * 86_400;

/// Lets go of keys whose life ended, for ever.
pub(super) async fn end_keys(room: Arc<Room>) {
    let kept_on_s = room.limits.expiry_s.saturating_add(KEY_KEPT_ON_S);
    loop {
        match room.db.own_keys_forget((room.now)(), kept_on_s).await {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "private keys were deleted: their life is over"),
            Err(fault) => tracing::error!(%fault, "private keys whose life is over could not be deleted"),
        }
        tokio::time::sleep(HOUR).await;
    }
}

/// Lets go of verifications that are older than they must be, for ever.
pub(super) async fn work(room: Arc<Room>) {
    let Some(kept_s) = room.limits.kept_s else { return std::future::pending().await };
    loop {
        let since = Seconds((room.now)().0.saturating_sub(kept_s));
        match room.db.verifications_forget(since, BATCH).await {
            Ok(0) => tokio::time::sleep(HOUR).await,
            Ok(gone) => {
                tracing::info!(gone, %since, "verifications were deleted: their time is over");
                tokio::time::sleep(BREATH).await;
            }
            Err(fault) => {
                tracing::error!(%fault, "verifications whose time is over could not be deleted");
                tokio::time::sleep(HOUR).await;
            }
        }
    }
}
