//! The door `node` before real chains: facts are what the honest ones say, and a node that misbehaves is never believed alone.

use std::time::Duration;

use alloy_primitives::{Address, B256, U256, keccak256};
use countersign::ethereum::execution::FinishedExecution;
use countersign::ethereum::pins::{Singleton, V1_4_1, V1_5_0};
use countersign::ethereum::*;
use countersign::keys::KeyRole;
use countersign::node::*;
use countersign::withdrawal::Code;
use serde_json::json;

use super::chain::{Chain, Kind};
use super::proxy::{Manner, Proxy};
use super::seats::EXECUTOR;
use super::token::{self, Manner as TokenManner};
use super::world::{ETHER, World, facts, stranger};

const TIME: Duration = Duration::from_secs(5);

pub fn nodes(chain: ChainId, urls: &[&str], finality: Finality) -> Nodes {
    let bounds = Bounds { time: TIME, log_blocks_max: 8, ..Bounds::default() };
    let place = |(at, url): (usize, &&str)| {
        Place::new(Name::parse(&format!("node-{at}")).unwrap(), url, None).unwrap()
    };
    let places = urls.iter().enumerate().map(place).collect();
    let roots = rustls::RootCertStore::empty();
    Nodes::new(Settings::new(chain, (places, 2), finality, bounds, roots).unwrap()).unwrap()
}

pub const DEPTH: Finality = Finality { tag: None, depth: 3 };

/// Three nodes before one chain; the last one behaves as told.
pub async fn three(chain: &Chain, manner: Manner) -> (Nodes, [Proxy; 3]) {
    let proxies = [
        Proxy::start(chain.url(), Manner::Honest).await,
        Proxy::start(chain.url(), Manner::Honest).await,
        Proxy::start(chain.url(), manner).await,
    ];
    let urls = proxies.each_ref().map(|proxy| proxy.url.as_str());
    (nodes(chain.id, &urls, DEPTH), proxies)
}

async fn world(make: Make) -> Option<World> {
    Some(World::new(Chain::start_anvil().await?, make).await)
}

pub const MAKE: Make = Make { release: &V1_4_1, singleton: Singleton::Plain };

pub async fn mine(chain: &Chain, blocks: u64) {
    chain.ask("anvil_mine", json!([format!("0x{blocks:x}")])).await;
}

#[tokio::test]
async fn a_real_safe_is_read_at_one_block_as_it_is_judged() {
    for make in [MAKE, Make { release: &V1_5_0, singleton: Singleton::Telling }] {
        let Some(world) = world(make).await else { return };
        let wallet = world.make_safe(1).await;
        let (nodes, _proxies) = three(&world.chain, Manner::Lies).await;
        let head = nodes.latest().await.unwrap();
        let found = nodes.safe(&head, wallet.address(), make.release).await.unwrap().into_value();
        assert_eq!(found, facts(&world.chain, &wallet).await);
        assert_eq!(judge(&wallet, &found).unwrap().nonce(), 0);
        let none = nodes.safe(&head, stranger(9), make.release).await.unwrap_err();
        assert_eq!((none.code(), matches!(none, SafeFault::NoSafe(_))), (Code::SafeNotAsPinned, true));
    }
}

/// Everything that is asked of a chain, in one line of words.
async fn everything(nodes: &Nodes, holder: Address, token: Address, sent: B256) -> Result<String, NotAgreed> {
    let head = nodes.latest().await?;
    let last = nodes.last_final().await?;
    let pin = TokenPin::new(EvmAsset::Token(nodes.chain(), token), token::DECIMALS).unwrap();
    let all = (
        (*head.value(), *last.value(), nodes.balance(&head, holder).await?.into_value()),
        (nodes.code_hash(&head, token).await?.into_value(), nodes.nonce(&head, holder).await?.into_value()),
        nodes.storage(&head, token, holder.into_word()).await?.into_value(),
        nodes.token_balance(&head, token, holder).await?.into_value(),
        nodes.has_pinned_decimals(&head, &pin).await?.into_value(),
        nodes.settled(sent, &head, &last).await?.into_value(),
        nodes.fees(&head).await?,
        nodes
            .transfers(0, &head, &[token], &[stranger(1), stranger(2)])
            .await
            .map_err(|fault| match fault {
                TransfersFault::NotAgreed(no) => no,
                TransfersFault::Question(no) => panic!("{no}"),
            })?
            .into_value(),
    );
    Ok(format!("{all:?}"))
}

async fn token_world() -> Option<(World, Address, B256)> {
    let world = world(MAKE).await?;
    let bank = world.chain.bank;
    let token = token::token(&world.chain, TokenManner::Standard, bank, 1000).await;
    let transfer = |to: Address, amount: u64| {
        let words = [to.into_word(), B256::from(U256::from(amount))].concat();
        [&keccak256("transfer(address,uint256)")[..4], &words].concat()
    };
    for (to, amount) in [(stranger(1), 5), (stranger(3), 6), (stranger(2), 7)] {
        world.chain.bank_sends(token, U256::ZERO, &transfer(to, amount)).await;
        mine(&world.chain, 20).await;
    }
    let finished = sign(&world, 0, stranger(1), 2).await;
    world.chain.send(finished.bytes()).await;
    mine(&world.chain, 2).await;
    Some((world, token, finished.hash()))
}

/// A transaction of the executor's, signed.
async fn sign(world: &World, nonce: u64, to: Address, gwei: u128) -> FinishedExecution {
    let fee = gwei * 1_000_000_000;
    let gas = GasTerms { gas_limit: 100_000, fee_per_gas_max: fee, tip_per_gas_max: fee };
    let plan = ExecutionPlan { chain: world.chain.id, nonce, to, data: Vec::new(), gas };
    let built = Execution::build(plan).unwrap();
    let signed = world.party.sign(KeyRole::Signer, EXECUTOR, built.hash());
    built.finish(world.party.executor(), signed.compact(), signed.recovery_id()).unwrap()
}

#[tokio::test]
async fn a_node_that_lies_lags_forks_hangs_or_floods_is_outvoted_and_with_another_one_nothing_is_known() {
    let Some((world, token, sent)) = token_world().await else { return };
    let other = Chain::start_anvil().await.unwrap();
    mine(&other, 200).await;
    let holder = world.party.executor();
    let (honest, _proxies) = three(&world.chain, Manner::Honest).await;
    let truth = everything(&honest, holder, token, sent).await.unwrap();
    assert!(truth.contains("Mined") && truth.matches("Incoming").count() == 2, "{truth}");
    let bad = [
        Manner::Lies,
        Manner::Lags(3),
        Manner::Forks(other.url().to_owned()),
        Manner::OtherChain,
        Manner::Floods,
        Manner::Babbles,
        Manner::Hangs,
    ];
    for manner in bad {
        let (nodes, proxies) = three(&world.chain, manner.clone()).await;
        assert_eq!(everything(&nodes, holder, token, sent).await.unwrap(), truth, "{manner:?}");
        if manner == Manner::OtherChain {
            assert_eq!(proxies[2].asked(), ["eth_chainId"], "it is never used");
        }
        // a second one that misbehaves in its own way: the honest one alone is not believed either
        let second = if manner == Manner::Lies { Manner::Lags(2) } else { Manner::Lies };
        proxies[1].behave(second);
        let no = everything(&nodes, holder, token, sent).await.expect_err("nothing is known");
        assert_eq!(no.code(), Code::NodesNotAgreed, "{manner:?}");
        proxies[1].behave(Manner::Honest);
    }
}

#[tokio::test]
async fn two_nodes_that_lag_do_not_agree_that_something_is_absent() {
    let Some((world, token, sent)) = token_world().await else { return };
    let (nodes, proxies) = three(&world.chain, Manner::Honest).await;
    let (head, last) = (nodes.latest().await.unwrap(), nodes.last_final().await.unwrap());
    proxies[1].behave(Manner::Lags(3));
    proxies[2].behave(Manner::Lags(3));
    let no = nodes.settled(sent, &head, &last).await.unwrap_err();
    let lag = |(_, voice): &(Name, Voice)| *voice == Voice::Silent(EndpointFault::Elsewhere);
    assert_eq!(no.voices.iter().filter(|voice| lag(voice)).count(), 2, "{no}");
    assert!(nodes.transfers(0, &head, &[token], &[stranger(1)]).await.is_err());
    // what both lagging nodes do have is still agreed on
    assert_eq!(nodes.latest().await.unwrap().value().number, 3);
}

#[tokio::test]
async fn logs_are_found_all_the_same_where_a_node_takes_small_questions_only() {
    let Some((world, token, _)) = token_world().await else { return };
    let (nodes, proxies) = three(&world.chain, Manner::Narrow(1)).await;
    proxies[1].behave(Manner::Narrow(3));
    let head = nodes.latest().await.unwrap();
    let accounts = [stranger(1), stranger(2), stranger(2)];
    let found = nodes.transfers(1, &head, &[token], &accounts).await.unwrap().into_value();
    let told: Vec<_> = found.iter().map(|log| (log.from, log.to, log.amount.to_string())).collect();
    let bank = world.chain.bank;
    assert_eq!(told, [(bank, stranger(1), "5".to_owned()), (bank, stranger(2), "7".to_owned())]);
    for (tokens, accounts) in [(&[][..], &accounts[..]), (&[token][..], &[][..])] {
        let no = nodes.transfers(1, &head, tokens, accounts).await.unwrap_err();
        assert!(matches!(no, TransfersFault::Question(_)), "an empty list is not everything");
    }
}

#[tokio::test]
async fn a_receipt_is_absent_then_mined_then_final_by_depth_or_by_the_nodes_own_tag() {
    let Some(world) = world(MAKE).await else { return };
    let (nodes, proxies) = three(&world.chain, Manner::Honest).await;
    let finished = sign(&world, 0, stranger(1), 2).await;
    let stands = async |nodes: &Nodes| {
        let (head, last) = (nodes.latest().await.unwrap(), nodes.last_final().await.unwrap());
        nodes.settled(finished.hash(), &head, &last).await.unwrap().into_value()
    };
    assert_eq!(stands(&nodes).await, Settled::Absent);
    world.chain.send(finished.bytes()).await;
    let Settled::Mined(found) = stands(&nodes).await else { panic!("it is in the chain") };
    assert!(found.receipt.succeeded && found.from == world.party.executor() && found.gas_used == 21_000);
    mine(&world.chain, 3).await;
    assert_eq!(stands(&nodes).await, Settled::Final(found.clone()));

    let urls = proxies.each_ref().map(|proxy| proxy.url.as_str());
    let tagged = self::nodes(world.chain.id, &urls, Finality { tag: Some(Tag::Finalized), depth: 500 });
    assert_eq!(stands(&tagged).await, Settled::Mined(found.clone()), "64 blocks are not yet on top");
    mine(&world.chain, 100).await;
    assert_eq!(stands(&tagged).await, Settled::Final(found.clone()));
    proxies.iter().for_each(|proxy| proxy.behave(Manner::Tagless));
    assert!(tagged.last_final().await.is_err(), "without the tag it is the depth, and that is not there");
    let deep = self::nodes(world.chain.id, &urls, Finality { tag: Some(Tag::Finalized), depth: 10 });
    assert_eq!(stands(&deep).await, Settled::Final(found));
}

#[tokio::test]
async fn a_reorganisation_is_told_block_by_block_and_one_deeper_than_the_trail_is_an_alarm() {
    let Some(world) = world(MAKE).await else { return };
    let (nodes, _proxies) = three(&world.chain, Manner::Lies).await;
    let mut trail = Trail::begin(&nodes.latest().await.unwrap(), 8);
    mine(&world.chain, 5).await;
    let Step::Added(old) = trail.step(&nodes).await.unwrap() else { panic!("five blocks came") };
    assert_eq!((old.len(), trail.step(&nodes).await.unwrap()), (5, Step::Still));
    world.chain.ask("anvil_reorg", json!([3, []])).await;
    let undone: Vec<Block> = old.iter().rev().take(3).copied().collect();
    assert_eq!(trail.step(&nodes).await.unwrap(), Step::Undone(undone));
    let Step::Added(new) = trail.step(&nodes).await.unwrap() else { panic!("three others came") };
    assert_eq!(new.len(), 3);
    assert!(new.iter().zip(&old[2..]).all(|(new, old)| new.number == old.number && new.hash != old.hash));
    let resumed = Trail::resume(trail.blocks().copied().collect(), 8).unwrap();
    assert_eq!(resumed, trail);
    // shorter than before: nodes may just be behind, until a block differs
    world.chain.ask("anvil_rollback", json!([2])).await;
    assert_eq!(trail.step(&nodes).await.unwrap(), Step::Still);
    mine(&world.chain, 1).await;
    world.chain.ask("anvil_reorg", json!([9, []])).await;
    let known = trail.blocks().count();
    assert_eq!(trail.step(&nodes).await, Err(TrailFault::TooDeep(known)));
    assert_eq!(trail.blocks().count(), known, "the trail is as it was");
}

#[tokio::test]
async fn what_a_pool_says_no_to_has_one_word() {
    let Some(world) = world(MAKE).await else { return };
    let (nodes, proxies) = three(&world.chain, Manner::Honest).await;
    let words = async |finished: &FinishedExecution| {
        let sending = nodes.send(finished).await;
        let mut words: Vec<_> = sending.words.iter().map(|said| said.word().clone()).collect();
        words.sort_by_key(|word| *word != SendWord::Taken);
        (sending.reached(), words)
    };
    world.chain.ask("evm_setAutomine", json!([false])).await;
    let first = sign(&world, 0, stranger(1), 20).await;
    let (reached, said) = words(&first).await;
    assert_eq!(reached, Reached::Pool);
    assert!(
        said.contains(&SendWord::Taken) && said[1..].iter().all(|word| *word == SendWord::AlreadyKnown),
        "{said:?}"
    );
    let (pending, _) = nodes.pending_nonces(world.party.executor()).await;
    assert_eq!(pending.iter().map(|said| *said.word()).collect::<Vec<_>>(), [1, 1, 1]);
    let cheap = sign(&world, 0, stranger(2), 19).await;
    assert_eq!(words(&cheap).await, (Reached::Nowhere, vec![SendWord::ReplacementUnderpriced; 3]));
    proxies[2].behave(Manner::Babbles);
    assert_eq!(words(&cheap).await.0, Reached::Unknown, "who does not answer may have taken it");
    proxies[2].behave(Manner::Honest);
    let raised = sign(&world, 0, stranger(2), 30).await;
    assert_eq!(words(&raised).await.0, Reached::Pool);
    mine(&world.chain, 1).await;
    let head = nodes.latest().await.unwrap();
    assert_eq!(*nodes.nonce(&head, world.party.executor()).await.unwrap().value(), 1);
    let (mut reached, mut said) = words(&first).await;
    // the third babbled, and is left alone for a quarter of a second
    for _ in 0..250 {
        if said.len() == 3 {
            break;
        }
        assert_eq!(reached, Reached::Unknown, "the third may have taken it");
        tokio::time::sleep(Duration::from_millis(20)).await;
        (reached, said) = words(&first).await;
    }
    assert_eq!((reached, said), (Reached::Unknown, vec![SendWord::NonceTooLow; 3]), "it is mined");
    let dear = sign(&world, 1, stranger(1), 1_000_000_000).await;
    let (_, said) = words(&dear).await;
    assert!(said.iter().all(|word| *word == SendWord::InsufficientFunds), "{said:?}");
}

#[tokio::test]
async fn a_call_that_reverts_is_told_with_the_contracts_reason_and_gas_is_estimated() {
    let Some(world) = world(MAKE).await else { return };
    let wallet = world.make_safe(1).await;
    let (nodes, _proxies) = three(&world.chain, Manner::Lies).await;
    let head = nodes.latest().await.unwrap();
    let short = SafeCall {
        to: stranger(1),
        value: U256::ZERO,
        data: Bytes::new(),
        operation: Operation::Call,
        safe_tx_gas: 1,
        nonce: 0,
    };
    let data = super::peers::execution(&short, vec![0; 65]);
    let call = Call::question(wallet.address(), data.clone());
    let said = nodes.call(&head, call.clone()).await.unwrap().into_value();
    let Outcome::Reverted(reason) = said else { panic!("it reverts: {said:?}") };
    assert_eq!(reason.safe_code(), Some("GS020"));
    assert_eq!(nodes.gas(&head, call).await.unwrap(), Estimate::Reverts(reason));
    let plain = Call {
        from: Some(world.chain.bank),
        value: U256::from(ETHER),
        ..Call::question(stranger(1), vec![])
    };
    let Estimate::Gas(gas) = nodes.gas(&head, plain).await.unwrap() else { panic!("it goes through") };
    assert!((21_000..22_000).contains(&gas), "{gas}");
    let fees = nodes.fees(&head).await.unwrap();
    assert!(fees.base_fee_next > 0 && fees.base_fee_next < 10_000_000_000, "{fees:?}");
}

#[tokio::test]
async fn ganache_is_read_as_far_as_it_names_blocks_by_hash_and_not_beyond() {
    let Some(chain) = Chain::start(Kind::Ganache).await else { return };
    let (nodes, _proxies) = three(&chain, Manner::Lies).await;
    let token = token::token(&chain, TokenManner::Standard, chain.bank, 1000).await;
    let data = [stranger(1).into_word(), B256::from(U256::from(5))].concat();
    let data = [&keccak256("transfer(address,uint256)")[..4], &data].concat();
    chain.bank_sends(token, U256::ZERO, &data).await;
    let head = nodes.latest().await.unwrap();
    let found = nodes.transfers(0, &head, &[token], &[stranger(1)]).await.unwrap().into_value();
    assert_eq!(found.len(), 1);
    for _ in 0..3 {
        chain.ask("evm_mine", json!([])).await;
    }
    let (head, last) = (nodes.latest().await.unwrap(), nodes.last_final().await.unwrap());
    let settled = nodes.settled(found[0].transaction, &head, &last).await.unwrap().into_value();
    assert!(matches!(&settled, Settled::Final(found) if found.receipt.logs.len() == 1), "{settled:?}");
    let no = nodes.balance(&head, stranger(1)).await.unwrap_err();
    assert_eq!(no.code(), Code::NodesNotAgreed, "a block that cannot be named by its hash is not guessed");
}

#[tokio::test]
async fn a_token_goes_to_its_own_endpoint_and_neither_it_nor_the_address_is_in_any_message() {
    let Some(chain) = Chain::start_anvil().await else { return };
    let (_, proxies) = three(&chain, Manner::Honest).await;
    proxies[0].behave(Manner::Wants("Bearer open-sesame"));
    proxies[1].behave(Manner::Wants("Bearer open-sesame"));
    let asked = async |token: &str| {
        let place = |at: usize| {
            let (name, bearer) = (Name::parse(&format!("node-{at}")).unwrap(), token.to_owned().into());
            Place::new(name, &proxies[at].url, Some(bearer)).unwrap()
        };
        let roots = rustls::RootCertStore::empty();
        let settings =
            Settings::new(chain.id, (vec![place(0), place(1)], 2), DEPTH, Bounds::default(), roots);
        Nodes::new(settings.unwrap()).unwrap().latest().await
    };
    assert!(asked("open-sesame").await.is_ok());
    let no = asked("open-barley").await.unwrap_err();
    let told = format!("{no} {no:?}");
    assert!(told.contains("no token") && !told.contains("barley") && !told.contains("127.0.0.1"), "{told}");
}

#[test]
fn what_asks_nodes_can_wait_on_any_thread() {
    fn any_thread<T: Send>(_: impl FnOnce(&'static Nodes) -> T) {}
    any_thread(|nodes| nodes.latest());
    any_thread(|nodes| nodes.pending_nonces(Address::ZERO));
    any_thread(|nodes| async { nodes.safe(&nodes.latest().await.unwrap(), Address::ZERO, &V1_4_1).await });
    any_thread(|nodes| async {
        let head = nodes.latest().await.unwrap();
        nodes.transfers(0, &head, &[], &[]).await.map(drop)
    });
}
