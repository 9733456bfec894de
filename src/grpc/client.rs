//! The client's side for the terminal and the sandbox: a channel from PEM files, and errors in words that teach.

use rustls::ClientConfig;
use std::sync::Arc;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use crate::desk::Role;
use crate::pki::{self, PemFiles, PkiFault};
use crate::wire::channel::{ChannelFault, ChannelOrder, channel};
use crate::wire::status::{CURE, DOMAIN, MAY_HAVE_HAPPENED, causes, never_connected};
use crate::wire::v1::{
    address_service_client::AddressServiceClient, approval_service_client::ApprovalServiceClient,
    audit_service_client::AuditServiceClient, freeze_service_client::FreezeServiceClient,
    position_service_client::PositionServiceClient, refill_service_client::RefillServiceClient,
    release_service_client::ReleaseServiceClient, statement_service_client::StatementServiceClient,
    wallet_service_client::WalletServiceClient, withdrawal_service_client::WithdrawalServiceClient,
};

/// Where to connect, and with which files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOrder {
    /// `host:port`; the host must stand in the server's certificate.
    pub address: String,
    /// The client's certificate and key, and the CA it trusts.
    pub files: PemFiles,
    /// Whom to expect there: the signer or the co-signer.
    pub server_role: Role,
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// The certificates cannot be used.
    #[error(transparent)]
    Pki(#[from] PkiFault),
    /// The address cannot be used.
    #[error(transparent)]
    Channel(#[from] ChannelFault),
}

/// A connection from which each service's client is taken. Connects when first used.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
}

impl Client {
    /// Reads the files and makes ready. Nothing is connected yet.
    pub fn open(order: &ClientOrder) -> Result<Self, ClientFault> {
        let authorities = pki::read_certificates(&order.files.authority)?;
        let identity = pki::read_identity(&order.files.certificate, &order.files.key)?;
        let tls = pki::client_config(&authorities, identity)?;
        Self::with_tls(order.address.clone(), tls, order.server_role)
    }

    /// Makes ready with TLS settings at hand.
    pub fn with_tls(address: String, tls: Arc<ClientConfig>, server_role: Role) -> Result<Self, ClientFault> {
        Ok(Self { channel: channel(&ChannelOrder { address, tls, server_role })? })
    }

    /// The channel itself, for the standard services.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The client of `WithdrawalService`.
    pub fn withdrawals(&self) -> WithdrawalServiceClient<Channel> {
        WithdrawalServiceClient::new(self.channel())
    }

    /// The client of `AddressService`.
    pub fn addresses(&self) -> AddressServiceClient<Channel> {
        AddressServiceClient::new(self.channel())
    }

    /// The client of `WalletService`.
    pub fn wallets(&self) -> WalletServiceClient<Channel> {
        WalletServiceClient::new(self.channel())
    }

    /// The client of `ApprovalService`.
    pub fn approvals(&self) -> ApprovalServiceClient<Channel> {
        ApprovalServiceClient::new(self.channel())
    }

    /// The client of `StatementService`.
    pub fn statements(&self) -> StatementServiceClient<Channel> {
        StatementServiceClient::new(self.channel())
    }

    /// The client of `PositionService`.
    pub fn positions(&self) -> PositionServiceClient<Channel> {
        PositionServiceClient::new(self.channel())
    }

    /// The client of `FreezeService`.
    pub fn freezes(&self) -> FreezeServiceClient<Channel> {
        FreezeServiceClient::new(self.channel())
    }

    /// The client of `RefillService`.
    pub fn refills(&self) -> RefillServiceClient<Channel> {
        RefillServiceClient::new(self.channel())
    }

    /// The client of `ReleaseService`.
    pub fn releases(&self) -> ReleaseServiceClient<Channel> {
        ReleaseServiceClient::new(self.channel())
    }

    /// The client of `AuditService`.
    pub fn audit(&self) -> AuditServiceClient<Channel> {
        AuditServiceClient::new(self.channel())
    }
}

/// What went wrong and what to do, for a person at a terminal.
pub fn explain(status: &Status) -> String {
    if let Some(info) = status.get_details_error_info().filter(|info| info.domain == DOMAIN) {
        let open = match info.metadata.get(MAY_HAVE_HAPPENED).map(String::as_str) {
            Some("true") => "\nIt may have happened all the same: ask before doing it another way.",
            _ => "",
        };
        let cure = info.metadata.get(CURE).map(String::as_str).unwrap_or_default();
        return format!("{}\nWhat to do: {cure}{open}", status.message());
    }
    let chain = causes(status).map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let chain = if chain.is_empty() { status.message().to_owned() } else { chain };
    format!("{chain}\nWhat to do: {}", advice(&chain, never_connected(status)))
}

/// With TLS 1.3 a server judges the client's certificate after the client's side of the handshake is over, so the
/// client often sees no more than a closed connection.
fn advice(chain: &str, never_connected: bool) -> &'static str {
    let says = |word: &str| chain.contains(word);
    if says("CertificateRequired") {
        "the server wants a client certificate; name yours with its key"
    } else if says("CertificateExpired") || says("Expired") {
        "a certificate has expired, yours or the server's; have a new one issued"
    } else if says("UnknownCA") || says("DecryptError") {
        "the server does not know who issued your certificate; use one of this deployment's CA"
    } else if says("UnknownIssuer") || says("NotValidForName") || says("invalid peer certificate") {
        "the server's certificate does not fit; check the CA file and that the host stands in the certificate"
    } else if says("ProtocolVersion") {
        "the other side does not speak TLS 1.3"
    } else if says("not a signer") || says("not a cosigner") {
        "this address belongs to another party; check the address"
    } else if never_connected {
        "nobody answers at this address; check host and port, and that the service runs"
    } else {
        "the server closed the connection; most often your certificate is missing, expired, or of another CA"
    }
}
