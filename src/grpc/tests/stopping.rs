//! How the service stops.

use std::time::Duration;

use tonic::Code as Grpc;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::super::{Drain, Limits};
use super::{create, start};
use crate::desk::Role;
use crate::wire::status::stable_code;
use crate::wire::v1;
use crate::withdrawal::Code;

#[tokio::test]
async fn draining_finishes_what_is_at_work_ends_streams_with_a_word_and_takes_nothing_new() {
    let running = start(Limits::default()).await;
    let client = running.client(Role::Exchange);
    let mut first = client.withdrawals();
    let first = tokio::spawn(async move { first.create_withdrawal(create("wait")).await });
    running.desk.until_one_waits().await;
    let watch = v1::WatchWithdrawalsRequest::default();
    let mut watch = client.withdrawals().watch_withdrawals(watch).await.unwrap().into_inner();
    let mut health = HealthClient::new(client.channel());
    let mut health = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

    let late = running.client(Role::Exchange);
    running.stop.send(()).unwrap();
    assert_eq!(health.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    let end = watch.message().await.unwrap_err();
    assert_eq!((end.code(), stable_code(&end)), (Grpc::Unavailable, Some(Code::ShuttingDown)));
    let late = late.withdrawals().create_withdrawal(create("x")).await.unwrap_err();
    assert_eq!(late.code(), Grpc::Unavailable, "{late:?}");

    running.desk.go.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap().into_inner().request_id, "r1");
    drop(client);
    assert_eq!(running.server.await.unwrap(), Drain::Finished);
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_left_and_counted() {
    let running = start(Limits { drain_time_max: Duration::from_millis(20), ..Limits::default() }).await;
    let mut client = running.client(Role::Exchange).withdrawals();
    let first = tokio::spawn(async move { client.create_withdrawal(create("wait")).await });
    running.desk.until_one_waits().await;
    running.stop.send(()).unwrap();
    assert_eq!(running.server.await.unwrap(), Drain::Cut { calls: 1 });
    first.abort();
}
