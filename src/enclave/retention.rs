//! Owns the hourly look for verifications whose time is over. Without a time to keep them, they are kept for ever.

use std::sync::Arc;
use std::time::Duration;

use super::room::Room;
use crate::withdrawal::Seconds;

const HOUR: Duration = Duration::from_secs(3600);
/// Between two batches, so that nobody waits long for the database.
const BREATH: Duration = Duration::from_millis(100);
const BATCH: u32 = 500;

/// Lets go of what is older than it must be, for ever.
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
