//! What the enclaves do when everybody is honest, and when somebody is away.

use ed25519_dalek::{Signature, Verifier};

use super::*;

#[tokio::test]
async fn a_person_who_holds_the_address_is_verified_and_the_answer_is_signed() {
    let world = World::new().await;
    let (exchange, robot) = (world.exchange().await, world.robot().await);
    let ask = ask("w1", CHECKED, &natural("ROBBINS", "Taylor"));
    let (text, signature) = answered(exchange.verify(ask.clone()).await.unwrap());
    assert_eq!(verdict(&text), ("VERIFIED", "OK"));
    assert_eq!(line(&text, "request_digest"), ask.request_digest);
    assert_eq!(line(&text, "kind"), "user");
    assert_eq!(line(&text, "commitment").len(), 64);
    identity_of(ROBOT.0).verifying_key().verify(text.as_bytes(), &Signature::from_bytes(&signature)).unwrap();
    exchange.stop().await;
    robot.stop().await;
}
