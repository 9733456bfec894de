//! From released to paid: what both parties signed is listed in order with its place, and the executor, a program of its own that
//! can do nothing else at the signer, carries it to a real chain, also when it was away meanwhile.
//!
//! The chain is anvil's, from `$COUNTERSIGN_EVM`; see tests/ethereum. Without it that part says loudly that it was skipped.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::U256;
use countersign::desk::*;
use countersign::ethereum::pins::V1_4_1;
use countersign::ethereum::{Action, Address, Blueprint, Deposits, SafeFacts, SignedSafeTx};
use countersign::evidence::statement::Body;
use countersign::evidence::trust_file;
use countersign::evidence::{NAMESPACE_TRUST, SafeFact, sign_ssh};
use countersign::grpc::{Client, ClientOrder, Desks, Limits, Server, system_clock};
use countersign::node::{Bounds, Finality, Name, Nodes, Place, Settings};
use countersign::observer::look::fact_of;
use countersign::observer::{Bounds as Ages, Cursor, Watch, deposits_fact, safe_fact as safe_fact_of};
use countersign::pki::{self, Authority, LeafOrder, PemFiles};
use countersign::wire::v1;
use countersign::withdrawal::evm_address::spell;
use countersign::withdrawal::*;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::chain::Chain as Anvil;
use super::evm_token::{self, Manner, held};
use super::parties::*;
use super::processes::VALID;
use super::proxy::{self, Proxy};
use super::published;
use super::safes::{ETHER, USDT, state_around};
use super::world::*;

pub async fn state(world: &World, safe: SafeFact) {
    state_around(world, u32::try_from(safe.height).unwrap()).await;
    world.state(Body::Safe(Box::new(safe))).await;
}

async fn pay(world: &World, id: &str, asset: Asset, units: u128) -> WithdrawalView {
    let request = WithdrawalRequest {
        asset,
        amount: Amount::from_units(units),
        fee_max: Amount::from_units(ETHER / 50),
        ..world.request(id, VERA, 1)
    };
    let asked = world.ask(&request, ("Vale", "Vera")).await.unwrap();
    let view = world.until(asked.id, |view| view.outcome != Outcome::Moving).await;
    assert_eq!(view.outcome, Outcome::Released, "{:?}", codes(&view));
    view
}

async fn releases(world: &World, size_max: u32, token: &str) -> SafeReleases {
    let token = Some(token.to_owned()).filter(|token| !token.is_empty());
    let page = PageOrder { size_max, token };
    world.desk().safe_releases(&caller(Role::Executor, "one"), page).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_safe_pays_names_its_place_and_is_listed_in_order_for_whoever_carries_it() {
    let mut world = World::funded(evm_plan(), 4, 40 * COIN).await;
    state(&world, safe_fact(100, 3, &[(ether(), 10 * ETHER), (token(), 10_000 * USDT)])).await;
    let bitcoin = world.withdraw("b-1", 200_000).await;
    assert_eq!(bitcoin.safe, None);
    let first = pay(&world, "e-1", ether(), ETHER).await;
    let second = pay(&world, "t-1", token(), 250 * USDT).await;
    let place = |nonce| SafePlace { chain: EVM, safe: hot_safe().address(), nonce };
    assert_eq!((first.safe, second.safe), (Some(place(3)), Some(place(4))));
    for view in [&first, &second] {
        let read = SignedSafeTx::read(&view.raw_transaction, view.safe.unwrap().nonce, &hot_safe()).unwrap();
        assert_eq!(Some(read.hash().to_string()), view.txid, "bytes and place are enough for anybody");
    }

    // one place of the ledger at a time, and all at once
    let (mut token, mut found) = (String::new(), Vec::new());
    loop {
        let page = releases(&world, 1, &token).await;
        found.extend(page.items);
        if page.next == token {
            break;
        }
        token = page.next;
    }
    let all = releases(&world, 500, "").await;
    assert_eq!(all.items, found);
    let told = |release: &SafeRelease| (release.place, Some(release.hash.clone()), release.data.clone());
    let asked = |view: &WithdrawalView| (view.safe.unwrap(), view.txid.clone(), view.raw_transaction.clone());
    assert_eq!(found.iter().map(told).collect::<Vec<_>>(), [asked(&first), asked(&second)]);

    // the token is good for what comes later, and after a restart
    assert!(releases(&world, 500, &all.next).await.items.is_empty());
    world.restart_signer().await;
    let third = pay(&world, "e-2", ether(), ETHER / 2).await;
    let later = releases(&world, 500, &all.next).await;
    assert_eq!(later.items.iter().map(told).collect::<Vec<_>>(), [asked(&third)]);
    let page = PageOrder { size_max: 1, token: Some("no token".into()) };
    let no = world.desk().safe_releases(&caller(Role::Executor, "one"), page).await.unwrap_err();
    assert_eq!(no.code(), Code::FieldMalformed);
}

/// A chain with the Safe of the tests on it, and what asks its nodes.
pub struct Ground {
    pub anvil: Anvil,
    pub proxies: [Proxy; 2],
    nodes: Nodes,
}

pub fn nodes(proxies: &[Proxy; 2]) -> Nodes {
    let place = |(at, proxy): (usize, &Proxy)| {
        Place::new(Name::parse(&format!("node-{at}")).unwrap(), &proxy.url, None).unwrap()
    };
    let places = proxies.iter().enumerate().map(place).collect();
    let finality = Finality { tag: None, depth: 2 };
    let roots = rustls::RootCertStore::empty();
    Nodes::new(Settings::new(EVM, (places, 2), finality, Bounds::default(), roots).unwrap()).unwrap()
}

impl Ground {
    pub async fn new() -> Option<Self> {
        let anvil = Anvil::start_anvil().await?;
        assert_eq!(anvil.id, EVM);
        published::deploy(&anvil, &V1_4_1).await;
        let safe = hot_safe();
        let blueprint = Blueprint::new(safe.make(), &safe.owners().all(), 2);
        let deployment = blueprint.deployment(U256::from(7));
        anvil.bank_sends(V1_4_1.factory.address, U256::ZERO, &deployment).await;
        anvil.bank_sends(safe.address(), U256::from(10 * ETHER), &[]).await;
        let contract: Address = TOKEN.parse().unwrap();
        evm_token::put(&anvil, contract, Manner::ReturnsNothing).await;
        evm_token::grant(&anvil, contract, safe.address(), u64::try_from(10_000 * USDT).unwrap()).await;
        let proxy = async || Proxy::start(anvil.url(), proxy::Manner::Honest).await;
        let proxies = [proxy().await, proxy().await];
        let nodes = nodes(&proxies);
        let ground = Self { anvil, proxies, nodes };
        ground.mine(4).await;
        Some(ground)
    }

    pub async fn mine(&self, blocks: u64) {
        self.anvil.ask("anvil_mine", json!([format!("0x{blocks:x}")])).await;
    }

    /// What the nodes agree on about the Safe, at a final block.
    pub async fn fact(&self) -> SafeFact {
        let last = self.nodes.last_final().await.unwrap();
        let (at, block) = (last.block(), *last.block().value());
        let safe = hot_safe().address();
        let facts: SafeFacts = self.nodes.safe(&at, safe, &V1_4_1).await.unwrap().into_value();
        let coin = self.nodes.balance(&at, safe).await.unwrap().into_value();
        let units = self.nodes.token_balance(&at, TOKEN.parse().unwrap(), safe).await.unwrap().into_value();
        let told = self.nodes.token_decimals(&at, TOKEN.parse().unwrap()).await.unwrap().into_value();
        let balances = vec![(ether(), coin.amount().unwrap()), (token(), units.unwrap().amount().unwrap())];
        let decimals = vec![(EvmAsset::Token(EVM, TOKEN.parse().unwrap()), told.unwrap())];
        SafeFact { balances, decimals, ..fact_of(facts, &block) }
    }
}

/// The executor's own folder, and the signer before which it stands.
struct Post {
    folder: tempfile::TempDir,
    signer: String,
}

impl Post {
    /// Serves the signer's desk, and writes everything that an executor is given: certificate, trust file, configuration.
    async fn new(world: &World, ground: &Ground) -> Self {
        let (post, listener) = Self::before(ground).await;
        post.serve(listener, world, ground);
        post
    }

    /// The folder, when there is no signer yet; and where it will be.
    async fn before(ground: &Ground) -> (Self, TcpListener) {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create("test authority", VALID).unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.certificate_pem()).unwrap();
        for role in [Role::Signer, Role::Executor] {
            let hosts = vec!["127.0.0.1".into()];
            let order = LeafOrder { role, name: "test".into(), hosts, validity: VALID };
            let files = PemFiles::in_folder(folder.path(), role.as_str());
            files.write(&authority.issue(&order).unwrap()).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let signer = listener.local_addr().unwrap().to_string();
        let post = Self { folder, signer };
        post.write(&evm_plan().trust, &ground.proxies);
        (post, listener)
    }

    fn serve(&self, listener: TcpListener, world: &World, ground: &Ground) {
        let files = PemFiles::in_folder(self.path(), "signer");
        let identity = pki::read_identity(&files.certificate, &files.key).unwrap();
        let authority = pki::read_certificates(&self.path().join("ca.pem")).unwrap();
        let tls = pki::server_config(&authority, identity).unwrap();
        let desk = world.desk();
        let desks = Desks { withdrawals: Some(desk.clone()), releases: Some(desk), ..Desks::default() };
        let server = Server { tls, limits: Limits::default(), clock: system_clock(), desks };
        tokio::spawn(async move { server.serve(listener, std::future::pending()).await.unwrap() });
        self.write(&world.plan.trust, &ground.proxies);
    }

    /// Makes keystore and ledger; gives the account.
    fn init(&self) -> Address {
        let init = ["init", "--role", "executor", "--config", "executor.toml", "--words-file", "words"];
        let made = self.ask(&[&init[..], &["--cost", "cheap"]].concat());
        made["account"].as_str().unwrap().parse().unwrap()
    }

    /// The same with a keystore, a ledger, and an account that has gas money.
    async fn hired(world: &World, ground: &Ground) -> (Self, Address) {
        let post = Self::new(world, ground).await;
        let account = post.init();
        ground.anvil.bank_sends(account, U256::from(5 * ETHER), &[]).await;
        (post, account)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, content: &trust_file::TrustContent, nodes: &[Proxy; 2]) {
        use std::os::unix::fs::PermissionsExt;
        let put = |name: &str, text: &str| std::fs::write(self.path().join(name), text).unwrap();
        let text = trust_file::render(content).unwrap();
        put("trust.toml", &text);
        for seed in &QUORUM[..2] {
            let signed = sign_ssh(&ssh_private(*seed), NAMESPACE_TRUST, &text).unwrap();
            put(&format!("trust.{seed}.sig"), &signed);
        }
        let people: Vec<String> = QUORUM
            .iter()
            .map(|seed| format!("{{ name = \"p{seed}\", key = \"{}\" }}", ssh_public(*seed)))
            .collect();
        put("pass", "correct horse\n");
        let pass = self.path().join("pass");
        std::fs::set_permissions(&pass, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (folder, signer) = (self.path().display(), &self.signer);
        let (first, second) = (QUORUM[0], QUORUM[1]);
        put(
            "executor.toml",
            &format!(
                r#"
                network = "regtest"
                name = "one"
                keystore = {{ path = "keystore", passphrase = {{ file = "pass" }} }}
                store = {{ url = "sqlite:{folder}/executor.db" }}
                log = {{ origin = "test.example/executor" }}
                signer = {{ address = "{signer}" }}
                tls = {{ ca = "ca.pem", cert = "executor.pem", key = "executor.key" }}
                trust.file = "trust.toml"
                trust.signatures = ["trust.{first}.sig", "trust.{second}.sig"]
                trust.quorum = {{ threshold = 2, people = [{people}] }}
                limits = {{ pause_ms = 50, follow_ms = 50, lease_s = 3, memory_lock = false }}
                tracing = {{ format = "text" }}
                [chain]
                network = "{EVM}"
                quorum = 2
                finality = "depth"
                depth = 2
                nodes = [{{ name = "a", url = "{}" }}, {{ name = "b", url = "{}" }}]
                "#,
                nodes[0].url,
                nodes[1].url,
                people = people.join(", "),
            ),
        );
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(words).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// What a command answers; it must end well.
    fn ask(&self, words: &[&str]) -> Value {
        let done = self.command(&[&["--json"], words].concat()).output().unwrap();
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{words:?}: {told} {}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_str(&told).unwrap()
    }

    fn start(&self) -> Running {
        let log = std::fs::File::options().create(true).append(true).open(self.path().join("log")).unwrap();
        let mut command = self.command(&["executor", "--config", "executor.toml"]);
        Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn client(&self) -> Client {
        let files = PemFiles::in_folder(self.path(), "executor");
        Client::open(&ClientOrder { address: self.signer.clone(), files, server_role: Role::Signer }).unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// Mines until the executor's ledger says that so many are paid for good.
    async fn until_paid(&self, ground: &Ground, count: usize) -> Value {
        for _ in 0..60 {
            ground.mine(1).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            let told = self.ask(&["executor", "status", "--config", "executor.toml"]);
            let all = told["executions"].as_array().unwrap();
            let paid = |job: &&Value| job["state"] == "final" && job["effect"] == "paid";
            if all.iter().filter(paid).count() == count {
                assert_eq!(all.len(), count, "{told}");
                return told;
            }
        }
        panic!("it never came to {count}: {}", self.log());
    }
}

/// An executor in a process of its own; dropped, it is killed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// It is told to stop, and ends well.
    fn stop(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_released_is_paid_on_the_chain_once_also_if_the_executor_was_killed_meanwhile() {
    let Some(ground) = Ground::new().await else { return };
    let world = World::funded(evm_plan(), 4, 40 * COIN).await;
    state(&world, ground.fact().await).await;
    let (post, account) = Post::hired(&world, &ground).await;
    let checked = post.ask(&["executor", "--config", "executor.toml", "--check"]);
    assert_eq!(checked["ok"], true, "{checked}");
    let vera: Address = VERA.parse().unwrap();
    let contract: Address = TOKEN.parse().unwrap();

    let first = pay(&world, "e-1", ether(), ETHER).await;
    let running = post.start();
    let told = post.until_paid(&ground, 1).await;
    assert_eq!(ground.anvil.balance(vera).await, U256::from(ETHER));
    assert_eq!(told["executions"][0]["safe_tx_hash"].as_str(), first.txid.as_deref());
    assert_eq!(
        (told["account"].as_str(), told["chain"].as_str()),
        (Some(spell(account).as_str()), Some("eip155:31337"))
    );

    // it is killed; what is released meanwhile waits in the signer's list
    drop(running);
    let second = pay(&world, "t-1", token(), 250 * USDT).await;
    let third = pay(&world, "e-2", ether(), ETHER / 2).await;
    assert_eq!(ground.anvil.balance(vera).await, U256::from(ETHER));
    let running = post.start();
    let told = post.until_paid(&ground, 3).await;
    assert_eq!(ground.anvil.balance(vera).await, U256::from(ETHER + ETHER / 2));
    assert_eq!(held(&ground.anvil, contract, vera).await, U256::from(250 * USDT));
    for view in [&second, &third] {
        let hash = view.txid.as_deref();
        let all = told["executions"].as_array().unwrap();
        assert!(all.iter().any(|job| job["safe_tx_hash"].as_str() == hash), "{told}");
    }

    // the Safe's nonce has advanced: the same bytes again are refused by the contract (GS026), whoever sends them
    let fact = ground.fact().await;
    assert_eq!(fact.nonce, U256::from(3));
    for view in [&first, &second, &third] {
        let no = ground.anvil.call(hot_safe().address(), &view.raw_transaction).await.unwrap_err();
        assert!(no.windows(5).any(|word| word == b"GS026"), "{no}");
    }
    // and stated so, the next nonce is a sweep's, which is carried like a payment, before the one behind it
    ground.anvil.bank_sends(hot_safe().address(), U256::from(60 * ETHER), &[]).await;
    ground.mine(4).await;
    state(&world, ground.fact().await).await;
    while releases(&world, 500, "").await.items.last().unwrap().place.nonce < 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let fourth = pay(&world, "e-3", ether(), ETHER / 4).await;
    assert_eq!(fourth.safe.unwrap().nonce, 4);
    post.until_paid(&ground, 5).await;
    assert!(ground.anvil.balance(cold_safe()).await > U256::from(20 * ETHER));
    assert_eq!(ground.anvil.balance(vera).await, U256::from(ETHER + ETHER / 2 + ETHER / 4));
    running.stop();

    // its certificate opens nothing but the list
    let client = Arc::new(post.client());
    assert!(client.releases().list_safe_releases(v1::ListSafeReleasesRequest::default()).await.is_ok());
    let no = client.withdrawals().list_withdrawals(v1::ListWithdrawalsRequest::default()).await.unwrap_err();
    assert_eq!(no.code(), tonic::Code::PermissionDenied);
    let watch = client.withdrawals().watch_withdrawals(v1::WatchWithdrawalsRequest::default()).await;
    assert_eq!(watch.unwrap_err().code(), tonic::Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_is_carried_as_one_transaction_and_pays_each_of_it_on_the_chain_once() {
    let Some(ground) = Ground::new().await else { return };
    let world = World::funded(evm_plan(), 4, 40 * COIN).await;
    let fact = ground.fact().await;
    let changed = SafeFact { modules: vec![cold_safe()], ..fact.clone() };
    state(&world, changed).await;
    let (post, _) = Post::hired(&world, &ground).await;

    // while the Safe is not as pinned they wait, and then they are ready together
    let mut ids = Vec::new();
    for n in 0..12 {
        let request = WithdrawalRequest {
            asset: token(),
            amount: Amount::from_units(100 * USDT + n),
            fee_max: Amount::from_units(ETHER / 50),
            ..world.request(&format!("t-{n}"), VERA, 1)
        };
        let asked = world.ask(&request, ("Vale", "Vera")).await.unwrap();
        ids.push(world.until(asked.id, |view| codes(view) == ["SAFE_NOT_AS_PINNED"]).await.id);
    }
    world.state(Body::Safe(Box::new(fact))).await;
    let mut hashes = std::collections::BTreeSet::new();
    for id in ids {
        hashes.insert(world.until(id, |view| view.outcome == Outcome::Released).await.txid.unwrap());
    }
    assert_eq!(hashes.len(), 1, "{hashes:?}");

    let running = post.start();
    let told = post.until_paid(&ground, 1).await;
    assert_eq!(told["executions"][0]["safe_tx_hash"].as_str(), hashes.first().map(String::as_str));
    let (vera, contract): (Address, Address) = (VERA.parse().unwrap(), TOKEN.parse().unwrap());
    let sum = 12 * 100 * USDT + (0..12).sum::<u128>();
    assert_eq!(held(&ground.anvil, contract, vera).await, U256::from(sum));
    assert_eq!(ground.fact().await.nonce, U256::from(1));
    running.stop();
}

/// What the nodes agree on about the Safe and the account that pays its gas.
async fn fact_with(ground: &Ground, account: Address) -> SafeFact {
    let last = ground.nodes.last_final().await.unwrap();
    let wei = ground.nodes.balance(&last.block(), account).await.unwrap().into_value();
    SafeFact { executor: Some((account, wei.amount().unwrap())), ..ground.fact().await }
}

/// Another account than the one that is refuelled would run dry unseen.
fn only_the_pinned_account_runs(post: &Post, world: &World, ground: &Ground) {
    let part = |told: &Value| {
        let checks = told["checks"].as_array().unwrap();
        checks.iter().find(|part| part["part"] == "refuelled").unwrap().clone()
    };
    let check = ["executor", "--config", "executor.toml", "--check"];
    let told = part(&post.ask(&check));
    assert_eq!(told["found"], format!("by a hot Safe, below {ETHER} wei"));
    let mut other = world.plan.trust.clone();
    let pinned = other.wallets.iter_mut().find_map(|entry| entry.executor.as_mut()).unwrap();
    pinned.address = VERA.to_owned();
    post.write(&other, &ground.proxies);
    let done = post.command(&[&["--json"], &check[..]].concat()).output().unwrap();
    let told = part(&serde_json::from_slice(&done.stdout).unwrap());
    assert_eq!((done.status.success(), &told["error"]["field"]), (false, &json!("keystore.path")), "{told}");
    let run = post.command(&check[..3]).output().unwrap();
    assert!(!run.status.success() && String::from_utf8_lossy(&run.stderr).contains(VERA), "{run:?}");
    post.write(&world.plan.trust, &ground.proxies);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_executor_that_runs_low_is_refuelled_from_the_safe_and_one_that_ran_dry_by_whoever_carries_it() {
    let Some(ground) = Ground::new().await else { return };
    let (post, listener) = Post::before(&ground).await;
    let account = post.init();
    let mut plan = evm_plan();
    let pinned = trust_file::ExecutorEntry {
        address: spell(account),
        level_wei: ETHER.to_string(),
        refuel_wei_max: (2 * ETHER).to_string(),
        day_wei_max: (4 * ETHER).to_string(),
    };
    plan.trust.wallets.iter_mut().find(|entry| entry.safe.is_some()).unwrap().executor = Some(pinned);
    let world = World::funded(plan, 4, 40 * COIN).await;
    post.serve(listener, &world, &ground);
    only_the_pinned_account_runs(&post, &world, &ground);
    ground.anvil.bank_sends(account, U256::from(ETHER / 3), &[]).await;
    ground.mine(4).await;

    // low: it carries its own refuel
    state(&world, fact_with(&ground, account).await).await;
    let _running = post.start();
    post.until_paid(&ground, 1).await;
    assert!(ground.anvil.balance(account).await > U256::from(2 * ETHER));
    ground.mine(4).await;
    state(&world, fact_with(&ground, account).await).await;
    pay(&world, "e-1", ether(), ETHER).await;
    post.until_paid(&ground, 2).await;
    assert_eq!(releases(&world, 500, "").await.items.len(), 2, "one refuel, one payment");

    // dry: what is released waits, and anybody carries the refuel, which is before it
    ground.anvil.ask("anvil_setBalance", json!([spell(account), "0x0"])).await;
    ground.mine(4).await;
    state(&world, fact_with(&ground, account).await).await;
    while releases(&world, 500, "").await.items.len() < 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pay(&world, "e-2", ether(), ETHER / 2).await;
    let waiting = releases(&world, 500, "").await.items;
    assert_eq!(waiting.iter().map(|release| release.place.nonce).collect::<Vec<_>>(), [0, 1, 2, 3]);
    ground.anvil.bank_sends(hot_safe().address(), U256::ZERO, &waiting[2].data).await;
    post.until_paid(&ground, 4).await;
    let vera: Address = VERA.parse().unwrap();
    assert_eq!(ground.anvil.balance(vera).await, U256::from(ETHER + ETHER / 2));
    assert!(ground.anvil.balance(account).await > U256::from(ETHER));

    // the day is used up, however low it is
    ground.anvil.ask("anvil_setBalance", json!([spell(account), "0x0"])).await;
    ground.mine(4).await;
    state(&world, fact_with(&ground, account).await).await;
    pay(&world, "e-3", ether(), ETHER / 4).await;
    assert_eq!(releases(&world, 500, "").await.items.len(), 5);
}

/// Holds the signer's database from the moment the co-signer has signed next: what the signer signs then is finished, and not written.
/// Dropped, it lets go.
struct Hang(std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>);

impl Hang {
    fn next(world: &World) -> Self {
        let url = format!("sqlite:{}", world.dir.path().join("signer.db").display());
        let (let_go, told) = std::sync::mpsc::channel();
        let (holds, held) = std::sync::mpsc::channel();
        let once = std::sync::Mutex::new(Some((told, holds)));
        world.tap.corrupt(move |signed| {
            if let Some((told, holds)) = once.lock().unwrap().take() {
                let (url, (locked, is_locked)) = (url.clone(), std::sync::mpsc::channel());
                std::thread::spawn(move || hold(&url, &locked, &told));
                is_locked.recv().unwrap();
                holds.send(()).unwrap();
            }
            signed
        });
        Self(let_go, held)
    }
}

fn hold(url: &str, locked: &std::sync::mpsc::Sender<()>, told: &std::sync::mpsc::Receiver<()>) {
    use sqlx::{Connection, Executor};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        while connection.execute("BEGIN IMMEDIATE").await.is_err() {}
        locked.send(()).unwrap();
        let _ = told.recv();
        connection.execute("ROLLBACK").await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn l15_a_freeze_ends_the_list_at_what_was_not_handed_out_and_the_executor_carries_what_lies_before_it()
{
    let Some(ground) = Ground::new().await else { return };
    let world = World::funded(evm_plan(), 4, 40 * COIN).await;
    state(&world, ground.fact().await).await;
    let (post, _) = Post::hired(&world, &ground).await;
    let vera: Address = VERA.parse().unwrap();
    let first = pay(&world, "e-1", ether(), ETHER).await;

    // both have signed the second when the freeze comes, and nobody has it yet
    let hang = Hang::next(&world);
    let request = WithdrawalRequest {
        asset: ether(),
        amount: Amount::from_units(ETHER / 2),
        fee_max: Amount::from_units(ETHER / 50),
        ..world.request("e-2", VERA, 1)
    };
    let (desk, asked) = (world.desk(), order(&request, ("Vale", "Vera")));
    let asking = tokio::spawn(async move {
        WithdrawalDesk::create(&*desk, &caller(Role::Exchange, "acme"), asked).await.unwrap().id
    });
    let Hang(let_go, held) = hang;
    tokio::task::block_in_place(|| held.recv()).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.later(2);
    let freezing = super::freeze::freeze_of(&world, 1);
    world.counter(KeyRole::Signer).freeze(&caller(Role::Operator, "x"), freezing).await.unwrap();
    drop(let_go);
    let second = asking.await.unwrap();
    world.until(second, |view| codes(view) == ["FROZEN"]).await;
    assert_eq!(
        super::freeze::entries(&world, "released").await,
        2,
        "it was signed by both and is written down"
    );

    let listed = releases(&world, 500, "").await;
    assert_eq!(listed.items.iter().map(|one| Some(one.hash.clone())).collect::<Vec<_>>(), [first.txid]);
    assert!(releases(&world, 500, &listed.next).await.items.is_empty());
    let running = post.start();
    post.until_paid(&ground, 1).await;
    ground.mine(4).await;
    assert_eq!(ground.fact().await.nonce, U256::from(1), "what lies behind the freeze is not carried");

    super::freeze::resume(&world, KeyRole::Signer, Scope::All).await;
    super::freeze::an_hour_later(&world, 40 * COIN).await;
    world.until(second, |view| view.outcome == Outcome::Released).await;
    post.until_paid(&ground, 2).await;
    assert_eq!(ground.anvil.balance(vera).await, U256::from(ETHER + ETHER / 2));
    running.stop();
}

/// Everything of both Safes and of the first page of deposit addresses, as the real observer says it at the final block.
async fn look(world: &World, ground: &Ground) {
    let watch = Watch::new(
        nodes(&ground.proxies),
        &trust(&world.plan.trust),
        Ages { head_age_s_max: 600, final_age_s_max: 600 },
    )
    .unwrap();
    let now = countersign::withdrawal::Seconds(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(),
    );
    let begin = Cursor { nonce: 0, height: 0 };
    let (hot, _) = safe_fact_of(&watch, &hot_safe(), begin, now).await.unwrap();
    let (treasury, _) = safe_fact_of(&watch, &treasury_safe(), begin, now).await.unwrap();
    let page = deposits_fact(&watch, watch.deposits().unwrap(), 0, now).await.unwrap();
    state(world, hot).await;
    world.state(Body::Safe(Box::new(treasury))).await;
    world.state(Body::Deposits(Box::new(page))).await;
}

async fn emptyings(world: &World) -> Vec<SignedSafeTx> {
    let all = releases(world, 500, "").await.items;
    let of_treasury = all.into_iter().filter(|one| one.place.safe == treasury_safe().address());
    of_treasury.map(|one| SignedSafeTx::read(&one.data, one.place.nonce, &treasury_safe()).unwrap()).collect()
}

async fn until_emptying(world: &World, count: usize) -> SignedSafeTx {
    for _ in 0..500 {
        let mut found = emptyings(world).await;
        if found.len() == count {
            return found.pop().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no emptying {count}");
}

fn deployments(tx: &SignedSafeTx) -> usize {
    tx.actions().iter().filter(|action| matches!(action, Action::Deploy(_))).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_customers_paid_in_is_brought_to_the_hot_safe_by_one_transaction_also_where_strangers_deployed_first()
 {
    let Some(ground) = Ground::new().await else { return };
    let (treasury, anvil) = (treasury_safe(), &ground.anvil);
    let (factory, contract): (Address, Address) = (V1_4_1.factory.address, TOKEN.parse().unwrap());
    let blueprint = Blueprint::new(treasury.make(), &treasury.owners().all(), 2);
    anvil.bank_sends(factory, U256::ZERO, &blueprint.deployment(U256::from(8))).await;
    let deposits = Deposits::of(&treasury);
    let mut plan = super::emptying::plan();
    let entry = plan.trust.wallets.iter_mut().find(|entry| entry.safe.is_some()).unwrap();
    entry.emptying.as_mut().unwrap().day_fee_wei_max = ETHER.to_string();
    let world = World::funded(plan, 4, 40 * COIN).await;
    let (post, _) = Post::hired(&world, &ground).await;
    for n in 0..4 {
        super::deposits::address(&world, ether(), &format!("customer-{n}")).await;
    }

    // ether, to an address that a stranger deployed; a token; ether from within a call; both
    anvil.bank_sends(deposits.address(0), U256::from(3 * ETHER), &[]).await;
    anvil.bank_sends(factory, U256::ZERO, &deposits.deployment(0)).await;
    evm_token::grant(anvil, contract, deposits.address(1), u64::try_from(600 * USDT).unwrap()).await;
    let forwards = Address::repeat_byte(0xf0);
    let to = deposits.address(2);
    let code = [&[0x60, 0, 0x60, 0, 0x60, 0, 0x60, 0, 0x34, 0x73], to.as_slice(), &[0x5a, 0xf1, 0]].concat();
    anvil.put_code(forwards, code.into()).await;
    anvil.bank_sends(forwards, U256::from(2 * ETHER), &[]).await;
    anvil.bank_sends(deposits.address(3), U256::from(ETHER), &[]).await;
    evm_token::grant(anvil, contract, deposits.address(3), u64::try_from(50 * USDT).unwrap()).await;
    ground.mine(4).await;
    look(&world, &ground).await;
    let first = until_emptying(&world, 1).await;
    assert_eq!((first.actions().len(), deployments(&first)), (5 + 3, 3));
    let running = post.start();
    post.until_paid(&ground, 1).await;
    assert_eq!(anvil.balance(hot_safe().address()).await, U256::from(16 * ETHER));
    assert_eq!(held(anvil, contract, hot_safe().address()).await, U256::from(10_650 * USDT));
    for index in 0..4 {
        assert_eq!(anvil.balance(deposits.address(index)).await, U256::ZERO);
        assert_eq!(anvil.code_hash(deposits.address(index)).await, V1_4_1.proxy_code_hash, "{index}");
    }
    ground.mine(4).await;
    look(&world, &ground).await;
    let position = world.desk().position(&caller(Role::Operator, "kim"), Some(ether())).await.unwrap();
    let one = position.assets.first().unwrap();
    assert_eq!((one.deposited.units(), one.hot.units()), (0, 16 * ETHER));

    // the same address again: nothing is deployed any more, and what was emptied can be paid out
    anvil.bank_sends(deposits.address(2), U256::from(4 * ETHER), &[]).await;
    ground.mine(4).await;
    look(&world, &ground).await;
    let second = until_emptying(&world, 2).await;
    assert_eq!((second.actions().len(), deployments(&second)), (1, 0));
    post.until_paid(&ground, 2).await;
    assert_eq!(anvil.balance(hot_safe().address()).await, U256::from(20 * ETHER));
    running.stop();

    // a stranger deploys between signing and carrying: the batch is undone, and the next one goes without it
    super::deposits::address(&world, ether(), "customer-4").await;
    anvil.bank_sends(deposits.address(4), U256::from(5 * ETHER), &[]).await;
    ground.mine(4).await;
    look(&world, &ground).await;
    let third = until_emptying(&world, 3).await;
    assert_eq!(deployments(&third), 1);
    anvil.bank_sends(factory, U256::ZERO, &deposits.deployment(4)).await;
    let _running = post.start();
    let nonce = async || -> u64 {
        let last = ground.nodes.last_final().await.unwrap();
        ground.nodes.safe_nonce(&last.block(), treasury.address()).await.unwrap().into_value()
    };
    while nonce().await < 3 {
        ground.mine(1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(anvil.balance(deposits.address(4)).await, U256::from(5 * ETHER));
    look(&world, &ground).await;
    let fourth = until_emptying(&world, 4).await;
    assert_eq!(deployments(&fourth), 0);
    while nonce().await < 4 {
        ground.mine(1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(anvil.balance(hot_safe().address()).await, U256::from(25 * ETHER));
}
