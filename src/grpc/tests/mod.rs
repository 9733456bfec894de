//! The face on a real loopback port with real TLS, before desks that only pretend.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod calls;
mod cosigner;
mod desks;
mod identity;
mod stopping;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::{Client, Desks, Drain, Limits, Server, system_clock};
use crate::desk::Role;
use crate::pki::{self, Authority, Identity, LeafOrder, Validity};
use crate::wire::v1;
use crate::withdrawal::Seconds;
use desks::Pretend;

const VALID: Validity = Validity { not_before: Seconds(1_000_000_000), not_after: Seconds(4_000_000_000) };
const OVER: Validity = Validity { not_before: Seconds(1_000_000_000), not_after: Seconds(1_100_000_000) };

/// A server at work, and the authority that issued its certificate.
struct Running {
    address: SocketAddr,
    authority: Authority,
    desk: Arc<Pretend>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Drain>,
}

fn identity(authority: &Authority, role: Role, validity: Validity) -> Identity {
    let hosts = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    authority.issue(&LeafOrder { role, name: "test".into(), hosts, validity }).unwrap().identity()
}

async fn start_as(role: Role, limits: Limits, desk: Pretend) -> Running {
    start_all(role, limits, desk, None).await
}

/// A signer with an enclave that comes and goes.
async fn start_with(limits: Limits, enclave: Option<watch::Receiver<bool>>) -> Running {
    start_all(Role::Signer, limits, Pretend::default(), enclave).await
}

async fn start_all(
    role: Role,
    limits: Limits,
    desk: Pretend,
    enclave: Option<watch::Receiver<bool>>,
) -> Running {
    let authority = Authority::create("test authority", VALID).unwrap();
    let desk = Arc::new(desk);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls =
        pki::server_config(std::slice::from_ref(authority.certificate()), identity(&authority, role, VALID));
    let desks = if role == Role::Cosigner {
        Desks { cosign: Some(desk.clone()), ..Desks::default() }
    } else {
        Desks {
            withdrawals: Some(desk.clone()),
            addresses: Some(desk.clone()),
            audit: Some(desk.clone()),
            enclave,
            ..Desks::default()
        }
    };
    let server = Server { tls: tls.unwrap(), limits, clock: system_clock(), desks };
    let (stop, stopped) = oneshot::channel::<()>();
    let server =
        tokio::spawn(
            async move { server.serve(listener, async { stopped.await.unwrap_or(()) }).await.unwrap() },
        );
    Running { address, authority, desk, stop, server }
}

async fn start(limits: Limits) -> Running {
    start_as(Role::Signer, limits, Pretend::default()).await
}

impl Running {
    fn client(&self, role: Role) -> Client {
        self.client_of(&self.authority, role, VALID, Role::Signer)
    }

    fn client_of(&self, authority: &Authority, role: Role, validity: Validity, server_role: Role) -> Client {
        let trusted = std::slice::from_ref(self.authority.certificate());
        let tls = pki::client_config(trusted, identity(authority, role, validity)).unwrap();
        Client::with_tls(self.address.to_string(), tls, server_role).unwrap()
    }
}

fn signed(text: &str) -> v1::SignedText {
    v1::SignedText { text: text.into(), key_id: "k1".into(), signature: vec![7; 64] }
}

fn create(text: &str) -> v1::CreateWithdrawalRequest {
    v1::CreateWithdrawalRequest { request: Some(signed(text)), ivms101_payload: b"{}".to_vec() }
}
