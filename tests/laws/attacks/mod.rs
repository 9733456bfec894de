//! The attack lists of `docs/attacks.md`: each attacker with all that it stole. The thief of the signer reads the signer's
//! own database, continues its log with its keys, and speaks to the co-signer's listener with its certificate.

mod cancel;
mod cosigner;
mod emptying;
mod exchange;
mod lanes;
mod observer;
mod odd_tokens;
mod people;
mod refuel;
mod safes;
mod signer;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use countersign::audit::{Entry, Tree};
use countersign::bitcoin::{Branch, KeySlot, OwnCoin};
use countersign::cosigner::{RemoteCosigner, RemoteLimits};
use countersign::desk::*;
use countersign::evidence::VerificationAnswer;
use countersign::flow::ledger::rows::{self, CoinRow, WithdrawalRow};
use countersign::grpc::{Desks, Limits, Server, system_clock};
use countersign::pki::{self, Authority, Identity, LeafOrder, Validity};
use countersign::wire::channel::ChannelOrder;
use countersign::withdrawal::*;
use sqlx::{Connection, Row as _};
use tokio::net::TcpListener;

use super::thief::*;
use super::world::*;

const VALID: Validity = Validity { not_before: Seconds(1_000_000_000), not_after: Seconds(4_000_000_000) };

/// A listener with mutual TLS, and whoever's certificate one holds.
pub struct Wire {
    authority: Authority,
    address: String,
    server_role: Role,
}

impl Wire {
    /// Serves desks as that party.
    pub async fn before(desks: Desks, server_role: Role) -> Self {
        let authority = Authority::create("test authority", VALID).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let wire = Self { authority, address, server_role };
        let tls = pki::server_config(&[wire.root()], wire.identity(server_role, "server")).unwrap();
        let server = Server { tls, limits: Limits::default(), clock: system_clock(), desks };
        tokio::spawn(async move { server.serve(listener, std::future::pending()).await.unwrap() });
        wire
    }

    fn root(&self) -> rustls::pki_types::CertificateDer<'static> {
        self.authority.certificate().clone()
    }

    fn identity(&self, role: Role, name: &str) -> Identity {
        let hosts = vec!["127.0.0.1".into()];
        self.authority
            .issue(&LeafOrder { role, name: name.into(), hosts, validity: VALID })
            .unwrap()
            .identity()
    }

    fn tls(&self, role: Role, name: &str) -> Arc<rustls::ClientConfig> {
        pki::client_config(&[self.root()], self.identity(role, name)).unwrap()
    }

    /// The line that a holder of that role's certificate has to a co-signer.
    pub fn cosigner_as(&self, role: Role) -> RemoteCosigner {
        let tls = self.tls(role, "stolen");
        let order = ChannelOrder { address: self.address.clone(), tls, server_role: self.server_role };
        RemoteCosigner::new(&order, RemoteLimits::default()).unwrap()
    }

    /// A client with a certificate of that role and name.
    pub fn client_as(&self, role: Role, name: &str) -> countersign::grpc::Client {
        let tls = self.tls(role, name);
        countersign::grpc::Client::with_tls(self.address.clone(), tls, self.server_role).unwrap()
    }
}

/// One withdrawal as it stood in the stolen database: the exchange's signed request and the counterparty's true answer.
#[derive(Clone)]
pub struct Taken {
    pub request: WithdrawalRequest,
    pub payment: CosignPayment,
}

/// What the co-signer has written down: what no attack may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Books {
    signed: i64,
    requests: i64,
    verifications: i64,
    unspent: i64,
}

/// A stolen signer, with everything that was on its machine.
pub struct Robbery {
    pub world: World,
    pub thief: Thief,
    pub taken: Vec<Taken>,
    pub wire: Wire,
    line: RemoteCosigner,
}

impl Robbery {
    /// Steals a signer that has these withdrawals cleared and not yet booked: the line to the co-signer was slow.
    pub async fn of(plan: Plan, amounts: &[u64]) -> Self {
        let world = World::funded(plan, 6, 70 * COIN).await;
        let mut ids = Vec::new();
        // The observer's word has reached the co-signer by then.
        while count(&world, "cosigner", "SELECT count(*) FROM row_coin").await < 6 {
            tokio::task::yield_now().await;
        }
        world.cut();
        for (n, sat) in amounts.iter().enumerate() {
            let view = world.withdraw(&format!("r{n}"), *sat).await;
            let waits = ["APPROVAL_REQUIRED", "COSIGNER_UNREACHABLE"];
            world.until(view.id, |v| codes(v).iter().any(|code| waits.contains(code))).await;
            ids.push(view.id);
        }
        Self::from(world, &ids).await
    }

    /// Steals the signer of a world as it stands.
    pub async fn from(mut world: World, ids: &[WithdrawalId]) -> Self {
        world.stop_signer().await;
        world.mend();
        // Behind the tap, so that the co-signer can be started again.
        let cosign: Arc<dyn CosignDesk> = world.tap.clone();
        let wire = Wire::before(Desks { cosign: Some(cosign), ..Desks::default() }, Role::Cosigner).await;
        let line = wire.cosigner_as(Role::Signer);
        let (tree, coins) = (stolen_log(&world).await, stolen_coins(&world).await);
        let known = line.status().await.unwrap().known_size;
        let thief = Thief {
            policies_kept: Vec::new(),
            tree,
            known,
            coins,
            origin: (SIGNER_ORIGIN, 0xa),
            policy: world.policy_hash(),
            uuids: 1_000_000,
            fees: AtomicU64::new(1_000),
        };
        let all = stolen_withdrawals(&world).await;
        let taken =
            ids.iter().map(|id| all.iter().find(|t| t.request.id() == *id).unwrap().clone()).collect();
        Self { world, thief, taken, wire, line }
    }

    /// Asks the co-signer's listener with the stolen certificate.
    pub async fn ask(&mut self, loot: &[Loot]) -> Vec<ItemVerdict> {
        let outcome = self.line.countersign(self.thief.order(loot)).await.unwrap();
        assert!(matches!(outcome.head, HeadAnswer::Cosigned(_)), "{:?}", outcome.head);
        self.thief.known = self.thief.tree.size();
        outcome.verdicts.into_iter().map(|(_, verdict)| verdict).collect()
    }

    /// Books a plot and asks for it.
    pub async fn try_to(&mut self, plot: &Plot, payments: Vec<CosignPayment>) -> ItemVerdict {
        let loot = self.thief.book(plot, payments);
        self.ask(std::slice::from_ref(&loot)).await.remove(0)
    }

    /// Tries it, and it must fail with that code, leaving nothing behind but the no.
    #[track_caller]
    pub fn fails<'a>(
        &'a mut self,
        code: &'static str,
        plot: &'a Plot,
        payments: Vec<CosignPayment>,
    ) -> impl Future<Output = ()> + 'a {
        let at = std::panic::Location::caller();
        async move {
            let before = self.books().await;
            let verdict = self.try_to(plot, payments).await;
            assert_eq!(no(verdict), code, "{at}");
            assert_eq!(self.books().await, before, "{at}: the co-signer's books moved");
        }
    }

    /// Tries it, and it must succeed: what fails beside it could have succeeded.
    pub async fn succeeds(&mut self, plot: &Plot, payments: Vec<CosignPayment>) -> Vec<u8> {
        let before = self.books().await;
        let psbt = yes(self.try_to(plot, payments).await);
        assert_ne!(self.books().await, before);
        psbt
    }

    /// The line that was stolen.
    pub fn line(&self) -> &RemoteCosigner {
        &self.line
    }

    /// What the co-signer has written down.
    pub async fn books(&self) -> Books {
        let count = |sql: &'static str| count(&self.world, "cosigner", sql);
        Books {
            signed: count("SELECT count(*) FROM row_signed_reservation WHERE state = 'signed'").await,
            requests: count("SELECT count(*) FROM row_seen_request").await,
            verifications: count("SELECT count(*) FROM row_used_verification").await,
            unspent: count("SELECT count(*) FROM row_coin WHERE state = 'unspent'").await,
        }
    }

    /// Plots to pay what was taken, from that coin.
    pub fn plot(&self, coin: usize, taken: &Taken) -> Plot {
        Plot { change: Some((Branch::Change, 20)), ..self.thief.plot(coin, &[&taken.request]) }
    }

    /// The true payment of another request, as the stolen enclave gets it from the counterparty.
    pub fn payment(&mut self, request: &WithdrawalRequest) -> CosignPayment {
        self.thief.payment(request)
    }

    /// The true answer to another request.
    pub fn answer(&mut self, request: &WithdrawalRequest) -> VerificationAnswer {
        self.thief.answer(request)
    }
}

/// A number out of a party's database, read behind its back.
pub async fn count(world: &World, party: &str, sql: &'static str) -> i64 {
    rows_of(world, party, sql).await.remove(0).get::<i64, _>(0)
}

async fn rows_of(world: &World, party: &str, sql: &'static str) -> Vec<sqlx::sqlite::SqliteRow> {
    let path = world.dir.path().join(format!("{party}.db"));
    let mut db = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    let rows = sqlx::query(sql).fetch_all(&mut db).await.unwrap();
    db.close().await.unwrap();
    rows
}

async fn stolen_log(world: &World) -> Tree {
    let mut tree = Tree::default();
    for row in rows_of(world, "signer", "SELECT leaf FROM log_entry ORDER BY idx").await {
        tree.extend([Entry::parse(&row.get::<Vec<u8>, _>(0)).unwrap().leaf_hash()]);
    }
    tree
}

async fn stolen_coins(world: &World) -> Vec<OwnCoin> {
    let sql = "SELECT row_key, content FROM row_coin WHERE state = 'unspent' ORDER BY row_key";
    let coin = |row: &sqlx::sqlite::SqliteRow| {
        let (key, content): (String, String) = (row.get(0), row.get(1));
        let coin: CoinRow = rows::read(&key, &content).unwrap();
        let branch = Branch::of_number(coin.branch).unwrap();
        let script = Arc::new(hot_wallet().script(branch, coin.index).unwrap());
        OwnCoin { outpoint: key.parse().unwrap(), amount_sat: coin.amount_sat, script }
    };
    rows_of(world, "signer", sql).await.iter().map(coin).collect()
}

async fn stolen_withdrawals(world: &World) -> Vec<Taken> {
    let rows = rows_of(world, "signer", "SELECT row_key, content FROM row_withdrawal").await;
    let taken = |row: &sqlx::sqlite::SqliteRow| {
        let (key, content): (String, String) = (row.get(0), row.get(1));
        let row: WithdrawalRow = rows::read(&key, &content).unwrap();
        let request = row.request.signed_text().unwrap();
        let answer = row.evidence.as_ref().and_then(rows::Signed::signed_text);
        let said = countersign::evidence::request::parse_request(&request.text).unwrap();
        Taken { request: said, payment: payment(request, answer) }
    };
    rows.iter().map(taken).collect()
}

/// The PSBT of a plot, before it is booked.
pub fn psbt_of(plot: &Plot) -> bitcoin::Psbt {
    let bytes = plot.build().psbt(KeySlot::B, &hot_wallet(), Some(&cold_wallet())).unwrap();
    bitcoin::Psbt::deserialize(&bytes).unwrap()
}
