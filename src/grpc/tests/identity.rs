//! Who gets in and who does not.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::crypto::ring;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code as Grpc, Status};

use super::super::{Client, Limits, explain};
use super::{OVER, Running, VALID, create, signed, start};
use crate::desk::Role;
use crate::pki::Authority;
use crate::wire::status::stable_code;
use crate::wire::v1;
use crate::withdrawal::Code;

async fn refused(running: &Running, client: Client) -> Status {
    let status = client.withdrawals().create_withdrawal(create("x")).await.unwrap_err();
    assert_eq!(running.desk.calls.load(Ordering::SeqCst), 0, "the call reached the desk");
    status
}

#[tokio::test]
async fn the_exchange_may_ask_and_every_other_role_is_told_which_rule_it_broke() {
    let running = start(Limits::default()).await;
    for role in Role::ALL {
        // A co-signer's certificate is for serving only: TLS itself refuses it as a client's.
        if role == Role::Exchange || role == Role::Cosigner {
            continue;
        }
        let status = refused(&running, running.client(role)).await;
        assert_eq!(status.code(), Grpc::PermissionDenied, "{role}");
        assert_eq!(stable_code(&status), Some(Code::RoleNotAllowed), "{role}");
        assert!(status.message().contains(role.as_str()), "{status}");
        assert!(explain(&status).contains("What to do: use the certificate of a role that may"));
    }
    let answer = running.client(Role::Exchange).withdrawals().create_withdrawal(create("x")).await.unwrap();
    assert_eq!(answer.into_inner().request_id, "r1");
}

#[tokio::test]
async fn a_certificate_for_serving_only_does_not_get_in_as_a_client() {
    let running = start(Limits::default()).await;
    let status = refused(&running, running.client(Role::Cosigner)).await;
    assert_ne!(status.code(), Grpc::Ok);
    assert_eq!(stable_code(&status), None, "it got past the handshake: {status:?}");
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_and_taught() {
    let running = start(Limits::default()).await;
    let mut roots = RootCertStore::empty();
    roots.add(running.authority.certificate().clone()).unwrap();
    let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let client = Client::with_tls(running.address.to_string(), Arc::new(tls), Role::Signer).unwrap();
    let status = refused(&running, client).await;
    let words = explain(&status);
    assert!(words.contains("certificate"), "{words}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_and_taught() {
    let running = start(Limits::default()).await;
    let client = running.client_of(&running.authority, Role::Exchange, OVER, Role::Signer);
    let words = explain(&refused(&running, client).await);
    assert!(words.contains("expired"), "{words}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_and_taught() {
    let running = start(Limits::default()).await;
    let other = Authority::create("another", VALID).unwrap();
    let client = running.client_of(&other, Role::Exchange, VALID, Role::Signer);
    let words = explain(&refused(&running, client).await);
    assert!(words.contains("certificate"), "{words}");
}

#[tokio::test]
async fn a_client_does_not_take_one_party_for_the_other() {
    let running = start(Limits::default()).await;
    let client = running.client_of(&running.authority, Role::Exchange, VALID, Role::Cosigner);
    let words = explain(&refused(&running, client).await);
    assert!(words.contains("the server is signer/test, not a cosigner"), "{words}");
    assert!(words.contains("check the address"), "{words}");
}

#[tokio::test]
async fn nobody_at_the_address_is_said_so() {
    let running = start(Limits::default()).await;
    let client = running.client(Role::Exchange);
    let _ = running.stop.send(());
    running.server.await.unwrap();
    let words = explain(&client.withdrawals().create_withdrawal(create("x")).await.unwrap_err());
    assert!(words.contains("check host and port"), "{words}");
}

/// RFC 8446, section 6.2: alert 70 is protocol_version, level 2 is fatal.
#[tokio::test]
async fn tls_1_2_is_refused_with_protocol_version() {
    let running = start(Limits::default()).await;
    let mut tcp = TcpStream::connect(running.address).await.unwrap();
    tcp.write_all(&client_hello_of_tls_1_2()).await.unwrap();
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
    assert_eq!(answer.get(5..7), Some(&[2u8, 70][..]), "{answer:?}");
}

/// A ClientHello that offers TLS 1.2 and nothing newer (RFC 5246, section 7.4.1.2).
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let extensions: &[&[u8]] = &[
        &[0, 10, 0, 4, 0, 2, 0, 23],         // supported_groups: secp256r1
        &[0, 11, 0, 2, 1, 0],                // ec_point_formats: uncompressed
        &[0, 13, 0, 6, 0, 4, 4, 3, 8, 4], // signature_algorithms: ecdsa_secp256r1_sha256, rsa_pss_rsae_sha256
        &[0, 16, 0, 5, 0, 3, 2, b'h', b'2'], // ALPN: h2
    ];
    let extensions = extensions.concat();
    let mut hello = vec![3, 3];
    hello.extend([0x5a; 32]);
    hello.push(0);
    hello.extend([0, 2, 0xc0, 0x2b]);
    hello.extend([1, 0]);
    hello.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    hello.extend(extensions);
    let mut handshake = vec![1, 0];
    handshake.extend(u16::try_from(hello.len()).unwrap().to_be_bytes());
    handshake.extend(hello);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(handshake.len()).unwrap().to_be_bytes());
    record.extend(handshake);
    record
}

#[tokio::test]
async fn cancelling_is_the_exchanges_alone() {
    let running = start(Limits::default()).await;
    let ask = || v1::CancelWithdrawalRequest { cancellation: Some(signed("x")) };
    let status = running.client(Role::Operator).withdrawals().cancel_withdrawal(ask()).await.unwrap_err();
    assert_eq!(stable_code(&status), Some(Code::RoleNotAllowed));
    running.client(Role::Exchange).withdrawals().cancel_withdrawal(ask()).await.unwrap();
}
