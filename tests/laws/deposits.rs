//! Deposit addresses on an EVM chain: whose they are, who vouches for them, and that nobody is paid there.

use std::sync::Arc;

use countersign::audit::{Entry, EntryKind};
use countersign::desk::*;
use countersign::ethereum::{Address, B256};
use countersign::evidence::attestation::VerifiedAttestation;
use countersign::evidence::{Body, DepositsFact, Held, verify_attestation};
use countersign::flow::ledger::journal::LogView;
use countersign::withdrawal::evm_address::spell;
use countersign::withdrawal::*;

use super::parties::*;
use super::safes;
use super::safes::ETHER;
use super::world::*;

fn order(asset: Asset, customer: &str) -> AddressOrder {
    AddressOrder {
        organisation: Organisation::parse("acme").unwrap(),
        asset,
        customer_ref: CustomerRef::parse(customer).unwrap(),
    }
}

pub async fn addresses(world: &World, orders: Vec<AddressOrder>) -> Result<Vec<AddressView>, DeskError> {
    world.desk().create_batch(&caller(Role::Exchange, "acme"), orders).await
}

pub async fn address(world: &World, asset: Asset, customer: &str) -> AddressView {
    addresses(world, vec![order(asset, customer)]).await.unwrap().remove(0)
}

fn verified(world: &World, word: &SignedText) -> VerifiedAttestation {
    let trust = trust(&world.plan.trust);
    verify_attestation(&word.text, &word.signature, trust.attestation_key()).unwrap()
}

/// Asks the co-signer as a stolen signer would.
async fn attest(
    world: &World,
    (network, branch): (Chain, u32),
    customer: &str,
    index: u32,
) -> Result<SignedText, DeskError> {
    let AddressOrder { organisation, customer_ref, .. } = order(ether(), customer);
    let order = AttestationOrder { organisation, customer_ref, network, branch, index };
    Ok(world.cosigner().attest_addresses(vec![order]).await?.remove(0))
}

/// Pins another treasury from the next start on.
fn repin(world: &mut World, treasury: Option<Address>) {
    let content = &mut world.plan.trust;
    content.version += 1;
    let safes = content.wallets.iter_mut().find_map(|entry| entry.safe.as_mut()).unwrap();
    safes.treasury = treasury.map(spell);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l19_a_customer_has_one_address_on_a_chain_for_every_asset_of_it_and_two_customers_have_two() {
    let mut world = World::new(evm_plan()).await;
    let asked =
        vec![order(ether(), "alice"), order(token(), "alice"), order(ASSET, "alice"), order(token(), "bob")];
    let given = addresses(&world, asked.clone()).await.unwrap();
    let [ether, usdt, bitcoin, bob] = given.as_slice() else { panic!("{given:?}") };
    assert_eq!((ether.index, bitcoin.index, bob.index), (0, 0, 1), "each chain counts by itself");
    assert_eq!((&ether.address, &ether.attestation), (&usdt.address, &usdt.attestation));
    assert_eq!((ether.asset, usdt.asset), (super::parties::ether(), token()));
    for view in [ether, bob] {
        assert_eq!(view.address, deposit_address(view.index));
        let word = verified(&world, &view.attestation);
        let said = word.attestation();
        assert_eq!((&said.address, said.index, said.branch), (&view.address, view.index, 0));
        assert_eq!((said.network, &said.customer_ref), (Chain::Evm(EVM), &view.customer_ref));
        assert_eq!(format!("0x{}", said.wallet), spell(treasury_safe().address()).to_lowercase());
    }
    world.restart_signer().await;
    world.restart_cosigner().await;
    assert_eq!(addresses(&world, asked).await.unwrap(), given);
    assert_eq!(address(&world, token(), "carol").await.index, 2);
    assert_eq!(address(&world, ASSET, "carol").await.index, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l19_the_cosigner_vouches_only_for_what_it_derives_from_its_own_pins() {
    let mut world = World::new(evm_plan()).await;
    let evm = (Chain::Evm(EVM), 0);
    let word = attest(&world, evm, "alice", 7).await.unwrap();
    assert_eq!(verified(&world, &word).attestation().address, deposit_address(7));
    let code = |said: Result<SignedText, DeskError>| said.unwrap_err().code();
    for _ in 0..2 {
        assert_eq!(code(attest(&world, evm, "mallory", 7).await), Code::EvidenceInvalid);
        assert_eq!(code(attest(&world, evm, "alice", 8).await), Code::EvidenceInvalid);
        assert_eq!(code(attest(&world, (Chain::Evm(EVM), 1), "mallory", 9).await), Code::ChangeNotOwn);
        assert_eq!(code(attest(&world, evm, "mallory", 200_000).await), Code::ChangeNotOwn);
        let other_chain = Chain::parse("eip155:1").unwrap();
        assert_eq!(code(attest(&world, (other_chain, 0), "mallory", 9).await), Code::AssetUnknown);
        let other_network = Chain::Bitcoin(Network::Signet);
        assert_eq!(code(attest(&world, (other_network, 0), "mallory", 9).await), Code::AssetUnknown);
        assert_eq!(attest(&world, evm, "alice", 7).await.unwrap(), word);
        world.restart_cosigner().await;
    }
    // the parties do not pin the same treasury: nobody is shown what one of them alone derives
    repin(&mut world, Some(Address::repeat_byte(0xdd)));
    world.restart_cosigner().await;
    let no = addresses(&world, vec![order(ether(), "bob")]).await.unwrap_err();
    assert_eq!(no.code(), Code::EvidenceInvalid, "{no}");
    assert_eq!(code(attest(&world, evm, "alice", 7).await), Code::TrustFileInvalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l19_without_a_treasury_or_under_another_one_no_address_is_shown() {
    let mut world = World::new(evm_plan()).await;
    let given = address(&world, ether(), "alice").await;
    repin(&mut world, Some(Address::repeat_byte(0xdd)));
    world.restart_signer().await;
    let no = addresses(&world, vec![order(ether(), "alice")]).await.unwrap_err();
    assert_eq!(no.code(), Code::TrustFileInvalid, "{no}");
    repin(&mut world, None);
    world.restart_signer().await;
    for asset in [ether(), token(), Asset::parse("eip155:1/slip44:60").unwrap()] {
        let DeskError::Invalid(no) = addresses(&world, vec![order(asset, "alice")]).await.unwrap_err() else {
            panic!("an address of {asset}")
        };
        assert_eq!((no.code, no.field), (Code::AssetUnknown, "asset"));
        assert!(no.cure.contains("trust file"), "{}", no.cure);
    }
    repin(&mut world, Some(treasury_safe().address()));
    world.restart_signer().await;
    assert_eq!(address(&world, ether(), "alice").await, given);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l16_a_withdrawal_to_a_deposit_address_or_to_the_treasury_is_refused() {
    let mut world = safes::funded().await;
    let own = address(&world, token(), "alice").await.address;
    for (n, place) in [own, spell(treasury_safe().address())].into_iter().enumerate() {
        for again in 0..2 {
            let no = refused(&world, &format!("d-{n}-{again}"), &place).await;
            assert_eq!(codes(&no), ["DESTINATION_OWN"]);
            world.restart_signer().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l16_the_cosigner_itself_refuses_to_pay_a_deposit_address_of_which_the_signer_says_nothing() {
    let mut world = safes::funded().await;
    let place = deposit_address(VERAS_INDEX);
    // before it is anybody's deposit address it is an address like others
    let paid = world.ask(&to(&world, "d-1", &place), ("Vale", "Vera")).await.unwrap();
    world.until(paid.id, |view| view.outcome == Outcome::Released).await;
    attest(&world, (Chain::Evm(EVM), 0), "mallory", VERAS_INDEX).await.unwrap();
    world.restart_cosigner().await;
    let no = refused(&world, "d-2", &place).await;
    assert_eq!(codes(&no), ["COSIGNER_REFUSED"]);
    let Outcome::Refused(findings) = &no.outcome else { panic!("{no:?}") };
    assert!(findings[0].detail.contains("DESTINATION_OWN"), "{findings:?}");
}

fn to(world: &World, id: &str, place: &str) -> WithdrawalRequest {
    WithdrawalRequest { destination: place.to_owned(), ..safes::request(world, id, ether(), 1_000) }
}

async fn refused(world: &World, id: &str, place: &str) -> WithdrawalView {
    let asked = world.ask(&to(world, id, place), ("Vale", "Vera")).await.unwrap();
    world.until(asked.id, |view| matches!(view.outcome, Outcome::Refused(_))).await
}

/// What an observer says of the first page at that height.
pub fn page(height: u64, held: &[(u32, Asset, u128)]) -> DepositsFact {
    let evm = |asset: Asset| match asset {
        Asset::Evm(asset) => asset,
        Asset::Bitcoin(_) => panic!("not on this chain"),
    };
    let mut assets = vec![evm(ether()), evm(token())];
    assets.sort_unstable();
    let mut held: Vec<Held> = held
        .iter()
        .map(|(index, asset, units)| Held {
            index: *index,
            asset: evm(*asset),
            amount: Amount::from_units(*units),
        })
        .collect();
    held.sort_unstable();
    let treasury = treasury_safe().address();
    let block_hash = B256::repeat_byte(u8::try_from(height % 251).unwrap());
    DepositsFact { chain: EVM, treasury, height, block_hash, page: 0, assets, deployed: Vec::new(), held }
}

async fn state(world: &World, fact: DepositsFact) {
    world.state(Body::Deposits(Box::new(fact))).await;
}

async fn deposited(world: &World, asset: Asset) -> (u128, u128, u128) {
    let position = world.desk().position(&caller(Role::Operator, "kim"), Some(asset)).await.unwrap();
    let one = position.assets.into_iter().next().unwrap();
    (one.deposited.units(), one.hot.units(), one.spendable.units())
}

/// What a log says of deposits: index and amount, in order.
async fn entered(log: Arc<LogView>) -> Vec<(String, String)> {
    let leaves = log.leaves(0..log.head().size).await.unwrap();
    let entries = leaves.iter().map(|leaf| Entry::parse(leaf).unwrap());
    let deposits = entries.filter(|entry| entry.kind() == EntryKind::Deposit);
    let field = |entry: &Entry, name: &str| entry.field(name).unwrap().to_owned();
    deposits.map(|entry| (field(&entry, "index"), field(&entry, "amount"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l10_what_lies_at_deposit_addresses_is_known_to_both_parties_replaced_by_later_words_and_not_hot() {
    let mut world = safes::funded().await;
    for customer in ["alice", "bob"] {
        address(&world, ether(), customer).await;
    }
    let hot = 10 * ETHER;
    assert_eq!(deposited(&world, ether()).await, (0, hot, hot));
    // what lies at index 7 is nobody's yet
    let first = [(0, ether(), 5 * ETHER), (1, token(), 100), (7, ether(), ETHER)];
    state(&world, page(110, &first)).await;
    assert_eq!(deposited(&world, ether()).await, (5 * ETHER, hot, hot));
    assert_eq!(deposited(&world, token()).await.0, 100);
    // an older block is no news, and another treasury's addresses are none of ours
    state(&world, page(109, &[(0, ether(), 9 * ETHER)])).await;
    let treasury = Address::repeat_byte(0xdd);
    state(&world, DepositsFact { treasury, ..page(111, &[(0, ether(), 9 * ETHER)]) }).await;
    assert_eq!(deposited(&world, ether()).await.0, 5 * ETHER);
    for restarts in 0..2 {
        assert_eq!(deposited(&world, ether()).await, (5 * ETHER, hot, hot), "{restarts}");
        assert_eq!(deposited(&world, token()).await.0, 100);
        world.restart_signer().await;
        world.restart_cosigner().await;
    }
    // one came, one grew, one was emptied: a later word takes the place of the whole page
    state(&world, page(120, &[(0, ether(), 6 * ETHER), (0, token(), 3)])).await;
    assert_eq!(deposited(&world, ether()).await, (6 * ETHER, hot, hot));
    assert_eq!(deposited(&world, token()).await.0, 3);
    // nothing of it can be paid out before it was emptied, and what is hot is paid as ever
    let much = WithdrawalRequest {
        amount: Amount::from_units(hot + ETHER),
        ..safes::request(&world, "m-1", ether(), 1)
    };
    let asked = world.ask(&much, ("Vale", "Vera")).await.unwrap();
    let held = world.until(asked.id, |view| view.outcome != Outcome::Moving).await;
    assert!(!matches!(held.outcome, Outcome::Released), "{:?}", codes(&held));
    let paid = world.ask(&safes::request(&world, "p-1", ether(), 1_000), ("Vale", "Vera")).await.unwrap();
    world.until(paid.id, |view| view.outcome == Outcome::Released).await;
    let told = [("0", 5 * ETHER), ("1", 100), ("0", 6 * ETHER), ("0", 3), ("1", 0)];
    let mut told: Vec<_> = told.map(|(index, units)| (index.to_owned(), units.to_string())).to_vec();
    let (mut signer, mut cosigner) = (entered(world.log()).await, entered(world.cosigner().log()).await);
    told.sort();
    signer.sort();
    cosigner.sort();
    assert_eq!(signer, told);
    assert_eq!(cosigner, told, "the statements came before the transaction that was signed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_is_told_how_many_deposit_addresses_customers_have_on_a_chain() {
    let world = World::new(evm_plan()).await;
    let count = |chain| {
        let desk = world.desk();
        async move { desk.deposit_addresses(&caller(Role::Observer, "watcher"), chain).await.unwrap() }
    };
    assert_eq!(count(EVM).await, 0);
    for customer in ["alice", "bob", "alice"] {
        address(&world, token(), customer).await;
    }
    address(&world, ASSET, "alice").await;
    assert_eq!((count(EVM).await, count(ChainId::MAINNET).await), (2, 0));
}
