//! The whole cast on one machine, with throwaway keys: what a stranger sees first.
//!
//! Signer, co-signer and relay are processes of their own, each this same binary in its usual role, and no process ever
//! holds two keys to coins. Exchange, observer, operator, auditor and the counterparty VASP are played here and use only
//! the public wire. In the order of the story: [`seeds`], [`papers`], [`configs`], [`children`], [`robot`], then [`play`]
//! with [`cases`], and at the end [`audit`] and [`report`].

pub mod anvil;
pub mod audit;
pub mod cases;
pub mod children;
pub mod configs;
pub mod evm;
pub mod exchange;
pub mod fault;
pub mod folder;
pub mod house;
pub mod observer;
pub mod papers;
pub mod play;
pub mod played;
pub mod policy;
pub mod ports;
pub mod released;
pub mod report;
pub mod robot;
pub mod safe_tx;
pub mod seeds;
pub mod serve;
pub mod telling;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

pub use self::fault::Fault;

use self::anvil::Anvil;
use self::audit::{Auditor, VerifiedHead};
use self::cases::Cases;
use self::children::{Child, Children};
use self::configs::Listeners;
use self::exchange::Exchange;
use self::folder::Folder;
use self::house::House;
use self::observer::Observer;
use self::papers::Keys;
use self::play::Cast;
use self::played::Played;
use self::report::Report;
use self::seeds::Seeds;
use crate::cli::SandboxArgs;
use crate::cli::answer::{Answer, Out};
use crate::cli::problem::Exit;
use crate::desk::Role;
use crate::enclave::Enclave;
use crate::grpc::{Client, ClientOrder};
use crate::pki::PemFiles;
use crate::withdrawal::evm_address::spell;
use crate::withdrawal::{Asset, Network, Seconds, VaspId};

/// The chain it plays on: one that costs nothing and nobody else is on.
pub const NETWORK: Network = Network::Regtest;
/// The asset it plays with.
pub const ASSET: Asset = Asset::Bitcoin(NETWORK);
/// The exchange.
pub const ORGANISATION: &str = "hanbit";
/// The counterparty VASP: the number of the network's test VASP for Korea.
pub const ROBOT_VASP: VaspId = VaspId(4_855_741_808_338_010_592);
/// Its name.
pub const ROBOT_NAME: &str = "Robot VASP";

/// The machine's clock.
pub fn now() -> Seconds {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Seconds(since.map_or(0, |since| since.as_secs()))
}

/// Plays everything and says how it ended.
pub fn main(args: SandboxArgs) -> ExitCode {
    let out = Out { json: args.json };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(source) => Err(Fault::file("the runtime", source)),
    };
    let answer = ended.map(|()| Answer::silent(Exit::Ok)).map_err(|fault| fault.problem());
    out.end(answer).into()
}

/// Plays everything. However it ends, every child is stopped and the folder is removed.
pub async fn run(args: SandboxArgs) -> Result<(), Fault> {
    let cases = Cases::read(args.file.as_deref())?;
    let folder = Folder::create(args.keep_dir.as_deref())?;
    let mut children = Children::default();
    let played = tokio::select! {
        played = story(&args, &cases, &folder, &mut children) => played,
        () = serve::interrupted() => Err(Fault::Interrupted),
    };
    let told = match played {
        Ok(mut world) => {
            let served = if args.serve { serve::serve(&mut world, &mut children).await } else { Ok(()) };
            world.robot.stop().await;
            served
        }
        Err(fault) => Err(fault),
    };
    let told = told.map_err(|fault| children.explain(fault));
    children.stop().await;
    told
}

/// Everybody who plays, and where they listen.
pub struct World {
    /// Who comes from outside.
    pub cast: Cast,
    /// Who listens where.
    pub listeners: Listeners,
    /// The counterparty VASP.
    pub robot: Enclave,
    /// The chain, where there is one, and what stands before it.
    pub house: Option<House>,
}

async fn story(
    args: &SandboxArgs,
    cases: &Cases,
    folder: &Folder,
    children: &mut Children,
) -> Result<World, Fault> {
    let report = Report::new(args.json);
    report.title("countersign sandbox: throwaway keys, regtest, everything on loopback");
    let modules = anvil::folder(args.evm_dir.as_deref());
    let (mut world, seeds) = set_up(cases, folder, children, (report, modules.as_deref())).await?;
    world.cast.begin().await?;
    let mut played = Vec::new();
    for (number, case) in (1..).zip(&cases.cases) {
        report.case(number, case);
        let one = world.cast.play(case, &played).await?;
        played.push(one);
    }
    let paid = match &world.house {
        Some(house) => Some(house.paid(folder, &played).await?),
        None => None,
    };
    world.cast.position().await?;
    let log = verify(&world.cast, &played).await?;
    report.summary(&played);
    tell_log(report, &log, &played);
    let on_chain = world.house.as_ref().zip(paid);
    if let Some((house, paid)) = &on_chain {
        house.tell(report, &played, paid);
    }
    let go_on = serve::GoOn::new(folder, &world.listeners, args.serve);
    go_on.tell(report);
    if args.json {
        let mut document = document(&played, &log, &seeds, &go_on);
        let chain = on_chain.map(|(house, paid)| house.json(&played, &paid));
        if let (Some(map), Some(chain)) = (document.as_object_mut(), chain) {
            map.insert("chain".into(), chain);
        }
        Out { json: true }.print(&document, "");
    }
    Ok(world)
}

/// Makes keys, papers and configurations, and starts the processes in the order in which they need each other.
async fn set_up(
    cases: &Cases,
    folder: &Folder,
    children: &mut Children,
    (report, modules): (Report, Option<&Path>),
) -> Result<(World, Seeds), Fault> {
    let seeds = seeds::make(folder).await?;
    let keys = Keys::create(folder)?;
    papers::certificates(folder)?;
    let trust = keys.trust(folder, &seeds, modules.is_some())?;
    let listeners = Listeners::choose()?;
    configs::write(folder, &listeners, &keys, &seeds)?;
    let config = |party: &str| -> Vec<OsString> {
        vec![party.into(), "--config".into(), folder.at(&format!("{party}/{party}.toml")).into()]
    };
    let cosigner = children.add(Child::start("cosigner", &config("cosigner"))?);
    let relay = children.add(Child::start("relay", &config("relay"))?);
    // The co-signer answers to the signer's certificate; the health of a listener is everybody's to ask.
    let to_cosigner = client(folder, Role::Auditor, (listeners.cosigner, Role::Cosigner))?;
    children.at(cosigner)?.serves(&to_cosigner).await?;
    children.at(relay)?.listens(listeners.relay).await?;
    let signer = children.add(Child::start("signer", &config("signer"))?);
    let robot = robot::start(folder, (&listeners, &keys, &seeds), robot::customers(&cases.robot)).await?;
    let house = match modules {
        Some(modules) => {
            let anvil = Anvil::start(modules, &seeds.safes).await?;
            Some(House::open(anvil, folder, children, (&keys, listeners.signer)).await?)
        }
        None => None,
    };
    let to_signer = |role| client(folder, role, (listeners.signer, Role::Signer));
    children.at(signer)?.serves(&to_signer(Role::Auditor)?).await?;
    tell_cast(report, children, &listeners, &seeds);
    let auditor = Auditor::new(to_signer(Role::Auditor)?, trust.signer_log_key(), trust.cosigner_log_key())?;
    let hot = crate::bitcoin::WalletDescriptor::parse(NETWORK, seeds.hot.as_str());
    let cast = Cast {
        exchange: Exchange::open(to_signer(Role::Exchange)?, keys.exchange).await?,
        observer: Observer::new(
            to_signer(Role::Observer)?,
            keys.observer,
            house.is_none().then(|| seeds.safes.fact(observer::HEIGHT)),
        ),
        operator: (to_signer(Role::Operator)?, keys.operator),
        auditor,
        trust,
        safe: seeds.safes.hot.clone(),
        wallet: hot.map_err(|invalid| Fault::setup("the wallet", invalid))?,
        told: 0,
        customers: 0,
        on_chain: house.is_some(),
        report,
    };
    Ok((World { cast, listeners, robot, house }, seeds))
}

fn client(folder: &Folder, role: Role, to: (std::net::SocketAddr, Role)) -> Result<Client, Fault> {
    let files = PemFiles::in_folder(&folder.at("tls"), role.as_str());
    let order = ClientOrder { address: to.0.to_string(), files, server_role: to.1 };
    Client::open(&order).map_err(|fault| Fault::setup("a client", fault))
}

fn tell_cast(report: Report, children: &Children, listeners: &Listeners, seeds: &Seeds) {
    report.section("The cast");
    let pid = |name: &str| children.id(name).map_or_else(|| "ended".to_owned(), |id| format!("process {id}"));
    let line = |name: &str, address: std::net::SocketAddr, what: &str| {
        report.fact(name, &format!("{:<16} {address:<16} {what}", pid(name)));
    };
    line("signer", listeners.signer, "key A, the ledger, the log; the travel rule in a process of its own");
    line("cosigner", listeners.cosigner, "key B; decides again by itself");
    line("relay", listeners.relay, "carries sealed travel-rule parcels");
    report.fact(
        "robot",
        &format!(
            "{:<16} {:<16} the beneficiaries' VASP, reached through the relay",
            "played here", listeners.robot
        ),
    );
    if children.id("executor").is_some() {
        let line = |name: &str, what: &str| report.fact(name, &format!("{:<16} {what}", pid(name)));
        line("observer", "asks the chain's nodes, states the Safe and what became of its transactions");
        line("executor", "carries what the Safe pays, and pays the gas");
    }
    report.fact("others", "exchange, observer, operator, auditor: played here, over the public wire only");
    report.fact(
        "hot wallet",
        &format!("{}  2 of 3: signer, co-signer, vault (its key lies unused)", seeds.hot.fingerprint()),
    );
    report.fact("cold wallet", &format!("{}  2 of 3, watch-only", seeds.cold.fingerprint()));
    let (safe, cold) = (spell(seeds.safes.hot.address()), spell(seeds.safes.cold));
    report.fact("hot safe", &format!("{safe}  the same three, on {}", evm::CHAIN));
    report.fact("cold safe", &format!("{cold}  watch-only"));
    report.fact("trust file", "version 1, signed by choi and jung (2 of 3 people)");
}

/// Verifies the log up to a head that covers every case, and each case's own entry under it.
async fn verify(cast: &Cast, played: &[Played]) -> Result<VerifiedHead, Fault> {
    let newest = played.iter().filter_map(|one| one.log_index).max().unwrap_or_default();
    let verified = cast.auditor.verify(newest).await?;
    for index in played.iter().filter_map(|one| one.log_index) {
        cast.auditor.prove(&verified, index).await?;
    }
    Ok(verified)
}

fn tell_log(report: Report, log: &VerifiedHead, played: &[Played]) {
    report.section("The log, verified from its first entry");
    report.fact("origin", &log.origin);
    report.fact("head", &format!("{} entries, root {}", log.head.size, hex(&log.head.root.0)));
    report.fact("signed", "by the signer, over exactly this head");
    report.fact("cosigned", &format!("by {} at {}", log.witness, log.cosigned_at));
    let logged = played.iter().filter(|one| one.log_index.is_some()).count();
    report.fact("proved", &format!("the inclusion of the entries of all {logged} cases in it (RFC 6962)"));
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// The Safes and the token, as the trust file pins them.
fn safe(seeds: &Seeds) -> Value {
    let entry = seeds.safes.entry();
    let owners = entry.safe.as_ref().map(|safe| [&safe.signer, &safe.cosigner, &safe.vault]);
    let token = entry.tokens.first();
    json!({
        "chain_id": evm::CHAIN.number(), "hot": entry.hot, "cold": entry.cold, "owners": owners,
        "token": token.map(|token| json!({ "contract": token.contract, "symbol": token.symbol, "decimals": token.decimals })),
    })
}

/// The one document for programs.
fn document(played: &[Played], log: &VerifiedHead, seeds: &Seeds, go_on: &serve::GoOn) -> Value {
    let mut document = json!({
        "network": NETWORK.as_str(),
        "asset": ASSET.to_string(),
        "wallet": { "hot": seeds.hot.as_str(), "cold": seeds.cold.as_str() },
        "safe": safe(seeds),
        "cases": played.iter().map(|one| one.json(log)).collect::<Vec<_>>(),
        "log": {
            "origin": log.origin,
            "tree_size": log.head.size,
            "root_hex": hex(&log.head.root.0),
            "cosigned_by": log.witness,
            "cosigned_at": log.cosigned_at.0,
            "note": log.note,
            "keys": { "signer": seeds.signer_log, "cosigner": seeds.witness },
        },
    });
    if let (Some(map), Some(listeners)) = (document.as_object_mut(), go_on.listeners()) {
        map.insert("listeners".into(), listeners);
        map.insert("client_call".into(), json!(go_on.call()));
    }
    document
}
