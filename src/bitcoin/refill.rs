//! Refills: which cold coins pay one, the PSBTs for the cold side's signing devices, and what they hand back (L13, L18).
//!
//! The coins are the cold wallet's, and nothing here can sign for them. It does not know whether a refill is allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::bitcoin::bip32::{ChildNumber, DerivationPath, KeySource};
use ::bitcoin::consensus::encode;
use ::bitcoin::secp256k1::{Message, PublicKey as Point};
use ::bitcoin::sighash::SighashCache;
use ::bitcoin::{Amount, EcdsaSighashType, OutPoint, Psbt, Transaction, TxOut, Witness, ecdsa, psbt};

use super::address::Destination;
use super::build::{BuildError, Chance, OwnOutput, Unsigned, UnsignedPlan};
use super::coin::{OwnCoin, ProofError, RawTransaction};
use super::consensus;
use super::descriptor::{KeySlot, WalletDescriptor};
use super::fee::{self, FeeCaps, FeeError, OWN_DUST_SAT, OWN_OUTPUT_WEIGHT};
use super::own_script::{Branch, OwnScript};
use super::{psbt_reader, verifier};
use crate::withdrawal::{Code, FeeRate, Invalid};

/// The most transactions that one refill is split into.
pub const PARTS_MAX: usize = 16;

/// A coin of the cold wallet, proved by the transaction that made it.
#[derive(Debug, Clone)]
pub struct ColdCoin {
    coin: OwnCoin,
    raw: Vec<u8>,
}

impl ColdCoin {
    /// Proves that output `vout` of `raw` pays the cold wallet at that place, and how much.
    pub fn prove(
        raw: &[u8],
        vout: u32,
        (cold, branch, index): (&WalletDescriptor, Branch, u32),
    ) -> Result<Self, ColdCoinError> {
        let script = Arc::new(cold.script(branch, index)?);
        let read = RawTransaction::read(raw)?;
        let proven = read.prove(vout, script.script_pubkey())?;
        let coin = OwnCoin { outpoint: proven.outpoint(), amount_sat: proven.amount_sat(), script };
        Ok(Self { coin, raw: raw.to_vec() })
    }

    /// The coin.
    pub fn coin(&self) -> &OwnCoin {
        &self.coin
    }

    /// The transaction that made it.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

/// Why a coin is not known to be the cold wallet's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColdCoinError {
    /// The place is none.
    #[error(transparent)]
    Place(#[from] Invalid),
    /// The transaction does not prove it.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl ColdCoinError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Place(invalid) => invalid.code,
            Self::Proof(error) => error.code(),
        }
    }
}

/// What one transaction of a refill spends and pays.
#[derive(Debug, Clone)]
pub struct Part {
    /// The cold coins, at most as many as the signing devices take.
    pub coins: Vec<ColdCoin>,
    /// Satoshi to the hot address.
    pub amount_sat: u64,
    /// Satoshi back to the cold wallet's branch 1.
    pub change_sat: Option<u64>,
    /// The fee in satoshi.
    pub fee_sat: u64,
}

/// Why a refill cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefillError {
    /// The coins do not reach.
    #[error("the cold coins known here fall {missing_sat} sat short of the refill and its fees")]
    ColdShort {
        /// How much is missing.
        missing_sat: u64,
    },
    /// It would take too many transactions.
    #[error("it would take more than {PARTS_MAX} transactions")]
    TooManyParts,
    /// The fee breaks a bound.
    #[error(transparent)]
    Fee(#[from] FeeError),
}

impl RefillError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::ColdShort { .. } | Self::TooManyParts => Code::ColdFundsShort,
            Self::Fee(error) => error.code(),
        }
    }
}

/// Plans a refill of exactly `amount_sat`: the largest coins first, so that the fewest are signed for, and in as many
/// transactions as `inputs_max` inputs each make necessary. Only the last has change.
pub fn plan(
    mut coins: Vec<ColdCoin>,
    amount_sat: u64,
    inputs_max: usize,
    (rate, caps): (FeeRate, &FeeCaps),
) -> Result<Vec<Part>, RefillError> {
    coins.sort_by_key(|c| (std::cmp::Reverse(c.coin.amount_sat), c.coin.outpoint));
    let mut coins = coins.into_iter();
    let (mut left_sat, mut parts) = (amount_sat, Vec::new());
    while left_sat >= OWN_DUST_SAT {
        if parts.len() >= PARTS_MAX {
            return Err(RefillError::TooManyParts);
        }
        let part = next_part(&mut coins, left_sat, inputs_max.max(1), rate)?;
        let outputs = if part.change_sat.is_some() { 2 } else { 1 };
        caps.check(part.fee_sat, vbytes(part.coins.len(), outputs))?;
        left_sat = left_sat.saturating_sub(part.amount_sat);
        parts.push(part);
    }
    Ok(parts)
}

fn next_part(
    coins: &mut dyn Iterator<Item = ColdCoin>,
    want_sat: u64,
    inputs_max: usize,
    rate: FeeRate,
) -> Result<Part, RefillError> {
    let (mut taken, mut in_sat) = (Vec::new(), 0u64);
    let fee = |inputs, outputs| rate.fee_sat(vbytes(inputs, outputs)).unwrap_or(u64::MAX);
    loop {
        let with_change = want_sat.saturating_add(fee(taken.len(), 2)).saturating_add(OWN_DUST_SAT);
        if in_sat >= with_change {
            let fee_sat = fee(taken.len(), 2);
            let change_sat = in_sat.saturating_sub(want_sat).saturating_sub(fee_sat);
            return Ok(Part { coins: taken, amount_sat: want_sat, change_sat: Some(change_sat), fee_sat });
        }
        let alone = fee(taken.len(), 1);
        if in_sat >= want_sat.saturating_add(alone) {
            let fee_sat = in_sat.saturating_sub(want_sat);
            return Ok(Part { coins: taken, amount_sat: want_sat, change_sat: None, fee_sat });
        }
        let useful = in_sat.checked_sub(alone).filter(|sat| *sat >= OWN_DUST_SAT);
        if let Some(amount_sat) = useful.filter(|_| taken.len() == inputs_max) {
            return Ok(Part { coins: taken, amount_sat, change_sat: None, fee_sat: alone });
        }
        let missing_sat = want_sat.saturating_add(alone).saturating_sub(in_sat);
        if taken.len() >= inputs_max {
            return Err(RefillError::ColdShort { missing_sat });
        }
        let Some(coin) = coins.next() else { return Err(RefillError::ColdShort { missing_sat }) };
        in_sat = in_sat.saturating_add(coin.coin.amount_sat);
        taken.push(coin);
    }
}

fn vbytes(inputs: usize, outputs: usize) -> u64 {
    fee::vbytes(fee::weight_max(inputs, std::iter::repeat_n(OWN_OUTPUT_WEIGHT, outputs)))
}

/// One transaction of a refill, ready to be signed elsewhere.
#[derive(Debug)]
pub struct RefillTransaction {
    /// Its PSBT.
    pub psbt: Vec<u8>,
    /// Its id.
    pub txid: ::bitcoin::Txid,
    /// Which output pays the hot address.
    pub vout: u32,
}

/// Where a part's money goes.
#[derive(Debug, Clone)]
pub struct Places {
    /// The hot address, on branch 1.
    pub hot: Arc<OwnScript>,
    /// Where the cold change goes, on the cold wallet's branch 1.
    pub change: Arc<OwnScript>,
    /// The height of the last block known.
    pub tip_height: u32,
}

/// Builds a part and its PSBT: raw transactions, amounts, witness scripts, and the derivations of all three keys, so that
/// any device that has the cold descriptor can judge it by itself.
pub fn build(
    part: &Part,
    places: &Places,
    (cold, hot): (&WalletDescriptor, &WalletDescriptor),
    chance: Chance,
) -> Result<RefillTransaction, BuildError> {
    let own = |script: &Arc<OwnScript>, amount_sat| OwnOutput { script: script.clone(), amount_sat };
    let unsigned = Unsigned::build(
        UnsignedPlan {
            inputs: part.coins.iter().map(|c| c.coin.clone()).collect(),
            payees: Vec::new(),
            cold: Some(own(&places.hot, part.amount_sat)),
            change: part.change_sat.map(|sat| own(&places.change, sat)),
            tip_height: places.tip_height,
        },
        chance,
    )?;
    let vout = unsigned.vout_of(&places.hot).ok_or(BuildError::OtherWallet)?;
    let transaction = unsigned.transaction().clone();
    let inputs = unsigned.inputs().iter().map(|coin| input_map(coin, part, cold)).collect();
    let outputs = transaction.output.iter().map(|out| {
        let of = |script: &OwnScript, wallet| {
            (*out.script_pubkey == *script.script_pubkey()).then(|| derivations(wallet, script))
        };
        let bip32_derivation = of(&places.hot, hot).or_else(|| of(&places.change, cold)).unwrap_or_default();
        psbt::Output { bip32_derivation, ..psbt::Output::default() }
    });
    let outputs = outputs.collect();
    let psbt = Psbt {
        unsigned_tx: transaction,
        version: 0,
        xpub: BTreeMap::new(),
        proprietary: BTreeMap::new(),
        unknown: BTreeMap::new(),
        inputs,
        outputs,
    };
    Ok(RefillTransaction { txid: psbt.unsigned_tx.compute_txid(), psbt: psbt.serialize(), vout })
}

fn input_map(coin: &OwnCoin, part: &Part, cold: &WalletDescriptor) -> psbt::Input {
    let raw = part.coins.iter().find(|c| c.coin.outpoint == coin.outpoint).map(|c| c.raw.as_slice());
    psbt::Input {
        // some devices refuse to believe an amount without the transaction that made it
        non_witness_utxo: raw.and_then(|raw| encode::deserialize(raw).ok()),
        witness_utxo: Some(prevout(coin)),
        witness_script: Some(coin.script.witness_script().to_owned()),
        bip32_derivation: derivations(cold, &coin.script),
        ..psbt::Input::default()
    }
}

fn prevout(coin: &OwnCoin) -> TxOut {
    TxOut { value: Amount::from_sat(coin.amount_sat), script_pubkey: coin.script.script_pubkey().to_owned() }
}

fn derivations(wallet: &WalletDescriptor, script: &OwnScript) -> BTreeMap<Point, KeySource> {
    let one = |slot: KeySlot| {
        let key = slot.of(wallet.keys());
        let steps = key.path().into_iter().chain([script.branch().number(), script.index()]);
        let path: DerivationPath = steps.map(ChildNumber::from).collect();
        (*script.pubkey(slot), (key.fingerprint().into(), path))
    };
    KeySlot::ALL.map(one).into()
}

/// Why a signed copy is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedCopyError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Invalid),
    /// It is another transaction than the one exported.
    #[error("it is transaction {0}, which this refill did not export")]
    Foreign(String),
    /// Fewer or more signatures than two at an input.
    #[error("input {at} carries {count} signatures, and two are asked for")]
    Count {
        /// Which input.
        at: usize,
        /// How many it carries.
        count: usize,
    },
    /// A signature is of no key of the cold wallet, or does not hold, or does not cover the whole transaction.
    #[error("a signature at input {at} {problem}")]
    Wrong {
        /// Which input.
        at: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl SignedCopyError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Unreadable(invalid) => invalid.code,
            Self::Foreign(_) => Code::RefillForeign,
            Self::Count { .. } | Self::Wrong { .. } => Code::RefillSignatures,
        }
    }
}

/// The id of the transaction in a PSBT that was handed back.
pub fn txid_of(bytes: &[u8]) -> Result<String, Invalid> {
    Ok(psbt_reader::read(bytes)?.unsigned_tx.compute_txid().to_string())
}

/// Whether a PSBT is of the transaction with this id, and that output of it pays exactly so much to this address.
pub fn pays(
    bytes: &[u8],
    (txid, vout): (&str, u32),
    (address, amount_sat): (&Destination, u64),
) -> Result<bool, Invalid> {
    let transaction = psbt_reader::read(bytes)?.unsigned_tx;
    let output = usize::try_from(vout).ok().and_then(|at| transaction.output.get(at));
    let is_paid = output.is_some_and(|output| {
        output.script_pubkey.as_script() == address.script_pubkey() && output.value.to_sat() == amount_sat
    });
    Ok(is_paid && transaction.compute_txid().to_string() == txid)
}

/// Checks a signed copy against the PSBT that was exported and makes the finished transaction of it: the same unsigned
/// transaction, at every input two signatures of two keys of the cold wallet, each over all of it, and no more. Nothing else
/// of the copy is looked at.
pub fn finish(copy: &[u8], exported: &[u8], coins: &[OwnCoin]) -> Result<Vec<u8>, SignedCopyError> {
    let copy = psbt_reader::read(copy)?;
    let ours = psbt_reader::read(exported)?;
    if copy.unsigned_tx != ours.unsigned_tx || copy.inputs.len() != ours.inputs.len() {
        return Err(SignedCopyError::Foreign(copy.unsigned_tx.compute_txid().to_string()));
    }
    let mut transaction: Transaction = ours.unsigned_tx.clone();
    let mut cache = SighashCache::new(&ours.unsigned_tx);
    let mut prevouts = Vec::with_capacity(coins.len());
    for (at, (map, txin)) in copy.inputs.iter().zip(&mut transaction.input).enumerate() {
        let coin = coin_of(coins, &txin.previous_output)
            .ok_or(SignedCopyError::Wrong { at, problem: "is of a coin that is not known here" })?;
        txin.witness = witness(at, map, coin, &mut cache)?;
        prevouts.push(prevout(coin));
    }
    let bytes = encode::serialize(&transaction);
    let refused = |_| SignedCopyError::Wrong { at: 0, problem: "is not accepted by the consensus rules" };
    consensus::verify_bytes(&bytes, &prevouts).map_err(refused)?;
    Ok(bytes)
}

fn coin_of<'a>(coins: &'a [OwnCoin], outpoint: &OutPoint) -> Option<&'a OwnCoin> {
    coins.iter().find(|coin| coin.outpoint == *outpoint)
}

fn witness(
    at: usize,
    map: &psbt::Input,
    coin: &OwnCoin,
    cache: &mut SighashCache<&Transaction>,
) -> Result<Witness, SignedCopyError> {
    let wrong = |problem| SignedCopyError::Wrong { at, problem };
    let mut signed: Vec<(Point, &ecdsa::Signature)> =
        map.partial_sigs.iter().map(|(key, signature)| (key.inner, signature)).collect();
    if signed.len() != 2 {
        return Err(SignedCopyError::Count { at, count: signed.len() });
    }
    let script = &coin.script;
    let digest = cache
        .p2wsh_signature_hash(
            at,
            script.witness_script(),
            Amount::from_sat(coin.amount_sat),
            EcdsaSighashType::All,
        )
        .map_err(|_| wrong("cannot be checked"))?;
    let message = Message::from_digest(::bitcoin::hashes::Hash::to_byte_array(digest));
    for (key, signature) in &signed {
        if !script.pubkeys().contains(key) {
            return Err(wrong("is of a key that is not the cold wallet's"));
        }
        if signature.sighash_type != EcdsaSighashType::All {
            return Err(wrong("does not cover the whole transaction"));
        }
        let holds = verifier().verify_ecdsa(&message, &signature.signature, key);
        holds.map_err(|_| wrong("does not hold"))?;
    }
    signed.sort_by_key(|(key, _)| key.serialize());
    let mut witness = Witness::new();
    witness.push([]);
    signed.iter().for_each(|(_, signature)| witness.push_ecdsa_signature(signature));
    witness.push(script.witness_script());
    Ok(witness)
}
