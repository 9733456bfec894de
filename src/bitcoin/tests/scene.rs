//! A withdrawal, a sweep and a consolidation, built honestly, for the checker's tests to tamper with.

use ::bitcoin::Psbt;

use super::world::{CAPS, World, stranger};
use crate::bitcoin::{
    Branch, Chance, CheckError, CheckedTransaction, Expectations, KeySlot, OwnCoin, OwnOutput, Payee, Pinned,
    Unsigned, UnsignedPlan, check_psbt,
};
use crate::withdrawal::Network;

pub const TIP: u32 = 900_000;
pub const CHANGE_INDEX: u32 = 5;
pub const FEE_SAT: u64 = 5_000;

pub struct Scene {
    pub hot: World,
    pub cold: World,
    pub payees: Vec<Payee>,
    pub unsigned: Unsigned,
}

fn plan(coins: Vec<OwnCoin>) -> UnsignedPlan {
    UnsignedPlan { inputs: coins, payees: vec![], cold: None, change: None, tip_height: TIP }
}

const CHANCE: Chance = Chance { order: 7, lock_time: 1 };

impl Scene {
    fn worlds() -> (World, World, Vec<OwnCoin>) {
        let (hot, cold) = (World::new(Network::Regtest, 1), World::new(Network::Regtest, 2));
        let coins = vec![hot.coin(1, 300_000), hot.coin(2, 400_000), hot.coin(3, 500_000)];
        (hot, cold, coins)
    }

    /// Pays two strangers, change on branch 1.
    pub fn withdrawal() -> Self {
        let (hot, cold, coins) = Self::worlds();
        let payees = vec![
            Payee { script_pubkey: stranger(1), amount_sat: 150_000 },
            Payee { script_pubkey: stranger(2), amount_sat: 250_000 },
        ];
        let change =
            OwnOutput { script: hot.own(Branch::Change, CHANGE_INDEX), amount_sat: 800_000 - FEE_SAT };
        let plan = UnsignedPlan { payees: payees.clone(), change: Some(change), ..plan(coins) };
        Self { hot, cold, payees, unsigned: Unsigned::build(plan, CHANCE).unwrap() }
    }

    /// Pays the cold wallet, change on branch 1.
    pub fn sweep() -> Self {
        let (hot, cold, coins) = Self::worlds();
        let to = OwnOutput { script: cold.own(Branch::Deposit, 3), amount_sat: 700_000 };
        let change =
            OwnOutput { script: hot.own(Branch::Change, CHANGE_INDEX), amount_sat: 500_000 - FEE_SAT };
        let plan = UnsignedPlan { cold: Some(to), change: Some(change), ..plan(coins) };
        Self { hot, cold, payees: vec![], unsigned: Unsigned::build(plan, CHANCE).unwrap() }
    }

    /// Pays only branch 1.
    pub fn consolidation() -> Self {
        let (hot, cold, coins) = Self::worlds();
        let change =
            OwnOutput { script: hot.own(Branch::Change, CHANGE_INDEX), amount_sat: 1_200_000 - FEE_SAT };
        let plan = UnsignedPlan { change: Some(change), ..plan(coins) };
        Self { hot, cold, payees: vec![], unsigned: Unsigned::build(plan, CHANCE).unwrap() }
    }

    pub fn expectations(&self) -> Expectations<'_> {
        Expectations {
            txid: None,
            receiver: KeySlot::B,
            signed_by: None,
            payees: &self.payees,
            cold: Some(Pinned { wallet: &self.cold.wallet, index_max: 10 }),
            change_index_max: 1_000,
            change_ready: None,
            caps: CAPS,
            tip_height: TIP,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.unsigned.psbt(KeySlot::B, &self.hot.wallet, Some(&self.cold.wallet)).unwrap()
    }

    pub fn psbt(&self) -> Psbt {
        Psbt::deserialize(&self.bytes()).unwrap()
    }

    pub fn check_as(
        &self,
        bytes: &[u8],
        expect: &Expectations<'_>,
    ) -> Result<CheckedTransaction, CheckError> {
        let known = self.unsigned.inputs();
        check_psbt(bytes, &self.hot.wallet, expect, &|outpoint| {
            known.iter().find(|coin| coin.outpoint == *outpoint).cloned()
        })
    }

    pub fn check(&self, bytes: &[u8]) -> Result<CheckedTransaction, CheckError> {
        self.check_as(bytes, &self.expectations())
    }

    /// The place of the change.
    pub fn change_at(&self) -> usize {
        let script = self.hot.own(Branch::Change, CHANGE_INDEX);
        self.unsigned.vout_of(&script).unwrap() as usize
    }

    /// The place of the first payee.
    pub fn payee_at(&self) -> usize {
        let payee = &self.payees[0];
        self.unsigned
            .transaction()
            .output
            .iter()
            .position(|out| out.script_pubkey == payee.script_pubkey)
            .unwrap()
    }
}
