//! The stolen signer before a Safe: the co-signer decodes the calldata itself, and signs what was asked and nothing else.

use countersign::ethereum::{Address, Bytes, Operation, Proposal, SafeCall, SafeWallet, U256, Units};
use countersign::evidence::statement::{Body, ChainFact};
use countersign::evidence::{SafeFact, digest};

use super::*;
use countersign::audit::EntryKind;

const USDT: u128 = 1_000_000;
const MULTI_SEND: &str = "0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526";

pub(super) struct Vault {
    pub world: World,
    thief: Thief,
}

impl Vault {
    pub async fn new() -> Self {
        let (world, thief) = Thief::with(evm_plan(), 1, 40 * COIN).await;
        let chain = ChainFact { chain: ether().chain(), height: 100, fee_rate: FeeRate(20_000_000_000_000) };
        let cold = vec![
            (ether(), Amount::from_units(90 * 10u128.pow(18))),
            (token(), Amount::from_units(90_000 * USDT)),
        ];
        let fact = safe_fact(100, 0, &[(ether(), 10u128.pow(19)), (token(), 10_000 * USDT)]);
        for body in [
            Body::Chain(vec![chain]),
            Body::Price(vec![(ASSET, Krw(PRICE)), (ether(), Krw(400_000)), (token(), Krw(1_300))]),
            Body::Position { cold, swept: Vec::new() },
            Body::Safe(Box::new(fact)),
        ] {
            tell(&world, body).await.unwrap();
        }
        Self { world, thief }
    }

    pub fn request(&self, id: &str, units: u128) -> WithdrawalRequest {
        WithdrawalRequest {
            asset: token(),
            amount: Amount::from_units(units),
            fee_max: Amount::from_units(10u128.pow(17)),
            ..self.world.request(id, VERA, 1)
        }
    }

    pub fn payment(&mut self, request: &WithdrawalRequest) -> CosignPayment {
        let answer = VerificationAnswer { network: request.asset.chain(), ..self.thief.answer(request) };
        self.thief.payment_with(request, &answer)
    }

    /// Books a Safe transaction of any Safe in the thief's own log, and asks for key B.
    pub async fn ask(&mut self, safe: &SafeWallet, call: SafeCall, payment: &CosignPayment) -> ItemVerdict {
        self.ask_all(safe, call, (token(), std::slice::from_ref(payment))).await
    }

    pub async fn ask_all(
        &mut self,
        safe: &SafeWallet,
        call: SafeCall,
        (asset, payments): (Asset, &[CosignPayment]),
    ) -> ItemVerdict {
        let hash = call.hash(safe).unwrap();
        let psbt = Proposal::new(safe, call).bytes();
        let (txid, reservation) = (hash.to_string(), ReservationId::of_txid(&hash.0));
        let (id, asset) = (reservation.to_string(), asset.to_string());
        let fields = [
            ("reservation", id.as_str()),
            ("purpose", "withdrawal"),
            ("asset", &asset),
            ("amount", "1"),
            ("fee", "1"),
            ("txid", &txid),
        ];
        let (leaf, leaf_index) = self.thief.log(EntryKind::Reserved, &fields);
        let loot = Loot { reservation, txid, psbt, leaf, leaf_index, payments: payments.to_vec() };
        let Self { world, thief } = self;
        thief.ask_one(world, &loot).await
    }
}

fn contract() -> Address {
    TOKEN.parse().unwrap()
}

fn word(address: Address) -> Vec<u8> {
    address.into_word().to_vec()
}

fn number(units: u128) -> Vec<u8> {
    U256::from(units).to_be_bytes::<32>().to_vec()
}

fn with(selector: [u8; 4], words: &[Vec<u8>]) -> Bytes {
    Bytes::from([selector.to_vec(), words.concat()].concat())
}

const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];
const APPROVE: [u8; 4] = [0x09, 0x5e, 0xa7, 0xb3];
const TRANSFER_FROM: [u8; 4] = [0x23, 0xb8, 0x72, 0xdd];
const ENABLE_MODULE: [u8; 4] = [0x61, 0x0b, 0x59, 0x25];
const SET_GUARD: [u8; 4] = [0xe1, 0x9a, 0x9d, 0xd9];
const SWAP_OWNER: [u8; 4] = [0xe3, 0x18, 0xb5, 0x2b];
const CHANGE_THRESHOLD: [u8; 4] = [0x69, 0x4e, 0x80, 0xc3];
const MULTI_SEND_CALL: [u8; 4] = [0x8d, 0x80, 0xff, 0x0a];

pub(super) fn transfer(to: Address, units: u128) -> Bytes {
    with(TRANSFER, &[word(to), number(units)])
}

/// The one call that was asked for.
pub(super) fn honest(nonce: u64, gas: u64) -> SafeCall {
    SafeCall {
        to: contract(),
        value: U256::ZERO,
        data: transfer(VERA.parse().unwrap(), 100 * USDT),
        operation: Operation::Call,
        safe_tx_gas: gas,
        nonce,
    }
}

/// A batch as MultiSend reads it.
fn batch(calls: &[(Address, Bytes)]) -> Bytes {
    let call = |(to, data): &(Address, Bytes)| Inner { to: *to, data: data.clone(), ..Inner::default() };
    packed(&calls.iter().map(call).collect::<Vec<_>>())
}

/// One call within a batch.
#[derive(Clone, Default)]
struct Inner {
    operation: u8,
    to: Address,
    value: u128,
    data: Bytes,
}

fn packed(calls: &[Inner]) -> Bytes {
    let one = |call: &Inner| {
        let Inner { operation, to, value, data } = call;
        [vec![*operation], to.to_vec(), number(*value), number(data.len() as u128), data.to_vec()].concat()
    };
    let packed: Vec<u8> = calls.iter().flat_map(one).collect();
    let padding = vec![0; (32 - packed.len() % 32) % 32];
    with(MULTI_SEND_CALL, &[number(32), number(packed.len() as u128), packed, padding])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_safe_pays_what_was_asked_and_nothing_else_whatever_the_call_is_dressed_as() {
    let mut vault = Vault::new().await;
    let request = vault.request("t-1", 100 * USDT);
    let payment = vault.payment(&request);
    let (safe, vera): (_, Address) = (hot_safe(), VERA.parse().unwrap());
    let thief = Address::repeat_byte(0x66);
    let good = || honest(0, 160_000);
    let multi_send: Address = safe.make().release.multi_send.address;
    let to_safe = |data: Bytes| SafeCall { to: safe.address(), data, ..good() };
    let batched = |to: Address, calls: &[(Address, Bytes)]| SafeCall {
        to,
        data: batch(calls),
        operation: Operation::DelegateCall,
        ..good()
    };
    let asked = (contract(), transfer(vera, 100 * USDT));
    let sentinel = Address::with_last_byte(1);
    let lies = [
        ("another payee", "TRANSACTION_MISMATCH", SafeCall { data: transfer(thief, 100 * USDT), ..good() }),
        ("more", "TRANSACTION_MISMATCH", SafeCall { data: transfer(vera, 100 * USDT + 1), ..good() }),
        ("less", "TRANSACTION_MISMATCH", SafeCall { data: transfer(vera, 100 * USDT - 1), ..good() }),
        ("another token", "TRANSACTION_MISMATCH", SafeCall { to: Address::repeat_byte(0x77), ..good() }),
        (
            "ether instead",
            "TRANSACTION_MISMATCH",
            SafeCall { to: vera, value: U256::from(100 * USDT), data: Bytes::new(), ..good() },
        ),
        ("ether along with it", "CALL_NOT_ALLOWED", SafeCall { value: U256::from(1), ..good() }),
        (
            "approve instead of transfer",
            "CALL_NOT_ALLOWED",
            SafeCall { data: with(APPROVE, &[word(vera), number(100 * USDT)]), ..good() },
        ),
        (
            "transferFrom",
            "CALL_NOT_ALLOWED",
            SafeCall {
                data: with(TRANSFER_FROM, &[word(safe.address()), word(vera), number(100 * USDT)]),
                ..good()
            },
        ),
        (
            "a byte behind the call",
            "CALL_NOT_ALLOWED",
            SafeCall { data: Bytes::from([good().data.to_vec(), vec![0]].concat()), ..good() },
        ),
        ("DELEGATECALL", "CALL_NOT_ALLOWED", SafeCall { operation: Operation::DelegateCall, ..good() }),
        (
            "DELEGATECALL to a MultiSend that is not pinned",
            "CALL_NOT_ALLOWED",
            batched(MULTI_SEND.parse().unwrap(), std::slice::from_ref(&asked)),
        ),
        (
            "a hidden inner call",
            "TRANSACTION_MISMATCH",
            batched(multi_send, &[asked.clone(), (contract(), transfer(thief, 1))]),
        ),
        (
            "an approval hidden in a batch",
            "CALL_NOT_ALLOWED",
            batched(multi_send, &[asked.clone(), (contract(), with(APPROVE, &[word(thief), number(1)]))]),
        ),
        ("a batch of one", "TRANSACTION_MISMATCH", batched(multi_send, std::slice::from_ref(&asked))),
        ("a module", "CALL_NOT_ALLOWED", to_safe(with(ENABLE_MODULE, &[word(thief)]))),
        ("a guard", "CALL_NOT_ALLOWED", to_safe(with(SET_GUARD, &[word(thief)]))),
        ("the threshold", "CALL_NOT_ALLOWED", to_safe(with(CHANGE_THRESHOLD, &[number(1)]))),
        (
            "an owner's seat",
            "TRANSACTION_MISMATCH",
            to_safe(with(SWAP_OWNER, &[word(sentinel), word(owner(0xc)), word(thief)])),
        ),
        ("the next but one nonce", "ANCHOR_MISMATCH", honest(1, 160_000)),
        ("gas without end", "SAFE_NOT_AS_PINNED", honest(0, 30_000_000)),
        ("no gas, so that a revert would block all behind it", "CALL_NOT_ALLOWED", honest(0, 0)),
        ("too little, so that it would revert", "SAFE_NOT_AS_PINNED", honest(0, 159_999)),
    ];
    for (what, code, lie) in lies {
        assert_eq!(no(vault.ask(&safe, lie, &payment).await), code, "{what}");
    }
    let owners = *safe.owners();
    let elsewhere = SafeWallet::adopt(EVM, safe.make(), owners, Address::repeat_byte(0x55));
    assert_eq!(no(vault.ask(&elsewhere, good(), &payment).await), "SAFE_NOT_AS_PINNED", "another Safe");
    let mainnet = SafeWallet::adopt(ChainId::new(1).unwrap(), safe.make(), owners, safe.address());
    assert_eq!(no(vault.ask(&mainnet, good(), &payment).await), "TRANSACTION_MISMATCH", "another chain");
    // what was asked, once
    let signed = yes(vault.ask(&safe, honest(0, 160_001), &payment).await);
    let proposal = Proposal::read(&signed).unwrap();
    assert_eq!((proposal.call().nonce, proposal.signatures().len()), (0, 65));
    assert_eq!(Units::from_amount(request.amount), Units::new(U256::from(100 * USDT)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_given_to_one_payment_and_a_payment_to_one_nonce_whatever_is_claimed_of_the_first() {
    let mut vault = Vault::new().await;
    let (safe, asked) = (hot_safe(), vault.request("t-1", 100 * USDT));
    let payment = vault.payment(&asked);
    yes(vault.ask(&safe, honest(0, 160_000), &payment).await);
    // as if the first had been cancelled: the same payment under the next nonce, with a fresh answer too
    assert_eq!(no(vault.ask(&safe, honest(1, 160_000), &payment).await), "ANCHOR_MISMATCH");
    let fresh = vault.payment(&asked);
    assert_eq!(no(vault.ask(&safe, honest(1, 160_001), &fresh).await), "ANCHOR_MISMATCH");
    // another payment under the nonce that is taken
    let other = vault.request("t-2", 100 * USDT);
    let its = vault.payment(&other);
    assert_eq!(no(vault.ask(&safe, honest(0, 160_002), &its).await), "ANCHOR_MISMATCH");
    vault.world.restart_cosigner().await;
    assert_eq!(no(vault.ask(&safe, honest(0, 160_003), &its).await), "ANCHOR_MISMATCH");
    yes(vault.ask(&safe, honest(1, 160_004), &its).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_tells_other_decimals_and_a_nonce_that_went_back_get_no_signature_whatever_the_signer_says()
 {
    let mut vault = Vault::new().await;
    let (safe, asked) = (hot_safe(), vault.request("t-1", 100 * USDT));
    let payment = vault.payment(&asked);
    let Asset::Evm(of) = token() else { unreachable!() };
    let balances = [(ether(), 10u128.pow(19)), (token(), 10_000 * USDT)];
    for (n, decimals) in [(1, vec![(of, 18)]), (2, Vec::new()), (3, vec![(of, 5)])] {
        let fact = SafeFact { decimals, ..safe_fact(100 + n, 5, &balances) };
        tell(&vault.world, Body::Safe(Box::new(fact))).await.unwrap();
        let verdict = vault.ask(&safe, honest(5, 160_000 + n), &payment).await;
        assert_eq!(no(verdict), "TOKEN_NOT_AS_PINNED");
    }
    for (height, nonce, gas) in [(110, 4, 160_010), (111, 0, 160_011)] {
        tell(&vault.world, Body::Safe(Box::new(safe_fact(height, nonce, &balances)))).await.unwrap();
        let verdict = vault.ask(&safe, honest(nonce, gas), &payment).await;
        assert_eq!(no(verdict), "SAFE_NONCE_WENT_BACK");
    }
    vault.world.restart_cosigner().await;
    assert_eq!(no(vault.ask(&safe, honest(5, 160_012), &payment).await), "SAFE_NONCE_WENT_BACK");
    tell(&vault.world, Body::Safe(Box::new(safe_fact(120, 5, &balances)))).await.unwrap();
    yes(vault.ask(&safe, honest(5, 160_013), &payment).await);
}

/// A call that pays somebody in the token.
fn pays(to: Address, units: u128) -> Inner {
    Inner { to: contract(), data: transfer(to, units), ..Inner::default() }
}

/// A Safe transaction that runs these through the MultiSendCallOnly that is pinned.
fn batched(nonce: u64, calls: &[Inner]) -> SafeCall {
    SafeCall {
        to: hot_safe().make().release.multi_send.address,
        value: U256::ZERO,
        data: packed(calls),
        operation: Operation::DelegateCall,
        safe_tx_gas: 320_000,
        nonce,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_pays_each_that_was_asked_once_and_does_nothing_beside_it() {
    let mut vault = Vault::new().await;
    let (first, second) = (vault.request("t-1", 100 * USDT), vault.request("t-2", 200 * USDT));
    let payments = [vault.payment(&first), vault.payment(&second)];
    let (safe, vera): (_, Address) = (hot_safe(), VERA.parse().unwrap());
    let thief = Address::repeat_byte(0x66);
    let asked = [pays(vera, 100 * USDT), pays(vera, 200 * USDT)];
    let with = |more: Inner| batched(0, &[asked.to_vec(), vec![more]].concat());
    let second_as = |other: Inner| batched(0, &[asked[0].clone(), other]);
    let ether_to = |to, value| Inner { to, value, ..Inner::default() };
    let good = || batched(0, &asked);
    let lookalike: Address = MULTI_SEND.parse().unwrap();
    let lies = [
        ("a hidden extra call", "TRANSACTION_MISMATCH", with(pays(thief, 1))),
        ("a payee twice", "TRANSACTION_MISMATCH", with(asked[0].clone())),
        ("one of them twice and the other not", "TRANSACTION_MISMATCH", second_as(asked[0].clone())),
        ("one of them alone", "TRANSACTION_MISMATCH", honest(0, 160_000)),
        ("a batch of one", "TRANSACTION_MISMATCH", batched(0, &asked[..1])),
        ("a batch of none", "CALL_NOT_ALLOWED", batched(0, &[])),
        (
            "two tokens",
            "TRANSACTION_MISMATCH",
            second_as(Inner { to: Address::repeat_byte(0x77), ..asked[1].clone() }),
        ),
        ("ether in the place of a token", "TRANSACTION_MISMATCH", second_as(ether_to(vera, 200 * USDT))),
        ("ether beside the tokens", "TRANSACTION_MISMATCH", with(ether_to(thief, 1))),
        ("ether along with a call", "CALL_NOT_ALLOWED", second_as(Inner { value: 1, ..asked[1].clone() })),
        ("a DELEGATECALL within", "CALL_NOT_ALLOWED", second_as(Inner { operation: 1, ..asked[1].clone() })),
        (
            "a call to nobody, which MultiSend takes for the Safe",
            "CALL_NOT_ALLOWED",
            with(Inner { to: Address::ZERO, data: asked[0].data.clone(), ..Inner::default() }),
        ),
        (
            "an approval within",
            "CALL_NOT_ALLOWED",
            with(Inner { data: self::with(APPROVE, &[word(thief), number(1)]), ..asked[0].clone() }),
        ),
        (
            "a module within",
            "CALL_NOT_ALLOWED",
            with(Inner {
                to: safe.address(),
                data: self::with(ENABLE_MODULE, &[word(thief)]),
                ..Inner::default()
            }),
        ),
        (
            "DELEGATECALL to the MultiSend that is not pinned",
            "CALL_NOT_ALLOWED",
            SafeCall { to: lookalike, ..good() },
        ),
        ("DELEGATECALL to one of the thief's", "CALL_NOT_ALLOWED", SafeCall { to: thief, ..good() }),
        ("CALL to the pinned one", "CALL_NOT_ALLOWED", SafeCall { operation: Operation::Call, ..good() }),
        ("value along with the batch", "CALL_NOT_ALLOWED", SafeCall { value: U256::from(1), ..good() }),
        (
            "bytes behind the batch",
            "CALL_NOT_ALLOWED",
            SafeCall { data: Bytes::from([good().data.to_vec(), vec![0; 32]].concat()), ..good() },
        ),
        ("gas without end", "SAFE_NOT_AS_PINNED", SafeCall { safe_tx_gas: 400_000, ..good() }),
        ("gas for one of two", "SAFE_NOT_AS_PINNED", SafeCall { safe_tx_gas: 319_999, ..good() }),
        ("the next but one nonce", "ANCHOR_MISMATCH", batched(1, &asked)),
    ];
    for (what, code, lie) in lies {
        assert_eq!(no(vault.ask_all(&safe, lie, (token(), &payments)).await), code, "{what}");
    }
    let signed = yes(vault.ask_all(&safe, good(), (token(), &payments)).await);
    assert_eq!(Proposal::read(&signed).unwrap().call().data, good().data);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_batch_each_request_verification_limit_and_fee_counts_as_if_it_were_paid_alone() {
    let mut vault = Vault::new().await;
    let (safe, vera): (_, Address) = (hot_safe(), VERA.parse().unwrap());
    let requests = ["t-1", "t-2", "t-3"].map(|id| vault.request(id, 100 * USDT));
    let [first, second, third] = requests.each_ref().map(|request| vault.payment(request));
    let mut gas = 320_000;
    let mut two = |nonce, units: u128| {
        gas += 1;
        SafeCall { safe_tx_gas: gas, ..batched(nonce, &[pays(vera, units), pays(vera, units)]) }
    };
    let both = [first.clone(), first.clone()];
    assert_eq!(no(vault.ask_all(&safe, two(0, 100 * USDT), (token(), &both)).await), "REQUEST_ID_REUSED");
    // the second carries the verification of the first
    let answer = VerificationAnswer { network: token().chain(), ..vault.thief.answer(&requests[0]) };
    let same = VerificationAnswer { request_digest: digest(&sign(&requests[1]).text), ..answer.clone() };
    let both =
        [vault.thief.payment_with(&requests[0], &answer), vault.thief.payment_with(&requests[1], &same)];
    assert_eq!(no(vault.ask_all(&safe, two(0, 100 * USDT), (token(), &both)).await), "EVIDENCE_USED");
    // each fits by itself, and not both
    let large = ["l-1", "l-2"].map(|id| vault.request(id, 6_000 * USDT));
    let both = large.each_ref().map(|request| vault.payment(request));
    assert_eq!(no(vault.ask_all(&safe, two(0, 6_000 * USDT), (token(), &both)).await), "HOT_FUNDS_SHORT");
    // the part of the fee that falls on it is more than it allows: 434,000 of gas at 20 gwei, of which half
    let part = 4_400_000_000_000_000;
    let stingy =
        WithdrawalRequest { fee_max: Amount::from_units(part / 2), ..vault.request("s-1", 100 * USDT) };
    let both = [first.clone(), vault.payment(&stingy)];
    assert_eq!(no(vault.ask_all(&safe, two(0, 100 * USDT), (token(), &both)).await), "FEE_ABOVE_CAP");
    // one that was taken back
    let order = VoidOrder::Cancellation(cancel_of(&requests[2], EXCHANGE));
    assert!(matches!(vault.world.cosigner().void(order).await.unwrap(), Voided::Receipt(_)));
    let both = [first.clone(), third];
    assert_eq!(no(vault.ask_all(&safe, two(0, 100 * USDT), (token(), &both)).await), "CANCELLED");
    // one of another asset, and ether, which is never batched
    let in_ether = |vault: &Vault, id: &str| WithdrawalRequest { asset: ether(), ..vault.request(id, 5) };
    let [one, other] = ["e-1", "e-2"].map(|id| in_ether(&vault, id));
    let ethers = [vault.payment(&one), vault.payment(&other)];
    let mixed = [first.clone(), ethers[0].clone()];
    assert_eq!(no(vault.ask_all(&safe, two(0, 100 * USDT), (token(), &mixed)).await), "KIND_NOT_ALLOWED");
    let to_vera = Inner { to: vera, value: 5, ..Inner::default() };
    let call = batched(0, &[to_vera.clone(), to_vera]);
    assert_eq!(no(vault.ask_all(&safe, call, (ether(), &ethers)).await), "TRANSACTION_MISMATCH");
    // more than the gas of one transaction carries
    let many: Vec<_> = (0..51).map(|n| vault.request(&format!("m-{n}"), USDT)).collect();
    let payments: Vec<_> = many.iter().map(|request| vault.payment(request)).collect();
    let call = batched(0, &vec![pays(vera, USDT); 51]);
    assert_eq!(no(vault.ask_all(&safe, call, (token(), &payments)).await), "TRANSACTION_MISMATCH");
    // what was paid alone is not paid in a batch, nor the other way round
    yes(vault.ask(&safe, honest(0, 160_000), &first).await);
    let both = [first.clone(), second.clone()];
    assert_eq!(no(vault.ask_all(&safe, two(1, 100 * USDT), (token(), &both)).await), "ANCHOR_MISMATCH");
    // its part of the fee is enough, if not the whole
    let fresh = WithdrawalRequest { fee_max: Amount::from_units(part), ..vault.request("t-4", 100 * USDT) };
    let both = [second.clone(), vault.payment(&fresh)];
    yes(vault.ask_all(&safe, two(1, 100 * USDT), (token(), &both)).await);
    assert_eq!(no(vault.ask(&safe, honest(2, 160_000), &second).await), "ANCHOR_MISMATCH");
}
