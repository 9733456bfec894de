//! Owns taking a deposit in: named, written down once, and matched at once if something fits.

use super::words::{Deposit, DepositReason, DepositSearch, DepositSeen};
use crate::enclave::EnclaveFault;
use crate::enclave::asking::orders::asset_of;
use crate::enclave::asset_info::amount_of;
use crate::enclave::database::NewDeposit;
use crate::enclave::deposits::matching::Found;
use crate::enclave::room::Room;
use crate::enclave::telling::reports::check_word;
use crate::withdrawal::{Code, Invalid};

/// Longest address, in characters.
const ADDRESS_LEN_MAX: usize = 128;

/// See [`crate::enclave::Enclave::deposit_seen`].
pub(in crate::enclave) async fn hand_in(room: &Room, mut seen: DepositSeen) -> Result<Deposit, EnclaveFault> {
    let no = |field, problem: &str, cure| Invalid::new(Code::FieldMalformed, field, problem, cure);
    check_word("txHash", &seen.tx_hash)?;
    seen.vout = seen.vout.filter(|vout| !vout.is_empty());
    seen.vout.as_deref().map(|vout| check_word("vout", vout)).transpose()?;
    // A payment link's scheme is no part of the address.
    if let Some((_, address)) = seen.address.split_once(':').filter(|(_, rest)| rest.len() > 16) {
        seen.address = address.to_owned();
    }
    let plain = seen.address.bytes().all(|b| b.is_ascii_graphic());
    if seen.address.is_empty() || seen.address.len() > ADDRESS_LEN_MAX || !plain {
        let cure = "send the address at which the coins arrived";
        return Err(no("address", "is not 1 to 128 printable characters without blanks", cure).into());
    }
    let asset = asset_of(room, &seen.symbol, seen.network.as_deref()).map_err(|_| {
        no(
            "symbol",
            "names no asset of this enclave on that network",
            "name ticker and network of an asset it knows",
        )
    })?;
    let units = amount_of("amount", &seen.amount, asset.decimals())?;
    if units.is_zero() {
        return Err(no("amount", "is zero", "send how much arrived, in whole coins").into());
    }
    if !asset.is_address(&seen.address) {
        let cure = "send the address at which the coins arrived";
        return Err(no("address", "is no address of that asset on that network", cure).into());
    }
    seen.network = Some(asset.network().to_owned());
    let now = (room.now)();
    let new = NewDeposit { seen: &seen, asset: asset.asset(), units: &units.to_string() };
    let (id, is_same) = room.db.deposit_insert(&new, now).await?;
    if !is_same {
        return Err(EnclaveFault::Conflict);
    }
    match room.db.deposit_match(id, now).await? {
        Some(Found::None { open, .. }) if open.is_empty() => {
            room.db.deposit_left(id, DepositReason::NoVerification, now).await?;
        }
        Some(Found::None { .. } | Found::Several(_)) => room.arrived.notify_one(),
        Some(Found::One(..)) | None => {}
    }
    find(room, id).await?.ok_or(EnclaveFault::Unknown)
}

/// See [`crate::enclave::Enclave::deposit`].
pub(in crate::enclave) async fn find(room: &Room, id: i64) -> Result<Option<Deposit>, EnclaveFault> {
    Ok(room.db.deposit(id).await?)
}

/// See [`crate::enclave::Enclave::deposits`].
pub(in crate::enclave) async fn search(
    room: &Room,
    search: &DepositSearch,
) -> Result<Vec<Deposit>, EnclaveFault> {
    Ok(room.db.deposits(search).await?)
}
