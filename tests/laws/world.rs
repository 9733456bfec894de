//! A whole world in one process: signer, co-signer, enclave, relay, counterparty, and the people around them. Everything
//! is the real thing but the network between signer and co-signer, which is a tap that tests can cut and read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash;
use countersign::audit::{LogKey, WitnessKey};
use countersign::bitcoin::Branch;
use countersign::desk::*;
use countersign::enclave::verifyvasp::{Adapter, AdapterSettings};
use countersign::enclave::wire::tls::Identity as TlsIdentity;
use countersign::enclave::{
    self, DataKey, Door, Enclave, EnclaveFault, Health, KeyType, LookAsk, Looked, NoCustomers, Record,
    RelayPin, Search, TellAsk, Tellings, VerifyAsk, VerifyReply, Working,
};
use countersign::evidence::trust_file::*;
use countersign::evidence::*;
use countersign::flow::context::{Clock, Context, PartySettings};
use countersign::flow::cosign::desk::CosignerParts;
use countersign::flow::cosign::{Cosigner, KeyB};
use countersign::flow::rail::pins::SafePins;
use countersign::flow::signer::{Signer, SignerParts, StartFault, create_store};
use countersign::freeze::{Brake, Counter};
use countersign::keys;
use countersign::relay::robot::{Customer, Robot};
use countersign::relay::{self, Member, Standing};
use countersign::store::StoreUrl;
use countersign::withdrawal::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wallet_policy::{BUILT_IN, Guard, Policy, Settings};

pub use super::parties::*;
pub use super::server::*;

pub const COIN: u64 = 100_000_000;

/// Two more of the counterparty's customers, each with an address of its own.
pub const ETHAN: &str = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry";
pub const MINSU: &str = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6";

/// The same, on the EVM chain.
/// She also names what will be a deposit address of ours at this index.
pub const VERAS_INDEX: u32 = 50;
pub const VERA: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

/// What a test may change about a world before it starts.
pub struct Plan {
    pub signer_policy: Settings,
    pub cosigner_policy: Settings,
    /// The co-signer's rules, by file name.
    pub cosigner_files: &'static [(&'static str, &'static str)],
    pub trust: TrustContent,
    pub settings: PartySettings,
    /// The signer's adapter and the co-signer's route go here, and not through relay and robot.
    pub server: Option<Arc<Server>>,
    /// Whether the co-signer has a route of its own.
    pub route: bool,
}

impl Plan {
    /// A plan with an enclave server of the network in front of the robot; nothing where there is no Python.
    pub fn verifyvasp() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(dir.path(), &[])?;
        let mut plan = Self { server: Some(Arc::new(server)), ..Self::default() };
        plan.trust.vasps[0].identity_key = None;
        plan.trust.vasps[0].network = Some("verifyvasp".into());
        Some(plan)
    }
}

impl Default for Plan {
    fn default() -> Self {
        let settings = PartySettings {
            depth_min: 1,
            retry: Duration::from_millis(50),
            create_wait: Duration::from_secs(20),
            // Heads are witnessed with the reservations only, so that a thief can take the log over where it stands.
            witness_every: Duration::from_secs(3_600),
            ..PartySettings::default()
        };
        Self {
            signer_policy: policy_settings(),
            cosigner_policy: policy_settings(),
            cosigner_files: BUILT_IN,
            trust: trust_content(),
            settings,
            server: None,
            route: true,
        }
    }
}

/// The word on coins that nothing has changed.
pub const NOTHING_NEW: Body = Body::Coins { transactions: Vec::new(), coins: Vec::new() };

/// What the tap takes in one message: less than half of what the real line does.
const LINE_BYTES_MAX: usize = 6 * 1024 * 1024;

/// The line between signer and co-signer: it can be cut, and it remembers what was asked.
#[derive(Default)]
pub struct Tap {
    cosigner: RwLock<Option<Arc<Cosigner>>>,
    pub orders: Mutex<Vec<CosignOrder>>,
    /// Whether heads pass under which nothing is to be signed. A test that plays the signer's thief continues the log by
    /// itself; the real signer must not bring the co-signer another continuation meanwhile.
    pub idle_heads: AtomicBool,
    /// Whether orders are kept back: everything else passes.
    pub hold_orders: AtomicBool,
    /// A stolen co-signer's answer to what is taken back; the true one is not asked.
    pub forge_receipt: Mutex<Option<SignedText>>,
    /// What a stolen co-signer says in every no of its.
    pub forge_detail: Mutex<Option<String>>,
    /// How often the co-signer was asked how it stands.
    pub statuses: AtomicUsize,
    lose: AtomicBool,
    corrupt: Mutex<Option<Corrupt>>,
    /// Whether the co-signer is a stolen one whose cosignatures of the head are not its own.
    pub forge_heads: AtomicBool,
}

/// What a stolen co-signer makes of a signed PSBT.
type Corrupt = Box<dyn Fn(Vec<u8>) -> Vec<u8> + Send>;

impl Tap {
    /// From now on what the co-signer answers to an order or about a refill is lost on the way.
    pub fn lose_answers(&self, lose: bool) {
        self.lose.store(lose, Ordering::Relaxed);
    }

    /// From now on the co-signer is a stolen one, which gives back this instead of what was signed.
    pub fn corrupt(&self, with: impl Fn(Vec<u8>) -> Vec<u8> + Send + 'static) {
        *self.corrupt.lock().unwrap() = Some(Box::new(with));
    }

    fn there(&self) -> Result<Arc<Cosigner>, DeskError> {
        let there = self.cosigner.read().unwrap().clone();
        there.ok_or_else(|| DeskError::nothing_happened(Code::CosignerUnreachable, "the line is cut"))
    }
}

#[tonic::async_trait]
impl CosignDesk for Tap {
    async fn status(&self) -> Result<CosignStatus, DeskError> {
        self.statuses.fetch_add(1, Ordering::Relaxed);
        self.there()?.status().await
    }
    async fn submit_statements(
        &self,
        statements: Vec<SignedText>,
    ) -> Result<Vec<Result<StatementReceipt, Finding>>, DeskError> {
        let there = self.there()?;
        if statements.iter().map(|s| s.text.len()).sum::<usize>() > LINE_BYTES_MAX {
            return Err(DeskError::nothing_happened(Code::CosignerUnreachable, "the message is too large"));
        }
        there.submit_statements(statements).await
    }
    async fn attest_addresses(&self, orders: Vec<AttestationOrder>) -> Result<Vec<SignedText>, DeskError> {
        self.there()?.attest_addresses(orders).await
    }
    async fn attest_refill(&self, order: RefillAttestOrder) -> Result<SignedText, DeskError> {
        let word = self.there()?.attest_refill(order).await?;
        if self.lose.load(Ordering::Relaxed) {
            return Err(DeskError::may_have_happened(Code::CosignerUnreachable, "the answer was lost"));
        }
        Ok(word)
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
        if let Some(forged) = self.forge_receipt.lock().unwrap().clone() {
            return Ok(Voided::Receipt(forged));
        }
        self.there()?.void(order).await
    }
    async fn countersign(&self, order: CosignOrder) -> Result<CosignOutcome, DeskError> {
        let there = self.there()?;
        if order.items.is_empty() && !self.idle_heads.load(Ordering::Relaxed) {
            return Err(DeskError::nothing_happened(Code::CosignerUnreachable, "idle heads do not pass"));
        }
        if self.hold_orders.load(Ordering::Relaxed) {
            return Err(DeskError::nothing_happened(Code::CosignerUnreachable, "orders are kept back"));
        }
        self.orders.lock().unwrap().push(order.clone());
        let mut outcome = there.countersign(order).await?;
        if self.lose.load(Ordering::Relaxed) {
            return Err(DeskError::may_have_happened(Code::CosignerUnreachable, "the answer was lost"));
        }
        if let (true, HeadAnswer::Cosigned(line)) =
            (self.forge_heads.load(Ordering::Relaxed), &mut outcome.head)
        {
            *line = forged(line);
        }
        if let Some(said) = &*self.forge_detail.lock().unwrap() {
            for (_, verdict) in &mut outcome.verdicts {
                if let ItemVerdict::Refused(refusal) = verdict {
                    refusal.finding.detail.clone_from(said);
                }
            }
        }
        if let Some(corrupt) = &*self.corrupt.lock().unwrap() {
            for (_, verdict) in &mut outcome.verdicts {
                if let ItemVerdict::Signed(psbt) = verdict {
                    *psbt = corrupt(std::mem::take(psbt));
                }
            }
        }
        Ok(outcome)
    }
    async fn recall(&self, reservations: Vec<ReservationId>) -> Result<Vec<Recalled>, DeskError> {
        self.there()?.recall(reservations).await
    }
}

/// A cosignature line with one character of its signature changed.
fn forged(line: &str) -> String {
    let at = line.trim_end().len() - 20;
    let other = if &line[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &line[..at], &line[at + 1..])
}

/// What tests may do to the signer's enclave.
#[derive(Default)]
pub struct Ear {
    /// Nothing that is to be told gets through.
    pub deaf: AtomicBool,
    /// No verification gets through; it is said to be pending.
    pub slow: AtomicBool,
    /// How often a verification was asked about.
    pub asked: AtomicUsize,
    /// What got through.
    pub heard: Mutex<Vec<TellAsk>>,
}

/// The signer's enclave, behind an ear.
struct Listening(Arc<dyn Door>, Arc<Ear>);

impl Door for Listening {
    fn look<'a>(&'a self, ask: LookAsk<'a>) -> Working<'a, Result<Looked, EnclaveFault>> {
        self.0.look(ask)
    }

    fn verify(&self, ask: VerifyAsk) -> Working<'_, Result<VerifyReply, EnclaveFault>> {
        self.1.asked.fetch_add(1, Ordering::Relaxed);
        if self.1.slow.load(Ordering::Relaxed) {
            return Box::pin(async { Ok(VerifyReply::Pending) });
        }
        self.0.verify(ask)
    }

    fn tell(&self, asks: Vec<TellAsk>) -> Working<'_, Result<Tellings, EnclaveFault>> {
        if self.1.deaf.load(Ordering::Relaxed) {
            let (code, text) = (Code::EnclaveUnavailable, "deaf".to_owned());
            return Box::pin(async move { Err(EnclaveFault::Told { code, text, may_have_happened: true }) });
        }
        self.1.heard.lock().unwrap().extend(asks.clone());
        self.0.tell(asks)
    }

    fn health(&self) -> Working<'_, Result<Health, EnclaveFault>> {
        self.0.health()
    }
}

/// How a signer in a process of its own reaches the relay: DER, all of it.
pub struct Papers {
    pub relay: SocketAddr,
    pub root: Vec<u8>,
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

/// Who has a clock of its own.
#[derive(Clone, Copy)]
pub enum Who {
    Signer,
    Cosigner,
    Observer,
    Counterparty,
}

pub struct World {
    pub dir: tempfile::TempDir,
    pub plan: Plan,
    pub tap: Arc<Tap>,
    pub ear: Arc<Ear>,
    pub signer: Option<Signer>,
    pub cosigner: Option<Arc<Cosigner>>,
    ahead: Arc<AtomicU64>,
    /// How far each one's own clock is ahead of the world's, in seconds.
    skews: [Arc<AtomicI64>; 4],
    ca: Issuer<'static, KeyPair>,
    ca_certificate: CertificateDer<'static>,
    roots: RootCertStore,
    relay_address: SocketAddr,
    relay_stop: CancellationToken,
    robot: Option<Enclave>,
    numbers: AtomicU64,
    taken: Mutex<BTreeMap<StatementKind, u64>>,
    brakes: Mutex<BTreeMap<KeyRole, Arc<Brake>>>,
}

impl World {
    /// A world that runs, with nothing stated yet.
    pub async fn new(plan: Plan) -> Self {
        let mut world = Self::furnished(plan).await;
        world.start_cosigner().await;
        world.start_signer().await;
        world
    }

    /// A world where everything is made and neither party runs.
    pub async fn furnished(plan: Plan) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&ca_key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let mut world = Self {
            dir: tempfile::tempdir().unwrap(),
            plan,
            tap: Arc::default(),
            ear: Arc::default(),
            signer: None,
            cosigner: None,
            ahead: Arc::default(),
            skews: Default::default(),
            ca: Issuer::new(params, ca_key),
            ca_certificate: certificate.der().clone(),
            roots,
            relay_address: countersign::sandbox::ports::free().unwrap(),
            relay_stop: CancellationToken::new(),
            robot: None,
            numbers: AtomicU64::new(1),
            taken: Mutex::default(),
            brakes: Mutex::default(),
        };
        world.start_relay().await;
        world.start_robot().await;
        for (name, seed, label, origin) in
            [("signer", 0xa, "log", SIGNER_ORIGIN), ("cosigner", 0xb, "log", COSIGNER_ORIGIN)]
        {
            let identity = Arc::new(identity(seed, label));
            let key = LogKey::new(origin, &identity.public_key()).unwrap();
            let (url, secret) = (world.store(name), store_secret(seed));
            create_store(&url, &secret, key, identity, (name, world.now())).await.unwrap();
        }
        Enclave::create_database(&world.dir.path().join("enclave.db")).await.unwrap();
        world
    }

    /// What a signer in a process of its own must be given to reach the relay.
    pub fn papers(&self) -> Papers {
        let TlsIdentity { chain, key } = self.tls();
        Papers {
            relay: self.relay_address,
            root: self.ca_certificate.to_vec(),
            certificate: chain[0].to_vec(),
            key: key.secret_der().to_vec(),
        }
    }

    /// A world with fresh facts, `hot` coins of one bitcoin and that much cold.
    pub async fn funded(plan: Plan, coins: u64, cold_sat: u64) -> Self {
        let world = Self::new(plan).await;
        world.state_chain().await;
        world.state_price(PRICE).await;
        world.state_cold(cold_sat, &[]).await;
        world.fund("c1", &vec![COIN; usize::try_from(coins).unwrap()]).await;
        world
    }

    /// The clock of one of those who take part.
    pub fn clock_of(&self, who: Who) -> Clock {
        let (clock, skew) = (self.clock(), self.skews[who as usize].clone());
        Arc::new(move || Seconds(clock().0.saturating_add_signed(skew.load(Ordering::Relaxed))))
    }

    /// From now on the clock of this one is that far ahead of the world's.
    pub fn skew(&self, who: Who, seconds: i64) {
        self.skews[who as usize].store(seconds, Ordering::Relaxed);
    }

    pub fn clock(&self) -> Clock {
        let ahead = self.ahead.clone();
        Arc::new(move || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            Seconds(now + ahead.load(Ordering::Relaxed))
        })
    }

    pub fn now(&self) -> Seconds {
        (self.clock())()
    }

    pub fn later(&self, seconds: u64) {
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
    }

    pub fn store(&self, name: &str) -> StoreUrl {
        StoreUrl::parse(&format!("sqlite:{}", self.dir.path().join(format!("{name}.db")).display())).unwrap()
    }

    fn tls(&self) -> TlsIdentity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.ca).unwrap();
        TlsIdentity { chain: vec![leaf.der().clone()], key: PrivateKeyDer::Pkcs8(key.serialize_der().into()) }
    }

    async fn start_relay(&mut self) {
        let member = |vasp: VaspId, seed: u8| Member {
            vasp: vasp.to_string(),
            identity_key: public(seed),
            endpoint: None,
        };
        let limits = relay::Limits { retry_s_max: 1, call_s_max: 3, probe_s: 1, ..relay::Limits::default() };
        let config =
            relay::Config { members: vec![member(OWN_VASP, OWN), member(ROBOT_VASP, ROBOT)], limits };
        let standing =
            Standing { key: key(RELAY), tls: self.tls(), roots: self.roots.clone(), now: self.clock() };
        let listener = TcpListener::bind(self.relay_address).await.unwrap();
        let stop = self.relay_stop.clone();
        tokio::spawn(async move { relay::serve(config, standing, listener, stop).await.unwrap() });
    }

    fn enclave_settings(
        &self,
        vasp: VaspId,
        seed: u8,
        database: PathBuf,
        address: SocketAddr,
    ) -> enclave::Settings {
        let directory = [(OWN_VASP, OWN), (ROBOT_VASP, ROBOT)]
            .into_iter()
            .filter(|(id, _)| *id != vasp)
            .map(|(id, seed)| (id, key(seed).verifying_key().to_bytes()))
            .collect();
        enclave::Settings {
            vasp,
            identity: key(seed),
            data_key: DataKey::new(&[seed; 32]),
            database,
            directory,
            directory_version: 1,
            relay: RelayPin {
                url: format!("https://{}", self.relay_address),
                key: key(RELAY).verifying_key().to_bytes(),
            },
            roots: self.roots.clone(),
            tls: self.tls(),
            endpoint: format!("https://{address}"),
            vasps: Default::default(),
            screener: None,
            limits: enclave::Limits {
                retry_s_max: 1,
                assets: enclave_assets(),
                ..enclave::Limits::default()
            },
            now: self.clock_of(if vasp == OWN_VASP { Who::Signer } else { Who::Counterparty }),
        }
    }

    /// Stops the counterparty; it can be started again.
    pub async fn stop_robot(&mut self) {
        self.robot.take().unwrap().stop().await;
    }

    /// Stops the relay for good.
    pub fn stop_relay(&self) {
        self.relay_stop.cancel();
    }

    pub async fn start_robot(&mut self) {
        let database = self.dir.path().join("robot.db");
        if !database.exists() {
            Enclave::create_database(&database).await.unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = self.enclave_settings(ROBOT_VASP, ROBOT, database, listener.local_addr().unwrap());
        let customers = Robot::personas(TAYLOR, ETHAN, "bcrt1q-company")
            .with(Customer::person("KIM", "MINSU", &[MINSU]).with_local_name("김", "민수"))
            .with(Customer::person("Vale", "Vera", &[VERA, &deposit_address(VERAS_INDEX)]));
        self.robot = Some(Enclave::start(settings, Arc::new(customers), listener).await.unwrap());
    }

    fn context(&self, who: Who) -> Arc<Context> {
        let (party, policy, files) = match who {
            Who::Signer => (KeyRole::Signer, &self.plan.signer_policy, BUILT_IN),
            _ => (KeyRole::Cosigner, &self.plan.cosigner_policy, self.plan.cosigner_files),
        };
        let brake = brake(self.dir.path(), party);
        self.brakes.lock().unwrap().insert(party, brake.clone());
        Arc::new(Context {
            brake,
            asset: ASSET,
            wallet: Arc::new(hot_wallet()),
            cold: Arc::new(cold_wallet()),
            safes: SafePins::of(&trust(&self.plan.trust)).unwrap(),
            trust: Arc::new(trust(&self.plan.trust)),
            policy: Arc::new(Policy::load(files, policy.clone(), &Guard::of(policy)).unwrap()),
            policies: RwLock::default(),
            settings: self.plan.settings.clone(),
            clock: self.clock_of(who),
        })
    }

    pub async fn start_cosigner(&mut self) {
        self.try_start_cosigner().await.unwrap();
    }

    pub async fn try_start_cosigner(&mut self) -> Result<(), StartFault> {
        let log = identity(0xb, "log");
        let witness = identity(0xb, "witness");
        let parts = CosignerParts {
            context: self.context(Who::Cosigner),
            store: self.store("cosigner"),
            secret: store_secret(0xb),
            log_key: LogKey::new(COSIGNER_ORIGIN, &log.public_key()).unwrap(),
            log_identity: Arc::new(log),
            witness_key: WitnessKey::new(COSIGNER_ORIGIN, &witness.public_key()).unwrap(),
            witness_identity: Arc::new(witness),
            attestation: Arc::new(identity(0xb, "attestation")),
            hot_key: KeyB::Own(Arc::new(keystore(keys::KeyRole::Cosigner, 0xb).hot_key().unwrap())),
            seat: cosigner_seat(),
            route: self
                .plan
                .server
                .as_ref()
                .filter(|_| self.plan.route)
                .map(|server| Arc::new(server.route())),
        };
        let cosigner = Arc::new(Cosigner::start(parts).await?);
        self.cosigner = Some(cosigner.clone());
        *self.tap.cosigner.write().unwrap() = Some(cosigner);
        Ok(())
    }

    /// Cuts the line; the co-signer is still there.
    pub fn cut(&self) {
        *self.tap.cosigner.write().unwrap() = None;
    }

    /// Mends the line.
    pub fn mend(&self) {
        *self.tap.cosigner.write().unwrap() = self.cosigner.clone();
    }

    pub async fn start_signer(&mut self) {
        self.try_start_signer().await.unwrap();
    }

    /// The signer's adapter, over the same database as an enclave would have. The one before it was dropped as by a crash.
    pub async fn own_adapter(&self, server: &Server) -> Adapter {
        Adapter::start(self.adapter_settings(server)).await.unwrap()
    }

    /// What the signer's adapter runs on.
    pub fn adapter_settings(&self, server: &Server) -> AdapterSettings {
        AdapterSettings {
            vasp: OWN_VASP,
            directory: [ROBOT_VASP].into(),
            directory_version: 1,
            server: server.settings(SIGNER_TOKEN),
            database: self.dir.path().join("enclave.db"),
            data_key: DataKey::new(&[OWN; 32]),
            key_type: KeyType::PerVasp,
            screener: None,
            answer_wait: Duration::from_secs(3),
            expiry_s: 86_400,
            refresh: Duration::from_secs(30),
            kept_s: None,
            now: self.clock(),
        }
    }

    /// What the signer asks: its enclave, or its adapter.
    async fn own_door(&self) -> Arc<dyn Door> {
        match &self.plan.server {
            Some(server) => Arc::new(self.own_adapter(server).await),
            None => Arc::new(self.own_enclave().await),
        }
    }

    /// The signer's enclave. The one before it was dropped as by a crash, and may have its database locked until it is closed.
    pub async fn own_enclave(&self) -> Enclave {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let database = self.dir.path().join("enclave.db");
            let settings = self.enclave_settings(OWN_VASP, OWN, database, listener.local_addr().unwrap());
            match Enclave::start(settings, Arc::new(NoCustomers), listener).await {
                Ok(enclave) => return enclave,
                Err(fault) => assert!(tokio::time::Instant::now() < deadline, "{fault}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn try_start_signer(&mut self) -> Result<(), StartFault> {
        let enclave = self.own_door().await;
        let log = identity(0xa, "log");
        let parts = SignerParts {
            context: self.context(Who::Signer),
            store: self.store("signer"),
            secret: store_secret(0xa),
            log_key: LogKey::new(SIGNER_ORIGIN, &log.public_key()).unwrap(),
            identity: Arc::new(log),
            keys: signer_keys(),
            cosigner: self.tap.clone(),
            enclave: Arc::new(Listening(enclave, self.ear.clone())),
        };
        self.signer = Some(Signer::start(parts).await?);
        Ok(())
    }

    /// Waits until the signer's enclave was asked so often.
    pub async fn until_asked(&self, times: usize) {
        let asked = async {
            while self.ear.asked.load(Ordering::Relaxed) < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asked).await.expect("it is asked about");
    }

    pub async fn stop_signer(&mut self) {
        self.signer.take().unwrap().stop().await;
    }

    /// What the counterparty knows of the payment of that amount, if it was asked about it.
    pub async fn theirs(&self, sat: u64) -> Option<Record> {
        let found = self.robot.as_ref().unwrap().search(&Search { rpp: 100, ..Search::default() }).await;
        let amount = format!("{}.{:08}", sat / COIN, sat % COIN);
        let records = found.unwrap().records;
        records
            .into_iter()
            .find(|r| r.asset_info.amount.trim_end_matches('0') == amount.trim_end_matches('0'))
    }

    /// Waits until the counterparty knows of the payment of that amount what is wanted.
    pub async fn until_theirs(&self, sat: u64, wanted: impl Fn(&Record) -> bool) -> Record {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let record = self.theirs(sat).await;
            match record {
                Some(record) if wanted(&record) => return record,
                record => assert!(tokio::time::Instant::now() < deadline, "still {record:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the counterparty knows of a released withdrawal by which output of which transaction it is paid.
    pub async fn until_told(&self, view: &WithdrawalView) {
        let sat = view.request.amount.sat().unwrap();
        let record = self.until_theirs(sat, |record| record.tx_hash.is_some()).await;
        let transaction: bitcoin::Transaction =
            bitcoin::consensus::encode::deserialize(&view.raw_transaction).unwrap();
        assert_eq!(record.tx_hash, Some(transaction.compute_txid().to_string()));
        let vout: usize = record.vout.as_ref().unwrap().parse().unwrap();
        let destination =
            countersign::bitcoin::Destination::parse(&view.request.destination, NETWORK).unwrap();
        assert_eq!(transaction.output[vout].value.to_sat(), sat);
        assert_eq!(transaction.output[vout].script_pubkey.as_script(), destination.script_pubkey());
        assert_eq!(record.result, enclave::Outcome::Verified);
    }

    pub fn stop_cosigner(&mut self) {
        self.cut();
        self.cosigner = None;
    }

    /// The files of a stopped party's database, once its last connection is closed.
    ///
    /// SQLite removes the write-ahead log when the last connection closes, but not when two close at the same instant:
    /// each takes the other for still open. So another one comes and goes, until it was alone.
    pub async fn backup(&self, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let wal = self.dir.path().join(format!("{name}.db-wal"));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while wal.exists() {
            assert!(tokio::time::Instant::now() < deadline, "{name}'s database is still open");
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.sql(name, "PRAGMA schema_version").await;
        }
        let files = std::fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().path());
        let own =
            |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}.db"));
        files.filter(own).map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
    }

    /// Puts the files of a backup in the place of a party's database.
    pub async fn restore(&self, name: &str, backup: &[(PathBuf, Vec<u8>)]) {
        self.backup(name).await.iter().for_each(|(path, _)| std::fs::remove_file(path).unwrap());
        backup.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    }

    /// Does something to a party's database behind its back.
    pub async fn sql(&self, name: &str, statement: &str) -> u64 {
        use sqlx::{Connection, Executor};
        let path = self.dir.path().join(format!("{name}.db"));
        let mut db = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
        let done = db.execute(sqlx::AssertSqlSafe(statement.to_owned())).await.unwrap();
        db.close().await.unwrap();
        done.rows_affected()
    }

    /// Stops the signer as a crash would, and starts it again over the same store.
    pub async fn restart_signer(&mut self) {
        self.signer.take().unwrap().stop().await;
        self.start_signer().await;
    }

    pub fn desk(&self) -> Arc<countersign::flow::desk::SignerDesk> {
        self.signer.as_ref().unwrap().desk()
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// What the observer says next; it follows the last that was taken.
    pub fn statement(&self, body: Body) -> SignedText {
        let number = self.number();
        let after = self.taken.lock().unwrap().get(&body.kind()).copied().unwrap_or_default();
        let at = self.clock_of(Who::Observer)();
        let statement = Statement { observer: "watcher".into(), number, after, at, body };
        signed(sign_statement(&statement, ed25519(&key(OBSERVER))).unwrap(), "watcher")
    }

    pub async fn state(&self, body: Body) {
        let kind = body.kind();
        let said = self.statement(body);
        let taken = self.desk().submit(&caller(Role::Observer, "watcher"), said).await.unwrap();
        self.taken.lock().unwrap().insert(kind, taken.number);
    }

    /// The chain as it is: height 200, two satoshi a virtual byte.
    pub fn chain(&self) -> Body {
        Body::Chain(vec![ChainFact { chain: Chain::Bitcoin(NETWORK), height: 200, fee_rate: FeeRate(2_000) }])
    }

    pub async fn state_chain(&self) {
        self.state(self.chain()).await;
    }

    /// The hash of the policy the signer has, hex.
    pub fn policy_hash(&self) -> String {
        hash_of(BUILT_IN, &self.plan.signer_policy)
    }

    /// The hash of the policy the co-signer has, hex.
    pub fn cosigner_policy_hash(&self) -> String {
        hash_of(self.plan.cosigner_files, &self.plan.cosigner_policy)
    }

    pub fn cosigner(&self) -> Arc<Cosigner> {
        self.cosigner.clone().unwrap()
    }

    /// Stops the co-signer as a crash would, and starts it again over the same store.
    pub async fn restart_cosigner(&mut self) {
        self.cut();
        self.cosigner = None;
        self.start_cosigner().await;
    }

    /// The leaves of the signer's log.
    pub async fn leaves(&self) -> Vec<Vec<u8>> {
        let log = self.signer.as_ref().unwrap().log();
        log.leaves(0..log.head().size).await.unwrap()
    }

    /// The signer's log.
    pub fn log(&self) -> Arc<countersign::flow::ledger::journal::LogView> {
        self.signer.as_ref().unwrap().log()
    }

    /// Turns the clock back.
    pub fn earlier(&self, seconds: u64) {
        self.ahead.fetch_sub(seconds, Ordering::Relaxed);
    }

    pub async fn state_price(&self, krw: u128) {
        self.state(Body::Price(vec![(ASSET, Krw(krw))])).await;
    }

    /// The whole position: what lies cold, and that no coin has changed.
    pub async fn state_cold(&self, sat: u64, swept: &[[u8; 32]]) {
        let cold = vec![(ASSET, Amount::from_sat(sat))];
        self.state(NOTHING_NEW).await;
        self.state(Body::Position { cold, swept: swept.to_vec() }).await;
    }

    /// A customer's deposit address.
    pub async fn address(&self, customer: &str) -> AddressView {
        let order = AddressOrder {
            organisation: Organisation::parse("acme").unwrap(),
            asset: ASSET,
            customer_ref: CustomerRef::parse(customer).unwrap(),
        };
        AddressDesk::create(&*self.desk(), &caller(Role::Exchange, "acme"), order).await.unwrap()
    }

    /// Pays these amounts to a customer's address in one confirmed transaction, and states the coins.
    pub async fn fund(&self, customer: &str, amounts: &[u64]) -> Body {
        let address = self.address(customer).await;
        let script = hot_wallet().script(Branch::Deposit, address.index).unwrap().script_pubkey().to_owned();
        let body = self.deposit(script, amounts);
        self.state(body.clone()).await;
        body
    }

    /// A made-up transaction that pays a script.
    pub fn deposit(&self, script: bitcoin::ScriptBuf, amounts: &[u64]) -> Body {
        let salt = self.number();
        let mut previous = [7u8; 32];
        previous[..8].copy_from_slice(&salt.to_be_bytes());
        let transaction = bitcoin::Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![bitcoin::TxIn {
                previous_output: bitcoin::OutPoint {
                    txid: bitcoin::Txid::from_byte_array(previous),
                    vout: 0,
                },
                script_sig: bitcoin::ScriptBuf::new(),
                sequence: bitcoin::Sequence::MAX,
                witness: bitcoin::Witness::new(),
            }],
            output: amounts
                .iter()
                .map(|sat| bitcoin::TxOut {
                    value: bitcoin::Amount::from_sat(*sat),
                    script_pubkey: script.clone(),
                })
                .collect(),
        };
        let txid = transaction.compute_txid().to_byte_array();
        let coins = (0..u32::try_from(amounts.len()).unwrap())
            .map(|vout| Coin { txid, vout, confirmations: 6 })
            .collect();
        Body::Coins { transactions: vec![serialize(&transaction)], coins }
    }

    pub fn request(&self, id: &str, destination: &str, sat: u64) -> WithdrawalRequest {
        WithdrawalRequest {
            organisation: Organisation::parse("acme").unwrap(),
            request_id: RequestId::parse(id).unwrap(),
            customer_ref: CustomerRef::parse("customer-1").unwrap(),
            asset: ASSET,
            destination: destination.to_owned(),
            amount: Amount::from_sat(sat),
            fee_max: Amount::from_sat(20_000),
            beneficiary_vasp: ROBOT_VASP,
            asked_at: self.now(),
        }
    }

    /// Asks for a withdrawal to one of the counterparty's customers, and waits for what is said of it.
    pub async fn ask(
        &self,
        request: &WithdrawalRequest,
        name: (&str, &str),
    ) -> Result<WithdrawalView, DeskError> {
        let order = order(request, name);
        WithdrawalDesk::create(&*self.desk(), &caller(Role::Exchange, "acme"), order).await
    }

    pub async fn withdraw(&self, id: &str, sat: u64) -> WithdrawalView {
        self.ask(&self.request(id, TAYLOR, sat), ("Robbins", "Taylor")).await.unwrap()
    }

    pub async fn find(&self, id: WithdrawalId) -> WithdrawalView {
        self.desk().find(&caller(Role::Exchange, "acme"), WithdrawalPick::Id(id)).await.unwrap()
    }

    /// Waits until a withdrawal is as wanted.
    pub async fn until(&self, id: WithdrawalId, wanted: impl Fn(&WithdrawalView) -> bool) -> WithdrawalView {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let view = self.find(id).await;
            if wanted(&view) {
                return view;
            }
            assert!(tokio::time::Instant::now() < deadline, "still {:?} {:?}", view.stage, view.outcome);
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The brake of a party that runs.
    pub fn brake(&self, party: KeyRole) -> Arc<Brake> {
        self.brakes.lock().unwrap()[&party].clone()
    }

    /// The counter of a party's brake, with its own trust file, policy and clock.
    pub fn counter(&self, party: KeyRole) -> Counter {
        let policy =
            if party == KeyRole::Signer { &self.plan.signer_policy } else { &self.plan.cosigner_policy };
        let trust = Arc::new(trust(&self.plan.trust));
        Counter::new(self.brake(party), trust, policy.freeze.clone(), self.clock())
    }

    /// Approves as an operator.
    pub async fn approve(&self, id: WithdrawalId, seed: u8) -> Result<WithdrawalView, DeskError> {
        let pending = self.desk().pending(&caller(Role::Operator, "x"), page()).await.unwrap();
        let text = pending.items.iter().find(|p| p.withdrawal == id).expect("nothing waits").text.clone();
        let signature = sign_ssh(&ssh_private(seed), NAMESPACE_APPROVAL, &text).unwrap();
        self.desk().approve(&caller(Role::Operator, "x"), ApprovalOrder { withdrawal: id, signature }).await
    }
}

/// A plan with the Safes of an EVM chain, ether and a token.
pub fn evm_plan() -> Plan {
    let mut plan = Plan::default();
    plan.trust.wallets.push(safes_entry());
    (plan.signer_policy, plan.cosigner_policy) = (evm_policy_settings(), evm_policy_settings());
    plan
}

/// What the enclaves of the world know.
fn enclave_assets() -> Vec<enclave::Coin> {
    let usdt = Denomination::new("USDT", 6).unwrap();
    let evm = [(ether(), Denomination::ether()), (token(), usdt)];
    let evm = evm.map(|(asset, denomination)| enclave::Coin::own(asset, denomination));
    Network::ALL.into_iter().map(enclave::Coin::bitcoin).chain(evm).collect()
}

fn hash_of(files: &[(&str, &str)], policy: &Settings) -> String {
    Policy::load(files, policy.clone(), &Guard::of(policy)).unwrap().hash_hex()
}

pub fn page() -> PageOrder {
    PageOrder { size_max: 100, token: None }
}

pub fn caller(role: Role, name: &str) -> Caller {
    Caller { role, name: name.to_owned(), not_after: Seconds(u64::MAX) }
}

pub fn signed(signed: Signed, key_id: &str) -> SignedText {
    SignedText { text: signed.text, key_id: key_id.to_owned(), signature: signed.signature }
}

pub fn sign(request: &WithdrawalRequest) -> SignedText {
    signed(sign_request(request, ed25519(&key(EXCHANGE))).unwrap(), "k1")
}

/// An IVMS101 payload about one person each side.
pub fn ivms(name: (&str, &str), address: &str) -> Vec<u8> {
    let person = |primary: &str, secondary: &str| {
        serde_json::json!({"naturalPerson": {
            "name": {"nameIdentifier": [{
                "primaryIdentifier": primary, "secondaryIdentifier": secondary, "nameIdentifierType": "LEGL"
            }]},
            "customerIdentification": "c-1",
        }})
    };
    serde_json::to_vec(&serde_json::json!({
        "originator": {"originatorPersons": [person("LEE", "JIHYE")], "accountNumber": ["c-1"]},
        "beneficiary": {"beneficiaryPersons": [person(name.0, name.1)], "accountNumber": [address]},
    }))
    .unwrap()
}

/// That the exchange takes a request back.
pub fn cancel_of(request: &WithdrawalRequest, seed: u8) -> SignedText {
    let cancel = CancelRequest {
        organisation: request.organisation.clone(),
        request_id: request.request_id.clone(),
        asked_at: request.asked_at,
    };
    signed(sign_cancel(&cancel, ed25519(&key(seed))).unwrap(), "k1")
}

pub fn order(request: &WithdrawalRequest, name: (&str, &str)) -> WithdrawalOrder {
    WithdrawalOrder { request: sign(request), ivms101: Payload::new(ivms(name, &request.destination)) }
}

/// The codes of an outcome.
pub fn codes(view: &WithdrawalView) -> Vec<&'static str> {
    match &view.outcome {
        Outcome::Held(findings) | Outcome::Refused(findings) => {
            findings.iter().map(|f| f.code.as_str()).collect()
        }
        Outcome::Moving => vec!["MOVING"],
        Outcome::Released => vec!["RELEASED"],
    }
}
