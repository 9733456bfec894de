//! Two owners pay and one does not; nothing is paid twice; what the chain answers is read as what it is.

use alloy_primitives::{Address, Bytes, U256, keccak256};
use countersign::ethereum::message::accepts;
use countersign::ethereum::pins::{Release, V1_4_1, V1_5_0};
use countersign::ethereum::*;
use countersign::keys::{KeyRole, Seat};

use super::chain::{Chain, Kind};
use super::token::{self, Manner, held};
use super::world::*;

/// The whole of a payment on one chain: ether, a token and both at once; then everything that must not work.
async fn pays(kind: Kind, release: &'static Release) {
    let Some(chain) = Chain::start(kind).await else { return };
    let world = World::new(chain, Make { release, singleton: Singleton::Plain }).await;
    let (chain, wallet) = (&world.chain, world.make_safe(0).await);
    chain.bank_sends(wallet.address(), U256::from(3 * u128::from(ETHER)), &[]).await;
    let usdt = token::token(chain, Manner::ReturnsNothing, wallet.address(), 9_000).await;

    let first = ether(chain, stranger(1), ETHER);
    assert_eq!(world.pay(&wallet, &[first]).await, Verdict::Paid);
    assert_eq!(world.pay(&wallet, &[tokens(chain, usdt, stranger(2), 4_000)]).await, Verdict::Paid);
    let batch =
        [ether(chain, stranger(3), 5), tokens(chain, usdt, stranger(4), 6), ether(chain, stranger(5), 7)];
    assert_eq!(world.pay(&wallet, &batch).await, Verdict::Paid);
    assert_eq!(chain.balance(stranger(1)).await, U256::from(ETHER));
    assert_eq!(chain.balance(stranger(5)).await, U256::from(7));
    assert_eq!(held(chain, usdt, stranger(2)).await, U256::from(4_000));
    assert_eq!(held(chain, usdt, wallet.address()).await, U256::from(4_994));
    assert_eq!(world.trusted(&wallet).await.nonce(), 3);

    let (good, _) = world.finish(&wallet, Task::Pay(vec![first]), expecting(&[first])).await;
    let refused = async |data: &[u8]| match chain.call(good.safe(), data).await {
        Ok(returned) => panic!("the Safe took it: {returned}"),
        Err(returned) => Revert::read(&returned),
    };
    let with = |change: fn(&mut Vec<u8>)| {
        // the packed signatures: 130 bytes behind their length, padded to 160
        let mut data = good.data().to_vec();
        let packed = data.split_off(data.len() - 192);
        let mut signatures = packed[32..162].to_vec();
        change(&mut signatures);
        let padding = vec![0; signatures.len().next_multiple_of(32) - signatures.len()];
        [data, U256::from(signatures.len()).to_be_bytes::<32>().to_vec(), signatures, padding].concat()
    };
    assert!(chain.call(good.safe(), &with(|_| {})).await.is_ok(), "two signatures are enough");
    assert_eq!(refused(&with(|packed| packed.truncate(65))).await.safe_code(), Some("GS020"), "one is not");
    assert_eq!(refused(&with(Vec::clear)).await.safe_code(), Some("GS020"));
    assert_eq!(
        refused(&with(|packed| packed.rotate_left(65))).await.safe_code(),
        Some("GS026"),
        "not sorted"
    );
    assert_eq!(
        refused(&with(|packed| packed.copy_within(0..65, 65))).await.safe_code(),
        Some("GS026"),
        "one twice"
    );
    assert!(world.execute(good.safe(), good.data().to_vec()).await.succeeded);
    assert_eq!(refused(good.data()).await.safe_code(), Some("GS026"), "a replay");
    let again = world.execute(good.safe(), good.data().to_vec()).await;
    assert_eq!(judge_receipt(&again, good.safe(), good.hash(), &[]), Verdict::Absent);
    assert_eq!(chain.balance(stranger(1)).await, U256::from(2 * ETHER), "paid once for each");
}

#[tokio::test]
async fn two_signatures_pay_one_is_refused_and_a_replay_too_on_anvil_1_4_1() {
    pays(Kind::Anvil, &V1_4_1).await;
}

#[tokio::test]
async fn two_signatures_pay_one_is_refused_and_a_replay_too_on_anvil_1_5_0() {
    pays(Kind::Anvil, &V1_5_0).await;
}

#[tokio::test]
async fn two_signatures_pay_one_is_refused_and_a_replay_too_on_ganache() {
    pays(Kind::Ganache, &V1_4_1).await;
}

async fn world() -> Option<(World, SafeWallet)> {
    let make = Make { release: &V1_5_0, singleton: Singleton::Telling };
    let world = World::new(Chain::start_anvil().await?, make).await;
    let wallet = world.make_safe(0).await;
    world.chain.bank_sends(wallet.address(), U256::from(3 * u128::from(ETHER)), &[]).await;
    Some((world, wallet))
}

#[tokio::test]
async fn a_payee_that_reverts_uses_up_its_nonce_and_blocks_nobody() {
    let Some((world, wallet)) = world().await else { return };
    let chain = &world.chain;
    chain.put_code(stranger(1), "0x60006000fd".parse().unwrap()).await;
    assert_eq!(world.pay(&wallet, &[ether(chain, stranger(1), 5)]).await, Verdict::Reverted);
    let batch = [ether(chain, stranger(2), 5), ether(chain, stranger(1), 5)];
    assert_eq!(world.pay(&wallet, &batch).await, Verdict::Reverted, "all of a batch or none");
    assert_eq!(chain.balance(stranger(2)).await, U256::ZERO);
    let reverting = token::token(chain, Manner::Reverts, wallet.address(), 9).await;
    assert_eq!(world.pay(&wallet, &[tokens(chain, reverting, stranger(2), 5)]).await, Verdict::Reverted);
    assert_eq!(
        world.pay(&wallet, &[ether(chain, stranger(3), 5)]).await,
        Verdict::Paid,
        "the next one is paid"
    );
    assert_eq!(world.trusted(&wallet).await.nonce(), 4);
    let much = [ether(chain, stranger(2), 4 * ETHER)];
    assert_eq!(world.pay(&wallet, &much).await, Verdict::Reverted, "more than there is");
}

#[tokio::test]
async fn a_token_that_lies_or_takes_a_fee_is_told_from_one_that_pays() {
    let Some((world, wallet)) = world().await else { return };
    let chain = &world.chain;
    for (manner, pays) in [
        (Manner::Standard, true),
        (Manner::ReturnsNothing, true),
        (Manner::ReturnsFalse, false),
        (Manner::TakesFee, false),
    ] {
        let token = token::token(chain, manner, wallet.address(), 100).await;
        let payee = tokens(chain, token, stranger(9), 40);
        let expected = if pays { Verdict::Paid } else { Verdict::NotAsAsked(payee) };
        assert_eq!(world.pay(&wallet, &[payee]).await, expected, "{manner:?}");
        let got = held(chain, token, stranger(9)).await;
        assert_eq!(got == U256::from(40), pays, "{manner:?}");
        let decimals = chain.call(token, &keccak256("decimals()")[..4]).await.unwrap();
        assert!(TokenPin::new(payee.asset, token::DECIMALS).unwrap().agrees_with(&decimals));
        assert!(!TokenPin::new(payee.asset, 18).unwrap().agrees_with(&decimals));
    }
}

/// Any call of the Safe's, signed by two keys: what a thief of two keys could do, and the checker never lets through.
pub async fn danger_any_call(world: &World, wallet: &SafeWallet, to: Address, data: Vec<u8>) {
    let nonce = facts(&world.chain, wallet).await.nonce;
    let nonce = u64::try_from(nonce).unwrap();
    let call = SafeCall {
        to,
        value: U256::ZERO,
        data: data.into(),
        operation: Operation::Call,
        safe_tx_gas: 500_000,
        nonce,
    };
    let hash = call.hash(wallet).unwrap();
    let mut both = [KeyRole::Signer, KeyRole::Vault].map(|role| {
        let signed = world.party.sign(role, Seat::Owner, hash);
        (world.party.address(role), [signed.compact().as_slice(), &[27 + signed.recovery_id()]].concat())
    });
    both.sort();
    let packed = both.map(|(_, signature)| signature).concat();
    let receipt = world.execute(wallet.address(), super::peers::execution(&call, packed)).await;
    assert_eq!(judge_receipt(&receipt, wallet.address(), hash, &[]), Verdict::Paid);
}

#[tokio::test]
async fn a_safe_that_was_changed_under_us_is_no_longer_trusted_and_says_what_changed() {
    let Some((world, wallet)) = world().await else { return };
    let own = wallet.address();
    let call = |name: &str, args: &[U256]| {
        let words: Vec<u8> = args.iter().flat_map(|word| word.to_be_bytes::<32>()).collect();
        [&keccak256(name)[..4], &words].concat()
    };
    let address = |address: Address| U256::from_be_slice(address.into_word().as_slice());
    use SafeDifference as D;
    let steps = [
        (call("enableModule(address)", &[address(stranger(1))]), vec![D::Modules]),
        (call("disableModule(address,address)", &[U256::from(1), address(stranger(1))]), vec![]),
        (call("changeThreshold(uint256)", &[U256::from(1)]), vec![D::Threshold]),
        (
            call("addOwnerWithThreshold(address,uint256)", &[address(stranger(2)), U256::from(2)]),
            vec![D::Owners],
        ),
        (
            call("setFallbackHandler(address)", &[address(stranger(3))]),
            vec![D::Owners, D::FallbackHandler, D::FallbackHandlerCode],
        ),
    ];
    for (data, differs) in steps {
        danger_any_call(&world, &wallet, own, data).await;
        let found = judge(&wallet, &facts(&world.chain, &wallet).await);
        let found = found.err().map(|no| no.differences().to_vec()).unwrap_or_default();
        assert_eq!(found, differs);
    }
    let elsewhere =
        SafeWallet::adopt(world.chain.id, Make { release: &V1_4_1, ..world.make }, *wallet.owners(), own);
    let found = judge(&elsewhere, &facts(&world.chain, &elsewhere).await).unwrap_err();
    assert!(found.differences().contains(&D::Version) && found.differences().contains(&D::MultiSend));
}

#[tokio::test]
async fn a_seat_given_to_a_new_key_is_the_new_keys_and_no_longer_the_old_ones() {
    let Some((world, wallet)) = world().await else { return };
    let new = super::seats::Party::new(99).address(KeyRole::Cosigner);
    let [a, _, c] = wallet.owners().all();
    let swap = swap_of(&world.trusted(&wallet).await, KeyRole::Cosigner, new).unwrap();
    let expect = Expectations { rotation: Some((KeyRole::Cosigner, new)), ..expecting(&[]) };
    assert_eq!(world.settle(&wallet, Task::Rotate(swap), expect).await, Verdict::Paid);
    let found = judge(&wallet, &facts(&world.chain, &wallet).await).unwrap_err();
    assert_eq!(found.differences(), [SafeDifference::Owners]);
    let owners = Owners::new(a, new, c).unwrap();
    let rotated = SafeWallet::adopt(world.chain.id, world.make, owners, wallet.address());
    assert_eq!(judge(&rotated, &facts(&world.chain, &rotated).await).unwrap().nonce(), 1);
}

#[tokio::test]
async fn a_customers_contract_wallet_says_yes_to_its_own_message_only() {
    let Some((world, wallet)) = world().await else { return };
    let message = "countersign wallet-ownership\naddress: this one\n";
    let ask = async |proof: &str| {
        let call = ownership_call(message, proof).unwrap();
        world.chain.call(wallet.address(), &call).await
    };
    // what its owners sign is the Safe's own message around the hash, as the Safe says itself
    let hash = message::message_hash(message);
    let wrapped: Bytes = [U256::from(32), U256::from(32)]
        .iter()
        .flat_map(|word| word.to_be_bytes::<32>())
        .chain(hash.0)
        .collect();
    let asked = [&keccak256("getMessageHash(bytes)")[..4], &wrapped].concat();
    let digest = B256::from_slice(&world.chain.call(wallet.address(), &asked).await.unwrap());
    let mut both = [KeyRole::Cosigner, KeyRole::Vault].map(|role| {
        let signed = world.party.sign(role, Seat::Owner, digest);
        (world.party.address(role), [signed.compact().as_slice(), &[27 + signed.recovery_id()]].concat())
    });
    both.sort();
    let proof = super::chain::hex(&both.clone().map(|(_, signature)| signature).concat());
    assert!(accepts(&ask(&proof).await.unwrap()));
    let one = super::chain::hex(&both[0].1);
    assert!(!ask(&one).await.is_ok_and(|returned| accepts(&returned)));
    let other = ownership_call("another message", &proof).unwrap();
    assert!(!world.chain.call(wallet.address(), &other).await.is_ok_and(|returned| accepts(&returned)));
    let nobody = world.chain.call(stranger(7), &other).await.unwrap();
    assert!(!accepts(&nobody), "no code is no yes");
}
