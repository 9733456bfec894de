//! Owns what may be answered at all: a request whose parts say the same, laid out as an answer without a verdict.

use data_encoding::HEXLOWER;
use uuid::Uuid;

use crate::enclave::answer::{Decision, Kind, Reason, kind_of};
use crate::enclave::asset_info::AssetInfo;
use crate::enclave::ivms::are_required_codes;
use crate::enclave::room::Room;
use crate::enclave::wire::letter::Asked;
use crate::evidence::answer::{NamedAnswer, parse_answer, parse_named_answer, render_answer};
use crate::withdrawal::{Amount, Asset, Chain, VaspId};

/// Whether asset, worth and codes of an order say what the rest of it says. Of an asset that is not known here nobody can say how its
/// ticker and decimals go; the verdict will be no.
pub(super) fn is_sound(room: &Room, asked: &Asked, draft: &NamedAnswer) -> bool {
    let coin = room.limits.assets.iter().find(|coin| coin.asset() == draft.asset);
    let same = |info: &AssetInfo| {
        let network = info.network.as_deref().is_none_or(|network| network == draft.network);
        let is_coins = coin.is_none_or(|coin| {
            let amount = info.amount_of(coin.decimals()).is_ok_and(|amount| amount == draft.amount);
            info.symbol == coin.symbol() && amount
        });
        is_coins && network && info.check_worth().is_ok()
    };
    are_required_codes(&asked.required) && asked.asset_info.as_ref().is_none_or(same)
}

/// The answer without a verdict, if everything that was asked may stand in one.
pub(super) fn draft(room: &Room, from: VaspId, asked: &Asked) -> Option<NamedAnswer> {
    let kind = kind_of(&asked.kind)?;
    let draft = NamedAnswer {
        uuid: Uuid::try_parse(&asked.uuid).ok()?,
        kind,
        originating_vasp: from,
        beneficiary_vasp: room.vasp,
        asset: asked.asset.clone(),
        network: asked.network.clone(),
        destination: asked.destination.clone(),
        amount: Amount::parse("amount", &asked.amount).ok()?,
        commitment: (kind == Kind::User).then_some([0; 32]),
        result: Decision::Error,
        reason: Reason::UndefinedError.as_str().to_owned(),
        answered_at: (room.now)(),
        request_digest: HEXLOWER.decode(asked.request_digest.as_bytes()).ok()?.try_into().ok()?,
    };
    let text = render_answer(&draft);
    // Bitcoin has its own network's name, and an amount that there can be; what others call an EVM chain is theirs to agree on.
    let is_good = match Asset::parse(&draft.asset).map(Asset::chain) {
        Ok(Chain::Bitcoin(own)) => own.as_str() == draft.network && parse_answer(&text).is_ok(),
        Ok(Chain::Evm(_)) | Err(_) => parse_named_answer(&text).is_ok(),
    };
    is_good.then_some(draft)
}
