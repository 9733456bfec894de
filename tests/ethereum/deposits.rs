//! Deposit addresses that do not exist yet, deployed and emptied by the treasury in one transaction.

use alloy_primitives::U256;
use countersign::ethereum::pins::{V1_4_1, V1_5_0};
use countersign::ethereum::*;
use countersign::keys::KeyRole;

use super::chain::Chain;
use super::token::{self, Manner, held};
use super::world::*;

fn due(index: u64, asset: EvmAsset, amount: u64, deploy: bool) -> DepositDue {
    DepositDue { index, asset, amount: Units::new(U256::from(amount)), deploy, safe_tx_gas: 200_000 }
}

async fn empties(make: Make) {
    let Some(chain) = Chain::start_anvil().await else { return };
    let world = World::new(chain, make).await;
    let (treasury, hot) = (world.make_safe(1).await, world.make_safe(2).await);
    let (chain, deposits) = (&world.chain, Deposits::of(&treasury));
    let usdt = token::token(chain, Manner::ReturnsNothing, deposits.address(5), 700).await;
    token::grant(chain, usdt, deposits.address(6), 60).await;
    chain.bank_sends(deposits.address(5), U256::from(50_000), &[]).await;
    chain.bank_sends(deposits.address(7), U256::from(80_000), &[]).await;

    let (coin, units) = (EvmAsset::Ether(chain.id), EvmAsset::Token(chain.id, usdt));
    let all = vec![
        due(5, coin, 50_000, true),
        due(5, units, 700, false),
        due(6, units, 60, true),
        due(7, coin, 80_000, true),
    ];
    let settle = async |all: Vec<DepositDue>, treasury: &SafeWallet| {
        let task = Task::Empty { deposits: &deposits, hot: hot.address(), due: all.clone() };
        let expect = Expectations { emptying: Some((&deposits, hot.address(), &all)), ..expecting(&[]) };
        world.settle(treasury, task, expect).await
    };
    assert_eq!(settle(all, &treasury).await, Verdict::Paid);
    assert_eq!(chain.balance(hot.address()).await, U256::from(130_000));
    assert_eq!(held(chain, usdt, hot.address()).await, U256::from(760));
    assert_eq!(chain.balance(deposits.address(5)).await, U256::ZERO);

    // later deposits need no deployment; one that cannot pay leaves the others paid, and is named
    chain.bank_sends(deposits.address(7), U256::from(9), &[]).await;
    let refusing =
        EvmAsset::Token(chain.id, token::token(chain, Manner::Reverts, deposits.address(6), 1).await);
    let second = vec![due(6, refusing, 1, false), due(7, coin, 9, false)];
    assert_eq!(settle(second, &treasury).await, Verdict::DepositLeft(deposits.address(6)));
    assert_eq!(chain.balance(hot.address()).await, U256::from(130_009));

    // one swap of the treasury's seat rotates every deposit address at once
    let new = super::seats::Party::new(99).address(KeyRole::Vault);
    let [a, b, _] = treasury.owners().all();
    let swap = swap_of(&world.trusted(&treasury).await, KeyRole::Vault, new).unwrap();
    let expect = Expectations { rotation: Some((KeyRole::Vault, new)), ..expecting(&[]) };
    assert_eq!(world.settle(&treasury, Task::Rotate(swap), expect).await, Verdict::Paid);
    let rotated = SafeWallet::adopt(chain.id, make, Owners::new(a, b, new).unwrap(), treasury.address());
    chain.bank_sends(deposits.address(5), U256::from(4), &[]).await;
    assert_eq!(settle(vec![due(5, coin, 4, false)], &rotated).await, Verdict::Paid);
    assert_eq!(chain.balance(hot.address()).await, U256::from(130_013));
}

#[tokio::test]
async fn the_treasury_deploys_and_empties_many_at_once_into_the_hot_safe_1_4_1() {
    empties(Make { release: &V1_4_1, singleton: Singleton::Plain }).await;
}

#[tokio::test]
async fn the_treasury_deploys_and_empties_many_at_once_into_the_hot_safe_1_5_0() {
    empties(Make { release: &V1_5_0, singleton: Singleton::Telling }).await;
}

#[tokio::test]
async fn nobody_but_the_treasury_empties_a_deposit_address() {
    let make = Make { release: &V1_5_0, singleton: Singleton::Plain };
    let Some(chain) = Chain::start_anvil().await else { return };
    let world = World::new(chain, make).await;
    let (treasury, thief) = (world.make_safe(1).await, world.make_safe(3).await);
    let deposits = Deposits::of(&treasury);
    world.chain.bank_sends(deposits.address(1), U256::from(500), &[]).await;
    assert!(world.execute(deposits.factory(), deposits.deployment(1)).await.succeeded);
    let call = SafeCall {
        to: thief.address(),
        value: U256::from(500),
        data: Bytes::new(),
        operation: Operation::Call,
        safe_tx_gas: 1,
        nonce: 0,
    };
    for owner in [treasury.address(), world.party.executor()] {
        let data = super::peers::execution(&call, action::pre_validated(owner));
        let no = world.chain.call(deposits.address(1), &data).await.unwrap_err();
        let code = Revert::read(&no).safe_code();
        assert!(code == Some("GS025") || code == Some("GS026"), "{code:?}");
        assert!(!world.execute(deposits.address(1), data).await.succeeded);
    }
    assert_eq!(world.chain.balance(deposits.address(1)).await, U256::from(500));
}
