//! Death at any moment: signer and co-signer as processes of their own, killed with SIGKILL, started again. However it
//! went, each request is paid once, and bytes that exist never change (laws L6, L17, L20).
//!
//! The processes are this test program itself, told by its environment to be a party: real stores on disk, real mutual
//! TLS between them. The line from signer to co-signer leads through here, so that a blow can fall between what the one
//! has done and what the other knows of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use super::custodian;
use super::world::*;
use bitcoin::Transaction;
use countersign::audit::{LogKey, WitnessKey};
use countersign::bitcoin::Branch;
use countersign::bitcoin::consensus::verify_bytes;
use countersign::cosigner::{RemoteCosigner, RemoteLimits};
use countersign::desk::*;
use countersign::enclave::wall::{self, Inside, Launch, Outside};
use countersign::enclave::wire::tls::Identity as TlsIdentity;
use countersign::enclave::{self, DataKey, Enclave, NoCustomers, RelayPin};
use countersign::evidence::{Body, ChainFact};
use countersign::flow::context::{Context, PartySettings, machine_clock};
use countersign::flow::cosign::desk::CosignerParts;
use countersign::flow::cosign::{Cosigner, KeyB};
use countersign::flow::ledger::rows::{self, CosignedRow, ReservationRow, WithdrawalRow};
use countersign::flow::rail::pins::SafePins;
use countersign::flow::signer::{Signer, SignerParts};
use countersign::freeze::Counter;
use countersign::grpc::freeze::{Apart, serve_apart};
use countersign::grpc::{Client, Desks, Limits, Server, system_clock};
use countersign::keys;
use countersign::pki::{self, Authority, Identity, LeafOrder, PemFiles, Validity};
use countersign::store::{Store, StoreUrl, Table};
use countersign::wire::channel::ChannelOrder;
use countersign::wire::v1;
use countersign::withdrawal::*;
use rustix::process::{Pid, Signal, kill_process};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use wallet_policy::{Guard, Policy};

pub const VALID: Validity =
    Validity { not_before: Seconds(1_000_000_000), not_after: Seconds(4_000_000_000) };
const PARTY: &str = "COUNTERSIGN_TEST_PARTY";
const FOLDER: &str = "COUNTERSIGN_TEST_FOLDER";
/// Where a party finds the other: `host:port`.
const LINE: &str = "COUNTERSIGN_TEST_LINE";
const RELAY_AT: &str = "COUNTERSIGN_TEST_RELAY";

// -- a party, in a process of its own ----------------------------------------------------------------------------------

/// The body of a child process. As a test among the others it has nothing to do.
#[test]
fn a_process_that_is_a_party_when_it_is_told_to_be_one() {
    let Ok(party) = std::env::var(PARTY) else { return };
    // whoever started this process holds the other end: when they are gone, so is it
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    runtime.block_on(async {
        match party.as_str() {
            "signer" => be_signer(&folder).await,
            "cosigner" => be_cosigner(&folder).await,
            other => panic!("{other} is no party"),
        }
    });
}

const ENCLAVE: &str = "processes::a_process_that_is_the_signers_enclave_when_a_signer_starts_it";

/// The body of the signer's enclave, shut in as the program's is. Its environment is empty: what it needs stands behind `--skip`.
#[test]
fn a_process_that_is_the_signers_enclave_when_a_signer_starts_it() {
    let Ok(line) = Inside::take() else { return };
    let told: Vec<String> = std::env::args().skip_while(|arg| arg != "--skip").collect();
    let [_, folder, _, relay] = told.try_into().unwrap();
    let folder = PathBuf::from(folder);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let settings = enclave_settings(&folder, &relay, listener.local_addr().unwrap());
    wall::drop_rights().unwrap();
    wall::confine(&settings.database, None).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).unwrap();
        let enclave = Enclave::start(settings, Arc::new(NoCustomers), listener).await.unwrap();
        let address = enclave.address();
        let _ = line.serve(Arc::new(enclave), address).await;
    });
}

/// How the signer starts its enclave: this program again.
fn launch(folder: &Path) -> Launch {
    let relay = std::env::var(RELAY_AT).unwrap();
    let arguments =
        [ENCLAVE, "--exact", "--test-threads=1", "--skip", folder.to_str().unwrap(), "--skip", &relay];
    Launch {
        program: std::env::current_exe().unwrap(),
        arguments: arguments.map(Into::into).into(),
        owner: None,
        answer_wait: Duration::from_secs(6),
    }
}

fn settings() -> PartySettings {
    Plan::default().settings
}

fn context(folder: &Path, party: KeyRole) -> Arc<Context> {
    let policy = policy_settings();
    Arc::new(Context {
        asset: ASSET,
        wallet: Arc::new(hot_wallet()),
        cold: Arc::new(cold_wallet()),
        safes: SafePins::of(&trust(&custodian::trust_content_of(folder))).unwrap(),
        trust: Arc::new(trust(&custodian::trust_content_of(folder))),
        policy: Arc::new(Policy::built_in(policy.clone(), &Guard::of(&policy)).unwrap()),
        policies: RwLock::default(),
        brake: brake(folder, party),
        settings: settings(),
        clock: machine_clock(),
    })
}

fn store(folder: &Path, party: &str) -> StoreUrl {
    StoreUrl::parse(&format!("sqlite:{}", folder.join(format!("{party}.db")).display())).unwrap()
}

pub fn tls_of(folder: &Path, role: Role) -> (Vec<CertificateDer<'static>>, Identity) {
    let files = PemFiles::in_folder(folder, role.as_str());
    let authorities = pki::read_certificates(&files.authority).unwrap();
    (authorities, pki::read_identity(&files.certificate, &files.key).unwrap())
}

fn remote(folder: &Path, address: String) -> RemoteCosigner {
    let (authorities, identity) = tls_of(folder, Role::Signer);
    let tls = pki::client_config(&authorities, identity).unwrap();
    RemoteCosigner::new(&ChannelOrder { address, tls, server_role: Role::Cosigner }, RemoteLimits::default())
        .unwrap()
}

/// Serves desks under a role's certificate and says where, for as long as the process lives.
async fn serve(folder: &Path, role: Role, desks: Desks) {
    let (authorities, identity) = tls_of(folder, role);
    let tls = pki::server_config(&authorities, identity).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("\nready {}", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    let server = Server { tls, limits: Limits::default(), clock: system_clock(), desks };
    server.serve(listener, std::future::pending()).await.unwrap();
}

/// The brake's own listener on its own thread, before anything else, as the program does it; says where.
fn stand_brake(folder: &Path, role: Role, context: &Context) -> Apart {
    let (authorities, identity) = tls_of(folder, role);
    let tls = pki::server_config(&authorities, identity).unwrap();
    let rules = context.policy.settings().freeze.clone();
    let counter = Counter::new(context.brake.clone(), context.trust.clone(), rules, machine_clock());
    let desks = Desks { freeze: Some(Arc::new(counter)), ..Desks::default() };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    println!("\nfreeze {}", listener.local_addr().unwrap());
    let server = Server { tls, limits: Limits::default(), clock: system_clock(), desks };
    serve_apart(server, listener).unwrap()
}

async fn be_cosigner(folder: &Path) {
    let context = context(folder, KeyRole::Cosigner);
    let _freezing = stand_brake(folder, Role::Cosigner, &context);
    let (log, witness) = (identity(0xb, "log"), identity(0xb, "witness"));
    let parts = CosignerParts {
        context: context.clone(),
        store: store(folder, "cosigner"),
        secret: store_secret(0xb),
        log_key: LogKey::new(COSIGNER_ORIGIN, &log.public_key()).unwrap(),
        log_identity: Arc::new(log),
        witness_key: WitnessKey::new(COSIGNER_ORIGIN, &witness.public_key()).unwrap(),
        witness_identity: Arc::new(witness),
        attestation: Arc::new(identity(0xb, "attestation")),
        hot_key: custodian::key_b(folder).unwrap_or_else(|| {
            KeyB::Own(Arc::new(keystore(keys::KeyRole::Cosigner, 0xb).hot_key().unwrap()))
        }),
        seat: cosigner_seat(),
        route: None,
    };
    custodian::hear_calls(folder, parts.hot_key.inbox()).await;
    let cosigner = Arc::new(Cosigner::start(parts).await.unwrap());
    serve(folder, Role::Cosigner, Desks { cosign: Some(cosigner), ..Desks::default() }).await;
}

fn enclave_settings(folder: &Path, relay: &str, address: SocketAddr) -> enclave::Settings {
    let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(file("relay-root.der"))).unwrap();
    enclave::Settings {
        vasp: OWN_VASP,
        identity: key(OWN),
        data_key: DataKey::new(&[OWN; 32]),
        database: folder.join("enclave.db"),
        directory: [(ROBOT_VASP, key(ROBOT).verifying_key().to_bytes())].into(),
        directory_version: 1,
        relay: RelayPin { url: format!("https://{relay}"), key: key(RELAY).verifying_key().to_bytes() },
        roots,
        tls: TlsIdentity {
            chain: vec![CertificateDer::from(file("enclave.der"))],
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(file("enclave.key"))),
        },
        endpoint: format!("https://{address}"),
        vasps: Default::default(),
        screener: None,
        limits: enclave::Limits { retry_s_max: 1, ..enclave::Limits::default() },
        now: machine_clock(),
    }
}

async fn be_signer(folder: &Path) {
    let context = context(folder, KeyRole::Signer);
    let _freezing = stand_brake(folder, Role::Signer, &context);
    let enclave = Outside::start(launch(folder)).await.unwrap();
    let log = identity(0xa, "log");
    let parts = SignerParts {
        context: context.clone(),
        store: store(folder, "signer"),
        secret: store_secret(0xa),
        log_key: LogKey::new(SIGNER_ORIGIN, &log.public_key()).unwrap(),
        identity: Arc::new(log),
        keys: signer_keys(),
        cosigner: Arc::new(remote(folder, std::env::var(LINE).unwrap())),
        enclave: Arc::new(enclave),
    };
    let signer = Signer::start(parts).await.unwrap();
    serve(folder, Role::Signer, Desks::of_signer(&signer.desk())).await;
}

// -- the blows ---------------------------------------------------------------------------------------------------------

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    Signer,
    Cosigner,
    Both,
    /// The signer's enclave alone; the signer starts it again by itself.
    Enclave,
}

impl Victim {
    /// Those who must be started again.
    const ALL: [Self; 3] = [Self::Signer, Self::Cosigner, Self::Both];

    fn parties(self) -> &'static [Role] {
        match self {
            Self::Signer => &[Role::Signer],
            Self::Cosigner => &[Role::Cosigner],
            Self::Both => &[Role::Cosigner, Role::Signer],
            Self::Enclave => &[],
        }
    }
}

/// When the blow falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// That many milliseconds after the request was sent.
    After(u64),
    /// As soon as the request is known.
    Asked,
    /// The transaction is booked; the co-signer has not heard of it.
    BeforeTheCosigner,
    /// The co-signer has signed; the signer has not heard of it.
    AfterTheCosigner,
    /// The transaction was handed out.
    Released,
}

#[derive(Default)]
struct Running {
    signer: Option<Child>,
    cosigner: Option<Child>,
}

impl Running {
    fn of(&mut self, role: Role) -> &mut Option<Child> {
        if role == Role::Signer { &mut self.signer } else { &mut self.cosigner }
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    fn kill(&mut self, victim: Victim) {
        if victim == Victim::Enclave {
            let enclaves = self.signer.as_ref().map(|signer| children(signer.id())).unwrap_or_default();
            enclaves.iter().for_each(|pid| kill_process(*pid, Signal::KILL).unwrap_or(()));
        }
        for role in victim.parties() {
            if let Some(mut child) = self.of(*role).take() {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }
}

/// The processes that this one has started.
fn children(parent: u32) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).unwrap();
    let of = |task: PathBuf| std::fs::read_to_string(task.join("children")).unwrap_or_default();
    let listed: Vec<String> = tasks.map(|task| of(task.unwrap().path())).collect();
    let pids = listed.iter().flat_map(|list| list.split_whitespace()).map(|pid| pid.parse().unwrap());
    pids.map(|pid| Pid::from_raw(pid).unwrap()).collect()
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill(Victim::Both);
    }
}

/// The line between the parties: it passes everything on, remembers each signature, and strikes when told to.
#[derive(Default)]
struct Line {
    running: Mutex<Running>,
    cosigner: RwLock<Option<RemoteCosigner>>,
    blow: Mutex<Option<(Moment, Victim)>>,
    signed: Mutex<BTreeMap<ReservationId, Vec<u8>>>,
    cosigned_at: Mutex<Vec<std::time::Instant>>,
}

impl Line {
    fn there(&self) -> Result<RemoteCosigner, DeskError> {
        let there = self.cosigner.read().unwrap().clone();
        there.ok_or_else(|| DeskError::nothing_happened(Code::CosignerUnreachable, "nobody there"))
    }

    fn strike(&self, moment: Moment) {
        let mut blow = self.blow.lock().unwrap();
        if let Some((_, victim)) = blow.take_if(|(when, _)| *when == moment) {
            self.running.lock().unwrap().kill(victim);
        }
    }

    /// Bytes that exist never change: who asks twice for a signature gets the same.
    fn remember(&self, reservation: ReservationId, psbt: &[u8]) {
        let mut signed = self.signed.lock().unwrap();
        let first = signed.entry(reservation).or_insert_with(|| psbt.to_vec());
        assert_eq!(first, psbt, "{reservation} was signed twice, in different bytes");
    }
}

#[tonic::async_trait]
impl CosignDesk for Line {
    async fn status(&self) -> Result<CosignStatus, DeskError> {
        self.there()?.status().await
    }

    async fn submit_statements(
        &self,
        statements: Vec<SignedText>,
    ) -> Result<Vec<Result<StatementReceipt, Finding>>, DeskError> {
        self.there()?.submit_statements(statements).await
    }

    async fn attest_addresses(&self, orders: Vec<AttestationOrder>) -> Result<Vec<SignedText>, DeskError> {
        self.there()?.attest_addresses(orders).await
    }

    async fn attest_refill(&self, order: RefillAttestOrder) -> Result<SignedText, DeskError> {
        self.there()?.attest_refill(order).await
    }

    async fn challenge(&self, order: ChallengeOrder) -> Result<SignedText, DeskError> {
        self.there()?.challenge(order).await
    }

    async fn register(&self, evidence: WalletEvidence) -> Result<WalletReceipt, DeskError> {
        self.there()?.register(evidence).await
    }

    async fn remove(&self, removal: SignedText) -> Result<(), DeskError> {
        self.there()?.remove(removal).await
    }

    async fn void(&self, order: VoidOrder) -> Result<Voided, DeskError> {
        self.there()?.void(order).await
    }

    async fn countersign(&self, order: CosignOrder) -> Result<CosignOutcome, DeskError> {
        // a head without transactions is not what the blow waits for
        if !order.items.is_empty() {
            self.strike(Moment::BeforeTheCosigner);
        }
        let outcome = self.there()?.countersign(order).await?;
        let mut any = false;
        for (reservation, verdict) in &outcome.verdicts {
            if let ItemVerdict::Signed(psbt) = verdict {
                self.remember(*reservation, psbt);
                any = true;
            }
        }
        if any {
            self.cosigned_at.lock().unwrap().push(std::time::Instant::now());
            self.strike(Moment::AfterTheCosigner);
        }
        Ok(outcome)
    }

    async fn recall(&self, reservations: Vec<ReservationId>) -> Result<Vec<Recalled>, DeskError> {
        let states = self.there()?.recall(reservations.clone()).await?;
        for (reservation, state) in reservations.into_iter().zip(&states) {
            if let Recalled::Signed(psbt) = state {
                self.remember(reservation, psbt);
            }
        }
        Ok(states)
    }
}

// -- the people around them --------------------------------------------------------------------------------------------

pub struct Cast {
    world: World,
    line: Arc<Line>,
    line_at: String,
    relay_at: String,
    client: Option<Client>,
    signer_at: String,
    /// Where each party is frozen.
    brakes: Mutex<BTreeMap<Role, String>>,
}

impl Cast {
    pub async fn new() -> Self {
        Self::prepared(|_, _| ()).await
    }

    /// A cast whose folder is prepared before anybody starts.
    pub async fn prepared(prepare: impl FnOnce(&Path, &Authority)) -> Self {
        let world = World::furnished(Plan::default()).await;
        let folder = world.dir.path();
        let authority = Authority::create("test authority", VALID).unwrap();
        prepare(folder, &authority);
        std::fs::write(folder.join("ca.pem"), authority.certificate_pem()).unwrap();
        for (role, name) in [
            (Role::Signer, "a"),
            (Role::Cosigner, "b"),
            (Role::Exchange, "acme"),
            (Role::Observer, "watcher"),
            (Role::Operator, "kim"),
        ] {
            let order =
                LeafOrder { role, name: name.into(), hosts: vec!["127.0.0.1".into()], validity: VALID };
            PemFiles::in_folder(folder, role.as_str()).write(&authority.issue(&order).unwrap()).unwrap();
        }
        let papers = world.papers();
        std::fs::write(folder.join("relay-root.der"), &papers.root).unwrap();
        std::fs::write(folder.join("enclave.der"), &papers.certificate).unwrap();
        std::fs::write(folder.join("enclave.key"), &papers.key).unwrap();
        let line = Arc::new(Line::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line_at = listener.local_addr().unwrap().to_string();
        let (authorities, identity) = tls_of(folder, Role::Cosigner);
        let server = Server {
            tls: pki::server_config(&authorities, identity).unwrap(),
            limits: Limits::default(),
            clock: system_clock(),
            desks: Desks { cosign: Some(line.clone()), ..Desks::default() },
        };
        tokio::spawn(server.serve(listener, std::future::pending()));
        let relay_at = papers.relay.to_string();
        let mut cast = Self {
            world,
            line,
            line_at,
            relay_at,
            client: None,
            signer_at: String::new(),
            brakes: Mutex::default(),
        };
        cast.start_what_is_down().await;
        cast
    }

    pub fn folder(&self) -> &Path {
        self.world.dir.path()
    }

    /// Starts a party's process and learns where it listens.
    fn spawn(&self, role: Role) -> (Child, String) {
        let name = "processes::a_process_that_is_a_party_when_it_is_told_to_be_one";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .envs([(PARTY, role.as_str()), (LINE, &self.line_at), (RELAY_AT, &self.relay_at)])
            .env(FOLDER, self.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said =
            |word: &str| lines.find_map(|line| line.unwrap().strip_prefix(word).map(str::to_owned));
        let brake = said("freeze ").unwrap_or_else(|| panic!("the {role} did not start"));
        self.brakes.lock().unwrap().insert(role, brake);
        let ready = said("ready ");
        // the rest of what it says is nothing, but the pipe must stay open
        std::thread::spawn(move || lines.for_each(drop));
        (child, ready.unwrap_or_else(|| panic!("the {role} did not start")))
    }

    pub async fn start_what_is_down(&mut self) {
        for role in [Role::Cosigner, Role::Signer] {
            if self.line.running.lock().unwrap().of(role).is_some() {
                continue;
            }
            let (child, address) = tokio::task::block_in_place(|| self.spawn(role));
            *self.line.running.lock().unwrap().of(role) = Some(child);
            if role == Role::Cosigner {
                *self.line.cosigner.write().unwrap() = Some(remote(self.folder(), address));
            } else {
                self.signer_at.clone_from(&address);
                self.client = Some(self.client_at(&address, Role::Exchange));
                self.observe_through(&address).await;
            }
        }
    }

    /// Where a party is frozen.
    pub fn brake_at(&self, party: Role) -> String {
        self.brakes.lock().unwrap()[&party].clone()
    }

    /// The signer's main listener.
    pub fn signer_at(&self) -> String {
        self.signer_at.clone()
    }

    /// The people's time, which is the machine's.
    pub fn now(&self) -> Seconds {
        self.world.now()
    }

    /// Kills, as `kill -9` would.
    pub fn kill(&self, victim: Victim) {
        self.line.running.lock().unwrap().kill(victim);
    }

    /// From now on the signer does not reach the co-signer.
    pub fn cut(&self) {
        *self.line.cosigner.write().unwrap() = None;
    }

    /// When the co-signer's signatures came past.
    pub fn cosigned_at(&self) -> Vec<std::time::Instant> {
        self.line.cosigned_at.lock().unwrap().clone()
    }

    /// A small withdrawal under that id.
    pub fn payout(&self, id: &str) -> WithdrawalOrder {
        order(&self.world.request(id, TAYLOR, 1_500_000), ("Robbins", "Taylor"))
    }

    fn client_at(&self, address: &str, role: Role) -> Client {
        let (authorities, identity) = tls_of(self.folder(), role);
        let tls = pki::client_config(&authorities, identity).unwrap();
        Client::with_tls(address.to_owned(), tls, Role::Signer).unwrap()
    }

    /// States the facts anew, so that none is stale however long this takes; the first time also the coins.
    async fn observe_through(&self, signer: &str) {
        let mut observer = self.client_at(signer, Role::Observer).statements();
        let chain = ChainFact { chain: Chain::Bitcoin(NETWORK), height: 200, fee_rate: FeeRate(2_000) };
        let mut bodies = vec![
            Body::Chain(vec![chain]),
            Body::Price(vec![(ASSET, Krw(PRICE))]),
            Body::Position { cold: vec![(ASSET, Amount::from_sat(70 * COIN))], swept: Vec::new() },
        ];
        let marker = self.folder().join("funded");
        if !marker.exists() {
            let ask = v1::CreateAddressRequest {
                organisation: "acme".into(),
                asset: ASSET.to_string(),
                customer_ref: "c1".into(),
            };
            let address = self.exchange().addresses().create_address(ask).await.unwrap().into_inner();
            let own = hot_wallet().script(Branch::Deposit, address.index).unwrap();
            bodies.push(self.world.deposit(own.script_pubkey().to_owned(), &[5_000_000; 90]));
            std::fs::write(marker, "").unwrap();
        }
        for body in bodies {
            let statement = Some(self.world.statement(body).into());
            observer.submit_statement(v1::SubmitStatementRequest { statement }).await.unwrap();
        }
    }

    pub fn exchange(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    /// Asks once; whatever happens to the answer is no matter.
    fn ask_and_forget(&self, order: &WithdrawalOrder) -> tokio::task::JoinHandle<()> {
        let (mut client, ask) = (self.exchange().withdrawals(), wire(order));
        tokio::spawn(async move {
            let _ = client.create_withdrawal(ask).await;
        })
    }

    /// What a careful exchange does after any fault: the same request again, until there is an answer that stands.
    pub async fn ask_until_released(&self, order: &WithdrawalOrder) -> WithdrawalView {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let told = self.exchange().withdrawals().create_withdrawal(wire(order)).await;
            match told {
                Ok(answer) => {
                    let view = WithdrawalView::try_from(answer.into_inner()).unwrap();
                    assert!(!matches!(view.outcome, Outcome::Refused(_)), "{:?}", view.outcome);
                    if view.outcome == Outcome::Released {
                        return view;
                    }
                }
                Err(status) => assert!(
                    matches!(status.code(), tonic::Code::Unavailable | tonic::Code::DeadlineExceeded),
                    "{status}"
                ),
            }
            assert!(tokio::time::Instant::now() < deadline, "not released in a minute");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_known(&self, id: WithdrawalId) {
        let pick = Some(v1::get_withdrawal_request::Pick::Name(format!("withdrawals/{id}")));
        let ask = v1::GetWithdrawalRequest { pick };
        while self.exchange().withdrawals().get_withdrawal(ask.clone()).await.is_err() {}
    }

    /// What the dead left on the disk of a withdrawal: how far the signer had it, and what the co-signer had signed.
    async fn left_behind(&self, id: WithdrawalId) -> (&'static str, Option<String>) {
        let read =
            |key: &str, content: &str| (key.to_owned(), rows::read::<WithdrawalRow>(key, content).unwrap());
        let withdrawals = self.all("signer", 0xa, Table::Withdrawal, read).await;
        let stage =
            withdrawals.iter().find(|(key, _)| *key == id.to_string()).map(|(_, row)| row.stage().as_str());
        let signed = self.signed().await;
        let signed = signed.into_iter().find(|row| row.withdrawals.contains(&id.to_string()));
        (stage.unwrap_or("unknown"), signed.map(|row| row.txid))
    }

    /// Every transaction that the co-signer has signed for.
    pub async fn signed(&self) -> Vec<CosignedRow> {
        let read = |key: &str, content: &str| rows::read::<CosignedRow>(key, content).unwrap();
        let mut rows = self.all("cosigner", 0xb, Table::SignedReservation, read).await;
        rows.retain(|row| row.state == "signed");
        rows
    }

    /// What stands in a party's log, as its leaves say it.
    pub async fn log(&self, party: &str, seed: u8) -> Vec<String> {
        let store = Store::open(&store(self.folder(), party), &store_secret(seed)).await.unwrap();
        let mut leaves = Vec::new();
        while let Some(leaf) = store.leaf_for(leaves.len() as u64).await.unwrap() {
            leaves.push(String::from_utf8_lossy(&leaf).into_owned());
        }
        store.close().await;
        leaves
    }

    /// The co-signer as the signer reaches it; what it has signed is remembered on the way.
    pub fn cosigner(&self) -> Arc<dyn CosignDesk> {
        self.line.clone()
    }

    /// One request of the exchange's, with that amount.
    pub fn request(&self, id: &str, amount: u64) -> WithdrawalRequest {
        self.world.request(id, TAYLOR, amount)
    }

    async fn all<T>(&self, party: &str, seed: u8, table: Table, read: impl Fn(&str, &str) -> T) -> Vec<T> {
        let store = Store::open(&store(self.folder(), party), &store_secret(seed)).await.unwrap();
        let page = store.rows_page(table, None, 1_000).await.unwrap();
        store.close().await;
        page.rows.iter().map(|row| read(row.key(), row.content())).collect()
    }
}

pub fn wire(order: &WithdrawalOrder) -> v1::CreateWithdrawalRequest {
    v1::CreateWithdrawalRequest {
        request: Some(order.request.clone().into()),
        ivms101_payload: order.ivms101.as_bytes().to_vec(),
    }
}

/// The transaction pays what was asked, and the consensus rules take it.
pub fn judge(view: &WithdrawalView) -> Transaction {
    let transaction: Transaction = bitcoin::consensus::encode::deserialize(&view.raw_transaction).unwrap();
    assert_eq!(view.txid.as_deref(), Some(transaction.compute_txid().to_string().as_str()));
    let prevout = |p: &Prevout| bitcoin::TxOut {
        value: bitcoin::Amount::from_sat(p.value.sat().unwrap()),
        script_pubkey: bitcoin::ScriptBuf::from_bytes(p.script_pubkey.clone()),
    };
    verify_bytes(&view.raw_transaction, &view.prevouts.iter().map(prevout).collect::<Vec<_>>()).unwrap();
    let asked = view.request.amount.sat().unwrap();
    assert_eq!(transaction.output.iter().filter(|o| o.value.to_sat() == asked).count(), 1);
    transaction
}

/// Numbers that look like chance and are the same in every run.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn rounds() -> Vec<(Moment, Victim)> {
    let mut chance = Chance(20_261_121);
    let mut rounds = Vec::new();
    for _ in 0..2 {
        for victim in Victim::ALL {
            for moment in
                [Moment::Asked, Moment::BeforeTheCosigner, Moment::AfterTheCosigner, Moment::Released]
            {
                rounds.push((moment, victim));
            }
        }
    }
    for round in 0..26 {
        rounds.push((Moment::After(chance.below(120)), Victim::ALL[round % 3]));
    }
    rounds
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_stage_and_started_again_each_request_is_paid_once_in_the_same_bytes() {
    let mut cast = Cast::new().await;
    let mut paid: Vec<(WithdrawalOrder, WithdrawalView)> = Vec::new();
    let mut seen: BTreeMap<(&'static str, bool), u32> = BTreeMap::new();
    for (number, (moment, victim)) in rounds().into_iter().enumerate() {
        // amounts differ, so that the payee's output tells the payments apart
        let number = u64::try_from(number).unwrap();
        let request = cast.world.request(&format!("k{number}"), TAYLOR, 1_500_000 + number);
        let id = WithdrawalId::of(&request.organisation, &request.request_id);
        let order = order(&request, ("Robbins", "Taylor"));
        *cast.line.blow.lock().unwrap() = Some((moment, victim));
        let asking = cast.ask_and_forget(&order);
        match moment {
            Moment::After(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Moment::Asked => cast.until_known(id).await,
            Moment::Released => asking.await.unwrap(),
            Moment::BeforeTheCosigner | Moment::AfterTheCosigner => {
                while cast.line.blow.lock().unwrap().is_some() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
        cast.line.strike(moment);
        let (stage, promised) = cast.left_behind(id).await;
        *seen.entry((stage, promised.is_some())).or_default() += 1;
        cast.start_what_is_down().await;

        let view = cast.ask_until_released(&order).await;
        let transaction = judge(&view);
        if promised.is_some() {
            assert_eq!(view.txid, promised, "{moment:?} {victim:?}: not what the co-signer had signed");
        }
        assert!(transaction.output.iter().any(|o| o.value.to_sat() == 1_500_000 + number));
        let again = cast.ask_until_released(&order).await;
        assert_eq!(again.raw_transaction, view.raw_transaction, "{moment:?} {victim:?}");
        paid.push((order, view));
    }
    eprintln!("what the dead left behind (stage at the signer, signed by the co-signer): {seen:?}");
    for wanted in [("asked", false), ("reserved", false), ("reserved", true), ("released", true)] {
        assert!(seen.contains_key(&wanted), "no blow fell at {wanted:?}: {seen:?}");
    }

    // once more from the disks alone
    cast.line.running.lock().unwrap().kill(Victim::Both);
    cast.start_what_is_down().await;
    let mut spent = BTreeSet::new();
    for (order, view) in &paid {
        let again = cast.ask_until_released(order).await;
        assert_eq!(again.raw_transaction, view.raw_transaction);
        for input in judge(&again).input {
            assert!(spent.insert(input.previous_output), "{} is spent twice", input.previous_output);
        }
        cast.world.until_told(view).await;
    }

    // neither party has a signature for anything but these
    cast.line.running.lock().unwrap().kill(Victim::Both);
    let txids: BTreeSet<String> = paid.iter().map(|(_, view)| view.txid.clone().unwrap()).collect();
    assert_eq!(txids.len(), paid.len(), "one transaction paid two requests");
    let read = |key: &str, content: &str| rows::read::<ReservationRow>(key, content).unwrap();
    let booked = cast.all("signer", 0xa, Table::Reservation, read).await;
    let released: BTreeSet<String> =
        booked.iter().filter(|r| r.state == "released").map(|r| r.txid.clone()).collect();
    assert_eq!(released, txids);
    assert!(booked.iter().all(|r| r.state != "reserved"), "something is still under way");
    let signed: BTreeSet<String> = cast.signed().await.into_iter().map(|row| row.txid).collect();
    assert_eq!(signed, txids);
}

/// When the enclave is killed: before it is asked, while it asks, and after it has answered.
fn blows_on_the_enclave() -> Vec<Moment> {
    let mut chance = Chance(20_261_122);
    let mut moments =
        vec![Moment::Asked, Moment::BeforeTheCosigner, Moment::AfterTheCosigner, Moment::Released];
    moments.extend((0..16).map(|round| Moment::After(if round < 2 { 0 } else { chance.below(60) })));
    moments
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_killed_at_any_stage_loses_no_verification_and_each_request_is_paid_once() {
    let cast = Cast::new().await;
    let signer = cast.line.running.lock().unwrap().signer.as_ref().unwrap().id();
    let mut paid: Vec<(WithdrawalOrder, WithdrawalView)> = Vec::new();
    for (number, moment) in blows_on_the_enclave().into_iter().enumerate() {
        let number = u64::try_from(number).unwrap();
        let request = cast.world.request(&format!("e{number}"), TAYLOR, 1_600_000 + number);
        let id = WithdrawalId::of(&request.organisation, &request.request_id);
        let order = order(&request, ("Robbins", "Taylor"));
        *cast.line.blow.lock().unwrap() = Some((moment, Victim::Enclave));
        if moment == Moment::After(0) {
            cast.line.strike(moment);
        }
        let asking = cast.ask_and_forget(&order);
        match moment {
            Moment::After(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Moment::Asked => cast.until_known(id).await,
            Moment::Released => asking.await.unwrap(),
            Moment::BeforeTheCosigner | Moment::AfterTheCosigner => {
                while cast.line.blow.lock().unwrap().is_some() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
        cast.line.strike(moment);
        let view = cast.ask_until_released(&order).await;
        judge(&view);
        let again = cast.ask_until_released(&order).await;
        assert_eq!(again.raw_transaction, view.raw_transaction, "{moment:?}");
        paid.push((order, view));
    }
    // each was told by which transaction it is paid
    for (_, view) in &paid {
        cast.world.until_told(view).await;
    }
    // the signer lived through all of it, with an enclave
    let alive = cast.line.running.lock().unwrap().signer.as_mut().unwrap().try_wait().unwrap().is_none();
    assert!(alive && children(signer).len() <= 1);
    let txids: BTreeSet<String> = paid.iter().map(|(_, view)| view.txid.clone().unwrap()).collect();
    assert_eq!(txids.len(), paid.len(), "one transaction paid two requests");
    let signed: BTreeSet<String> = cast.signed().await.into_iter().map(|row| row.txid).collect();
    assert_eq!(signed, txids, "something else was signed");
}
