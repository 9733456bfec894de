//! What is pinned is what was published, and where it will stand is where it stands.

use alloy_primitives::{U256, keccak256};
use countersign::ethereum::pins::{Release, Singleton};
use countersign::ethereum::{Deposits, Make};

use super::chain::Chain;
use super::world::{World, deploy, facts};

#[tokio::test]
async fn the_pinned_addresses_and_hashes_are_what_the_published_code_deploys() {
    let Some(chain) = Chain::start_anvil().await else { return };
    for release in Release::ALL {
        deploy(&chain, release).await;
        let singles = [release.plain.pin, release.telling.pin];
        for pin in singles.into_iter().chain([release.factory, release.multi_send, release.fallback_handler])
        {
            assert_eq!(
                chain.code_hash(pin.address).await,
                pin.code_hash,
                "{} {}",
                release.version,
                pin.address
            );
        }
        let asked =
            chain.call(release.factory.address, &keccak256("proxyCreationCode()")[..4]).await.unwrap();
        let len = usize::try_from(U256::from_be_slice(&asked[32..64])).unwrap();
        for single in [release.plain, release.telling] {
            let init = [&asked[64..64 + len], single.pin.address.into_word().as_slice()].concat();
            assert_eq!(keccak256(init), single.init_code_hash, "{}", release.version);
        }
    }
}

#[tokio::test]
async fn every_release_and_singleton_makes_the_safe_that_was_predicted_and_it_reads_as_pinned() {
    for release in Release::ALL {
        for singleton in [Singleton::Plain, Singleton::Telling] {
            let Some(chain) = Chain::start_anvil().await else { return };
            let world = World::new(chain, Make { release, singleton }).await;
            for salt in [0, 7] {
                let wallet = world.make_safe(salt).await;
                assert_eq!(world.trusted(&wallet).await.nonce(), 0);
            }
            let deposits = Deposits::of(&world.wallet(0));
            for index in [0, 1, u64::MAX] {
                let made = world.execute(deposits.factory(), deposits.deployment(index)).await;
                assert!(made.succeeded);
                let code = world.chain.code_hash(deposits.address(index)).await;
                assert_eq!(code, release.proxy_code_hash, "deposit {index}");
            }
            assert_eq!(facts(&world.chain, &world.wallet(7)).await.version, release.version);
        }
    }
}
