//! What callers are answered: outcomes, faults with details, limits, deadlines, streams, health, reflection.

use std::time::Duration;

use futures_util::stream::iter;
use tonic::Code as Grpc;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt;

use super::super::{Limits, explain};
use super::desks::view;
use super::{create, start, start_with};
use crate::desk::{Role, WithdrawalView};
use crate::wire::status::{MAY_HAVE_HAPPENED, stable_code};
use crate::wire::v1;
use crate::withdrawal::Code;

fn address(customer_ref: &str) -> v1::CreateAddressRequest {
    v1::CreateAddressRequest {
        organisation: "exchange".into(),
        asset: "bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1".into(),
        customer_ref: customer_ref.into(),
    }
}

#[tokio::test]
async fn a_held_withdrawal_is_a_successful_call_with_its_findings_and_cures() {
    let running = start(Limits::default()).await;
    let answer = running.client(Role::Exchange).withdrawals().create_withdrawal(create("x")).await.unwrap();
    let wire = answer.into_inner();
    assert_eq!(wire.outcome(), v1::WithdrawalOutcome::Held);
    assert_eq!(wire.findings[0].code, "APPROVAL_REQUIRED");
    assert_eq!(wire.findings[0].cure, Code::ApprovalRequired.cure());
    assert_eq!(WithdrawalView::try_from(wire), Ok(view("r1", 3)));
}

#[tokio::test]
async fn a_fault_says_whether_it_may_have_happened_and_what_to_do() {
    let running = start(Limits::default()).await;
    let mut client = running.client(Role::Exchange).withdrawals();
    let broken = client.create_withdrawal(create("broken")).await.unwrap_err();
    assert_eq!((broken.code(), stable_code(&broken)), (Grpc::Unavailable, Some(Code::StoreUnavailable)));
    assert_eq!(broken.get_details_error_info().unwrap().metadata[MAY_HAVE_HAPPENED], "true");
    assert!(explain(&broken).contains("may have happened"));
    let reused = client.create_withdrawal(create("reused")).await.unwrap_err();
    assert_eq!((reused.code(), stable_code(&reused)), (Grpc::AlreadyExists, Some(Code::RequestIdReused)));
}

#[tokio::test]
async fn a_missing_field_is_named_with_its_cure() {
    let running = start(Limits::default()).await;
    let mut client = running.client(Role::Exchange).withdrawals();
    let empty = v1::CreateWithdrawalRequest { request: None, ivms101_payload: vec![] };
    let status = client.create_withdrawal(empty).await.unwrap_err();
    assert_eq!((status.code(), stable_code(&status)), (Grpc::InvalidArgument, Some(Code::FieldMissing)));
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "request");
}

#[tokio::test]
async fn an_unspecified_enum_is_refused_over_the_wire() {
    let running = start(Limits::default()).await;
    let filter = Some(v1::WithdrawalFilter { outcome: Some(0), ..Default::default() });
    let ask = v1::ListWithdrawalsRequest { filter, ..Default::default() };
    let status = running.client(Role::Auditor).withdrawals().list_withdrawals(ask).await.unwrap_err();
    assert_eq!(status.code(), Grpc::InvalidArgument);
    assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "outcome");
}

#[tokio::test]
async fn pages_and_names_reach_the_desk() {
    let running = start(Limits::default()).await;
    let mut client = running.client(Role::Operator).withdrawals();
    let ask = v1::ListWithdrawalsRequest { page_size: 1, ..Default::default() };
    let page = client.list_withdrawals(ask).await.unwrap().into_inner();
    assert_eq!((page.withdrawals.len(), page.next_page_token.as_str()), (1, "more"));
    let key = v1::RequestKey { organisation: "exchange".into(), request_id: "r1".into() };
    let pick = Some(v1::get_withdrawal_request::Pick::RequestKey(key));
    assert!(client.get_withdrawal(v1::GetWithdrawalRequest { pick }).await.is_ok());
    let pick = Some(v1::get_withdrawal_request::Pick::Name(page.withdrawals[0].name.clone()));
    let status = client.get_withdrawal(v1::GetWithdrawalRequest { pick }).await.unwrap_err();
    assert_eq!((status.code(), stable_code(&status)), (Grpc::NotFound, Some(Code::NotFound)));
}

#[tokio::test]
async fn a_message_above_the_limit_is_invalid_and_the_limit_is_named() {
    let running = start(Limits { message_bytes_max: 1024, ..Limits::default() }).await;
    let mut message = create("x");
    message.ivms101_payload = vec![b' '; 5000];
    let client = running.client(Role::Exchange);
    let status = client.withdrawals().create_withdrawal(message).await.unwrap_err();
    assert_eq!((status.code(), stable_code(&status)), (Grpc::InvalidArgument, Some(Code::MessageTooLarge)));
    assert!(status.message().contains("the limit is 1024 bytes"), "{status}");
    let long = v1::BatchCreateAddressesRequest { requests: vec![address("c"); 100] };
    let mut stream = client.addresses().batch_create_addresses(iter([long])).await.unwrap().into_inner();
    let status = stream.message().await.unwrap_err();
    assert_eq!(stable_code(&status), Some(Code::MessageTooLarge), "{status:?}");
}

#[tokio::test]
async fn when_every_place_is_taken_the_answer_is_queue_full() {
    let running = start(Limits { calls_max: 1, ..Limits::default() }).await;
    let client = running.client(Role::Exchange);
    let mut first = client.withdrawals();
    let first = tokio::spawn(async move { first.create_withdrawal(create("wait")).await });
    running.desk.until_one_waits().await;
    let status = client.withdrawals().create_withdrawal(create("x")).await.unwrap_err();
    assert_eq!((status.code(), stable_code(&status)), (Grpc::ResourceExhausted, Some(Code::QueueFull)));
    assert_eq!(status.get_details_error_info().unwrap().metadata[MAY_HAVE_HAPPENED], "false");
    running.desk.go.add_permits(1);
    first.await.unwrap().unwrap();
    client.withdrawals().create_withdrawal(create("x")).await.unwrap();
}

#[tokio::test]
async fn an_abandoned_call_gives_its_place_back() {
    let running = start(Limits { calls_max: 1, ..Limits::default() }).await;
    let client = running.client(Role::Exchange);
    let mut first = client.withdrawals();
    let first = tokio::spawn(async move { first.create_withdrawal(create("wait")).await });
    running.desk.until_one_waits().await;
    first.abort();
    // The server learns of it through a frame of its own; until then the answer is QUEUE_FULL.
    loop {
        match client.withdrawals().create_withdrawal(create("x")).await {
            Ok(_) => break,
            Err(status) => assert_eq!(stable_code(&status), Some(Code::QueueFull)),
        }
    }
}

#[tokio::test]
async fn a_call_ends_at_the_deadline_of_the_service() {
    let running = start(Limits { deadline: Duration::from_millis(30), ..Limits::default() }).await;
    let mut client = running.client(Role::Exchange).withdrawals();
    let status = client.create_withdrawal(create("wait")).await.unwrap_err();
    assert_eq!((status.code(), stable_code(&status)), (Grpc::DeadlineExceeded, Some(Code::DeadlineExceeded)));
    assert_eq!(status.get_details_error_info().unwrap().metadata[MAY_HAVE_HAPPENED], "true");
}

#[tokio::test]
async fn a_watch_starts_after_its_cursor() {
    let running = start(Limits::default()).await;
    let ask = v1::WatchWithdrawalsRequest { from_log_index: Some(41), filter: None };
    let stream = running.client(Role::Exchange).withdrawals().watch_withdrawals(ask).await.unwrap();
    let first = stream.into_inner().message().await.unwrap().unwrap();
    assert_eq!(first.withdrawal.unwrap().log_index, 42);
}

#[tokio::test]
async fn addresses_come_batch_for_batch_in_order() {
    let running = start(Limits::default()).await;
    let batches = (1..=3).map(|n| v1::BatchCreateAddressesRequest {
        requests: (0..n).map(|c| address(&format!("c{n}.{c}"))).collect(),
    });
    let batches: Vec<_> = batches.collect();
    let mut client = running.client(Role::Exchange).addresses();
    let mut stream = client.batch_create_addresses(iter(batches)).await.unwrap().into_inner();
    for n in 1..=3 {
        let answer = stream.message().await.unwrap().unwrap();
        let refs: Vec<_> = answer.addresses.iter().map(|a| a.customer_ref.clone()).collect();
        assert_eq!(refs, (0..n).map(|c| format!("c{n}.{c}")).collect::<Vec<_>>());
    }
    assert!(stream.message().await.unwrap().is_none());
    let one = client.create_address(address("c")).await.unwrap().into_inner();
    assert_eq!(one.attestation.unwrap().signature.len(), 64);
}

#[tokio::test]
async fn the_log_comes_without_gaps_and_a_break_in_it_is_a_fault_after_what_is_whole() {
    let running = start(Limits::default()).await;
    let mut client = running.client(Role::Auditor).audit();
    let ask = v1::ListEntriesRequest { start_index: 10, end_index: None };
    let mut stream = client.list_entries(ask).await.unwrap().into_inner();
    let mut next = 10;
    let end = loop {
        match stream.message().await {
            Ok(Some(message)) => {
                for entry in message.entries {
                    assert_eq!(entry.index, next);
                    next += 1;
                }
            }
            Ok(None) => panic!("the break was swallowed"),
            Err(status) => break status,
        }
    };
    assert_eq!(next, 100);
    assert_eq!((end.code(), stable_code(&end)), (Grpc::DataLoss, Some(Code::StoreTampered)));
    let proof = client.get_inclusion_proof(v1::GetInclusionProofRequest { index: 1, tree_size: 5 }).await;
    assert_eq!(proof.unwrap().into_inner().tree_size, 5);
}

#[tokio::test]
async fn health_says_serving_for_the_whole_and_for_each_service_offered() {
    let running = start(Limits::default()).await;
    let mut client = HealthClient::new(running.client(Role::Observer).channel());
    for service in ["", "countersign.v1.WithdrawalService", "countersign.v1.AuditService"] {
        let answer = client.check(HealthCheckRequest { service: service.into() }).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{service}");
    }
    let other = HealthCheckRequest { service: "countersign.v1.CosignerService".into() };
    assert_eq!(client.check(other).await.unwrap_err().code(), Grpc::NotFound);
}

#[tokio::test]
async fn health_tells_of_the_enclave_as_it_comes_and_goes_and_of_none_where_there_is_none() {
    let (enclave, told) = tokio::sync::watch::channel(false);
    let running = start_with(Limits::default(), Some(told)).await;
    let mut client = HealthClient::new(running.client(Role::Auditor).channel());
    let asked = HealthCheckRequest { service: crate::grpc::ENCLAVE_HEALTH.into() };
    let mut watching = client.watch(asked.clone()).await.unwrap().into_inner();
    let mut seen = Vec::new();
    for is_well in [true, false] {
        enclave.send(is_well).unwrap();
        let wanted = if is_well { ServingStatus::Serving } else { ServingStatus::NotServing };
        while seen.last() != Some(&wanted) {
            seen.push(watching.message().await.unwrap().unwrap().status());
        }
    }
    let whole = client.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(whole.status(), ServingStatus::Serving, "who pays nothing may still be read");
    let other = start(Limits::default()).await;
    let mut other = HealthClient::new(other.client(Role::Auditor).channel());
    let code = other.check(asked).await.unwrap_err().code();
    assert_eq!(code, Grpc::NotFound);
}

#[tokio::test]
async fn reflection_lists_exactly_the_services_offered() {
    let running = start(Limits::default()).await;
    let mut client = ServerReflectionClient::new(running.client(Role::Auditor).channel());
    let ask = |message| ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let asks = iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("countersign.v1.WithdrawalService".into())),
    ]);
    let mut stream = client.server_reflection_info(asks).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        stream.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list");
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "countersign.v1.AddressService",
            "countersign.v1.AuditService",
            "countersign.v1.WithdrawalService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
        ]
    );
    let file = stream.message().await.unwrap().unwrap().message_response;
    assert!(matches!(file, Some(MessageResponse::FileDescriptorResponse(_))), "{file:?}");
}
