//! Owns taking an order of the exchange's own backend: read it, name its asset, write it down, have it asked.

use std::sync::Arc;

use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::enclave::EnclaveFault;
use crate::enclave::answer::{Kind, Reason};
use crate::enclave::asking::order::{AccountOrder, AccountReply, Ordered, UserOrder};
use crate::enclave::asking::originator::check_bound;
use crate::enclave::asking::peer::fresh_uuid;
use crate::enclave::asking::round::{Given, Miss, exchange, forget};
use crate::enclave::asking::screening::denied;
use crate::enclave::asking::trying::try_now;
use crate::enclave::asset_info::AssetInfo;
use crate::enclave::coin::Coin;
use crate::enclave::database::{Origin, Role, Settled, Signed, State, Verification};
use crate::enclave::ivms::{Payload, are_required_codes};
use crate::enclave::record::Outcome;
use crate::enclave::room::Room;
use crate::enclave::screen::Screening;
use crate::enclave::telling::outbox::{callback_of, wake};
use crate::enclave::wire::key::KeyType;
use crate::enclave::wire::letter::order_digest;
use crate::withdrawal::{Amount, Code, Invalid, Seconds, VaspId};

/// An account is asked about without an amount; an answer has one, and this is it.
const NO_AMOUNT: Amount = Amount::from_units(1);

/// See [`crate::enclave::Enclave::order_user`].
pub(in crate::enclave) async fn order_user(
    room: &Arc<Room>,
    order: UserOrder,
) -> Result<Ordered, EnclaveFault> {
    check_vasp(room, order.beneficiary_vasp)?;
    check_required(&order.required)?;
    order.asset_info.check_worth()?;
    let now = (room.now)();
    let payload = Payload::parse(&order.payload, now)?;
    payload.demand_order(order.asset_info.is_exceeding_threshold)?;
    let asset = asset_of(room, &order.asset_info.symbol, order.asset_info.network.as_deref());
    let amount =
        asset.as_ref().map(|asset| order.asset_info.amount_of(asset.decimals())).unwrap_or(Ok(NO_AMOUNT))?;
    check_address(asset.as_ref().ok(), &payload)?;
    check_bound(room, order.beneficiary_vasp).await?;
    let uuid = relay_uuid(room).await?;
    let ask = Ask {
        kind: Kind::User,
        key_type: order.key_type,
        to: order.beneficiary_vasp,
        asset,
        amount,
        asset_info: Some(order.asset_info),
        required: order.required,
    };
    let mut v = laid_out(room, ask, &payload, uuid.clone(), now);
    screen(room, &mut v, &payload).await?;
    let callback = if v.state == State::Waiting { None } else { callback_of(&v, &v.settled, "") };
    room.db.verification_insert(&v, callback.as_ref()).await?;
    if v.state == State::Waiting {
        drop(try_now(room, &v.row_key, v.counterparty()));
    }
    wake(room, callback.is_some());
    Ok(Ordered { uuid, created_at: now })
}

/// See [`crate::enclave::Enclave::order_account`].
pub(in crate::enclave) async fn order_account(
    room: &Arc<Room>,
    order: AccountOrder,
) -> Result<AccountReply, EnclaveFault> {
    check_vasp(room, order.beneficiary_vasp)?;
    let now = (room.now)();
    let payload = Payload::parse(&order.payload, now)?;
    let asset = asset_of(room, &order.symbol, order.network.as_deref());
    check_address(asset.as_ref().ok(), &payload)?;
    let ask = Ask {
        kind: Kind::Account,
        key_type: order.key_type,
        to: order.beneficiary_vasp,
        asset,
        amount: NO_AMOUNT,
        asset_info: None,
        required: Vec::new(),
    };
    let mut v = laid_out(room, ask, &payload, relay_uuid(room).await?, now);
    screen(room, &mut v, &payload).await?;
    if v.state == State::Waiting {
        (v.settled, v.answer, v.reply) = asked_once(room, &mut v).await?;
        v.state = if v.answer.is_some() { State::Answered } else { State::Expired };
        v.envelope = None;
    }
    v.asked_at = (room.now)();
    room.db.verification_insert(&v, None).await?;
    let reason = v.settled.reason.as_deref().and_then(Reason::parse);
    match (v.settled.result, reason) {
        (_, Some(Reason::RequestTimeout)) => Err(EnclaveFault::NoAnswer),
        (Outcome::Verified, _) => Ok(AccountReply { verified: true, reason: None, verified_at: v.asked_at }),
        (_, reason) => {
            let reason = Some(reason.unwrap_or(Reason::UndefinedError));
            Ok(AccountReply { verified: false, reason, verified_at: v.asked_at })
        }
    }
}

/// Denies an order that meets a sanctions list before anybody is asked.
async fn screen(room: &Room, v: &mut Verification, payload: &Payload) -> Result<(), EnclaveFault> {
    let addresses = [payload.account(), payload.originator_account()];
    let screening = room.screened(&addresses, Some(payload)).await;
    if screening == Screening::Unknown {
        return Err(EnclaveFault::Unscreened);
    }
    if let Some(settled) = denied(screening, payload.account()) {
        (v.state, v.settled) = (State::Expired, settled);
    }
    Ok(())
}

type Kept = (Settled, Option<Signed>, Option<Zeroizing<Vec<u8>>>);

/// Asks within the time that a caller waits; what is not answered then is over.
async fn asked_once(room: &Arc<Room>, v: &mut Verification) -> Result<Kept, EnclaveFault> {
    let asked = async {
        let _place = room.places.take(v.counterparty()).await;
        exchange(room, v).await
    };
    let outcome = timeout(room.limits.order_time, asked).await;
    let (settled, given) = match outcome {
        Err(_) | Ok(Ok(None) | Err(Miss::Call(_))) => (Settled::denied(Reason::RequestTimeout), None),
        Ok(Ok(Some(given))) if !given.matched => {
            (Settled::denied(Reason::BeneficiaryAccountNotMatched), None)
        }
        Ok(Ok(Some(given))) => (settled(&given), Some(given)),
        Ok(Err(Miss::Fault(fault))) => return Err(fault),
        Ok(Err(miss)) => {
            tracing::warn!(%miss, "an account verification brought no answer");
            (Settled::error(), None)
        }
    };
    let (room, v) = (room.clone(), v.uuid.clone());
    tokio::spawn(async move { forget(&room, v.as_deref()).await });
    let (answer, reply) = given.map(|given| (given.answer, given.plain)).unzip();
    Ok((settled, answer, reply))
}

fn settled(given: &Given) -> Settled {
    Settled {
        result: given.decision.into(),
        reason: Some(given.reason.clone()),
        message: given.message.clone(),
    }
}

/// What is to be asked.
struct Ask {
    kind: Kind,
    key_type: KeyType,
    to: VaspId,
    asset: Result<Coin, Settled>,
    amount: Amount,
    asset_info: Option<AssetInfo>,
    required: Vec<String>,
}

/// The row of an order; denied already if its asset is not known.
fn laid_out(room: &Room, ask: Ask, payload: &Payload, uuid: String, now: Seconds) -> Verification {
    let digest = order_digest(&uuid, room.vasp, ask.to);
    let given = ask.asset_info.as_ref();
    let (state, settled) = match &ask.asset {
        Ok(_) => (State::Waiting, Settled::waiting()),
        Err(denied) => (State::Expired, denied.clone()),
    };
    let asset = ask.asset.ok();
    let of_asset = asset.as_ref().map(Coin::symbol).unwrap_or_default();
    let symbol = given.map_or(of_asset, |info| &info.symbol);
    let network = match &asset {
        Some(asset) => asset.network().to_owned(),
        None => given.and_then(|info| info.network.clone()).unwrap_or_default(),
    };
    let named = ask.kind == Kind::User;
    Verification {
        role: Role::Originator,
        row_key: digest.clone(),
        origin: Origin::Order,
        uuid: Some(uuid),
        state,
        kind: ask.kind.as_str().to_owned(),
        key_type: ask.key_type,
        originating_vasp: room.vasp,
        beneficiary_vasp: ask.to,
        symbol: symbol.to_owned(),
        asset: asset.as_ref().map(|asset| asset.asset().to_owned()).unwrap_or_default(),
        network: network.clone(),
        destination: payload.account().to_owned(),
        amount: ask.amount.to_string(),
        coins: given.map(|info| info.amount.clone()).unwrap_or_default(),
        fingerprint: room.db.vault().fingerprint(&digest).to_vec(),
        request_digest: digest,
        asset_info: ask.asset_info.map(|info| AssetInfo { network: Some(network), ..info }),
        required: ask.required,
        originator_account: if named { payload.originator_account().to_owned() } else { String::new() },
        originator: named.then(|| payload.originator_canonical()),
        beneficiary: named.then(|| payload.beneficiary_canonical()),
        reply: None,
        envelope: None,
        answer: None,
        settled,
        asked_at: now,
        expires_at: now.plus(room.limits.expiry_s),
        next_try_at: now,
        tries: 0,
    }
}

/// The asset of that ticker on that network, or on the only one it is known on; otherwise what its record says.
pub(in crate::enclave) fn asset_of(
    room: &Room,
    symbol: &str,
    network: Option<&str>,
) -> Result<Coin, Settled> {
    let unknown = |reason, what: &str| {
        let message = what.chars().filter(|c| !c.is_control()).take(64).collect();
        Err(Settled { message: Some(message), ..Settled::denied(reason) })
    };
    let of_symbol: Vec<&Coin> = room.limits.assets.iter().filter(|asset| asset.symbol() == symbol).collect();
    let network = network.filter(|network| !network.is_empty());
    match (&*of_symbol, network) {
        ([], _) => unknown(Reason::UnknownSymbol, symbol),
        ([only], None) => Ok((*only).clone()),
        (_, None) => unknown(Reason::UnknownNetwork, "-"),
        (several, Some(network)) => match several.iter().find(|asset| asset.network() == network) {
            Some(named) => Ok((*named).clone()),
            None => unknown(Reason::UnknownNetwork, network),
        },
    }
}

/// A payment to what is no address of its asset is asked of nobody.
fn check_address(asset: Option<&Coin>, payload: &Payload) -> Result<(), Invalid> {
    let is_one = asset.is_none_or(|asset| asset.is_address(payload.account()));
    let no = || {
        let problem = "is no address of that asset on that network, or its checksum is wrong";
        let cure = "send the address as the beneficiary was given it";
        Invalid::new(Code::AddressMalformed, "beneficiary.accountNumber", problem, cure)
    };
    is_one.then_some(()).ok_or_else(no)
}

fn check_vasp(room: &Room, vasp: VaspId) -> Result<(), EnclaveFault> {
    let asked = vasp != room.vasp && room.peers.contains_key(&vasp);
    if asked { Ok(()) } else { Err(EnclaveFault::VaspUnknown(vasp)) }
}

fn check_required(codes: &[String]) -> Result<(), Invalid> {
    let no = |code, problem| {
        let cure = "name each code of docs/relay.md section 7 that is needed, once";
        Err(Invalid::new(code, "requiredBeneficiaryInfo", problem, cure))
    };
    match codes {
        [] => no(Code::FieldMissing, "names nothing"),
        codes if !are_required_codes(codes) => {
            no(Code::FieldMalformed, "holds an unknown code, or one twice")
        }
        _ => Ok(()),
    }
}

/// A uuid that names nothing here yet.
async fn relay_uuid(room: &Room) -> Result<String, EnclaveFault> {
    let uuid = fresh_uuid(room).await.map_err(|miss| match miss {
        Miss::Fault(fault) => fault,
        miss => {
            tracing::warn!(%miss, "the relay gave no uuid");
            EnclaveFault::RelayAway
        }
    })?;
    if room.db.uuid_is_known(&uuid).await? { Err(EnclaveFault::RelayAway) } else { Ok(uuid) }
}
