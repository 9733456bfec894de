//! The observer before a real chain and over the real wire: what it states is what happened, once, whatever fails on the way.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use alloy_primitives::{Address, Bytes, U256, keccak256};
use countersign::desk::{Caller, DeskError, Role, SignedText, StatementDesk, StatementReceipt};
use countersign::ethereum::pins::{Singleton, V1_4_1};
use countersign::ethereum::*;
use countersign::evidence::statement::Statement;
use countersign::evidence::trust_file::{ExecutorEntry, SafeEntry, TokenEntry, WalletEntry};
use countersign::evidence::{
    Body, ChainFact, DepositsFact, Ending, ExecutedFact, Held, NotProven, SafeFact, StatementKind, Trust,
    WalletClaim, digest, ownership_message, verify_statement, witnessed,
};
use countersign::grpc::{Client, Desks, Drain, Limits, Server, system_clock};
use countersign::keys::KeyRole;
use countersign::observer::run::{Missed, Subject};
use countersign::observer::watch::safes_of;
use countersign::observer::{
    Bounds as Ages, Cursor, LookFault, Observer, SpeakFault, Speaker, State, Told, Turn, Watch, begin,
    chain_fact, ownership_fact, safe_fact,
};
use countersign::pki::{self, Authority, LeafOrder, Validity};
use countersign::withdrawal::{
    Amount, Asset, ChainId, Code, CustomerRef, EvmAsset, Organisation, Seconds, evm_address,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::chain::Chain;
use super::nodes::{MAKE, mine, three};
use super::parties;
use super::paying::danger_any_call;
use super::proxy::{Manner, Proxy};
use super::token::{self, Manner as TokenManner};
use super::world::*;

const AGES: Ages = Ages { head_age_s_max: 600, final_age_s_max: 900 };

/// A trust file with this Safe and these tokens.
fn trusting(world: &World, wallet: &SafeWallet, tokens: &[Address], owned: bool) -> Trust {
    let treasury = owned.then(|| treasury(world).address());
    trusting_with(world, (wallet, treasury), tokens)
}

/// The same with this treasury.
pub fn trusting_with(
    world: &World,
    (wallet, treasury): (&SafeWallet, Option<Address>),
    tokens: &[Address],
) -> Trust {
    let mut content = parties::trust_content();
    let [a, b, c] = KeyRole::ALL.map(|role| evm_address::spell(wallet.owners().of(role)));
    let token = |(at, contract): (usize, &Address)| TokenEntry {
        contract: evm_address::spell(*contract),
        symbol: format!("T{at}"),
        decimals: token::DECIMALS.into(),
        gas: None,
        reviewed_to: None,
    };
    content.wallets.push(WalletEntry {
        network: world.chain.id.to_string(),
        hot: evm_address::spell(wallet.address()),
        cold: None,
        safe: Some(SafeEntry {
            release: wallet.make().release.version.to_owned(),
            singleton: if wallet.make().singleton == Singleton::Plain { "l1" } else { "l2" }.into(),
            signer: a,
            cosigner: b,
            vault: c,
            also_hot: Vec::new(),
            treasury: treasury.map(evm_address::spell),
        }),
        executor: Some(ExecutorEntry {
            address: evm_address::spell(gas_payer()),
            level_wei: "1".into(),
            refuel_wei_max: "1".into(),
            day_wei_max: "1".into(),
        }),
        emptying: None,
        tokens: tokens.iter().enumerate().map(token).collect(),
    });
    content.statement_keys[0].kinds.push("ownership".into());
    parties::trust(&content)
}

/// The Safe that owns the deposit addresses.
fn treasury(world: &World) -> SafeWallet {
    world.wallet(9)
}

fn clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn now() -> Seconds {
    Seconds(clock() / 1_000)
}

/// A party as it hears statements: each verified by its own trust file, each number once, none missing.
struct Party {
    trust: Trust,
    heard: Mutex<Vec<Statement>>,
    loses_receipts: Mutex<bool>,
    /// How many deposit addresses it gave to customers.
    addresses: Mutex<u32>,
}

#[tonic::async_trait]
impl StatementDesk for Party {
    async fn submit(&self, caller: &Caller, said: SignedText) -> Result<StatementReceipt, DeskError> {
        assert_eq!(caller.role, Role::Observer);
        let mut heard = self.heard.lock().unwrap();
        let last = |_: &str, kind: StatementKind| {
            heard.iter().filter(|known| known.body.kind() == kind).map(|known| known.number).max()
        };
        let verified = verify_statement(&said.text, &said.signature, &self.trust, now(), Some(60), last);
        let verified = verified.map_err(|no| match no {
            NotProven::Unreadable(invalid) => DeskError::Invalid(invalid),
            NotProven::Refused(finding) => DeskError::Refused(finding),
        })?;
        let number = verified.statement().number;
        heard.push(verified.statement().clone());
        if *self.loses_receipts.lock().unwrap() {
            return Err(DeskError::may_have_happened(Code::StoreUnavailable, "the commit's answer was lost"));
        }
        Ok(StatementReceipt { number, log_index: 1 })
    }

    async fn deposit_addresses(&self, caller: &Caller, _chain: ChainId) -> Result<u32, DeskError> {
        assert_eq!(caller.role, Role::Observer);
        Ok(*self.addresses.lock().unwrap())
    }
}

impl Party {
    fn safes(&self) -> Vec<SafeFact> {
        let heard = self.heard.lock().unwrap();
        let safe = |statement: &Statement| match &statement.body {
            Body::Safe(fact) => Some((**fact).clone()),
            _ => None,
        };
        heard.iter().filter_map(safe).collect()
    }

    fn deposits(&self) -> Vec<DepositsFact> {
        let heard = self.heard.lock().unwrap();
        let page = |statement: &Statement| match &statement.body {
            Body::Deposits(fact) => Some((**fact).clone()),
            _ => None,
        };
        heard.iter().filter_map(page).collect()
    }

    fn chains(&self) -> Vec<ChainFact> {
        let heard = self.heard.lock().unwrap();
        let chain = |statement: &Statement| match &statement.body {
            Body::Chain(facts) => Some(facts.clone()),
            _ => None,
        };
        heard.iter().filter_map(chain).flatten().collect()
    }
}

/// A party behind the real face, with mutual TLS.
struct Running {
    party: Arc<Party>,
    authority: Authority,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<Drain>,
}

const VALID: Validity = Validity { not_before: Seconds(1_000_000_000), not_after: Seconds(4_000_000_000) };

impl Running {
    async fn start(trust: Trust) -> Self {
        let party = Arc::new(Party {
            trust,
            heard: Mutex::default(),
            loses_receipts: Mutex::new(false),
            addresses: Mutex::new(0),
        });
        let authority = Authority::create("test authority", VALID).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls =
            pki::server_config(&[authority.certificate().clone()], leaf(&authority, Role::Signer).identity())
                .unwrap();
        let desks = Desks { statements: Some(party.clone()), ..Desks::default() };
        let server = Server { tls, limits: Limits::default(), clock: system_clock(), desks };
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        let served = tokio::spawn(async move { server.serve(listener, stopped).await.unwrap() });
        Self { party, authority, address, stop: Some(stop), served }
    }

    fn speaker(&self, seed: u8) -> Speaker {
        let identity = leaf(&self.authority, Role::Observer).identity();
        let tls = pki::client_config(&[self.authority.certificate().clone()], identity).unwrap();
        let client = Client::with_tls(self.address.to_string(), tls, Role::Signer).unwrap();
        Speaker::new(client, "watcher".into(), parties::key(seed))
    }

    async fn end(&mut self) {
        drop(self.stop.take());
        (&mut self.served).await.unwrap();
    }
}

fn leaf(authority: &Authority, role: Role) -> pki::Issued {
    let hosts = vec!["127.0.0.1".to_owned()];
    authority.issue(&LeafOrder { role, name: "watcher".into(), hosts, validity: VALID }).unwrap()
}

/// The Safe's facts as the room `ethereum` judges them.
fn judged(wallet: &SafeWallet, fact: &SafeFact) -> Result<u64, NotAsPinned> {
    countersign::flow::ledger::lane::judged(wallet, fact).map(|trusted| trusted.nonce())
}

fn told(fact: &SafeFact) -> Vec<(u64, Ending)> {
    fact.executed.iter().map(|done| (done.nonce, done.ending)).collect()
}

fn codes(turn: &Turn) -> Vec<(Subject, Code)> {
    turn.missed.iter().map(|(subject, missed)| (*subject, missed.code())).collect()
}

/// The account that the trust file pins to pay gas.
fn gas_payer() -> Address {
    stranger(210)
}

pub struct Scene {
    pub world: World,
    wallet: SafeWallet,
    tokens: [Address; 2],
    proxies: [Proxy; 3],
    running: Running,
    folder: tempfile::TempDir,
}

/// A Safe with ether and two tokens, one of which lies; three nodes, of which one does too; a party on the wire.
async fn scene(make: Make) -> Option<Scene> {
    scene_of(make, false).await
}

/// The same, with a treasury that owns deposit addresses.
async fn scene_of(make: Make, owned: bool) -> Option<Scene> {
    let world = World::new(Chain::start_anvil().await?, make).await;
    let wallet = world.make_safe(0).await;
    if owned {
        world.make_safe(9).await;
    }
    world.chain.bank_sends(wallet.address(), U256::from(3 * u128::from(ETHER)), &[]).await;
    world.chain.bank_sends(gas_payer(), U256::from(7), &[]).await;
    let honest = token::token(&world.chain, TokenManner::ReturnsNothing, wallet.address(), 9_000).await;
    let lying = token::token(&world.chain, TokenManner::ReturnsFalse, wallet.address(), 500).await;
    mine(&world.chain, 3).await;
    let (_, proxies) = three(&world.chain, Manner::Lies).await;
    let running = Running::start(trusting(&world, &wallet, &[honest, lying], owned)).await;
    let folder = tempfile::tempdir().unwrap();
    Some(Scene { world, wallet, tokens: [honest, lying], proxies, running, folder })
}

/// A scene of this Safe and this trust file, with nodes that are all honest.
pub async fn honest_scene(world: World, wallet: SafeWallet, trust: Trust) -> Scene {
    let (_, proxies) = three(&world.chain, Manner::Honest).await;
    let (running, folder) = (Running::start(trust).await, tempfile::tempdir().unwrap());
    Scene { world, wallet, tokens: [Address::ZERO; 2], proxies, running, folder }
}

impl Scene {
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    fn watch(&self) -> Watch {
        let urls = self.proxies.each_ref().map(|proxy| proxy.url.as_str());
        let nodes = super::nodes::nodes(self.world.chain.id, &urls, super::nodes::DEPTH);
        Watch::new(nodes, &self.running.party.trust, AGES).unwrap()
    }

    fn state_path(&self) -> std::path::PathBuf {
        self.folder.path().join("state.toml")
    }

    async fn begin(&self) -> Cursor {
        let last = self.watch_height().await;
        let cursor = begin(&self.watch(), &self.wallet, last).await.unwrap();
        let mut state = State::begin(&self.state_path()).unwrap();
        assert!(state.begin_safe(self.world.chain.id, self.wallet.address(), cursor).unwrap());
        let others = safes_of(&self.running.party.trust, self.world.chain.id).unwrap();
        for (_, other) in others.iter().filter(|(which, _)| *which != "hot") {
            let cursor = begin(&self.watch(), other, last).await.unwrap();
            assert!(state.begin_safe(self.world.chain.id, other.address(), cursor).unwrap());
        }
        cursor
    }

    async fn watch_height(&self) -> u64 {
        let (nodes, _proxies) = three(&self.world.chain, Manner::Honest).await;
        nodes.last_final().await.unwrap().value().block().number
    }

    /// A process that just started, over whatever state is there.
    fn observer(&self) -> Observer {
        let state = State::open(&self.state_path()).unwrap();
        Observer::new(vec![self.watch()], self.running.speaker(parties::OBSERVER), state)
    }

    fn safe(&self) -> Subject {
        Subject::Safe(self.world.chain.id, self.wallet.address())
    }

    async fn settle(&self) {
        mine(&self.world.chain, 3).await;
    }
}

/// A contract that calls the address in front of its data with the rest of it.
async fn forwarder(chain: &Chain) -> Address {
    let at = stranger(200);
    let code: Bytes = "0x6014360380601460003760006000826000600060003560601c5af15000".parse().unwrap();
    chain.put_code(at, code).await;
    at
}

/// A contract that has a call of an address within its own code: whoever calls it sends no data.
async fn hider(chain: &Chain, safe: Address, call: &[u8]) -> Address {
    let at = stranger(201);
    let [high, low] = u16::try_from(call.len()).unwrap().to_be_bytes();
    let copy = [0x61, high, low, 0x60, 44, 0x60, 0, 0x39];
    let (before, behind) =
        ([0x60, 0, 0x60, 0, 0x61, high, low, 0x60, 0, 0x60, 0, 0x73], [0x5a, 0xf1, 0x50, 0x00]);
    let code = [&copy[..], &before, safe.as_slice(), &behind, call].concat();
    chain.put_code(at, code.into()).await;
    at
}

#[tokio::test]
async fn what_a_safe_is_has_and_did_is_stated_once_and_each_party_can_judge_it() {
    for make in [MAKE, Make { release: &V1_4_1, singleton: Singleton::Telling }] {
        let Some(scene) = scene(make).await else { return };
        let (world, chain, wallet) = (&scene.world, &scene.world.chain, &scene.wallet);
        assert_eq!(scene.begin().await.nonce, 0);
        let mut observer = scene.observer();
        let party = scene.running.party.clone();
        let turn = observer.turn(&clock).await;
        assert!(turn.missed.is_empty(), "{:?}", turn.missed);
        let first = party.safes().pop().unwrap();
        assert_eq!((judged(wallet, &first), told(&first)), (Ok(0), vec![]));
        assert_eq!(first.executor, Some((gas_payer(), Amount::from_units(7))));
        let asset = |token: Option<Address>| {
            Asset::Evm(token.map_or(EvmAsset::Ether(chain.id), |at| EvmAsset::Token(chain.id, at)))
        };
        let [honest, lying] = scene.tokens;
        let mut balances = vec![
            (asset(None), Amount::from_units(3 * u128::from(ETHER))),
            (asset(Some(honest)), Amount::from_units(9_000)),
            (asset(Some(lying)), Amount::from_units(500)),
        ];
        balances[1..].sort();
        let mut found = first.balances.clone();
        found[1..].sort();
        assert_eq!(found, balances);
        assert!(first.decimals.len() == 2 && first.decimals.iter().all(|(_, told)| *told == token::DECIMALS));

        // paid, by the executor and by a stranger's contract; reverted; success that moved nothing; and what nobody would sign
        assert_eq!(world.pay(wallet, &[ether(chain, stranger(1), 5)]).await, Verdict::Paid);
        let payees = [tokens(chain, honest, stranger(2), 40), ether(chain, stranger(3), 6)];
        let (finished, _) = world.finish(wallet, Task::Pay(payees.to_vec()), expecting(&payees)).await;
        let wrapped = [wallet.address().as_slice(), finished.data()].concat();
        world.execute(forwarder(chain).await, wrapped).await;
        assert_eq!(
            token::held(chain, honest, stranger(2)).await,
            U256::from(40),
            "the stranger had it executed"
        );
        // by a stranger's contract that hides the call; a Safe that tells has told it all the same
        let hidden = [ether(chain, stranger(7), 5)];
        let (finished_too, _) = world.finish(wallet, Task::Pay(hidden.to_vec()), expecting(&hidden)).await;
        let by = hider(chain, wallet.address(), finished_too.data()).await;
        world.execute(by, Vec::new()).await;
        assert_eq!(chain.balance(stranger(7)).await, U256::from(5));
        let of_hidden = if make.singleton == Singleton::Telling { Ending::Paid } else { Ending::Odd };
        chain.put_code(stranger(4), "0x60006000fd".parse().unwrap()).await;
        assert_eq!(world.pay(wallet, &[ether(chain, stranger(4), 5)]).await, Verdict::Reverted);
        let lie = tokens(chain, lying, stranger(5), 7);
        assert_eq!(world.pay(wallet, &[lie]).await, Verdict::NotAsAsked(lie));
        let words = [stranger(9).into_word().to_vec(), U256::from(1).to_be_bytes::<32>().to_vec()].concat();
        let approve = [&keccak256("approve(address,uint256)")[..4], &words].concat();
        danger_any_call(world, wallet, stranger(6), approve).await;
        assert_eq!(observer.turn(&clock).await.missed.len(), 0);
        assert!(told(party.safes().last().unwrap()).len() < 6, "what is not final is not told yet");
        scene.settle().await;
        assert_eq!(observer.turn(&clock).await.missed.len(), 0);
        scene.settle().await;
        assert_eq!(observer.turn(&clock).await.missed.len(), 0);

        let all: Vec<ExecutedFact> = party.safes().into_iter().flat_map(|fact| fact.executed).collect();
        let endings: Vec<_> = all.iter().map(|done| (done.nonce, done.ending)).collect();
        use Ending::{Odd, Paid, Reverted};
        let due = [(0, Paid), (1, Paid), (2, of_hidden), (3, Reverted), (4, Odd), (5, Odd)];
        assert_eq!(endings, due, "each once, in order");
        assert_eq!(all[1].safe_tx_hash, finished.hash());
        let last = party.safes().pop().unwrap();
        assert_eq!((judged(wallet, &last), last.executed.len()), (Ok(6), 0));
        assert_eq!(last.balances[0].1, Amount::from_units(3 * u128::from(ETHER) - 16));
        let tip = party.chains().pop().unwrap();
        assert_eq!(tip.chain, countersign::withdrawal::Chain::Evm(chain.id));
        let (nodes, _proxies) = three(chain, Manner::Honest).await;
        let head = nodes.latest().await.unwrap();
        let fees = nodes.fees(&head).await.unwrap();
        assert_eq!(u64::from(tip.height), head.value().number);
        assert_eq!(u128::from(tip.fee_rate.0), (fees.base_fee_next + fees.tip) * 1_000);
    }
}

#[tokio::test]
async fn a_restart_a_lost_receipt_and_a_signer_that_is_away_lose_nothing_and_break_no_row() {
    let Some(mut scene) = scene(MAKE).await else { return };
    let chain = scene.world.chain.id;
    scene.begin().await;
    let party = scene.running.party.clone();
    assert!(scene.observer().turn(&clock).await.missed.is_empty());
    assert_eq!(
        scene.world.pay(&scene.wallet, &[ether(&scene.world.chain, stranger(1), 5)]).await,
        Verdict::Paid
    );
    scene.settle().await;

    // heard, and the observer does not know it: it tells again, after a restart as well
    *party.loses_receipts.lock().unwrap() = true;
    let turn = scene.observer().turn(&clock).await;
    assert_eq!(
        codes(&turn),
        [(Subject::Chain, Code::StoreUnavailable), (scene.safe(), Code::StoreUnavailable)]
    );
    *party.loses_receipts.lock().unwrap() = false;
    let turn = scene.observer().turn(&clock).await;
    assert!(turn.missed.is_empty(), "{:?}", turn.missed);
    let safes = party.safes();
    let [.., unsure, again] = safes.as_slice() else { panic!("three were heard") };
    assert_eq!((told(unsure), told(again)), (vec![(0, Ending::Paid)], vec![(0, Ending::Paid)]));
    assert!(scene.observer().turn(&clock).await.missed.is_empty());
    assert_eq!(told(&party.safes().pop().unwrap()), []);

    // a clock that went back brings no number back
    let behind = || clock() - 3_600_000;
    let turn = scene.observer().turn(&behind).await;
    assert!(codes(&turn).iter().all(|(_, code)| *code == Code::StatementTimeOutOfRange), "{:?}", turn.missed);
    assert!(turn.missed.iter().all(|(_, missed)| !missed.is_lasting()));
    assert!(scene.observer().turn(&clock).await.missed.is_empty());
    let numbers: Vec<u64> = party.heard.lock().unwrap().iter().map(|statement| statement.number).collect();
    assert!(numbers.len() >= 8);

    // away, and back with nothing lost
    assert_eq!(
        scene.world.pay(&scene.wallet, &[ether(&scene.world.chain, stranger(1), 5)]).await,
        Verdict::Paid
    );
    scene.settle().await;
    let before = State::open(&scene.state_path()).unwrap().cursor(chain, scene.wallet.address());
    let speaker = scene.running.speaker(parties::OBSERVER);
    scene.running.end().await;
    let state = State::open(&scene.state_path()).unwrap();
    let turn = Observer::new(vec![scene.watch()], speaker, state).turn(&clock).await;
    assert!(turn.stated.is_empty());
    assert!(turn.missed.iter().all(|(_, missed)| !missed.is_lasting()), "{:?}", turn.missed);
    let state = State::open(&scene.state_path()).unwrap();
    assert_eq!(state.cursor(chain, scene.wallet.address()), before, "nothing is noted without a receipt");
}

#[tokio::test]
async fn with_too_few_honest_nodes_or_a_chain_that_stands_still_nothing_is_stated() {
    let Some(scene) = scene(MAKE).await else { return };
    scene.begin().await;
    let mut observer = scene.observer();
    scene.proxies[1].behave(Manner::Lags(2));
    let turn = observer.turn(&clock).await;
    assert!(turn.stated.is_empty());
    assert_eq!(codes(&turn), [(Subject::Chain, Code::NodesNotAgreed), (scene.safe(), Code::NodesNotAgreed)]);
    assert!(turn.missed.iter().all(|(_, missed)| !missed.is_lasting()), "it goes on by itself");
    scene.proxies[1].behave(Manner::Honest);
    assert!(observer.turn(&clock).await.missed.is_empty());

    let watch = scene.watch();
    let later = now().plus(2_000);
    let code = chain_fact(&watch, later).await.unwrap_err().code();
    assert_eq!(code, Code::ChainStalled);
    let cursor = Cursor { nonce: 0, height: 0 };
    let no = safe_fact(&watch, &scene.wallet, cursor, later).await.unwrap_err();
    assert!(matches!(no, LookFault::Stalled { which: "block", .. }), "{no}");

    // a cursor that does not fit the chain, such as one of another chain, is never made to fit
    for cursor in [Cursor { nonce: 1, height: 0 }, Cursor { nonce: 0, height: 1_000_000 }] {
        let no = safe_fact(&watch, &scene.wallet, cursor, now()).await.unwrap_err();
        assert!(matches!(no, LookFault::Contradiction(_)), "{no}");
    }
    let early = begin(&watch, &scene.wallet, 0).await.unwrap();
    assert_eq!(early, Cursor { nonce: 0, height: 0 }, "before it stood there");
    assert!(begin(&watch, &scene.wallet, 1_000_000).await.is_err(), "nobody begins in the future");
}

#[tokio::test]
async fn a_key_that_may_not_speak_ends_the_observer_and_a_safe_without_a_beginning_too() {
    let Some(scene) = scene(MAKE).await else { return };
    drop(State::begin(&scene.state_path()).unwrap().note(StatementKind::Price, 1, Told::Nothing));
    let state = || State::open(&scene.state_path()).unwrap();
    let mut nowhere = Observer::new(vec![scene.watch()], scene.running.speaker(parties::OBSERVER), state());
    let turn = nowhere.turn(&clock).await;
    assert!(matches!(turn.missed.as_slice(), [(_, Missed::NotBegun)]), "{:?}", turn.missed);
    drop(nowhere);
    let stop = tokio_util::sync::CancellationToken::new();
    let mut stranger = Observer::new(vec![scene.watch()], scene.running.speaker(parties::STRANGER), state());
    let ended = stranger.run(std::time::Duration::from_millis(10), &clock, stop.clone()).await;
    let (subject, missed) = ended.unwrap_err();
    let refused =
        matches!(missed, Missed::Speak(SpeakFault::Refused { code: Code::StatementSignatureInvalid, .. }));
    assert!(subject == Subject::Chain && refused, "{missed}");
    drop(stranger);
    scene.begin().await;
    stop.cancel();
    assert!(scene.observer().run(std::time::Duration::from_secs(60), &clock, stop).await.is_ok());
}

/// Writes what an operator would put beside the configuration, and the configuration.
/// Writes a trust file and its signatures.
pub fn write_trust(folder: &std::path::Path, trust: &Trust) {
    std::fs::write(folder.join("trust.toml"), trust.text()).unwrap();
    for seed in &parties::QUORUM[..2] {
        let private = parties::ssh_private(*seed);
        let signature =
            countersign::evidence::sign_ssh(&private, countersign::evidence::NAMESPACE_TRUST, trust.text());
        std::fs::write(folder.join(format!("{seed}.sig")), signature.unwrap()).unwrap();
    }
}

/// Writes the observer's configuration and all that it names; gives its path.
pub fn write_files(scene: &Scene) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let folder = scene.folder.path();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let own = leaf(&scene.running.authority, Role::Observer);
    write("ca.pem", scene.running.authority.certificate_pem());
    write("observer.pem", &own.certificate_pem);
    write("observer.key", &own.key_pem);
    write("statement.key", &format!("{}\n", data_encoding::HEXLOWER.encode(&[parties::OBSERVER; 32])));
    write_trust(folder, &scene.running.party.trust);
    write("node-1.url", &scene.proxies[1].url);
    let [one, two] = [21, 22].map(parties::ssh_public);
    let (signer, node) = (scene.running.address, &scene.proxies[0].url);
    let chain = scene.world.chain.id;
    let config = format!(
        r#"
        observer = "watcher"
        statement_key = {{ file = "statement.key" }}
        state = "state.toml"
        every_s = 1
        signer = {{ address = "{signer}" }}
        tls = {{ ca = "ca.pem", cert = "observer.pem", key = "observer.key" }}
        [trust]
        file = "trust.toml"
        signatures = ["21.sig", "22.sig"]
        quorum = {{ threshold = 2, people = [{{ name = "p21", key = "{one}" }}, {{ name = "p22", key = "{two}" }}] }}
        [[chains]]
        network = "{chain}"
        quorum = 2
        finality = "depth"
        depth = 3
        head_age_s_max = 600
        ca = "ca.pem"
        nodes = [{{ name = "a", url = "{node}" }}, {{ name = "b", url_file = "node-1.url" }}]
        "#
    );
    write("observer.toml", &config);
    folder.join("observer.toml")
}

/// Runs the program; its exit code, and what it printed.
async fn program(config: &std::path::Path, args: &[&str]) -> (i32, String) {
    command(&["observer"], config, args).await
}

async fn command(name: &[&str], config: &std::path::Path, args: &[&str]) -> (i32, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
    let output = command.args(name).arg("--config").arg(config).args(args).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_begins_once_states_and_ends_when_it_is_told_to() {
    let Some(scene) = scene(MAKE).await else { return };
    let config = write_files(&scene);
    let party = scene.running.party.clone();
    let height = scene.watch_height().await;
    let chain = scene.world.chain.id;
    let (code, said) = program(&config, &["--check"]).await;
    assert!(code == 2 && said.contains("--begin"), "{said}");
    let (code, said) = program(&config, &["--once"]).await;
    assert!(code == 2 && said.contains("--begin") && party.safes().is_empty(), "{said}");
    let begin = format!("{chain}={height}");
    let (code, said) = program(&config, &["--begin", &begin]).await;
    assert!(code == 0 && said.contains("begins"), "{said}");
    let (code, said) = program(&config, &["--begin", &format!("{chain}=1")]).await;
    assert!(code == 0 && said.contains("stays"), "{said}");
    let (code, said) = program(&config, &["--check"]).await;
    assert!(code == 0 && said.contains("2 of 2 must agree") && said.contains("1 Safes, 2 tokens"), "{said}");
    assert!(!said.contains(&scene.proxies[1].url), "an address in a file is shown nowhere");
    let (code, said) = program(&config, &["--once", "--json"]).await;
    assert!(code == 0 && said.contains("\"not_stated\":[]"), "{said}");
    assert_eq!((party.safes().len(), party.chains().len()), (1, 1));
    scene.proxies[1].behave(Manner::Lags(2));
    let (code, said) = program(&config, &["--once"]).await;
    assert!(code == 1 && said.contains("NODES_NOT_AGREED"), "{said}");
    scene.proxies[1].behave(Manner::Honest);

    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("observer").arg("--config").arg(&config).kill_on_drop(true);
    let mut running = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    while party.safes().len() < 3 {
        assert!(running.try_wait().unwrap().is_none(), "it goes on");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (code, said) = program(&config, &["--once"]).await;
    assert!(code == 2 && said.contains("another process"), "{said}");
    let (code, said) = program(&config, &["--check"]).await;
    assert!(code == 0 && said.contains("an observer that runs has it"), "{said}");
    let id = rustix::process::Pid::from_raw(i32::try_from(running.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let ended = running.wait_with_output().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert!(String::from_utf8(ended.stdout).unwrap().starts_with("ready: observer of eip155:31337"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_whether_the_safe_is_as_pinned_and_what_differs() {
    let Some(scene) = scene(MAKE).await else { return };
    let config = write_files(&scene);
    let check = async || command(&["safe", "check"], &config, &["--json"]).await;
    let (code, said) = check().await;
    let found: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &found["safes"][0]["verdict"]), (0, &"as pinned".into()), "{said}");
    assert_eq!(found["safes"][0]["facts"]["threshold"], "2");
    scene.proxies[1].behave(Manner::Lags(2));
    let (code, said) = check().await;
    assert!(code != 0 && said.contains("NODES_NOT_AGREED"), "{said}");
    scene.proxies[1].behave(Manner::Honest);

    // the threshold is the fifth word of a Safe's own storage
    let safe = scene.wallet.address();
    let one = format!("0x{:064x}", 1);
    scene.world.chain.ask("anvil_setStorageAt", serde_json::json!([safe.to_string(), "0x4", one])).await;
    scene.world.chain.ask("anvil_mine", serde_json::json!(["0x5"])).await;
    let (code, said) = check().await;
    assert!(code == 1 && said.contains("not as pinned: the threshold"), "{said}");
}

#[tokio::test]
async fn a_contract_wallets_yes_is_stated_and_nothing_else_passes_for_one() {
    let Some(scene) = scene(MAKE).await else { return };
    let chain = &scene.world.chain;
    let magic = "0x631626ba7e60e01b600052";
    let answers = [
        ("yes", format!("{magic}60206000f3")),
        ("yes with more behind it", format!("{magic}60406000f3")),
        ("four bytes of a yes", format!("{magic}60046000f3")),
        ("no", "0x600060005260206000f3".to_owned()),
        ("a revert", "0x60006000fd".to_owned()),
    ];
    for (n, (_, code)) in (0u8..).zip(&answers) {
        chain.put_code(stranger(220 + n), code.parse().unwrap()).await;
    }
    scene.settle().await;
    let (watch, now) = (scene.watch(), Seconds(clock() / 1_000));
    let (message, proof) = ("a message", "0x1234");
    let fact = ownership_fact(&watch, stranger(220), (message, proof), now).await.unwrap();
    assert_eq!((fact.chain, fact.contract), (chain.id, stranger(220)));
    assert_eq!(fact.message_hash, message_hash(message));
    assert_eq!(fact.proof_digest, countersign::evidence::digest(proof));
    for (n, (what, _)) in (0u8..).zip(&answers).skip(1) {
        let no = ownership_fact(&watch, stranger(220 + n), (message, proof), now).await.unwrap_err();
        assert_eq!(no, LookFault::NotAccepted(stranger(220 + n)), "{what}");
    }
    let account = ownership_fact(&watch, stranger(230), (message, proof), now).await.unwrap_err();
    assert_eq!(account.code(), Code::OwnershipNotProven, "no code answers nothing");
    for proof in ["1234", "0x123", "0xAB"] {
        let no = ownership_fact(&watch, stranger(220), (message, proof), now).await.unwrap_err();
        assert_eq!(no.code(), Code::SignatureMalformed, "{proof}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_witnesses_a_contracts_yes_for_a_registration_and_sends_nothing() {
    let Some(scene) = scene(MAKE).await else { return };
    let (config, chain) = (write_files(&scene), &scene.world.chain);
    let says_yes = "0x631626ba7e60e01b60005260206000f3".parse().unwrap();
    chain.put_code(stranger(220), says_yes).await;
    scene.settle().await;
    let message = |of: Address| {
        let claim = WalletClaim {
            organisation: Organisation::parse("acme").unwrap(),
            customer_ref: CustomerRef::parse("customer-17").unwrap(),
            asset: Asset::Evm(EvmAsset::Ether(chain.id)),
            address: evm_address::spell(of),
        };
        let text = ownership_message(&claim, &"ab".repeat(32));
        let path = scene.folder.path().join("message.txt");
        std::fs::write(&path, format!("{text}\n")).unwrap();
        (text, path.display().to_string())
    };
    let (text, path) = message(stranger(220));
    let (code, said) = program(&config, &["--witness", &path, "--proof", "0x1234", "--json"]).await;
    assert_eq!(code, 0, "{said}");
    let answer: serde_json::Value = serde_json::from_str(&said).unwrap();
    let proof = answer["proof"].as_str().unwrap();
    assert!(proof.starts_with("0x1234."), "{proof}");
    let fact = witnessed(proof, &scene.running.party.trust).unwrap();
    assert_eq!((fact.chain, fact.contract), (chain.id, stranger(220)));
    assert_eq!((fact.message_hash, fact.proof_digest), (message_hash(&text), digest("0x1234")));
    assert!(scene.running.party.heard.lock().unwrap().is_empty(), "the proof goes with the registration");

    let (_, path) = message(stranger(221));
    let (code, said) = program(&config, &["--witness", &path, "--proof", "0x1234"]).await;
    assert!(code != 0 && said.contains("OWNERSHIP_NOT_PROVEN"), "{said}");
    std::fs::write(&path, "pay all to me\n").unwrap();
    let (code, said) = program(&config, &["--witness", &path, "--proof", "0x1234"]).await;
    assert!(code == 2 && said.contains("--witness"), "{said}");
}

/// A contract that hands the ether it gets to the address in its data, so that no transaction pays that address itself.
async fn hander(chain: &Chain) -> Address {
    let at = stranger(201);
    let code: Bytes = "0x60006000600060003460003560601c5af100".parse().unwrap();
    chain.put_code(at, code).await;
    at
}

fn held(index: u32, asset: EvmAsset, units: u128) -> Held {
    Held { index, asset, amount: Amount::from_units(units) }
}

#[tokio::test]
async fn what_lies_at_deposit_addresses_is_stated_by_balance_once_it_is_final_and_only_where_it_changed() {
    let Some(scene) = scene_of(MAKE, true).await else { return };
    let (world, chain) = (&scene.world, &scene.world.chain);
    scene.begin().await;
    let mut observer = scene.observer();
    let party = scene.running.party.clone();
    let deposits = Deposits::of(&treasury(world));
    let (ether, usd) = (EvmAsset::Ether(chain.id), EvmAsset::Token(chain.id, scene.tokens[0]));
    // nobody has an address: nothing is looked at
    let turn = observer.turn(&clock).await;
    assert!(turn.missed.is_empty() && party.deposits().is_empty(), "{:?}", turn.missed);
    // the hot Safe and the treasury, each as it is
    let said: Vec<Address> = party.safes().iter().map(|fact| fact.safe).collect();
    assert_eq!(said, [scene.wallet.address(), deposits.treasury()]);
    let found = party.safes().pop().unwrap();
    assert!(judged(&treasury(world), &found).is_ok());
    *party.addresses.lock().unwrap() = 3;
    let turn = observer.turn(&clock).await;
    assert!(turn.missed.is_empty(), "{:?}", turn.missed);
    let empty = party.deposits().pop().unwrap();
    assert_eq!(
        (empty.page, empty.treasury, empty.held.len(), empty.assets.len()),
        (0, deposits.treasury(), 0, 3)
    );

    // by a transaction, within a call, and as a token; at an address of the page that nobody has yet as well
    chain.bank_sends(deposits.address(0), U256::from(5), &[]).await;
    let through = hander(chain).await;
    chain.bank_sends(through, U256::from(7), deposits.address(2).as_slice()).await;
    token::grant(chain, scene.tokens[0], deposits.address(2), 40).await;
    chain.bank_sends(deposits.address(99), U256::from(1), &[]).await;
    let turn = observer.turn(&clock).await;
    assert!(turn.missed.is_empty(), "{:?}", turn.missed);
    assert_eq!(party.deposits().len(), 1, "what is not final is not told yet");
    scene.settle().await;
    observer.turn(&clock).await;
    let mut expected = vec![held(0, ether, 5), held(2, ether, 7), held(2, usd, 40), held(99, ether, 1)];
    expected.sort_unstable();
    let told = party.deposits();
    assert_eq!((told.len(), &told[1].held, told[1].deployed.len()), (2, &expected, 0));

    // a process that starts again says nothing twice; a Safe that stands by now is news
    let mut observer = {
        drop(observer);
        scene.observer()
    };
    assert!(observer.turn(&clock).await.missed.is_empty());
    assert_eq!(party.deposits().len(), 2);
    world.execute(deposits.factory(), deposits.deployment(2)).await;
    scene.settle().await;
    // its receipt is lost: it is told again, in the same words
    *party.loses_receipts.lock().unwrap() = true;
    assert!(!observer.turn(&clock).await.missed.is_empty());
    *party.loses_receipts.lock().unwrap() = false;
    assert!(observer.turn(&clock).await.missed.is_empty());
    let told = party.deposits();
    assert_eq!((&told[told.len() - 1].held, &told[told.len() - 1].deployed), (&expected, &vec![2]));

    // more addresses: the pages behind are looked at in turn
    *party.addresses.lock().unwrap() = 101;
    token::grant(chain, scene.tokens[1], deposits.address(100), 9).await;
    scene.settle().await;
    assert!(observer.turn(&clock).await.missed.is_empty());
    let last = party.deposits().pop().unwrap();
    let other = EvmAsset::Token(chain.id, scene.tokens[1]);
    assert_eq!((last.page, last.held), (1, vec![held(100, other, 9)]));
}
