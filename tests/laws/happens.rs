//! What may happen in the world between two blocks of a page: see [`super::terminal`].

use std::time::Duration;

use countersign::bitcoin::Branch;
use countersign::desk::*;
use countersign::evidence::{Body, Coin};
use countersign::withdrawal::*;

use super::refill::{cold_coins, sign_cold};
use super::terminal::Terminal;
use super::world::*;

const PARTIES: [(KeyRole, &str); 2] =
    [(KeyRole::Signer, "REVIEWED_SIGNER"), (KeyRole::Cosigner, "REVIEWED_COSIGNER")];

/// Makes it happen.
pub async fn happens(world: &World, terminal: &mut Terminal, what: &str) {
    let words: Vec<&str> = what.split_whitespace().collect();
    let number = |text: &str| text.parse::<u64>().unwrap();
    match words.as_slice() {
        // the exchange asks for a withdrawal of that many satoshi
        ["ask", request, sat] => {
            world.withdraw(request, number(sat)).await;
        }
        // it is waited until the withdrawal is held or refused with that code, or RELEASED
        ["until", request, code] => {
            let organisation = Organisation::parse("acme").unwrap();
            let id = WithdrawalId::of(&organisation, &RequestId::parse(request).unwrap());
            world.until(id, |view| codes(view).contains(code)).await;
        }
        // time passes, and the observer states its facts anew
        ["later", seconds] => later(world, number(seconds)).await,
        ["later", seconds, "cold", sat] => {
            later(world, number(seconds)).await;
            world.state_cold(number(sat), &[]).await;
        }
        // the day that is, in Korea, is from now on $DAY
        ["day"] => terminal.set("DAY", day_in_korea(world.now())),
        // the policy's settings stand in a file
        ["policy", file] => std::fs::write(terminal.path(file), policy_text()).unwrap(),
        // both logs know of the freeze
        ["noted"] => {
            until_standing(world, |view| view.in_force.as_ref().is_some_and(|f| f.log_index.is_some())).await
        }
        // both logs were reviewed to their ends
        ["reviewed"] => {
            for (party, name) in PARTIES {
                let size = standing(world, party).await.log_size;
                terminal.set(name, (size - 1).to_string());
            }
        }
        // the freeze is over
        ["free"] => until_standing(world, |view| view.in_force.is_none()).await,
        // a transaction that paid the cold wallet stands in a file, in hex
        ["cold-coins", file, amounts @ ..] => {
            let amounts: Vec<u64> = amounts.iter().map(|amount| number(amount)).collect();
            let raw = cold_coins(world, &amounts).remove(0).raw_transaction;
            std::fs::write(terminal.path(file), data_encoding::HEXLOWER.encode(&raw)).unwrap();
        }
        // the newest refill is from now on $REFILL
        ["refill"] => terminal.set("REFILL", newest_refill(world).await.id),
        // two keys of the cold wallet sign every PSBT of a folder
        ["cold-room", folder] => sign_folder(&terminal.path(folder)),
        // the newest refill is broadcast, and the observer states its coin
        ["refill-came"] => refill_came(world).await,
        _ => panic!("nothing in this world is called `{what}`; add it here"),
    }
}

async fn later(world: &World, seconds: u64) {
    world.later(seconds);
    world.state_chain().await;
    world.state_price(PRICE).await;
}

fn day_in_korea(now: Seconds) -> String {
    let at = jiff::Timestamp::from_second(i64::try_from(now.0).unwrap()).unwrap();
    at.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(9))).date().to_string()
}

async fn standing(world: &World, party: KeyRole) -> FreezeView {
    world.counter(party).standing(&caller(Role::Operator, "kim")).await.unwrap()
}

async fn until_standing(world: &World, wanted: impl Fn(&FreezeView) -> bool) {
    for (party, _) in PARTIES {
        while !wanted(&standing(world, party).await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn newest_refill(world: &World) -> RefillView {
    world.desk().refills(&caller(Role::Operator, "kim")).await.unwrap().pop().unwrap()
}

fn sign_folder(folder: &std::path::Path) {
    let is_psbt = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "psbt");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in entries.filter(is_psbt).collect::<Vec<_>>() {
        let signed = sign_cold(&std::fs::read(&path).unwrap(), &[0x1a, 0x1c]);
        let name = format!("{}-signed.psbt", path.file_stem().unwrap().to_string_lossy());
        std::fs::write(folder.join(name), signed).unwrap();
    }
}

async fn refill_came(world: &World) {
    let refill = newest_refill(world).await;
    let raw = refill.parts[0].raw_transaction.clone();
    let transaction: bitcoin::Transaction = bitcoin::consensus::encode::deserialize(&raw).unwrap();
    let script = hot_wallet().script(Branch::Change, refill.index).unwrap().script_pubkey().to_owned();
    let vout = transaction.output.iter().position(|out| out.script_pubkey == script).unwrap();
    let txid = bitcoin::hashes::Hash::to_byte_array(transaction.compute_txid());
    let coin = Coin { txid, vout: u32::try_from(vout).unwrap(), confirmations: 6 };
    world.state(Body::Coins { transactions: vec![raw], coins: vec![coin] }).await;
}
