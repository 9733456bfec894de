//! The stolen signer wants ether for gas: the co-signer goes by its own pins, its own facts and its own sums.

use countersign::audit::EntryKind;
use countersign::ethereum::{Address, Bytes, Operation, Proposal, SafeCall, U256};
use countersign::evidence::SafeFact;
use countersign::evidence::statement::Body;

use super::super::refuel::{DAY, LEVEL, REFUEL, executor, fact, plan};
use super::super::safes::{ETHER, USDT};
use super::*;

struct Pump {
    world: World,
    thief: Thief,
    gas: u64,
}

impl Pump {
    async fn new() -> Self {
        let (world, thief) = Thief::with(plan(), 1, 40 * COIN).await;
        let pump = Self { world, thief, gas: 60_000 };
        tell_around(&pump.world).await;
        pump
    }

    async fn state(&self, fact: SafeFact) {
        tell(&self.world, Body::Safe(Box::new(fact))).await.unwrap();
    }

    /// Ether to somebody, under a nonce; never the same transaction twice.
    fn pay(&mut self, to: Address, wei: u128, nonce: u64) -> SafeCall {
        self.gas += 1;
        SafeCall {
            to,
            value: U256::from(wei),
            data: Bytes::new(),
            operation: Operation::Call,
            safe_tx_gas: self.gas,
            nonce,
        }
    }

    fn book(&mut self, call: SafeCall, asset: Asset, payments: Vec<CosignPayment>) -> Loot {
        let hash = call.hash(&hot_safe()).unwrap();
        let reservation = ReservationId::of_txid(&hash.0);
        let (id, asset, txid) = (reservation.to_string(), asset.to_string(), hash.to_string());
        let fields = [
            ("reservation", id.as_str()),
            ("purpose", "refuel"),
            ("asset", &asset),
            ("amount", "1"),
            ("fee", "1"),
            ("txid", &txid),
        ];
        let (leaf, leaf_index) = self.thief.log(EntryKind::Reserved, &fields);
        let psbt = Proposal::new(&hot_safe(), call).bytes();
        Loot { reservation, txid, psbt, leaf, leaf_index, payments }
    }

    async fn ask(&mut self, call: SafeCall) -> ItemVerdict {
        let loot = self.book(call, ether(), Vec::new());
        self.thief.ask_one(&self.world, &loot).await
    }

    /// The most that is allowed at once, to the pinned account.
    async fn refuel(&mut self, nonce: u64) -> ItemVerdict {
        let call = self.pay(executor(), REFUEL, nonce);
        self.ask(call).await
    }
}

fn batch(calls: &[(Address, u128)]) -> Bytes {
    let one = |(to, wei): &(Address, u128)| {
        [vec![0], to.to_vec(), U256::from(*wei).to_be_bytes::<32>().to_vec(), vec![0; 32]].concat()
    };
    let packed: Vec<u8> = calls.iter().flat_map(one).collect();
    let padding = vec![0; (32 - packed.len() % 32) % 32];
    let number = |number: usize| U256::from(number).to_be_bytes::<32>().to_vec();
    Bytes::from([vec![0x8d, 0x80, 0xff, 0x0a], number(32), number(packed.len()), packed, padding].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refuel_goes_to_the_pinned_account_alone_and_is_never_more_than_its_cap() {
    let mut pump = Pump::new().await;
    pump.state(fact(100, 0, 10 * ETHER, 0)).await;
    let thief = Address::repeat_byte(0x66);
    let multi_send: Address = hot_safe().make().release.multi_send.address;
    let base = pump.pay(executor(), REFUEL, 0);
    let batched = |calls: &[(Address, u128)]| SafeCall {
        to: multi_send,
        value: U256::ZERO,
        data: batch(calls),
        operation: Operation::DelegateCall,
        ..base.clone()
    };
    let transfer = [vec![0xa9, 0x05, 0x9c, 0xbb], executor().into_word().to_vec(), vec![1; 32]].concat();
    let lies = [
        ("elsewhere", "TRANSACTION_MISMATCH", SafeCall { to: thief, ..base.clone() }),
        ("more", "KIND_NOT_ALLOWED", SafeCall { value: U256::from(REFUEL + 1), ..base.clone() }),
        ("all there is", "KIND_NOT_ALLOWED", SafeCall { value: U256::from(10 * ETHER), ..base.clone() }),
        ("twice in one", "KIND_NOT_ALLOWED", batched(&[(executor(), REFUEL), (executor(), REFUEL)])),
        ("with somebody else", "KIND_NOT_ALLOWED", batched(&[(executor(), 1), (thief, ETHER)])),
        ("with a sweep", "KIND_NOT_ALLOWED", batched(&[(executor(), 1), (cold_safe(), ETHER)])),
        ("with data", "CALL_NOT_ALLOWED", SafeCall { data: Bytes::from(vec![1, 2, 3, 4]), ..base.clone() }),
        ("DELEGATECALL", "CALL_NOT_ALLOWED", SafeCall { operation: Operation::DelegateCall, ..base.clone() }),
        ("gas without end", "SAFE_NOT_AS_PINNED", SafeCall { safe_tx_gas: 30_000_000, ..base.clone() }),
        ("no gas", "CALL_NOT_ALLOWED", SafeCall { safe_tx_gas: 0, ..base.clone() }),
        ("a later nonce", "ANCHOR_MISMATCH", SafeCall { nonce: 1, ..base.clone() }),
    ];
    for (what, code, lie) in lies {
        assert_eq!(no(pump.ask(lie).await), code, "{what}");
    }
    let of_token =
        SafeCall { to: TOKEN.parse().unwrap(), value: U256::ZERO, data: transfer.into(), ..base.clone() };
    let loot = pump.book(of_token, token(), Vec::new());
    assert_eq!(no(pump.thief.ask_one(&pump.world, &loot).await), "TRANSACTION_MISMATCH", "a token");
    // as if a customer had asked for it
    let request = WithdrawalRequest {
        asset: ether(),
        amount: Amount::from_units(REFUEL),
        fee_max: Amount::from_units(10u128.pow(17)),
        destination: countersign::withdrawal::evm_address::spell(executor()),
        ..pump.world.request("e-1", VERA, 1)
    };
    let answer = VerificationAnswer { network: ether().chain(), ..pump.thief.answer(&request) };
    let payment = pump.thief.payment_with(&request, &answer);
    let call = pump.pay(executor(), REFUEL, 0);
    let loot = pump.book(call, ether(), vec![payment]);
    assert_eq!(no(pump.thief.ask_one(&pump.world, &loot).await), "TRANSACTION_MISMATCH", "a customer's");
    yes(pump.refuel(0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refuel_is_signed_when_the_cosigner_itself_knows_it_is_due_one_at_a_time_and_a_days_worth_a_day() {
    let mut pump = Pump::new().await;
    let balances = [(ether(), 10 * ETHER), (token(), 10_000 * USDT)];
    pump.state(safe_fact(90, 0, &balances)).await;
    assert_eq!(no(pump.refuel(0).await), "EXECUTOR_NOT_STATED");
    let other = (Address::repeat_byte(0xef), Amount::ZERO);
    pump.state(SafeFact { executor: Some(other), ..safe_fact(91, 0, &balances) }).await;
    assert_eq!(no(pump.refuel(0).await), "EXECUTOR_NOT_STATED", "another account is low");
    for (height, wei) in [(92, 10 * ETHER), (93, LEVEL)] {
        pump.state(fact(height, 0, 10 * ETHER, wei)).await;
        assert_eq!(no(pump.refuel(0).await), "REFUEL_NOT_DUE", "it has {wei}");
    }
    pump.state(fact(94, 0, 10 * ETHER, LEVEL - 1)).await;
    let both = [pump.pay(executor(), REFUEL, 0), pump.pay(executor(), REFUEL, 1)];
    let loot = both.map(|call| pump.book(call, ether(), Vec::new()));
    let mut verdicts = pump.thief.ask(&pump.world, &loot).await.into_iter();
    yes(verdicts.next().unwrap());
    assert_eq!(no(verdicts.next().unwrap()), "REFUEL_NOT_DUE", "two at once");
    pump.world.restart_cosigner().await;
    pump.state(fact(95, 0, 10 * ETHER, 0)).await;
    assert_eq!(no(pump.refuel(1).await), "REFUEL_NOT_DUE", "one is under way");
    // the chain has the first, and it is low again
    pump.state(fact(96, 1, 9 * ETHER, 0)).await;
    yes(pump.refuel(1).await);
    pump.state(fact(97, 2, 9 * ETHER, 0)).await;
    assert_eq!(DAY, 2 * REFUEL);
    let one = pump.pay(executor(), 1, 2);
    assert_eq!(no(pump.ask(one).await), "REFUEL_LIMIT", "not a wei more");
    pump.world.restart_cosigner().await;
    assert_eq!(no(pump.refuel(2).await), "REFUEL_LIMIT");
    pump.world.later(86_500);
    tell_around(&pump.world).await;
    pump.state(fact(98, 2, 9 * ETHER, 0)).await;
    yes(pump.refuel(2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_a_frozen_cosigner_refuels_nothing() {
    let mut pump = Pump::new().await;
    pump.state(fact(100, 0, 10 * ETHER, 0)).await;
    super::super::freeze::freeze(&pump.world, KeyRole::Cosigner, 1).await;
    let call = pump.pay(executor(), REFUEL, 0);
    let loot = pump.book(call, ether(), Vec::new());
    let order = pump.thief.order(&[loot]);
    let no = pump.world.cosigner().countersign(order).await.unwrap_err();
    assert_eq!(no.code(), Code::Frozen);
}
