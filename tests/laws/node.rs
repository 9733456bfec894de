//! A real Bitcoin node judges what is released: it derives the same addresses, takes the transactions, mines them, and
//! refuses each of them with one signature.
//!
//! The node is `$BITCOIND_EXE` on a private regtest chain. Without it these tests say loudly that they were skipped;
//! with `COUNTERSIGN_REQUIRE_BITCOIND=1` they fail instead.

use std::io::Write;
use std::time::Duration;

use super::world::*;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hashes::Hash;
use bitcoin::{Transaction, Witness};
use corepc_node::{Conf, Node};
use countersign::bitcoin::{Branch, Destination, WalletDescriptor, fee};
use countersign::desk::WithdrawalView;
use countersign::evidence::*;
use countersign::flow::ledger::rows::{self, Purpose, ReservationRow};
use countersign::store::{Store, Table};
use countersign::withdrawal::*;
use serde_json::{Value, json};

/// A private node whose wallet has coins to give away.
pub struct Chain {
    node: Node,
    miner: String,
}

/// Where the node is, or a loud word that its tests are skipped.
fn executable() -> Option<std::ffi::OsString> {
    let found = std::env::var_os("BITCOIND_EXE").filter(|path| !path.is_empty());
    if found.is_none() {
        assert!(
            std::env::var_os("COUNTERSIGN_REQUIRE_BITCOIND").is_none_or(|value| value != "1"),
            "COUNTERSIGN_REQUIRE_BITCOIND=1, but BITCOIND_EXE names no node"
        );
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("a test").to_owned();
        // not eprintln!, which the test harness keeps to itself when a test passes
        let loud =
            format!("\n*** SKIPPED: {name}: BITCOIND_EXE names no node; tests/run.sh brings one ***\n\n");
        std::io::stderr().write_all(loud.as_bytes()).unwrap();
    }
    found
}

impl Chain {
    /// Starts a node with 110 blocks, or says loudly why not.
    fn start() -> Option<Self> {
        let executable = executable()?;
        let mut conf = Conf::default();
        conf.args = vec!["-regtest", "-fallbackfee=0.0001", "-txindex=1", "-dnsseed=0", "-discover=0"];
        let node = Node::with_conf(executable, &conf).expect("the node starts");
        let miner = Self::ask(&node, "getnewaddress", &[]).as_str().unwrap().to_owned();
        let chain = Self { node, miner };
        chain.mine(110);
        Some(chain)
    }

    fn ask(node: &Node, method: &str, args: &[Value]) -> Value {
        let answer = node.client.call::<Value>(method, args);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn call(&self, method: &str, args: &[Value]) -> Value {
        Self::ask(&self.node, method, args)
    }

    fn mine(&self, blocks: u32) {
        self.call("generatetoaddress", &[json!(blocks), json!(self.miner)]);
    }

    fn height(&self) -> u32 {
        u32::try_from(self.call("getblockcount", &[]).as_u64().unwrap()).unwrap()
    }

    /// The node's wallet pays these addresses in one transaction, which is mined.
    fn pay(&self, outputs: &[(&str, u64)]) -> String {
        let amount = |sat: u64| format!("{}.{:08}", sat / COIN, sat % COIN);
        let outputs: serde_json::Map<String, Value> =
            outputs.iter().map(|(address, sat)| ((*address).to_owned(), json!(amount(*sat)))).collect();
        let txid = self.call("sendmany", &[json!(""), Value::Object(outputs)]);
        self.mine(1);
        txid.as_str().unwrap().to_owned()
    }

    fn raw(&self, txid: &str) -> (Transaction, u32) {
        let told = self.call("getrawtransaction", &[json!(txid), json!(true)]);
        let transaction = deserialize_hex(told["hex"].as_str().unwrap()).unwrap();
        let confirmations = told["confirmations"].as_u64().unwrap_or(0);
        (transaction, u32::try_from(confirmations).unwrap())
    }

    fn judge(&self, transaction: &Transaction) -> Judgement {
        let told = self.call("testmempoolaccept", &[json!([serialize_hex(transaction)])]);
        Judgement(told[0].clone())
    }

    /// Sends it; the node must take it, and a block must hold it.
    fn send_and_mine(&self, transaction: &Transaction) {
        let txid = transaction.compute_txid().to_string();
        let sent = self.call("sendrawtransaction", &[json!(serialize_hex(transaction))]);
        assert_eq!(sent, json!(txid));
        self.mine(1);
        assert_eq!(self.raw(&txid).1, 1, "{txid} is not in the block");
    }
}

/// What `testmempoolaccept` says of one transaction.
#[derive(Debug)]
struct Judgement(Value);

impl Judgement {
    fn allowed(&self) -> bool {
        self.0["allowed"] == json!(true)
    }

    fn reason(&self) -> &str {
        self.0["reject-reason"].as_str().unwrap_or_default()
    }

    fn vsize(&self) -> u64 {
        self.0["vsize"].as_u64().unwrap()
    }

    fn fee_sat(&self) -> u64 {
        let text = self.0["fees"]["base"].to_string();
        bitcoin::Amount::from_str_in(&text, bitcoin::Denomination::Bitcoin).unwrap().to_sat()
    }
}

/// The observer, who looks at a real chain.
struct Watcher<'a> {
    chain: &'a Chain,
    world: &'a World,
}

impl Watcher<'_> {
    async fn state_tip(&self) {
        let fact = ChainFact {
            chain: countersign::withdrawal::Chain::Bitcoin(NETWORK),
            height: self.chain.height(),
            fee_rate: FeeRate(2_000),
        };
        self.world.state(Body::Chain(vec![fact])).await;
    }

    /// States every coin of a wallet that these transactions made, as the node shows them.
    async fn state_coins(&self, txids: &[&str], scripts: &[bitcoin::ScriptBuf]) {
        let mut transactions = Vec::new();
        let mut coins = Vec::new();
        for txid in txids {
            let (transaction, confirmations) = self.chain.raw(txid);
            for (vout, output) in (0u32..).zip(&transaction.output) {
                if scripts.contains(&output.script_pubkey) {
                    let txid = transaction.compute_txid().to_byte_array();
                    coins.push(Coin { txid, vout, confirmations });
                }
            }
            transactions.push(bitcoin::consensus::encode::serialize(&transaction));
        }
        assert!(!coins.is_empty(), "no coin of the wallet in {txids:?}");
        self.world.state(Body::Coins { transactions, coins }).await;
    }

    /// Deposits are paid by the node's wallet to addresses from the counter, mined, and stated. Gives the scripts.
    async fn deposit(&self, amounts: &[(&str, u64)]) -> Vec<bitcoin::ScriptBuf> {
        let mut outputs = Vec::new();
        let mut scripts = Vec::new();
        for (customer, sat) in amounts {
            let view = self.world.address(customer).await;
            let own = hot_wallet().script(Branch::Deposit, view.index).unwrap();
            assert_eq!(view.address, own.address(NETWORK));
            scripts.push(own.script_pubkey().to_owned());
            outputs.push((view.address, *sat));
        }
        let outputs: Vec<(&str, u64)> = outputs.iter().map(|(a, sat)| (a.as_str(), *sat)).collect();
        let txid = self.chain.pay(&outputs);
        self.state_tip().await;
        self.state_coins(&[&txid], &scripts).await;
        scripts
    }
}

/// The same transaction with a signature less, in every way a thief with one key could try: the other left empty, left
/// out, or the one given twice.
fn with_one_signature(transaction: &Transaction) -> Vec<Transaction> {
    let own: Vec<Vec<u8>> = transaction.input[0].witness.to_vec();
    let [empty, first, second, script] = <[Vec<u8>; 4]>::try_from(own).expect("two signatures");
    assert!(empty.is_empty() && !first.is_empty() && !second.is_empty());
    let stacks = [
        vec![empty.clone(), first.clone(), empty.clone(), script.clone()],
        vec![empty.clone(), empty.clone(), second.clone(), script.clone()],
        vec![empty.clone(), first.clone(), script.clone()],
        vec![empty.clone(), second.clone(), script.clone()],
        vec![empty.clone(), first.clone(), first, script.clone()],
        vec![empty, second.clone(), second, script],
    ];
    let with = |stack: Vec<Vec<u8>>| {
        let mut less = transaction.clone();
        less.input[0].witness = Witness::from_slice(&stack);
        assert_eq!(less.compute_txid(), transaction.compute_txid());
        less
    };
    stacks.map(with).to_vec()
}

/// The node takes it, at the fee and within the size that were predicted, and with one signature it does not.
fn node_agrees(chain: &Chain, transaction: &Transaction, fee_sat: u64) {
    for less in with_one_signature(transaction) {
        let no = chain.judge(&less);
        assert!(!no.allowed(), "taken with one signature: {no:?}");
        assert!(no.reason().contains("script-verify-flag"), "refused for something else: {no:?}");
    }
    let yes = chain.judge(transaction);
    assert!(yes.allowed(), "{yes:?}");
    let weights = transaction.output.iter().map(|o| fee::output_weight(o.script_pubkey.len()));
    let predicted = fee::vbytes(fee::weight_max(transaction.input.len(), weights));
    let inputs = u64::try_from(transaction.input.len()).unwrap();
    assert_eq!(yes.fee_sat(), fee_sat);
    // each of the two signatures may be a byte shorter than the longest, rarely two; four such bytes are one vbyte
    assert!(yes.vsize() <= predicted && predicted - yes.vsize() <= inputs + 1, "{predicted} {yes:?}");
    assert_eq!(yes.vsize(), u64::try_from(transaction.vsize()).unwrap());
    let rate = fee_sat * 1_000 / yes.vsize();
    assert!((2_000..2_100).contains(&rate), "{rate} sat/kvB were paid, 2000 were stated");
}

fn released(view: &WithdrawalView) -> Transaction {
    assert_eq!(codes(view), ["RELEASED"], "{view:?}");
    let transaction: Transaction = bitcoin::consensus::encode::deserialize(&view.raw_transaction).unwrap();
    assert_eq!(Some(transaction.compute_txid().to_string()), view.txid);
    transaction
}

fn fee_of(view: &WithdrawalView) -> u64 {
    view.fee.unwrap().sat().unwrap()
}

/// What a wallet got of a transaction, on a branch.
fn own_outputs(
    transaction: &Transaction,
    wallet: &WalletDescriptor,
    branch: Branch,
) -> Vec<(bitcoin::ScriptBuf, u64)> {
    let scripts: Vec<_> =
        wallet.scripts(branch, 0, 50).unwrap().iter().map(|s| s.script_pubkey().to_owned()).collect();
    let own = transaction.output.iter().filter(|o| scripts.contains(&o.script_pubkey));
    own.map(|o| (o.script_pubkey.clone(), o.value.to_sat())).collect()
}

/// What the signer's store says of its sweeps.
async fn sweeps(world: &World) -> Vec<ReservationRow> {
    let store = Store::open(&world.store("signer"), &store_secret(0xa)).await.unwrap();
    let page = store.rows_page(Table::Reservation, None, 100).await.unwrap();
    let rows = page.rows.iter().map(|row| rows::read::<ReservationRow>(row.key(), row.content()).unwrap());
    rows.filter(|row| matches!(row.purpose, Purpose::Sweep { .. })).collect()
}

async fn signed_sweep(world: &World) -> (Transaction, ReservationRow) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        for row in sweeps(world).await {
            if let Some(hex) = &row.tx_hex {
                return (deserialize_hex(hex).unwrap(), row);
            }
        }
        assert!(tokio::time::Instant::now() < deadline, "no sweep was signed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn the_node_derives_the_addresses_of_our_descriptors() {
    let Some(chain) = Chain::start() else { return };
    for wallet in [hot_wallet(), cold_wallet()] {
        let told = chain.call("getdescriptorinfo", &[json!(wallet.as_str())]);
        let (_, checksum) = wallet.as_str().rsplit_once('#').unwrap();
        assert_eq!(told["checksum"], json!(checksum), "{told}");
        assert_eq!((&told["isrange"], &told["issolvable"]), (&json!(true), &json!(true)), "{told}");
        for (first, count) in [(0u32, 200u32), (0x7fff_fff8, 8)] {
            let range = json!([first, first + (count - 1)]);
            let theirs = chain.call("deriveaddresses", &[json!(wallet.as_str()), range]);
            for (place, branch) in [(0, Branch::Deposit), (1, Branch::Change)] {
                let ours: Vec<String> =
                    (0..count).map(|n| wallet.address(branch, first + n).unwrap()).collect();
                assert_eq!(theirs[place], json!(ours), "branch {place} from {first}");
            }
        }
    }
}

#[test]
fn the_node_pays_the_script_that_we_see_behind_each_kind_of_address() {
    let Some(chain) = Chain::start() else { return };
    for kind in ["legacy", "p2sh-segwit", "bech32", "bech32m"] {
        let address = chain.call("getnewaddress", &[json!(""), json!(kind)]);
        let told = chain.call("getaddressinfo", std::slice::from_ref(&address));
        let ours = Destination::parse(address.as_str().unwrap(), NETWORK).unwrap();
        assert_eq!(told["scriptPubKey"], json!(ours.script_pubkey().to_hex_string()), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_mines_a_released_withdrawal_and_refuses_it_with_one_signature() {
    let Some(chain) = Chain::start() else { return };
    let world = World::new(Plan::default()).await;
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
    let watcher = Watcher { chain: &chain, world: &world };
    let scripts = watcher.deposit(&[("c1", COIN), ("c2", COIN / 2)]).await;
    assert_ne!(scripts[0], scripts[1]);

    // a named person behind each kind of segwit output
    let payees = [(TAYLOR, ("Robbins", "Taylor"), 2_000_000), (MINSU, ("KIM", "MINSU"), 3_000_001)];
    for (number, (address, name, sat)) in payees.into_iter().enumerate() {
        let view = world.ask(&world.request(&format!("r{number}"), address, sat), name).await.unwrap();
        let transaction = released(&view);
        node_agrees(&chain, &transaction, fee_of(&view));
        chain.send_and_mine(&transaction);
        let paid = chain.call("gettxout", &[json!(view.txid), json!(paid_at(&transaction, address, sat))]);
        assert_eq!(paid["scriptPubKey"]["address"], json!(address), "{paid}");

        // the change is a coin like any other once the observer has seen it
        let change = own_outputs(&transaction, &hot_wallet(), Branch::Change);
        assert_eq!(change.len(), 1);
        watcher.state_tip().await;
        watcher.state_coins(&[view.txid.as_deref().unwrap()], &[change[0].0.clone()]).await;
    }

    // and can be spent
    let view = world.withdraw("r-change", 2_500_000).await;
    let transaction = released(&view);
    node_agrees(&chain, &transaction, fee_of(&view));
    chain.send_and_mine(&transaction);
}

fn paid_at(transaction: &Transaction, address: &str, sat: u64) -> usize {
    let script = Destination::parse(address, NETWORK).unwrap().script_pubkey().to_owned();
    let found = transaction.output.iter().position(|o| o.script_pubkey == script && o.value.to_sat() == sat);
    found.expect("the payee is paid")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_mines_a_withdrawal_of_many_inputs_and_one_that_spends_change_still_unconfirmed() {
    let Some(chain) = Chain::start() else { return };
    let world = World::new(Plan::default()).await;
    world.state_price(PRICE).await;
    world.state_cold(70 * COIN, &[]).await;
    let watcher = Watcher { chain: &chain, world: &world };
    watcher.deposit(&[("c1", 1_000_000), ("c2", 1_100_000), ("c3", 1_200_000), ("c4", 1_300_000)]).await;

    let first = world.withdraw("many", 3_000_000).await;
    let transaction = released(&first);
    assert!(transaction.input.len() >= 3, "{}", transaction.input.len());
    node_agrees(&chain, &transaction, fee_of(&first));
    let sent = chain.call("sendrawtransaction", &[json!(serialize_hex(&transaction))]);
    assert_eq!(sent, json!(first.txid));

    // what is left is the other coin and the change, which no block holds yet
    let second =
        world.ask(&world.request("chained", TAYLOR, 1_400_000), ("Robbins", "Taylor")).await.unwrap();
    let next = released(&second);
    let spends_change = next.input.iter().any(|i| i.previous_output.txid == transaction.compute_txid());
    assert!(spends_change, "the own change was not spent");
    node_agrees(&chain, &next, fee_of(&second));
    chain.send_and_mine(&next);
    assert_eq!(chain.raw(first.txid.as_deref().unwrap()).1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_mines_the_sweep_first_and_then_the_withdrawal_that_waited_for_it() {
    let Some(chain) = Chain::start() else { return };
    let world = World::new(Plan::default()).await;
    world.state_price(PRICE).await;
    let watcher = Watcher { chain: &chain, world: &world };
    watcher.deposit(&[("c1", COIN), ("c2", COIN), ("c3", COIN)]).await;
    // three hot and one cold: three quarters are hot, three tenths may be
    world.state_cold(COIN, &[]).await;

    let (sweep, row) = signed_sweep(&world).await;
    let Purpose::Sweep { amount_sat, .. } = row.purpose else { panic!("no sweep") };
    let cold = own_outputs(&sweep, &cold_wallet(), Branch::Deposit);
    assert_eq!(cold.iter().map(|(_, sat)| *sat).collect::<Vec<_>>(), [amount_sat]);
    assert!(amount_sat >= 18 * COIN / 10, "{amount_sat} are swept");
    let change = own_outputs(&sweep, &hot_wallet(), Branch::Change);
    assert_eq!(change.len() + 1, sweep.output.len(), "the sweep pays somebody else");
    node_agrees(&chain, &sweep, row.fee_sat);
    chain.send_and_mine(&sweep);

    let view = world.withdraw("after", 2_000_000).await;
    let transaction = released(&view);
    node_agrees(&chain, &transaction, fee_of(&view));
    chain.send_and_mine(&transaction);

    // the observer counts the sweep among the cold; nothing is swept twice
    let swept = sweep.compute_txid().to_byte_array();
    world.state_cold(COIN + amount_sat, &[swept]).await;
    watcher.state_tip().await;
    let again = world.withdraw("later", 2_000_000).await;
    chain.send_and_mine(&released(&again));
    assert_eq!(sweeps(&world).await.len(), 1, "a second sweep was made");
}
