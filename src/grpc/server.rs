//! The server: which services stand before which desks, and how it starts and stops.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::{Routes, RoutesBuilder};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

use super::gate::Gate;
use super::{
    Clock, Limits, addresses, approvals, audit, cosign, freeze, incoming, refills, releases, statements,
    wallets, withdrawals,
};
use crate::desk::{
    AddressDesk, ApprovalDesk, AuditDesk, CosignDesk, FreezeDesk, PositionDesk, RefillDesk, ReleaseDesk,
    StatementDesk, WalletDesk, WithdrawalDesk,
};
use crate::wire::FILE_DESCRIPTOR_SET;
use crate::wire::v1::{
    address_service_server::AddressServiceServer, approval_service_server::ApprovalServiceServer,
    audit_service_server::AuditServiceServer, cosigner_service_server::CosignerServiceServer,
    freeze_service_server::FreezeServiceServer, position_service_server::PositionServiceServer,
    refill_service_server::RefillServiceServer, release_service_server::ReleaseServiceServer,
    statement_service_server::StatementServiceServer, wallet_service_server::WalletServiceServer,
    withdrawal_service_server::WithdrawalServiceServer,
};

const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEP_ALIVE_ANSWER_MAX: Duration = Duration::from_secs(10);

/// The desks a server stands before. A service without a desk is not offered.
#[derive(Clone, Default)]
pub struct Desks {
    /// For `WithdrawalService`.
    pub withdrawals: Option<Arc<dyn WithdrawalDesk>>,
    /// For `AddressService`.
    pub addresses: Option<Arc<dyn AddressDesk>>,
    /// For `WalletService`.
    pub wallets: Option<Arc<dyn WalletDesk>>,
    /// For `ApprovalService`.
    pub approvals: Option<Arc<dyn ApprovalDesk>>,
    /// For `StatementService`.
    pub statements: Option<Arc<dyn StatementDesk>>,
    /// For `PositionService`.
    pub positions: Option<Arc<dyn PositionDesk>>,
    /// For `RefillService`.
    pub refills: Option<Arc<dyn RefillDesk>>,
    /// For `ReleaseService`.
    pub releases: Option<Arc<dyn ReleaseDesk>>,
    /// For `AuditService`.
    pub audit: Option<Arc<dyn AuditDesk>>,
    /// For `CosignerService`.
    pub cosign: Option<Arc<dyn CosignDesk>>,
    /// Whether the travel rule can be met now: the health of [`ENCLAVE_HEALTH`], where there is one.
    pub enclave: Option<watch::Receiver<bool>>,
    /// For `FreezeService`, which has a listener of its own.
    pub freeze: Option<Arc<dyn FreezeDesk>>,
}

impl Desks {
    /// Every desk of the signer's own listener, all kept by one. What its enclave is like, the caller adds.
    pub fn of_signer<D>(desk: &Arc<D>) -> Self
    where
        D: WithdrawalDesk + AddressDesk + WalletDesk + ApprovalDesk + StatementDesk,
        D: PositionDesk + RefillDesk + ReleaseDesk + AuditDesk,
    {
        Self {
            withdrawals: Some(desk.clone()),
            addresses: Some(desk.clone()),
            wallets: Some(desk.clone()),
            approvals: Some(desk.clone()),
            statements: Some(desk.clone()),
            positions: Some(desk.clone()),
            refills: Some(desk.clone()),
            releases: Some(desk.clone()),
            audit: Some(desk.clone()),
            cosign: None,
            enclave: None,
            freeze: None,
        }
    }
}

/// The name under which the health service tells of the signer's enclave; a part of the signer, and no service of its own.
pub const ENCLAVE_HEALTH: &str = "countersign.enclave";

/// How the server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// Everything at work was finished.
    Finished,
    /// Time was up with this many calls still at work.
    Cut {
        /// How many.
        calls: usize,
    },
}

/// Why it could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeFault {
    /// The descriptor set cannot be used for reflection.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport broke.
    #[error("transport: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// A server ready to take calls.
pub struct Server {
    /// The TLS settings (`pki::server_config`).
    pub tls: Arc<ServerConfig>,
    /// How much it takes on.
    pub limits: Limits,
    /// Where it takes the time from.
    pub clock: Clock,
    /// What it stands before.
    pub desks: Desks,
}

impl Server {
    /// Serves until `stop`, then drains: health says NOT_SERVING, no new call is taken, streams end with SHUTTING_DOWN,
    /// the port closes, and calls at work are finished or, after `drain_time_max`, left.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<Drain, ServeFault> {
        let drain = CancellationToken::new();
        let gate = Gate::new(Arc::clone(&self.clock), self.limits, drain.clone());
        let (health, health_service) = health_reporter();
        let (routes, names) = self.routes(health_service)?;
        let router = self.transport().layer(gate.clone()).add_routes(routes);
        report(&health, &names, ServingStatus::Serving).await;
        let telling =
            drain.clone().run_until_cancelled_owned(tell_enclave(health.clone(), self.desks.enclave.clone()));
        let telling = tokio::spawn(telling);
        let stopped = async {
            stop.await;
            telling.abort();
            let _ = telling.await;
            if self.desks.enclave.is_some() {
                health.set_service_status(ENCLAVE_HEALTH, ServingStatus::NotServing).await;
            }
            report(&health, &names, ServingStatus::NotServing).await;
            drain.cancel();
        };
        let connections = incoming::incoming(listener, self.tls, &self.limits);
        tokio::select! {
            served = router.serve_with_incoming_shutdown(connections, stopped) => {
                served?;
                Ok(Drain::Finished)
            }
            () = async { drain.cancelled().await; sleep(self.limits.drain_time_max).await } => {
                Ok(Drain::Cut { calls: gate.calls_at_work() })
            }
        }
    }

    fn transport(&self) -> tonic::transport::Server {
        let per_connection = self.limits.calls_max.saturating_add(self.limits.streams_max).saturating_add(16);
        tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEP_ALIVE_EVERY))
            .http2_keepalive_timeout(Some(KEEP_ALIVE_ANSWER_MAX))
            .max_concurrent_streams(u32::try_from(per_connection).unwrap_or(u32::MAX))
    }

    /// One service for each desk, health, and reflection over exactly these.
    fn routes(&self, health: HealthServer<impl Health>) -> Result<(Routes, Vec<&'static str>), ServeFault> {
        let (limit, desks) = (self.limits.message_bytes_max, &self.desks);
        let mut offer = Offer { routes: Routes::builder(), names: Vec::new() };
        if let Some(desk) = desks.withdrawals.clone() {
            let service = WithdrawalServiceServer::new(withdrawals::Withdrawals(desk));
            offer.add(service.max_decoding_message_size(limit));
        }
        if let Some(desk) = desks.addresses.clone() {
            let service = addresses::Addresses { desk, message_bytes_max: limit };
            offer.add(AddressServiceServer::new(service).max_decoding_message_size(limit));
        }
        if let Some(desk) = desks.wallets.clone() {
            let service = WalletServiceServer::new(wallets::Wallets(desk));
            offer.add(service.max_decoding_message_size(limit));
        }
        if let Some(desk) = desks.approvals.clone() {
            let service = ApprovalServiceServer::new(approvals::Approvals(desk));
            offer.add(service.max_decoding_message_size(limit));
        }
        if let Some(desk) = desks.statements.clone() {
            let service = StatementServiceServer::new(statements::Statements(desk));
            offer.add(service.max_decoding_message_size(limit));
        }
        if let Some(desk) = desks.positions.clone() {
            let service = PositionServiceServer::new(statements::Positions(desk));
            offer.add(service.max_decoding_message_size(limit));
        }
        if let Some(desk) = desks.refills.clone() {
            let service = RefillServiceServer::new(refills::Refills(desk));
            offer.add(service.max_decoding_message_size(limit));
        }
        if let Some(desk) = desks.releases.clone() {
            let service = ReleaseServiceServer::new(releases::Releases(desk));
            offer.add(service.max_decoding_message_size(limit));
        }
        if let Some(desk) = desks.audit.clone() {
            offer.add(AuditServiceServer::new(audit::Audit(desk)).max_decoding_message_size(limit));
        }
        if let Some(desk) = desks.cosign.clone() {
            offer.add(CosignerServiceServer::new(cosign::Cosign(desk)).max_decoding_message_size(limit));
        }
        if let Some(desk) = desks.freeze.clone() {
            let service = FreezeServiceServer::new(freeze::Freezes(desk));
            offer.add(service.max_decoding_message_size(limit));
        }
        offer.add(health);
        let reflection = reflection(&offer.names)?;
        offer.add(reflection);
        Ok((offer.routes.routes(), offer.names))
    }
}

fn reflection(
    names: &[&'static str],
) -> Result<ServerReflectionServer<impl ServerReflection>, tonic_reflection::server::Error> {
    let mut builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(<ServerReflectionServer<()> as NamedService>::NAME);
    for name in names {
        builder = builder.with_service_name(*name);
    }
    builder.build_v1()
}

/// The services offered so far.
struct Offer {
    routes: RoutesBuilder,
    names: Vec<&'static str>,
}

impl Offer {
    fn add<S>(&mut self, service: S)
    where
        S: tower::Service<
                http::Request<Body>,
                Response = http::Response<Body>,
                Error = Infallible,
                Future: Send + 'static,
            > + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.names.push(S::NAME);
        self.routes.add_service(service);
    }
}

/// Tells of the enclave as it comes and goes; the whole serves on without it.
async fn tell_enclave(health: HealthReporter, enclave: Option<watch::Receiver<bool>>) {
    let Some(mut enclave) = enclave else { return };
    loop {
        let is_well = *enclave.borrow_and_update();
        let status = if is_well { ServingStatus::Serving } else { ServingStatus::NotServing };
        health.set_service_status(ENCLAVE_HEALTH, status).await;
        if enclave.changed().await.is_err() {
            return;
        }
    }
}

/// Sets the status of the whole (the empty name) and of each service.
async fn report(health: &HealthReporter, names: &[&'static str], status: ServingStatus) {
    for name in [""].iter().chain(names) {
        health.set_service_status(name, status).await;
    }
}
