//! The stolen signer before several hot Safes: each is paid from by what was asked, no payment moves from one to the other once it
//! is signed, and none of them pays what it does not have.

use countersign::audit::EntryKind;
use countersign::ethereum::{Address, Bytes, Operation, Proposal, SafeCall, SafeWallet, U256};
use countersign::evidence::SafeFact;
use countersign::evidence::statement::Body;
use countersign::withdrawal::evm_address::spell;

use super::super::lanes::plan;
use super::super::safes::ETHER;
use super::*;

struct Purses {
    world: World,
    thief: Thief,
    gas: u64,
}

impl Purses {
    async fn new() -> Self {
        let (world, thief) = Thief::with(plan(), 1, 40 * COIN).await;
        tell_around(&world).await;
        let purses = Self { world, thief, gas: 60_000 };
        purses.holds(&hot_safe(), 100, 10 * ETHER).await;
        purses.holds(&second_safe(), 100, 2 * ETHER).await;
        purses
    }

    async fn holds(&self, safe: &SafeWallet, height: u64, wei: u128) {
        self.state(fact_of(safe, height, 0, &[(ether(), wei), (token(), 0)])).await;
    }

    async fn state(&self, fact: SafeFact) {
        tell(&self.world, Body::Safe(Box::new(fact))).await.unwrap();
    }

    fn payment(&mut self, id: &str, wei: u128, to: &str) -> (WithdrawalRequest, CosignPayment) {
        let request = WithdrawalRequest {
            asset: ether(),
            amount: Amount::from_units(wei),
            fee_max: Amount::from_units(10u128.pow(17)),
            destination: to.to_owned(),
            ..self.world.request(id, VERA, 1)
        };
        let answer = VerificationAnswer { network: ether().chain(), ..self.thief.answer(&request) };
        let payment = self.thief.payment_with(&request, &answer);
        (request, payment)
    }

    /// Asks for a payment of what was asked for by that Safe, under that nonce; never the same transaction twice.
    async fn ask(
        &mut self,
        (safe, nonce): (&SafeWallet, u64),
        (request, payment): &(WithdrawalRequest, CosignPayment),
    ) -> ItemVerdict {
        self.gas += 1;
        let call = SafeCall {
            to: request.destination.parse().unwrap(),
            value: U256::from(request.amount.units()),
            data: Bytes::new(),
            operation: Operation::Call,
            safe_tx_gas: self.gas,
            nonce,
        };
        let hash = call.hash(safe).unwrap();
        let (txid, reservation) = (hash.to_string(), ReservationId::of_txid(&hash.0));
        let (id, asset) = (reservation.to_string(), ether().to_string());
        let fields = [
            ("reservation", id.as_str()),
            ("purpose", "withdrawal"),
            ("asset", &asset),
            ("amount", "1"),
            ("fee", "1"),
            ("txid", &txid),
        ];
        let (leaf, leaf_index) = self.thief.log(EntryKind::Reserved, &fields);
        let psbt = Proposal::new(safe, call).bytes();
        let loot = Loot { reservation, txid, psbt, leaf, leaf_index, payments: vec![payment.clone()] };
        self.thief.ask_one(&self.world, &loot).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_one_safe_signed_is_paid_by_no_other_and_none_pays_what_it_has_not() {
    let mut purses = Purses::new().await;
    let (first, second) = (hot_safe(), second_safe());
    let large = purses.payment("e-1", 3 * ETHER, VERA);
    assert_eq!(no(purses.ask((&second, 0), &large).await), "HOT_FUNDS_SHORT", "the other one has it");
    assert_eq!(no(purses.ask((&second, 1), &large).await), "ANCHOR_MISMATCH", "no Safe's nonce is another's");
    yes(purses.ask((&first, 0), &large).await);
    purses.holds(&second, 110, 10 * ETHER).await;
    for nonce in [0, 1] {
        assert_eq!(no(purses.ask((&second, nonce), &large).await), "ANCHOR_MISMATCH");
    }
    purses.world.restart_cosigner().await;
    assert_eq!(no(purses.ask((&second, 0), &large).await), "ANCHOR_MISMATCH");
    let other = purses.payment("e-2", 3 * ETHER, VERA);
    assert_eq!(no(purses.ask((&first, 0), &other).await), "ANCHOR_MISMATCH");
    yes(purses.ask((&second, 0), &other).await);
    // what is signed away there is not there for a second payment
    let third = purses.payment("e-3", 8 * ETHER, VERA);
    assert_eq!(no(purses.ask((&second, 1), &third).await), "HOT_FUNDS_SHORT");
    assert_eq!(no(purses.ask((&first, 1), &third).await), "HOT_FUNDS_SHORT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_safe_of_the_same_owners_that_is_not_pinned_pays_nobody_and_a_hot_one_is_nobodys_destination() {
    let mut purses = Purses::new().await;
    let (first, second) = (hot_safe(), second_safe());
    let asked = purses.payment("e-1", ETHER, VERA);
    let unpinned = SafeWallet::predict(EVM, first.make(), *first.owners(), U256::from(99));
    assert_eq!(no(purses.ask((&unpinned, 0), &asked).await), "SAFE_NOT_AS_PINNED");
    assert_eq!(no(purses.ask((&treasury_safe(), 0), &asked).await), "SAFE_NOT_AS_PINNED");
    let own = purses.payment("e-2", ETHER, &spell(second.address()));
    assert_eq!(no(purses.ask((&first, 0), &own).await), "DESTINATION_OWN");
    // the one that is to pay is as pinned, and the other is not: who changed that one may change this one
    let module = vec![Address::repeat_byte(0x66)];
    let fact = fact_of(&second, 110, 0, &[(ether(), 2 * ETHER), (token(), 0)]);
    purses.state(SafeFact { modules: module, ..fact }).await;
    assert_eq!(no(purses.ask((&first, 0), &asked).await), "SAFE_NOT_AS_PINNED");
    purses.holds(&second, 120, 2 * ETHER).await;
    yes(purses.ask((&first, 0), &asked).await);
}
