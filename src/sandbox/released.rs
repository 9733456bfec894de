//! Owns a released transaction, checked here once more without asking anybody: whom it pays, what, and by whose signatures.

use bitcoin::{ScriptBuf, Transaction, TxOut, consensus};
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};

use super::report::money;
use super::safe_tx::{self, Payment};
use super::{ASSET, Fault, NETWORK};
use crate::bitcoin::{Destination, verify_consensus};
use crate::desk::{Prevout, WithdrawalView};
use crate::ethereum::{Address, SafeWallet};
use crate::withdrawal::evm_address::{read, spell};
use crate::withdrawal::{Amount, Asset, SafePlace};

/// A released transaction that does what was asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Released {
    /// Its id, as explorers print it; of a Safe transaction its hash.
    pub txid: String,
    /// Its bytes, hex; of a Safe transaction the data of the call that executes it.
    pub tx_hex: String,
    /// Its fee in satoshi; of a Safe transaction the most that executing it may cost, in wei.
    pub fee: Amount,
    /// What pays.
    pub by: By,
}

/// What pays.
#[derive(Debug, PartialEq, Eq)]
pub enum By {
    /// Coins: txid, output, satoshi and script.
    Coins(Vec<(String, u32, u64, String)>),
    /// A Safe, at one of its nonces; the two owners whose signatures it bears.
    Safe(SafePlace, [Address; 2]),
}

impl Released {
    /// Takes the transaction of a released withdrawal only if it pays exactly what was asked, for the fee named.
    pub fn of(view: &WithdrawalView, safe: &SafeWallet) -> Result<Self, Fault> {
        let no = |problem: &str| Fault::call("the released transaction", &format!("{}: {problem}", view.id));
        match view.request.asset {
            Asset::Bitcoin(_) => coins(view).map_err(|problem| no(&problem)),
            Asset::Evm(_) => by_safe(view, safe).map_err(|problem| no(&problem)),
        }
    }

    /// The fee, as people read it.
    pub fn fee_words(&self) -> String {
        match self.by {
            By::Coins(_) => format!("{} sat", self.fee),
            By::Safe(..) => money(super::evm::ETHER, self.fee),
        }
    }

    /// What was checked, as people read it.
    pub fn checked_words(&self) -> String {
        let len = self.tx_hex.len() / 2;
        match self.by {
            By::Coins(_) => format!(
                "both signatures by the consensus rules; payee, amount and fee by the request ({len} bytes)"
            ),
            By::Safe(..) => format!(
                "offline: payee, token and amount by the calldata; owners A and B by their signatures ({len} bytes)"
            ),
        }
    }

    /// For programs.
    pub fn json(&self, into: &mut Map<String, Value>) {
        into.insert("txid".into(), json!(self.txid));
        into.insert("tx_hex".into(), json!(self.tx_hex));
        into.insert("fee".into(), json!(self.fee.to_string()));
        match &self.by {
            By::Coins(prevouts) => {
                let prevout = |(txid, vout, value_sat, script): &(String, u32, u64, String)| json!({ "txid": txid, "vout": vout, "value_sat": value_sat, "script_pubkey_hex": script });
                into.insert("prevouts".into(), prevouts.iter().map(prevout).collect());
                into.insert("fee_sat".into(), json!(self.fee.sat()));
            }
            By::Safe(place, owners) => {
                let place = json!({
                    "chain_id": place.chain.number(), "address": spell(place.safe), "nonce": place.nonce,
                    "signed_by": owners.map(spell),
                });
                into.insert("safe".into(), place);
            }
        }
    }
}

fn coins(view: &WithdrawalView) -> Result<Released, String> {
    let transaction: Transaction =
        consensus::encode::deserialize(&view.raw_transaction).map_err(|_| "is no transaction")?;
    let txid = transaction.compute_txid().to_string();
    if view.txid.as_deref() != Some(txid.as_str()) {
        return Err("has another id than stated".into());
    }
    let spent = spent(view).ok_or("its prevouts do not fit in satoshi")?;
    verify_consensus(&transaction, &spent).map_err(|error| error.to_string())?;
    let destination = Destination::parse(&view.request.destination, NETWORK).map_err(|no| no.to_string())?;
    let pays = |out: &&TxOut| out.script_pubkey.as_script() == destination.script_pubkey();
    let paid: Vec<u64> = transaction.output.iter().filter(pays).map(|out| out.value.to_sat()).collect();
    if paid.as_slice() != view.request.amount.sat().as_slice() {
        return Err("does not pay exactly what was asked".into());
    }
    let total = |outs: &[TxOut]| outs.iter().map(|out| out.value.to_sat()).sum::<u64>();
    let fee = total(&spent).checked_sub(total(&transaction.output)).map(Amount::from_sat);
    if fee != view.fee {
        return Err("has another fee than stated".into());
    }
    let prevout =
        |p: &Prevout| Some((p.txid.clone(), p.vout, p.value.sat()?, HEXLOWER.encode(&p.script_pubkey)));
    Ok(Released {
        txid,
        tx_hex: HEXLOWER.encode(&view.raw_transaction),
        fee: fee.ok_or("has no fee")?,
        by: By::Coins(view.prevouts.iter().filter_map(prevout).collect()),
    })
}

fn spent(view: &WithdrawalView) -> Option<Vec<TxOut>> {
    let out = |prevout: &Prevout| {
        let script_pubkey = ScriptBuf::from_bytes(prevout.script_pubkey.clone());
        Some(TxOut { value: bitcoin::Amount::from_sat(prevout.value.sat()?), script_pubkey })
    };
    view.prevouts.iter().map(out).collect()
}

fn by_safe(view: &WithdrawalView, safe: &SafeWallet) -> Result<Released, String> {
    let place = view.safe.ok_or("has no place at a Safe")?;
    if (place.chain, place.safe) != (safe.chain(), safe.address()) {
        return Err("is another Safe's".into());
    }
    let read_tx = safe_tx::read(&view.raw_transaction, &place)?;
    if view.txid.as_deref() != Some(read_tx.hash.to_string().as_str()) {
        return Err("has another hash than stated".into());
    }
    let asked = Payment {
        to: read(&view.request.destination).map_err(str::to_owned)?,
        token: match view.request.asset {
            Asset::Evm(crate::withdrawal::EvmAsset::Token(_, token)) => Some(token),
            _ => None,
        },
        units: view.request.amount.units(),
    };
    if read_tx.payment != asked {
        return Err("does not pay exactly what was asked".into());
    }
    let [a, b, _] = safe.owners().all();
    let mut both = [a, b];
    both.sort();
    if read_tx.owners != both {
        return Err("is not signed by signer and co-signer".into());
    }
    let fee = view.fee.filter(|fee| *fee <= view.request.fee_max).ok_or("may cost more than allowed")?;
    let tx_hex = HEXLOWER.encode(&view.raw_transaction);
    Ok(Released { txid: read_tx.hash.to_string(), tx_hex, fee, by: By::Safe(place, read_tx.owners) })
}

/// The asset's own name in a document: `BTC`, or its CAIP-19 id.
pub fn asset_name(asset: Asset) -> String {
    if asset == ASSET { "BTC".to_owned() } else { asset.to_string() }
}
