//! The two parties, each in a process of its own: this program started again with a role.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use countersign::audit::{LogKey, WitnessKey};
use countersign::cosigner::{RemoteCosigner, RemoteLimits};
use countersign::desk::Role;
use countersign::enclave::wall::{Inside, Launch, Outside};
use countersign::enclave::{self, DataKey, Door, Enclave, NoCustomers, RelayPin};
use countersign::flow::cosign::desk::CosignerParts;
use countersign::flow::cosign::{Cosigner, KeyB};
use countersign::flow::signer::{Signer, SignerParts, create_store};
use countersign::grpc::{Desks, Limits, Server, system_clock};
use countersign::keys::KeyRole;
use countersign::pki;
use countersign::wire::channel::ChannelOrder;
use countersign::withdrawal::{Denomination, Network, Seconds, VaspId};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::Args;
use crate::world::*;

/// A party that runs.
pub struct Party {
    pub name: &'static str,
    pub address: String,
    pub child: Child,
}

impl Party {
    /// Starts this program again, and waits until it listens.
    pub async fn start(name: &'static str, dir: &Path, args: &[&str]) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program)
            .args(["--role", name, "--dir", dir.to_str().unwrap()])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = said.next_line().await.unwrap().expect("the party stopped");
        tokio::spawn(async move {
            while let Ok(Some(line)) = said.next_line().await {
                println!("{line}")
            }
        });
        Self { name, address, child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// The processes it has started.
    pub fn children(&self) -> Vec<u32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let of = |task: PathBuf| std::fs::read_to_string(task.join("children")).unwrap_or_default();
        let listed: Vec<String> = tasks.map(|task| of(task.unwrap().path())).collect();
        listed.iter().flat_map(|list| list.split_whitespace()).map(|pid| pid.parse().unwrap()).collect()
    }

    /// Tells it to stop, and waits.
    pub async fn stop(mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait().await;
    }
}

/// Until whoever started this process goes away.
async fn told_to_stop() {
    let mut rest = Vec::new();
    let _ = tokio::io::stdin().read_to_end(&mut rest).await;
}

async fn serve(dir: &Path, name: &str, desks: Desks) {
    let (authorities, identity) = pem(dir, name);
    let tls = pki::server_config(&authorities, identity).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let server = Server { tls, limits: Limits::default(), clock: system_clock(), desks };
    server.serve(listener, told_to_stop()).await.unwrap();
}

async fn store_made(dir: &Path, name: &'static str, seed: u8, origin: &str) {
    let identity = Arc::new(identity(seed, "log"));
    let key = LogKey::new(origin, &identity.public_key()).unwrap();
    let now = Seconds(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs());
    create_store(&store(dir, name), &store_secret(seed), key, identity, (name, now)).await.unwrap();
}

/// The co-signer's process.
pub async fn cosigner(dir: PathBuf, with_token: bool) {
    store_made(&dir, "cosigner", 0xb, COSIGNER_ORIGIN).await;
    let (log, witness) = (identity(0xb, "log"), identity(0xb, "witness"));
    let parts = CosignerParts {
        context: context(&dir, countersign::withdrawal::KeyRole::Cosigner, with_token),
        store: store(&dir, "cosigner"),
        secret: store_secret(0xb),
        log_key: LogKey::new(COSIGNER_ORIGIN, &log.public_key()).unwrap(),
        log_identity: Arc::new(log),
        witness_key: WitnessKey::new(COSIGNER_ORIGIN, &witness.public_key()).unwrap(),
        witness_identity: Arc::new(witness),
        attestation: Arc::new(identity(0xb, "attestation")),
        hot_key: KeyB::Own(Arc::new(keystore(KeyRole::Cosigner, 0xb).hot_key().unwrap())),
        seat: cosigner_seat(),
        route: None,
    };
    let desk = Cosigner::start(parts).await.unwrap();
    serve(&dir, "cosigner", Desks { cosign: Some(Arc::new(desk)), ..Desks::default() }).await;
}

/// An enclave's settings, the same for the signer's own and the counterparty's.
pub fn enclave_settings(
    dir: &Path,
    (vasp, seed): (VaspId, u8),
    relay: &str,
    address: SocketAddr,
) -> enclave::Settings {
    let (roots, tls) = travel_tls(dir);
    let others = [(OWN_VASP, OWN), (ROBOT_VASP, ROBOT)].into_iter().filter(|(id, _)| *id != vasp);
    enclave::Settings {
        directory_version: 1,
        vasps: Default::default(),
        vasp,
        identity: key(seed),
        data_key: DataKey::new(&[seed; 32]),
        database: dir.join(format!("enclave-{vasp}.db")),
        directory: others.map(|(id, seed)| (id, key(seed).verifying_key().to_bytes())).collect(),
        relay: RelayPin { url: format!("https://{relay}"), key: key(RELAY).verifying_key().to_bytes() },
        roots,
        tls,
        endpoint: format!("https://{address}"),
        screener: None,
        limits: enclave::Limits {
            retry_s_max: 1,
            waiting_max: 100_000,
            assets: assets(),
            ..enclave::Limits::default()
        },
        now: countersign::flow::context::machine_clock(),
    }
}

/// What may be asked about: bitcoin, and the token.
fn assets() -> Vec<enclave::Coin> {
    let coin = enclave::Coin::own(token(), Denomination::new("USDT", 6).unwrap());
    Network::ALL.into_iter().map(enclave::Coin::bitcoin).chain([coin]).collect()
}

async fn own_enclave(dir: &Path, relay: &str) -> Enclave {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = enclave_settings(dir, (OWN_VASP, OWN), relay, listener.local_addr().unwrap());
    Enclave::create_database(&settings.database).await.unwrap();
    Enclave::start(settings, Arc::new(NoCustomers), listener).await.unwrap()
}

/// The signer's enclave, in the process that the signer starts.
pub async fn enclave(dir: &Path, relay: &str, line: Inside) {
    let enclave = own_enclave(dir, relay).await;
    let address = enclave.address();
    line.serve(Arc::new(enclave), address).await.unwrap();
}

/// The same program as the enclave of this signer.
fn launch(args: &Args) -> Launch {
    let dir = args.dir.as_ref().unwrap().to_str().unwrap();
    let workers = args.workers.to_string();
    let arguments = ["--role", "enclave", "--dir", dir, "--relay", &args.relay, "--workers", &workers];
    Launch {
        program: std::env::current_exe().unwrap(),
        arguments: arguments.map(Into::into).into(),
        owner: None,
        answer_wait: std::time::Duration::from_secs(6),
    }
}

/// The signer's process.
pub async fn signer(args: Args) {
    let dir = args.dir.clone().unwrap();
    store_made(&dir, "signer", 0xa, SIGNER_ORIGIN).await;
    let enclave: Arc<dyn Door> = match args.no_wall {
        true => Arc::new(own_enclave(&dir, &args.relay).await),
        false => Arc::new(Outside::start(launch(&args)).await.unwrap()),
    };
    let (authorities, identity_pem) = pem(&dir, "signer");
    let tls = pki::client_config(&authorities, identity_pem).unwrap();
    let order = ChannelOrder { address: args.cosigner, tls, server_role: Role::Cosigner };
    let log = identity(0xa, "log");
    let parts = SignerParts {
        context: context(&dir, countersign::withdrawal::KeyRole::Signer, args.token),
        store: store(&dir, "signer"),
        secret: store_secret(0xa),
        log_key: LogKey::new(SIGNER_ORIGIN, &log.public_key()).unwrap(),
        identity: Arc::new(log),
        keys: signer_keys(),
        cosigner: Arc::new(RemoteCosigner::new(&order, RemoteLimits::default()).unwrap()),
        enclave,
    };
    let signer = Signer::start(parts).await.unwrap();
    serve(&dir, "signer", Desks::of_signer(&signer.desk())).await;
    signer.stop().await;
}
