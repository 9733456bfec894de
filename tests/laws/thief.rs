//! A stolen signer: it holds the log's key, the database, the certificate, everything but key B, and asks the co-signer
//! whatever it likes. It keeps a log of its own making and books what it wants to have signed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bitcoin::Psbt;
use countersign::audit::{Checkpoint, Entry, EntryKind, FetchedLeaves, LogKey, Tree};
use countersign::bitcoin::build::{Chance, OwnOutput, Payee, Unsigned, UnsignedPlan};
use countersign::bitcoin::{Branch, Destination, KeySlot, OwnCoin, WalletDescriptor};
use countersign::desk::*;
use countersign::evidence::*;
use countersign::withdrawal::*;
use uuid::Uuid;

use super::safes::{ETHER, RATE, USDT};
use super::world::*;

/// What one transaction is to be.
#[derive(Clone)]
pub struct Plot {
    pub inputs: Vec<OwnCoin>,
    pub payees: Vec<(String, u64)>,
    pub cold: Option<(u32, u64)>,
    /// Branch and index of what comes back; everything that is not paid or fee comes back there.
    pub change: Option<(Branch, u32)>,
    pub fee: u64,
}

/// One booked transaction, with all that is handed to the co-signer.
#[derive(Clone)]
pub struct Loot {
    pub reservation: ReservationId,
    pub txid: String,
    pub psbt: Vec<u8>,
    pub leaf: Vec<u8>,
    pub leaf_index: u64,
    pub payments: Vec<CosignPayment>,
}

/// The thief.
pub struct Thief {
    pub tree: Tree,
    /// Size of the head the co-signer knows.
    pub known: u64,
    /// Coins of one bitcoin each that the co-signer has on record.
    pub coins: Vec<OwnCoin>,
    /// Origin and seed of the key that its checkpoints carry.
    pub origin: (&'static str, u8),
    /// The hash of the policy it says it has.
    pub policy: String,
    /// The hashes of earlier policies that it says it tightened.
    pub policies_kept: Vec<String>,
    pub uuids: u128,
    pub fees: AtomicU64,
}

impl Thief {
    /// A world whose signer stands idle, and a thief with that many coins of one bitcoin and that much cold.
    pub async fn with(plan: Plan, coins: usize, cold_sat: u64) -> (World, Self) {
        let world = World::new(plan).await;
        let mut thief = Self {
            tree: Tree::default(),
            known: 0,
            coins: Vec::new(),
            origin: (SIGNER_ORIGIN, 0xa),
            policy: world.policy_hash(),
            policies_kept: Vec::new(),
            uuids: 1,
            fees: AtomicU64::new(1_000),
        };
        tell(&world, world.chain()).await.unwrap();
        tell(&world, Body::Price(vec![(ASSET, Krw(PRICE))])).await.unwrap();
        tell(&world, Body::Position { cold: vec![(ASSET, Amount::from_sat(cold_sat))], swept: vec![] })
            .await
            .unwrap();
        thief.coins = funded(&world, &vec![COIN; coins]).await;
        thief.log(EntryKind::LogStarted, &[("origin", SIGNER_ORIGIN), ("party", "signer"), ("version", "1")]);
        (world, thief)
    }

    /// Writes an entry into its log.
    pub fn log(&mut self, kind: EntryKind, fields: &[(&str, &str)]) -> (Vec<u8>, u64) {
        let entry = fields.iter().fold(Entry::builder(kind, Seconds(1)), |b, (n, v)| b.field(n, v));
        let entry = entry.build().unwrap();
        self.tree.extend([entry.leaf_hash()]);
        (entry.to_leaf(), self.tree.size() - 1)
    }

    /// A plot that spends one coin, pays these requests, and takes the change at index 0. Its fee is never another's, so
    /// that no two of them are the same transaction.
    pub fn plot(&self, coin: usize, requests: &[&WithdrawalRequest]) -> Plot {
        let paid = |r: &&WithdrawalRequest| (r.destination.clone(), r.amount.sat().unwrap());
        Plot {
            inputs: vec![self.coins[coin].clone()],
            payees: requests.iter().map(paid).collect(),
            cold: None,
            change: Some((Branch::Change, 0)),
            fee: self.fees.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// A plot that sweeps one coin.
    pub fn sweep(&self, coin: usize, index: u32) -> Plot {
        let inputs = vec![self.coins[coin].clone()];
        Plot { inputs, payees: Vec::new(), cold: Some((index, COIN - 1_000)), change: None, fee: 1_000 }
    }

    /// Books a plot in its log, with these payments as evidence.
    pub fn book(&mut self, plot: &Plot, payments: Vec<CosignPayment>) -> Loot {
        let unsigned = plot.build();
        let psbt = unsigned.psbt(KeySlot::B, &hot_wallet(), Some(&cold_wallet())).unwrap();
        self.book_bytes(psbt, payments)
    }

    /// Books any PSBT.
    pub fn book_bytes(&mut self, psbt: Vec<u8>, payments: Vec<CosignPayment>) -> Loot {
        let txid = Psbt::deserialize(&psbt).unwrap().unsigned_tx.compute_txid();
        let reservation = reservation_of(&txid);
        let (leaf, leaf_index) = self.enter(reservation, &txid.to_string());
        Loot { reservation, txid: txid.to_string(), psbt, leaf, leaf_index, payments }
    }

    /// Enters a reservation.
    pub fn enter(&mut self, reservation: ReservationId, txid: &str) -> (Vec<u8>, u64) {
        let (id, asset) = (reservation.to_string(), ASSET.to_string());
        self.log(
            EntryKind::Reserved,
            &[
                ("reservation", &id),
                ("purpose", "withdrawal"),
                ("asset", &asset),
                ("amount", "1"),
                ("fee", "1"),
                ("txid", txid),
            ],
        )
    }

    /// A signed checkpoint of its log as it is now.
    pub fn checkpoint(&self) -> String {
        let identity = identity(self.origin.1, "log");
        let key = LogKey::new(self.origin.0, &identity.public_key()).unwrap();
        let sign = |message: &[u8]| identity.sign_note(message).unwrap();
        Checkpoint::new(&key, self.tree.head()).sign(&key, &sign).unwrap().note().to_owned()
    }

    /// The order for these transactions under the newest checkpoint.
    pub fn order(&self, loot: &[Loot]) -> CosignOrder {
        let (size, old) = (self.tree.size(), FetchedLeaves::default());
        let item = |l: &Loot| CosignItem {
            reservation: l.reservation,
            psbt: l.psbt.clone(),
            leaf: l.leaf.clone(),
            leaf_index: l.leaf_index,
            inclusion: hashes(&self.tree.prove_inclusion(l.leaf_index, size, &old).unwrap().hashes()),
            payments: l.payments.clone(),
        };
        let consistency = self.tree.prove_consistency(self.known, size, &old).unwrap();
        CosignOrder {
            checkpoint: self.checkpoint(),
            old_size: self.known,
            consistency: hashes(&consistency.hashes()),
            policy: self.policy.clone(),
            policies_kept: self.policies_kept.clone(),
            items: loot.iter().map(item).collect(),
        }
    }

    /// Asks for these transactions at once.
    pub async fn ask(&mut self, world: &World, loot: &[Loot]) -> Vec<ItemVerdict> {
        let order = self.order(loot);
        let outcome = world.cosigner().countersign(order).await.unwrap();
        assert!(matches!(outcome.head, HeadAnswer::Cosigned(_)), "{:?}", outcome.head);
        self.known = self.tree.size();
        outcome.verdicts.into_iter().map(|(_, verdict)| verdict).collect()
    }

    /// Asks for one transaction.
    pub async fn ask_one(&mut self, world: &World, loot: &Loot) -> ItemVerdict {
        self.ask(world, std::slice::from_ref(loot)).await.remove(0)
    }

    /// Books a plot and asks for it.
    pub async fn try_to(&mut self, world: &World, plot: &Plot, payments: Vec<CosignPayment>) -> ItemVerdict {
        let loot = self.book(plot, payments);
        self.ask_one(world, &loot).await
    }

    /// A request of the exchange's, its answer, and the payment they make: all true.
    pub fn payment(&mut self, request: &WithdrawalRequest) -> CosignPayment {
        let answer = self.answer(request);
        self.payment_with(request, &answer)
    }

    /// A payment with this answer, truly signed by the counterparty.
    pub fn payment_with(&self, request: &WithdrawalRequest, answer: &VerificationAnswer) -> CosignPayment {
        payment(sign(request), Some(signed_answer(answer, ROBOT)))
    }

    /// The true answer to a request.
    pub fn answer(&mut self, request: &WithdrawalRequest) -> VerificationAnswer {
        self.uuids += 1;
        VerificationAnswer {
            uuid: uuid(self.uuids),
            kind: AnswerKind::User,
            originating_vasp: OWN_VASP,
            beneficiary_vasp: request.beneficiary_vasp,
            asset: request.asset,
            network: countersign::withdrawal::Chain::Bitcoin(NETWORK),
            destination: request.destination.clone(),
            amount: request.amount,
            commitment: Some([7; 32]),
            result: AnswerResult::Verified,
            reason: "OK".to_owned(),
            answered_at: request.asked_at,
            request_digest: digest(&sign(request).text),
        }
    }
}

impl Plot {
    pub fn build(&self) -> Unsigned {
        let script =
            |wallet: &WalletDescriptor, branch, index| Arc::new(wallet.script(branch, index).unwrap());
        let inn: u64 = self.inputs.iter().map(|c| c.amount_sat).sum();
        let out: u64 = self.payees.iter().map(|p| p.1).sum::<u64>() + self.cold.map_or(0, |c| c.1);
        let change = self.change.map(|(branch, index)| OwnOutput {
            script: script(&hot_wallet(), branch, index),
            amount_sat: inn - out - self.fee,
        });
        let cold = self.cold.map(|(index, amount_sat)| OwnOutput {
            script: script(&cold_wallet(), Branch::Deposit, index),
            amount_sat,
        });
        let payee = |(to, sat): &(String, u64)| Payee::new(&Destination::parse(to, NETWORK).unwrap(), *sat);
        let plan = UnsignedPlan {
            inputs: self.inputs.clone(),
            payees: self.payees.iter().map(payee).collect(),
            cold,
            change,
            tip_height: 200,
        };
        Unsigned::build(plan, Chance { order: 7, lock_time: 1 }).unwrap()
    }
}

pub fn uuid(number: u128) -> Uuid {
    uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
}

fn hashes(nodes: &[countersign::audit::NodeHash]) -> Vec<[u8; 32]> {
    nodes.iter().map(|h| h.0).collect()
}

pub fn reservation_of(txid: &bitcoin::Txid) -> ReservationId {
    ReservationId::of_txid(&bitcoin::hashes::Hash::to_byte_array(*txid))
}

pub fn payment(request: SignedText, answer: Option<SignedText>) -> CosignPayment {
    CosignPayment { request, clearance: answer.map(ClearanceEvidence::Answer), approvals: Vec::new() }
}

pub fn signed_answer(answer: &VerificationAnswer, seed: u8) -> SignedText {
    signed(sign_answer(answer, ed25519(&key(seed))).unwrap(), "robot")
}

/// Tells the co-signer a statement straight; the thief may choose what it passes on.
pub async fn tell(world: &World, body: Body) -> Result<StatementReceipt, Finding> {
    let statement = world.statement(body);
    world.cosigner().submit_statements(vec![statement]).await.unwrap().remove(0)
}

/// Pays these amounts to an address that the co-signer attests, and tells it of the coins.
pub async fn funded(world: &World, amounts: &[u64]) -> Vec<OwnCoin> {
    attest(world, "victim", 0, 0).await.unwrap();
    let script = Arc::new(hot_wallet().script(Branch::Deposit, 0).unwrap());
    let body = world.deposit(script.script_pubkey().to_owned(), amounts);
    let Body::Coins { transactions, .. } = &body else { unreachable!() };
    let transaction: bitcoin::Transaction =
        bitcoin::consensus::encode::deserialize(&transactions[0]).unwrap();
    let txid = transaction.compute_txid();
    tell(world, body).await.unwrap();
    let coin = |(vout, amount_sat): (usize, &u64)| OwnCoin {
        outpoint: bitcoin::OutPoint { txid, vout: u32::try_from(vout).unwrap() },
        amount_sat: *amount_sat,
        script: script.clone(),
    };
    amounts.iter().enumerate().map(coin).collect()
}

pub async fn attest(world: &World, customer: &str, branch: u32, index: u32) -> Result<SignedText, DeskError> {
    let order = AttestationOrder {
        organisation: Organisation::parse("acme").unwrap(),
        customer_ref: CustomerRef::parse(customer).unwrap(),
        network: ASSET.chain(),
        branch,
        index,
    };
    Ok(world.cosigner().attest_addresses(vec![order]).await?.remove(0))
}

/// The code of a no; there must be no signature.
#[track_caller]
pub fn no(verdict: ItemVerdict) -> &'static str {
    match verdict {
        ItemVerdict::Refused(refusal) => refusal.finding.code.as_str(),
        ItemVerdict::Signed(_) | ItemVerdict::Pending(_) => panic!("key B signed"),
    }
}

/// The bytes of a yes.
#[track_caller]
pub fn yes(verdict: ItemVerdict) -> Vec<u8> {
    match verdict {
        ItemVerdict::Signed(psbt) => psbt,
        ItemVerdict::Refused(refusal) => panic!("{}: {}", refusal.finding.code, refusal.finding.detail),
        ItemVerdict::Pending(finding) => panic!("{}: {}", finding.code, finding.detail),
    }
}

/// Tells the co-signer what it must know beside a Safe: fee rate, prices, and what rests cold.
pub async fn tell_around(world: &World) {
    let chain = ChainFact { chain: ether().chain(), height: 100, fee_rate: FeeRate(RATE) };
    let cold = vec![(ether(), Amount::from_units(90 * ETHER)), (token(), Amount::from_units(90_000 * USDT))];
    for body in [
        Body::Chain(vec![chain]),
        Body::Price(vec![(ASSET, Krw(PRICE)), (ether(), Krw(400_000)), (token(), Krw(1_300))]),
        Body::Position { cold, swept: Vec::new() },
    ] {
        tell(world, body).await.unwrap();
    }
}
