//! A registration that broke off between the co-signer's yes and the signer's commit: it can be finished, or taken away.

use countersign::desk::*;
use countersign::withdrawal::*;

use super::self_hosted::{Wallet, prepared, removal, restate};
use super::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_only_the_cosigner_has_is_registered_by_the_same_call_however_late() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let (desk, exchange) = (world.desk(), caller(Role::Exchange, "acme"));
    let evidence = prepared(&world, &Wallet::new(41)).await;
    let receipt = world.cosigner().register(evidence.clone()).await.unwrap();
    assert!(desk.registrations(&exchange, None, page()).await.unwrap().items.is_empty());
    // the signer's own door would be closed to it by now
    world.later(4_000);
    restate(&world).await;
    let view = WalletDesk::register(&*desk, &exchange, evidence.clone()).await.unwrap();
    assert!(view.effective_at > receipt.effective_at, "the signer's delay begins with its own first sight");
    assert_eq!(desk.registrations(&exchange, None, page()).await.unwrap().items, [view]);
    // one that the co-signer does not have is late for both
    let other = prepared(&world, &Wallet::new(42)).await;
    world.later(4_000);
    let no = WalletDesk::register(&*desk, &exchange, other).await.unwrap_err();
    assert_eq!(no.code(), Code::RequestTimeOutOfRange);
    assert_eq!(desk.registrations(&exchange, None, page()).await.unwrap().items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_only_the_cosigner_has_is_removed_and_the_answer_says_so() {
    let world = World::funded(Plan::default(), 3, 70 * COIN).await;
    let (desk, exchange) = (world.desk(), caller(Role::Exchange, "acme"));
    let wallet = Wallet::new(41);
    let evidence = prepared(&world, &wallet).await;
    world.cosigner().register(evidence.clone()).await.unwrap();
    let no = WalletDesk::remove(&*desk, &exchange, removal(&world, &evidence, EXCHANGE)).await.unwrap_err();
    assert_eq!(no.code(), Code::WalletNotRegistered);
    assert!(no.to_string().contains("the co-signer had it and has removed it"), "{no}");
    assert_eq!(world.cosigner().register(evidence).await.unwrap_err().code(), Code::WalletNotRegistered);
    // the wallet is free for another registration at both
    let anew = prepared(&world, &wallet).await;
    WalletDesk::register(&*desk, &exchange, anew).await.unwrap();
}
