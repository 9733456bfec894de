//! The stolen signer before a Safe: the co-signer decodes the calldata itself, and signs what was asked and nothing else.

use countersign::ethereum::{Address, Bytes, Operation, Proposal, SafeCall, SafeWallet, U256, Units};
use countersign::evidence::SafeFact;
use countersign::evidence::statement::{Body, ChainFact};

use super::*;
use countersign::audit::EntryKind;

const USDT: u128 = 1_000_000;
const MULTI_SEND: &str = "0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526";

struct Vault {
    world: World,
    thief: Thief,
}

impl Vault {
    async fn new() -> Self {
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

    fn request(&self, id: &str, units: u128) -> WithdrawalRequest {
        WithdrawalRequest {
            asset: token(),
            amount: Amount::from_units(units),
            fee_max: Amount::from_units(10u128.pow(17)),
            ..self.world.request(id, VERA, 1)
        }
    }

    fn payment(&mut self, request: &WithdrawalRequest) -> CosignPayment {
        let answer = VerificationAnswer { network: request.asset.chain(), ..self.thief.answer(request) };
        self.thief.payment_with(request, &answer)
    }

    /// Books a Safe transaction of any Safe in the thief's own log, and asks for key B.
    async fn ask(&mut self, safe: &SafeWallet, call: SafeCall, payment: &CosignPayment) -> ItemVerdict {
        let hash = call.hash(safe).unwrap();
        let psbt = Proposal::new(safe, call).bytes();
        self.ask_bytes(psbt, hash.to_string(), ReservationId::of_txid(&hash.0), payment).await
    }

    async fn ask_bytes(
        &mut self,
        psbt: Vec<u8>,
        txid: String,
        reservation: ReservationId,
        payment: &CosignPayment,
    ) -> ItemVerdict {
        let (id, asset) = (reservation.to_string(), token().to_string());
        let fields = [
            ("reservation", id.as_str()),
            ("purpose", "withdrawal"),
            ("asset", &asset),
            ("amount", "1"),
            ("fee", "1"),
            ("txid", &txid),
        ];
        let (leaf, leaf_index) = self.thief.log(EntryKind::Reserved, &fields);
        let loot = Loot { reservation, txid, psbt, leaf, leaf_index, payments: vec![payment.clone()] };
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

fn transfer(to: Address, units: u128) -> Bytes {
    with(TRANSFER, &[word(to), number(units)])
}

/// The one call that was asked for.
fn honest(nonce: u64, gas: u64) -> SafeCall {
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
    let one = |(to, data): &(Address, Bytes)| {
        [vec![0], to.to_vec(), number(0), number(data.len() as u128), data.to_vec()].concat()
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
    let good = || honest(0, 150_000);
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
        ("the next but one nonce", "ANCHOR_MISMATCH", honest(1, 150_000)),
        ("gas without end", "TRANSACTION_MISMATCH", honest(0, 30_000_000)),
        ("no gas, so that a revert would block all behind it", "CALL_NOT_ALLOWED", honest(0, 0)),
    ];
    for (what, code, lie) in lies {
        assert_eq!(no(vault.ask(&safe, lie, &payment).await), code, "{what}");
    }
    let owners = *safe.owners();
    let elsewhere = SafeWallet::adopt(EVM, safe.make(), owners, Address::repeat_byte(0x55));
    assert_eq!(no(vault.ask(&elsewhere, good(), &payment).await), "TRANSACTION_MISMATCH", "another Safe");
    let mainnet = SafeWallet::adopt(ChainId::new(1).unwrap(), safe.make(), owners, safe.address());
    assert_eq!(no(vault.ask(&mainnet, good(), &payment).await), "TRANSACTION_MISMATCH", "another chain");
    // what was asked, once
    let signed = yes(vault.ask(&safe, honest(0, 150_001), &payment).await);
    let proposal = Proposal::read(&signed).unwrap();
    assert_eq!((proposal.call().nonce, proposal.signatures().len()), (0, 65));
    assert_eq!(Units::from_amount(request.amount), Units::new(U256::from(100 * USDT)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_given_to_one_payment_and_a_payment_to_one_nonce_whatever_is_claimed_of_the_first() {
    let mut vault = Vault::new().await;
    let (safe, asked) = (hot_safe(), vault.request("t-1", 100 * USDT));
    let payment = vault.payment(&asked);
    yes(vault.ask(&safe, honest(0, 150_000), &payment).await);
    // as if the first had been cancelled: the same payment under the next nonce, with a fresh answer too
    assert_eq!(no(vault.ask(&safe, honest(1, 150_000), &payment).await), "ANCHOR_MISMATCH");
    let fresh = vault.payment(&asked);
    assert_eq!(no(vault.ask(&safe, honest(1, 150_001), &fresh).await), "ANCHOR_MISMATCH");
    // another payment under the nonce that is taken
    let other = vault.request("t-2", 100 * USDT);
    let its = vault.payment(&other);
    assert_eq!(no(vault.ask(&safe, honest(0, 150_002), &its).await), "ANCHOR_MISMATCH");
    vault.world.restart_cosigner().await;
    assert_eq!(no(vault.ask(&safe, honest(0, 150_003), &its).await), "ANCHOR_MISMATCH");
    yes(vault.ask(&safe, honest(1, 150_004), &its).await);
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
        let verdict = vault.ask(&safe, honest(5, 150_000 + n), &payment).await;
        assert_eq!(no(verdict), "TOKEN_NOT_AS_PINNED");
    }
    for (height, nonce, gas) in [(110, 4, 150_010), (111, 0, 150_011)] {
        tell(&vault.world, Body::Safe(Box::new(safe_fact(height, nonce, &balances)))).await.unwrap();
        let verdict = vault.ask(&safe, honest(nonce, gas), &payment).await;
        assert_eq!(no(verdict), "SAFE_NONCE_WENT_BACK");
    }
    vault.world.restart_cosigner().await;
    assert_eq!(no(vault.ask(&safe, honest(5, 150_012), &payment).await), "SAFE_NONCE_WENT_BACK");
    tell(&vault.world, Body::Safe(Box::new(safe_fact(120, 5, &balances)))).await.unwrap();
    yes(vault.ask(&safe, honest(5, 150_013), &payment).await);
}
