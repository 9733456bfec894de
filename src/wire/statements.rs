//! Statements and positions on the wire and at the desk.

use super::field::{decimal, finding, hash, sum, time, time_to_wire};
use super::v1;
use crate::desk::{
    AssetPosition, DailyStatement, HotSafe, PositionView, StatementReceipt, SweepInTransit, TotalPosition,
};
use crate::withdrawal::{Asset, Code, FeeRate, Invalid, Krw, evm_address};

impl From<StatementReceipt> for v1::SubmitStatementResponse {
    fn from(receipt: StatementReceipt) -> Self {
        Self { accepted_number: receipt.number, log_index: receipt.log_index }
    }
}

impl From<v1::SubmitStatementResponse> for StatementReceipt {
    fn from(wire: v1::SubmitStatementResponse) -> Self {
        Self { number: wire.accepted_number, log_index: wire.log_index }
    }
}

impl From<PositionView> for v1::Position {
    fn from(view: PositionView) -> Self {
        Self {
            assets: view.assets.into_iter().map(Into::into).collect(),
            frozen: view.frozen,
            read_time: Some(time_to_wire(view.at)),
            total: view.total.map(Into::into),
        }
    }
}

impl TryFrom<v1::Position> for PositionView {
    type Error = Invalid;

    fn try_from(wire: v1::Position) -> Result<Self, Invalid> {
        Ok(Self {
            assets: wire.assets.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            total: wire.total.map(TryInto::try_into).transpose()?,
            frozen: wire.frozen,
            at: time(wire.read_time, "read_time")?,
        })
    }
}

impl From<DailyStatement> for v1::DailyStatement {
    fn from(statement: DailyStatement) -> Self {
        let DailyStatement { origin, log_index, leaf, tree_size, root } = statement;
        Self { origin, log_index, leaf, tree_size, root: root.to_vec() }
    }
}

impl TryFrom<v1::DailyStatement> for DailyStatement {
    type Error = Invalid;

    fn try_from(wire: v1::DailyStatement) -> Result<Self, Invalid> {
        let v1::DailyStatement { origin, log_index, leaf, tree_size, root } = wire;
        Ok(Self { origin, log_index, leaf, tree_size, root: hash(&root, "root")? })
    }
}

impl From<TotalPosition> for v1::TotalPosition {
    fn from(total: TotalPosition) -> Self {
        let (numerator, denominator) = total.hot_share_max.unwrap_or_default();
        Self {
            hot_krw: total.hot.to_string(),
            cold_krw: total.cold.to_string(),
            hot_share_max_numerator: numerator,
            hot_share_max_denominator: denominator,
            surplus_krw: total.surplus.to_string(),
            price_time: Some(time_to_wire(total.price_at)),
        }
    }
}

impl TryFrom<v1::TotalPosition> for TotalPosition {
    type Error = Invalid;

    fn try_from(wire: v1::TotalPosition) -> Result<Self, Invalid> {
        let share = (wire.hot_share_max_numerator, wire.hot_share_max_denominator);
        Ok(Self {
            hot: decimal(&wire.hot_krw, "hot_krw").map(Krw)?,
            cold: decimal(&wire.cold_krw, "cold_krw").map(Krw)?,
            hot_share_max: (share != (0, 0)).then_some(share),
            surplus: decimal(&wire.surplus_krw, "surplus_krw").map(Krw)?,
            price_at: time(wire.price_time, "price_time")?,
        })
    }
}

impl From<AssetPosition> for v1::AssetPosition {
    fn from(position: AssetPosition) -> Self {
        let (numerator, denominator) = position.hot_share_max;
        Self {
            asset: position.asset.to_string(),
            hot: position.hot.to_string(),
            cold: position.cold.to_string(),
            cold_in_transit: position.cold_in_transit.to_string(),
            spendable: position.spendable.to_string(),
            reserved: position.reserved.to_string(),
            earmarked: position.earmarked.to_string(),
            held: position.held.to_string(),
            held_count: position.held_count,
            surplus: position.surplus.to_string(),
            refill_wanted: position.refill_wanted.to_string(),
            hot_share_max_numerator: numerator,
            hot_share_max_denominator: denominator,
            price_krw: position.price.map(|price| price.to_string()).unwrap_or_default(),
            price_time: position.price_at.map(time_to_wire),
            position_time: position.position_at.map(time_to_wire),
            fee_rate: position.fee_rate.map(|rate| rate.to_string()).unwrap_or_default(),
            tip_height: position.tip_height,
            chain_time: position.chain_at.map(time_to_wire),
            sweeps: position.sweeps.into_iter().map(Into::into).collect(),
            hot_krw: position.hot_value.map(|krw| krw.to_string()).unwrap_or_default(),
            cold_krw: position.cold_value.map(|krw| krw.to_string()).unwrap_or_default(),
            refill_in_flight: position.refill_in_flight.to_string(),
            deposited: position.deposited.to_string(),
            hot_safes: position.hot_safes.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::AssetPosition> for AssetPosition {
    type Error = Invalid;

    fn try_from(wire: v1::AssetPosition) -> Result<Self, Invalid> {
        let maybe =
            |stamp: Option<prost_types::Timestamp>, field| stamp.map(|s| time(Some(s), field)).transpose();
        let won = |text: &str, field| {
            Some(text).filter(|text| !text.is_empty()).map(|text| decimal(text, field).map(Krw)).transpose()
        };
        let price = Some(wire.price_krw.as_str()).filter(|text| !text.is_empty());
        let fee_rate = Some(wire.fee_rate.as_str()).filter(|text| !text.is_empty());
        Ok(Self {
            asset: Asset::parse(&wire.asset)?,
            hot: sum(&wire.hot, "hot")?,
            cold: sum(&wire.cold, "cold")?,
            cold_in_transit: sum(&wire.cold_in_transit, "cold_in_transit")?,
            spendable: sum(&wire.spendable, "spendable")?,
            reserved: sum(&wire.reserved, "reserved")?,
            earmarked: sum(&wire.earmarked, "earmarked")?,
            held: sum(&wire.held, "held")?,
            held_count: wire.held_count,
            surplus: sum(&wire.surplus, "surplus")?,
            refill_wanted: sum(&wire.refill_wanted, "refill_wanted")?,
            hot_share_max: (wire.hot_share_max_numerator, wire.hot_share_max_denominator),
            refill_in_flight: sum(&wire.refill_in_flight, "refill_in_flight")?,
            deposited: sum(&wire.deposited, "deposited")?,
            hot_value: won(&wire.hot_krw, "hot_krw")?,
            cold_value: won(&wire.cold_krw, "cold_krw")?,
            price: price.map(|text| decimal(text, "price_krw").map(Krw)).transpose()?,
            price_at: maybe(wire.price_time, "price_time")?,
            position_at: maybe(wire.position_time, "position_time")?,
            fee_rate: fee_rate.map(|text| decimal(text, "fee_rate").map(FeeRate)).transpose()?,
            tip_height: wire.tip_height,
            chain_at: maybe(wire.chain_time, "chain_time")?,
            sweeps: wire.sweeps.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            hot_safes: wire.hot_safes.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}

impl From<HotSafe> for v1::HotSafe {
    fn from(hot: HotSafe) -> Self {
        Self {
            safe: evm_address::spell(hot.safe),
            spendable: hot.spendable.to_string(),
            in_flight: hot.in_flight,
            code: hot.code.map(|code| code.as_str().to_owned()).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::HotSafe> for HotSafe {
    type Error = Invalid;

    fn try_from(wire: v1::HotSafe) -> Result<Self, Invalid> {
        let safe = evm_address::read(&wire.safe).map_err(|problem| {
            Invalid::new(Code::FieldMalformed, "safe", problem, "send the address with its EIP-55 checksum")
        })?;
        let code = Some(wire.code.as_str()).filter(|code| !code.is_empty());
        Ok(Self {
            safe,
            spendable: sum(&wire.spendable, "spendable")?,
            in_flight: wire.in_flight,
            code: code.map(|code| finding(code, String::new(), Code::Internal).code),
        })
    }
}

impl From<SweepInTransit> for v1::SweepInTransit {
    fn from(sweep: SweepInTransit) -> Self {
        Self {
            txid: sweep.txid,
            amount: sweep.amount.to_string(),
            raw_transaction: sweep.raw_transaction,
            signed_time: Some(time_to_wire(sweep.signed_at)),
        }
    }
}

impl TryFrom<v1::SweepInTransit> for SweepInTransit {
    type Error = Invalid;

    fn try_from(wire: v1::SweepInTransit) -> Result<Self, Invalid> {
        Ok(Self {
            txid: wire.txid,
            amount: sum(&wire.amount, "amount")?,
            raw_transaction: wire.raw_transaction,
            signed_at: time(wire.signed_time, "signed_time")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::withdrawal::{Amount, Network, Seconds};

    #[test]
    fn a_daily_statement_comes_back_from_the_wire_and_a_short_root_does_not() {
        let given = DailyStatement {
            origin: "x".into(),
            log_index: 7,
            leaf: vec![1, 2],
            tree_size: 8,
            root: [9; 32],
        };
        let wire = v1::DailyStatement::from(given.clone());
        assert_eq!(DailyStatement::try_from(wire.clone()), Ok(given));
        assert!(DailyStatement::try_from(v1::DailyStatement { root: vec![9; 31], ..wire }).is_err());
    }

    #[test]
    fn a_position_comes_back_from_the_wire_with_and_without_facts() {
        let with = AssetPosition {
            asset: Asset::Bitcoin(Network::Mainnet),
            hot: Amount::from_sat(1),
            cold: Amount::from_sat(2),
            cold_in_transit: Amount::from_sat(3),
            refill_in_flight: Amount::from_sat(13),
            deposited: Amount::from_sat(14),
            hot_value: Some(Krw(2)),
            cold_value: Some(Krw(3)),
            spendable: Amount::from_sat(4),
            reserved: Amount::from_sat(5),
            earmarked: Amount::from_sat(6),
            held: Amount::from_sat(7),
            held_count: 8,
            surplus: Amount::from_sat(9),
            refill_wanted: Amount::ZERO,
            hot_share_max: (3, 10),
            price: Some(Krw(150_000_000)),
            price_at: Some(Seconds(10)),
            position_at: Some(Seconds(11)),
            fee_rate: Some(FeeRate(1_000)),
            tip_height: Some(0),
            chain_at: Some(Seconds(12)),
            sweeps: vec![SweepInTransit {
                txid: "ab".repeat(32),
                amount: Amount::from_sat(3),
                raw_transaction: vec![2, 0],
                signed_at: Seconds(12),
            }],
            hot_safes: vec![
                HotSafe {
                    safe: alloy_primitives::Address::repeat_byte(7),
                    spendable: Amount::from_units(8),
                    in_flight: 9,
                    code: None,
                },
                HotSafe {
                    safe: alloy_primitives::Address::repeat_byte(8),
                    spendable: Amount::ZERO,
                    in_flight: 0,
                    code: Some(Code::SafeNotAsPinned),
                },
            ],
        };
        let without = AssetPosition {
            price: None,
            hot_value: None,
            cold_value: None,
            price_at: None,
            position_at: None,
            fee_rate: None,
            tip_height: None,
            chain_at: None,
            sweeps: Vec::new(),
            hot_safes: Vec::new(),
            ..with.clone()
        };
        let sum = TotalPosition {
            hot: Krw(2),
            cold: Krw(3),
            hot_share_max: Some((2, 10)),
            surplus: Krw(1),
            price_at: Seconds(10),
        };
        for total in [None, Some(sum), Some(TotalPosition { hot_share_max: None, ..sum })] {
            let assets = vec![with.clone(), without.clone()];
            let view = PositionView { assets, total, frozen: true, at: Seconds(13) };
            assert_eq!(PositionView::try_from(v1::Position::from(view.clone())), Ok(view));
        }
    }
}
