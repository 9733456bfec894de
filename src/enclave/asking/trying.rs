//! Owns trying: one try at a verification that waits, what is kept of it, and the worker that takes up what is due.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::enclave::EnclaveFault;
use crate::enclave::answer::Reason;
use crate::enclave::asking::places::{Place, share_of};
use crate::enclave::asking::round::{Given, Miss, exchange, forget};
use crate::enclave::asking::screening::{denied, screen_kept};
use crate::enclave::database::{Origin, Role, Settled, Signed, State, Verification};
use crate::enclave::room::Room;
use crate::enclave::screen::Screening;
use crate::enclave::telling::outbox::{callback_of, wake};
use crate::withdrawal::{Seconds, VaspId};

const TICK: Duration = Duration::from_millis(500);

/// What a try brought: the answer, if it is the one that is kept from now on.
pub(in crate::enclave) type Brought = Option<Signed>;

/// Starts a try, or joins the one under way; the receiver learns when it is over. It goes on when nobody listens any more.
pub(in crate::enclave) fn try_now(
    room: &Arc<Room>,
    key: &str,
    counterparty: VaspId,
) -> watch::Receiver<Brought> {
    try_written(room, key, counterparty, None)
}

/// The same for a verification that was written down just now, sealed: it need not be read again. Should somebody else have had it
/// answered meanwhile, the same envelope gets the same answer.
pub(in crate::enclave) fn try_written(
    room: &Arc<Room>,
    key: &str,
    counterparty: VaspId,
    written: Option<Verification>,
) -> watch::Receiver<Brought> {
    let mut trying = room.trying.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(done) = trying.get(key).filter(|done| done.has_changed().is_ok()) {
        return done.clone();
    }
    let (over, done) = watch::channel(None);
    trying.insert(key.to_owned(), done.clone());
    let (room, key) = (room.clone(), key.to_owned());
    tokio::spawn(async move {
        let (place, answered) = within(&room, &key, counterparty, written).await;
        room.trying.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let (uuid, brought) = answered.unwrap_or_default();
        let _ = over.send(brought);
        // After those who wait were told: it is no business of theirs.
        forget(&room, uuid.as_deref()).await;
        drop(place);
    });
    done
}

/// One try in a place of its counterparty, within the time a try may take. What is cut off is as after a crash: it is taken up again.
async fn within(
    room: &Room,
    key: &str,
    counterparty: VaspId,
    written: Option<Verification>,
) -> (Option<Place>, Option<Answered>) {
    let until = Instant::now() + room.limits.try_time;
    let Ok(place) = timeout_at(until, room.places.take(counterparty)).await else {
        tracing::warn!(request = key, "a verification got no place to be tried");
        return (None, None);
    };
    let answered = match timeout_at(until, attempt(room, key, written)).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(fault)) => {
            tracing::error!(request = key, %fault, "a verification could not be tried");
            None
        }
        Err(_) => {
            tracing::error!(request = key, "a try took too long and was given up");
            None
        }
    };
    (Some(place), answered)
}

/// The uuid whose parcel the relay need not keep, and the answer under it if it was kept.
type Answered = (Option<String>, Brought);

/// One try: ends with an answer kept, the verification put off, or expired.
async fn attempt(
    room: &Room,
    key: &str,
    written: Option<Verification>,
) -> Result<Option<Answered>, EnclaveFault> {
    let kept = match written {
        Some(written) => Some(written),
        None => room.db.verification(Role::Originator, key).await?,
    };
    let Some(mut v) = kept.filter(|v| v.state == State::Waiting) else { return Ok(None) };
    let now = (room.now)();
    if now >= v.expires_at {
        end(room, &v, &Settled::denied(Reason::RequestTimeout), now).await?;
        return Ok(None);
    }
    match screened(room, &v, now).await? {
        Screened::Clear => {}
        Screened::Ended => return Ok(Some((v.uuid, None))),
        Screened::PutOff => return Ok(None),
    }
    match exchange(room, &mut v).await {
        Ok(Some(given)) => return keep(room, v, given).await,
        Ok(None) => {}
        // An order is told that its answer cannot be read; a withdrawal is asked about again.
        Err(Miss::Reply(problem)) if v.origin == Origin::Order => {
            tracing::warn!(request = key, problem, "a verification was answered unreadably");
            end(room, &v, &Settled::error(), now).await?;
            return Ok(None);
        }
        Err(miss) => tracing::warn!(request = key, %miss, "a verification brought no answer"),
    }
    put_off(room, &v, now).await?;
    Ok(None)
}

/// Keeps a believed answer, and writes down that the backend is to be told if it ordered the verification.
///
/// A withdrawal's is kept whoever is named in it: it is screened again whenever it is asked for.
async fn keep(room: &Room, mut v: Verification, given: Given) -> Result<Option<Answered>, EnclaveFault> {
    let now = (room.now)();
    if !given.matched {
        end(room, &v, &Settled::denied(Reason::BeneficiaryAccountNotMatched), now).await?;
        return Ok(Some((v.uuid, None)));
    }
    v.reply = Some(given.plain);
    if v.origin == Origin::Order {
        match screened(room, &v, now).await? {
            Screened::Clear => {}
            Screened::Ended => return Ok(Some((v.uuid, None))),
            // The relay gives the same answer again.
            Screened::PutOff => return Ok(None),
        }
    }
    let settled = Settled {
        result: given.decision.into(),
        reason: Some(given.reason.clone()),
        message: given.message.clone(),
    };
    let callback = callback_of(&v, &settled, given.beneficiary.as_str());
    let plain = v.reply.take().unwrap_or_default();
    let kept = (&given.answer, &plain);
    let first = room.db.verification_answered(&v, kept, &settled, callback.as_ref(), now).await?;
    if first && v.origin == Origin::Withdrawal {
        room.known.keep(&v.row_key, &given.answer);
    }
    wake(room, callback.is_some());
    Ok(Some((v.uuid, first.then_some(given.answer))))
}

/// What the lists as they are now make of a verification.
enum Screened {
    /// It goes on.
    Clear,
    /// It is over.
    Ended,
    /// It waits.
    PutOff,
}

/// Looks whether a verification may go on. An order that meets a list is over; a withdrawal, and what cannot be screened, waits.
async fn screened(room: &Room, v: &Verification, now: Seconds) -> Result<Screened, EnclaveFault> {
    let screening = screen_kept(room, v).await;
    if screening == Screening::Clear {
        return Ok(Screened::Clear);
    }
    tracing::warn!(request = v.row_key, ?screening, "a verification that waits is not asked about");
    match denied(screening, &v.destination).filter(|_| v.origin == Origin::Order) {
        Some(settled) => end(room, v, &settled, now).await.map(|()| Screened::Ended),
        None => put_off(room, v, now).await.map(|()| Screened::PutOff),
    }
}

/// Ends a verification that will not be answered.
async fn end(room: &Room, v: &Verification, settled: &Settled, now: Seconds) -> Result<(), EnclaveFault> {
    let callback = callback_of(v, settled, "");
    room.db.verification_ended(&v.row_key, settled, callback.as_ref(), now).await?;
    wake(room, callback.is_some());
    Ok(())
}

/// Doubles the pause each time, up to the bound.
async fn put_off(room: &Room, v: &Verification, now: Seconds) -> Result<(), EnclaveFault> {
    let tries = v.tries.saturating_add(1);
    let pause = 1u64.checked_shl(v.tries.min(16)).unwrap_or(u64::MAX).min(room.limits.retry_s_max.max(1));
    Ok(room.db.verification_put_off(&v.row_key, tries, now.plus(pause)).await?)
}

/// Takes up what is due, for ever.
pub(in crate::enclave) async fn work(room: Arc<Room>) {
    loop {
        let most = room.limits.at_once_max;
        let [share, most] = [share_of(most), most].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        match room.db.verifications_due((room.now)(), share, most).await {
            Ok(due) => due.iter().for_each(|(key, vasp)| match VaspId::parse(vasp) {
                Ok(vasp) => drop(try_now(&room, key, vasp)),
                Err(_) => tracing::error!(request = key, "a verification that waits names no VASP"),
            }),
            Err(fault) => tracing::error!(%fault, "the enclave's database does not answer"),
        }
        tokio::time::sleep(TICK).await;
    }
}
