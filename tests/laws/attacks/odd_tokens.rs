//! The stolen signer and a token that did not pay as asked: the co-signer heard of the end itself, and signs nothing of that token
//! whatever it is asked for and however often, until its own trust file says that people have looked.

use countersign::ethereum::{B256, Operation, SafeCall, U256};
use countersign::evidence::statement::Body;
use countersign::evidence::{DepositsFact, Ending, ExecutedFact, SafeFact};

use super::super::deposits::page;
use super::super::odd_tokens::review;
use super::super::safes::{ETHER, USDT};
use super::emptying::{Digger, due, hot};
use super::safes::{Vault, honest, transfer};
use super::*;

/// The hot Safe at that height, in which the call at this nonce ended oddly at the height before.
fn after(call: &SafeCall, height: u64) -> SafeFact {
    let done = ExecutedFact {
        nonce: call.nonce,
        safe_tx_hash: call.hash(&hot_safe()).unwrap(),
        ending: Ending::Odd,
        transaction: B256::repeat_byte(0xe7),
        height: height - 1,
    };
    let balances = [(ether(), 10 * ETHER), (token(), 9_900 * USDT)];
    SafeFact { executed: vec![done], ..safe_fact(height, call.nonce + 1, &balances) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_did_not_pay_as_asked_gets_no_signature_whatever_the_signer_says_and_ether_does() {
    let mut vault = Vault::new().await;
    let safe = hot_safe();
    let [first, second, third] = ["t-1", "t-2", "t-3"].map(|id| vault.request(id, 100 * USDT));
    let payment = vault.payment(&first);
    yes(vault.ask(&safe, honest(0, 160_000), &payment).await);
    let mispaid = Body::Safe(Box::new(after(&honest(0, 160_000), 110)));
    tell(&vault.world, mispaid).await.unwrap();

    let payment = vault.payment(&second);
    let to_cold = |gas| SafeCall { data: transfer(cold_safe(), 5_000 * USDT), ..honest(1, gas) };
    let mut gas = 160_000;
    for round in ["at once", "after a restart", "after a later statement"] {
        gas += 2;
        assert_eq!(no(vault.ask(&safe, honest(1, gas), &payment).await), "TOKEN_NOT_AS_PINNED", "{round}");
        let sweep = vault.ask_all(&safe, to_cold(gas + 1), (token(), &[])).await;
        assert_eq!(no(sweep), "TOKEN_NOT_AS_PINNED", "{round}: a sweep");
        vault.world.restart_cosigner().await;
        if round == "after a restart" {
            let balances = [(ether(), 10 * ETHER), (token(), 9_900 * USDT)];
            tell(&vault.world, Body::Safe(Box::new(safe_fact(120, 1, &balances)))).await.unwrap();
        }
    }

    // the same nonce pays ether
    let asked = WithdrawalRequest { asset: ether(), ..vault.request("e-1", ETHER) };
    let paid = vault.payment(&asked);
    let call = SafeCall {
        to: VERA.parse().unwrap(),
        value: U256::from(ETHER),
        data: Default::default(),
        operation: Operation::Call,
        safe_tx_gas: 60_000,
        nonce: 1,
    };
    yes(vault.ask_all(&safe, call, (ether(), &[paid])).await);

    // another trust file than the co-signer's own lifts nothing, and its own does
    assert_eq!(no(vault.ask(&safe, honest(2, 160_020), &payment).await), "TOKEN_NOT_AS_PINNED");
    review(&mut vault.world, 108);
    vault.world.restart_cosigner().await;
    assert_eq!(no(vault.ask(&safe, honest(2, 160_021), &payment).await), "TOKEN_NOT_AS_PINNED");
    review(&mut vault.world, 109);
    vault.world.restart_cosigner().await;
    yes(vault.ask(&safe, honest(2, 160_022), &payment).await);
    // and not for the next such end
    tell(&vault.world, Body::Safe(Box::new(after(&honest(2, 160_022), 130)))).await.unwrap();
    let payment = vault.payment(&third);
    assert_eq!(no(vault.ask(&safe, honest(3, 160_023), &payment).await), "TOKEN_NOT_AS_PINNED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptying_leaves_a_token_that_stands_still_where_it_lies() {
    let mut digger = Digger::new().await;
    let lying = [(0, ether(), 4 * ETHER), (1, token(), 600 * USDT)];
    digger.lies(page(105, &lying)).await;
    let request = WithdrawalRequest {
        asset: token(),
        amount: Amount::from_units(100 * USDT),
        fee_max: Amount::from_units(ETHER / 10),
        ..digger.world.request("t-1", VERA, 1)
    };
    let answer = VerificationAnswer { network: Chain::Evm(EVM), ..digger.thief.answer(&request) };
    let payment = digger.thief.payment_with(&request, &answer);
    let mut loot = digger.book(&hot_safe(), honest(0, 160_000), token());
    loot.payments.push(payment);
    let Digger { world, thief, .. } = &mut digger;
    yes(thief.ask_one(world, &loot).await);
    digger.state(after(&honest(0, 160_000), 110)).await;

    let (coins, usdt) = (due(0, ether(), 4 * ETHER, true), due(1, token(), 600 * USDT, true));
    for _ in 0..2 {
        for taken in [vec![usdt], vec![coins, usdt]] {
            let call = digger.empty(0, hot(), taken);
            assert_eq!(no(digger.ask(call).await), "TOKEN_NOT_AS_PINNED");
        }
        digger.world.restart_cosigner().await;
        digger.lies(DepositsFact { height: 111, ..page(111, &lying) }).await;
    }
    let call = digger.empty(0, hot(), vec![coins]);
    yes(digger.ask(call).await);
}
