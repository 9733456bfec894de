//! A counterparty that is silent has its share of what waits and of what is tried, and no more.

use super::*;
use crate::withdrawal::Code;

/// A member whose enclave is never there.
const SILENT: VaspId = VaspId(77);

fn knowing_the_silent(mut settings: Settings) -> Settings {
    settings.directory.insert(SILENT, identity_of(SILENT.0).verifying_key().to_bytes());
    settings
}

fn ask_of(vasp: VaspId, id: &str) -> VerifyAsk {
    let mut ask = ask(id, CHECKED, &natural("Robbins", "Taylor"));
    ask.request_text = ask.request_text.replace(&ROBOT.to_string(), &vasp.to_string());
    ask.request_digest = HEXLOWER.encode(&Sha256::digest(ask.request_text.as_bytes()));
    ask.beneficiary_vasp = vasp;
    ask
}

#[tokio::test]
async fn at_most_half_of_what_may_wait_waits_for_one_counterparty() {
    let world = World::without_relay().await;
    let address = free().await;
    let mut settings = knowing_the_silent(world.settings(EXCHANGE, address));
    settings.limits.waiting_max = 4;
    let exchange = world.start(settings, Arc::new(NoCustomers), address).await;
    let asked = async |vasp, id| exchange.verify(ask_of(vasp, id)).await.map_err(|fault| fault.code());
    assert_eq!(asked(SILENT, "w1").await, Ok(VerifyReply::Pending));
    assert_eq!(asked(SILENT, "w2").await, Ok(VerifyReply::Pending));
    assert_eq!(asked(SILENT, "w3").await, Err(Code::QueueFull));
    assert_eq!(asked(ROBOT, "w4").await, Ok(VerifyReply::Pending));
    assert_eq!(asked(ROBOT, "w5").await, Ok(VerifyReply::Pending));
    assert_eq!(asked(ROBOT, "w6").await, Err(Code::QueueFull));
}

#[tokio::test]
async fn whoever_waits_for_a_silent_counterparty_keeps_nobody_else_waiting() {
    let mut world = World::without_relay().await;
    let mut config = World::relay_config();
    let silent = identity_of(SILENT.0).verifying_key();
    let identity_key = HEXLOWER.encode(silent.as_bytes());
    config.members.push(Member { vasp: SILENT.to_string(), identity_key, endpoint: None });
    let listener = bind(world.relay_address).await;
    let served = serve(config, world.standing(), listener, world.relay_stop.clone());
    world.relay = Some(tokio::spawn(async move { served.await.unwrap() }));
    // Its enclave takes connections and says nothing.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    register_the_silent(&world, deaf.local_addr().unwrap()).await;
    let _robot = world.robot().await;
    let address = free().await;
    let mut settings = knowing_the_silent(world.settings(EXCHANGE, address));
    settings.limits.at_once_max = 4;
    let exchange = Arc::new(world.start(settings, Arc::new(NoCustomers), address).await);
    insist(&exchange, &ask_of(ROBOT, "before")).await;
    for n in 0..12 {
        let exchange = exchange.clone();
        tokio::spawn(async move { exchange.verify(ask_of(SILENT, &format!("w{n}"))).await });
    }
    while exchange.health().await.waiting < 12 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    answered(exchange.verify(ask_of(ROBOT, "after")).await.unwrap());
}

async fn register_the_silent(world: &World, address: SocketAddr) {
    use crate::enclave::wire::Endpoint;
    use crate::enclave::wire::client::{Call, Client};
    use crate::enclave::wire::signed::Sender;
    let sender = Sender::new(SILENT.to_string(), identity_of(SILENT.0), world.clock());
    let client = Client::new(world.roots.clone(), sender).unwrap();
    let base = format!("https://{}", world.relay_address);
    let (method, path, time) = (axum::http::Method::PUT, "/v1/endpoint", Duration::from_secs(10));
    let call = Call { to: "relay", base: &base, method, path, time };
    let endpoint = Endpoint { endpoint: format!("https://{address}") };
    client.call::<_, serde_json::Value>(call, &endpoint).await.unwrap();
}
