//! Refills on the wire and at the desk.

use super::field::{at_most, required, sum, time, time_to_wire};
use super::v1;
use crate::desk::refills::{EARMARKS_MAX, ENDED_MAX};
use crate::desk::{
    ColdCoinOrder, RefillAttestOrder, RefillAttestPart, RefillOrder, RefillPart, RefillState, RefillView,
};
use crate::evidence::refill_attestation::TRANSACTIONS_MAX;
use crate::withdrawal::{Amount, Asset, Code, Invalid, WithdrawalId};

impl TryFrom<v1::CreateRefillRequest> for RefillOrder {
    type Error = Invalid;

    fn try_from(wire: v1::CreateRefillRequest) -> Result<Self, Invalid> {
        let amount = Some(wire.amount.as_str()).filter(|text| !text.is_empty());
        Ok(Self {
            asset: Asset::parse(&wire.asset)?,
            amount: amount.map(|text| Amount::parse("amount", text)).transpose()?,
            coins: wire.coins.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<RefillOrder> for v1::CreateRefillRequest {
    fn from(order: RefillOrder) -> Self {
        Self {
            asset: order.asset.to_string(),
            amount: order.amount.map(|amount| amount.to_string()).unwrap_or_default(),
            coins: order.coins.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<v1::ColdCoin> for ColdCoinOrder {
    fn from(wire: v1::ColdCoin) -> Self {
        let v1::ColdCoin { raw_transaction, vout, branch, index } = wire;
        Self { raw_transaction, vout, branch, index }
    }
}

impl From<ColdCoinOrder> for v1::ColdCoin {
    fn from(coin: ColdCoinOrder) -> Self {
        let ColdCoinOrder { raw_transaction, vout, branch, index } = coin;
        Self { raw_transaction, vout, branch, index }
    }
}

const STATES: [(RefillState, v1::refill::State); 7] = [
    (RefillState::Requested, v1::refill::State::Requested),
    (RefillState::Exported, v1::refill::State::Exported),
    (RefillState::Signed, v1::refill::State::Signed),
    (RefillState::Seen, v1::refill::State::Seen),
    (RefillState::Settled, v1::refill::State::Settled),
    (RefillState::Expired, v1::refill::State::Expired),
    (RefillState::Cancelled, v1::refill::State::Cancelled),
];

fn state_to_wire(state: RefillState) -> i32 {
    let found = STATES.iter().find(|(ours, _)| *ours == state);
    found.map_or(0, |(_, wire)| i32::from(*wire))
}

fn state(wire: i32) -> Result<RefillState, Invalid> {
    let found = STATES.iter().find(|(_, theirs)| i32::from(*theirs) == wire);
    found.map(|(ours, _)| *ours).ok_or_else(|| {
        Invalid::new(Code::FieldMalformed, "state", "is no state of a refill", "use a newer client")
    })
}

impl From<RefillView> for v1::Refill {
    fn from(view: RefillView) -> Self {
        let earmark = |(withdrawal, amount): (WithdrawalId, Amount)| v1::RefillEarmark {
            withdrawal: withdrawal.to_string(),
            amount: amount.to_string(),
        };
        Self {
            refill: view.id,
            state: state_to_wire(view.state),
            asset: view.asset.to_string(),
            address: view.address,
            index: view.index,
            parts: view.parts.into_iter().map(Into::into).collect(),
            earmarks: view.earmarks.into_iter().map(earmark).collect(),
            requested_by: view.requested_by,
            request_time: Some(time_to_wire(view.requested_at)),
            expire_time: Some(time_to_wire(view.expires_at)),
            attestation: view.attestation.map(Into::into),
        }
    }
}

impl TryFrom<v1::Refill> for RefillView {
    type Error = Invalid;

    fn try_from(wire: v1::Refill) -> Result<Self, Invalid> {
        let earmark = |earmark: v1::RefillEarmark| {
            Ok((WithdrawalId::parse(&earmark.withdrawal)?, sum(&earmark.amount, "earmarks.amount")?))
        };
        Ok(Self {
            id: wire.refill,
            state: state(wire.state)?,
            asset: Asset::parse(&wire.asset)?,
            address: wire.address,
            index: wire.index,
            parts: wire.parts.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            earmarks: wire.earmarks.into_iter().map(earmark).collect::<Result<_, Invalid>>()?,
            requested_by: wire.requested_by,
            requested_at: time(wire.request_time, "request_time")?,
            expires_at: time(wire.expire_time, "expire_time")?,
            attestation: wire.attestation.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<RefillPart> for v1::RefillPart {
    fn from(part: RefillPart) -> Self {
        Self {
            txid: part.txid,
            amount: part.amount.to_string(),
            fee: part.fee.to_string(),
            inputs: part.inputs,
            psbt: part.psbt,
            raw_transaction: part.raw_transaction,
            seen: part.seen,
        }
    }
}

impl TryFrom<v1::RefillPart> for RefillPart {
    type Error = Invalid;

    fn try_from(wire: v1::RefillPart) -> Result<Self, Invalid> {
        Ok(Self {
            txid: wire.txid,
            amount: sum(&wire.amount, "parts.amount")?,
            fee: sum(&wire.fee, "parts.fee")?,
            inputs: wire.inputs,
            psbt: wire.psbt,
            raw_transaction: wire.raw_transaction,
            seen: wire.seen,
        })
    }
}

impl From<RefillAttestOrder> for v1::AttestRefillRequest {
    fn from(order: RefillAttestOrder) -> Self {
        let part = |part: RefillAttestPart| v1::RefillToAttest {
            txid: part.txid,
            vout: part.vout,
            amount_sat: part.amount_sat,
            fee_sat: part.fee_sat,
        };
        Self {
            refill: order.refill,
            index: order.index,
            parts: order.parts.into_iter().map(part).collect(),
            requests: order.requests.into_iter().map(Into::into).collect(),
            ended: order.ended,
        }
    }
}

impl TryFrom<v1::AttestRefillRequest> for RefillAttestOrder {
    type Error = Invalid;

    fn try_from(wire: v1::AttestRefillRequest) -> Result<Self, Invalid> {
        let part = |part: v1::RefillToAttest| RefillAttestPart {
            txid: part.txid,
            vout: part.vout,
            amount_sat: part.amount_sat,
            fee_sat: part.fee_sat,
        };
        let parts = at_most(wire.parts, TRANSACTIONS_MAX, "parts")?;
        let requests = at_most(wire.requests, EARMARKS_MAX, "requests")?;
        Ok(Self {
            refill: wire.refill,
            index: wire.index,
            parts: parts.into_iter().map(part).collect(),
            requests: requests.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            ended: at_most(wire.ended, ENDED_MAX, "ended")?,
        })
    }
}

/// The word in the co-signer's answer.
pub fn attested(wire: v1::AttestRefillResponse) -> Result<crate::desk::SignedText, Invalid> {
    required(wire.attestation, "attestation")?.try_into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::desk::SignedText;
    use crate::withdrawal::{Network, Seconds};

    #[test]
    fn no_more_is_read_of_a_refill_to_attest_than_one_may_hold() {
        let word = SignedText { text: "t\n".into(), key_id: "k".into(), signature: [1; 64] };
        let part = v1::RefillToAttest { txid: "ab".into(), vout: 1, amount_sat: 2, fee_sat: 3 };
        let full = v1::AttestRefillRequest {
            refill: "rf_1".into(),
            index: 4,
            parts: vec![part.clone(); TRANSACTIONS_MAX],
            requests: vec![v1::SignedText::from(word.clone()); EARMARKS_MAX],
            ended: vec!["rf_0".into(); ENDED_MAX],
        };
        assert!(RefillAttestOrder::try_from(full.clone()).is_ok());
        let mut over = [full.clone(), full.clone(), full];
        over[0].parts.push(part);
        over[1].requests.push(word.into());
        over[2].ended.push("rf_0".into());
        for (order, field) in over.into_iter().zip(["parts", "requests", "ended"]) {
            let no = RefillAttestOrder::try_from(order).unwrap_err();
            assert_eq!((no.code, no.field), (Code::FieldTooLong, field));
        }
    }

    #[test]
    fn a_refill_and_its_orders_come_back_from_the_wire_as_they_were() {
        let asset = Asset::Bitcoin(Network::Mainnet);
        let word = SignedText { text: "t\n".into(), key_id: "k".into(), signature: [1; 64] };
        let coin = ColdCoinOrder { raw_transaction: vec![1], vout: 2, branch: 1, index: 3 };
        for amount in [None, Some(Amount::from_sat(5))] {
            let order = RefillOrder { asset, amount, coins: vec![coin.clone()] };
            assert_eq!(RefillOrder::try_from(v1::CreateRefillRequest::from(order.clone())), Ok(order));
        }
        let part = RefillAttestPart { txid: "ab".into(), vout: 1, amount_sat: 2, fee_sat: 3 };
        let order = RefillAttestOrder {
            refill: "rf_1".into(),
            index: 4,
            parts: vec![part],
            requests: vec![word.clone()],
            ended: vec!["rf_0".into()],
        };
        assert_eq!(RefillAttestOrder::try_from(v1::AttestRefillRequest::from(order.clone())), Ok(order));
        for state in RefillState::ALL {
            assert_eq!(RefillState::parse(state.as_str()), Some(state));
            let view = RefillView {
                id: "rf_1".into(),
                state,
                asset,
                address: "bc1q".into(),
                index: 7,
                parts: vec![RefillPart {
                    txid: "ab".into(),
                    amount: Amount::from_sat(5),
                    fee: Amount::from_sat(1),
                    inputs: 2,
                    psbt: vec![1],
                    raw_transaction: vec![2],
                    seen: true,
                }],
                earmarks: vec![(
                    WithdrawalId::parse(&format!("wd_{}", "0".repeat(32))).unwrap(),
                    Amount::from_sat(4),
                )],
                requested_by: "kim".into(),
                requested_at: Seconds(1),
                expires_at: Seconds(2),
                attestation: Some(word.clone()),
            };
            let wire = v1::Refill::from(view.clone());
            assert_eq!(RefillView::try_from(wire.clone()), Ok(view));
            assert!(RefillView::try_from(v1::Refill { state: 99, ..wire }).is_err());
        }
    }
}
