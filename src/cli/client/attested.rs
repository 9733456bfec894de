//! Whether the co-signer's word covers the refill that the service hands out: the very address and transactions, and no other.

use ed25519_dalek::VerifyingKey;

use crate::bitcoin::{Destination, refill};
use crate::cli::problem::Problem;
use crate::desk::{RefillPart, RefillView};
use crate::evidence::{RefillTransactionLine, verify_refill_attestation};
use crate::withdrawal::Code;

/// Fails unless the co-signer attested this refill under its key: id, address, index, and what each PSBT pays. The service alone
/// could say so and have the cold room pay somebody else.
pub fn check(view: &RefillView, key: &VerifyingKey) -> Result<(), Problem> {
    let word = view.attestation.as_ref();
    let word = word.ok_or_else(|| wrong("the service shows no attestation of the co-signer for it"))?;
    let said = verify_refill_attestation(&word.text, &word.signature, key)?;
    let same = said.refill == view.id
        && said.address == view.address
        && said.index == view.index
        && view.asset.chain().bitcoin() == Some(said.network)
        && said.transactions.len() == view.parts.len();
    if !same {
        return Err(wrong("the co-signer attested another refill"));
    }
    let address = Destination::parse(&said.address, said.network)?;
    for (part, line) in view.parts.iter().zip(&said.transactions) {
        if !covers(line, part, &address)? {
            return Err(wrong("a PSBT is another transaction than the co-signer attested"));
        }
    }
    Ok(())
}

/// What is shown of the part, and what the bytes that will be signed do.
fn covers(line: &RefillTransactionLine, part: &RefillPart, to: &Destination) -> Result<bool, Problem> {
    let is_shown = part.txid == line.txid && part.amount.units() == u128::from(line.amount_sat);
    Ok(is_shown && refill::pays(&part.psbt, (&line.txid, line.vout), (to, line.amount_sat))?)
}

fn wrong(detail: &str) -> Problem {
    Problem::of(Code::EvidenceInvalid, detail)
        .cure("nothing was written; sign nothing of it, and find out who altered the answer")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use bitcoin::hashes::Hash;
    use bitcoin::{Psbt, Transaction, TxIn, TxOut};

    use super::*;
    use crate::desk::{RefillState, SignedText};
    use crate::evidence::{RefillAttestation, ed25519, sign_refill_attestation};
    use crate::withdrawal::*;

    const OURS: [u8; 20] = [7; 20];

    /// What a liar does to an answer.
    type Alter<'a> = &'a dyn Fn(&mut RefillView);

    fn script(to: [u8; 20]) -> bitcoin::ScriptBuf {
        bitcoin::ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::from_byte_array(to))
    }

    fn address(of: [u8; 20]) -> String {
        bitcoin::Address::from_script(&script(of), bitcoin::Network::Regtest).unwrap().to_string()
    }

    fn part(to: [u8; 20], amount: u64) -> RefillPart {
        let transaction = Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![TxIn::default()],
            output: vec![TxOut { value: bitcoin::Amount::from_sat(amount), script_pubkey: script(to) }],
        };
        RefillPart {
            txid: transaction.compute_txid().to_string(),
            amount: Amount::from_sat(amount),
            fee: Amount::from_sat(400),
            inputs: 1,
            psbt: Psbt::from_unsigned_tx(transaction).unwrap().serialize(),
            raw_transaction: Vec::new(),
            seen: false,
        }
    }

    fn key(byte: u8) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&[byte; 32])
    }

    /// A refill whose co-signer attested these transactions to that address.
    fn attested(parts: Vec<RefillPart>, to: [u8; 20]) -> RefillView {
        let line = |part: &RefillPart| RefillTransactionLine {
            txid: part.txid.clone(),
            vout: 0,
            amount_sat: part.amount.units().try_into().unwrap(),
        };
        let attestation = RefillAttestation {
            refill: "rf_00000001".into(),
            wallet: "aa".repeat(32),
            network: Network::Regtest,
            index: 3,
            address: address(to),
            transactions: parts.iter().map(line).collect(),
            attested_at: Seconds(1_000),
        };
        let signed = sign_refill_attestation(&attestation, ed25519(&key(1))).unwrap();
        let word = SignedText { text: signed.text, key_id: String::new(), signature: signed.signature };
        RefillView {
            id: "rf_00000001".into(),
            state: RefillState::Exported,
            asset: Asset::Bitcoin(Network::Regtest),
            address: address(to),
            index: 3,
            parts,
            earmarks: Vec::new(),
            requested_by: "kim".into(),
            requested_at: Seconds(900),
            expires_at: Seconds(2_000),
            attestation: Some(word),
        }
    }

    #[test]
    fn only_the_very_transactions_that_the_co_signer_attested_are_handed_to_the_cold_room() {
        let key = key(1).verifying_key();
        let good = || attested(vec![part(OURS, 5_000), part(OURS, 7_000)], OURS);
        check(&good(), &key).unwrap();
        let thief = part([9; 20], 7_000);
        let alterations: [(&str, Alter<'_>); 9] = [
            ("no word", &|view| view.attestation = None),
            ("another id", &|view| view.id = "rf_00000002".into()),
            ("another address", &|view| view.address = address([9; 20])),
            ("another index", &|view| view.index = 4),
            ("another network", &|view| view.asset = Asset::Bitcoin(Network::Signet)),
            ("a part less", &|view| drop(view.parts.pop())),
            ("another PSBT", &|view| view.parts[1].psbt = thief.psbt.clone()),
            ("another amount", &|view| view.parts[1].amount = Amount::from_sat(7_001)),
            ("another order", &|view| view.parts.swap(0, 1)),
        ];
        for (what, alter) in alterations {
            let mut view = good();
            alter(&mut view);
            let no = check(&view, &key).unwrap_err();
            assert_eq!(no.code, Some(Code::EvidenceInvalid), "{what}: {no}");
        }
        let no = check(&good(), &self::key(2).verifying_key()).unwrap_err();
        assert_eq!(no.code, Some(Code::EvidenceInvalid), "another key: {no}");
        // a word that does not fit its own transaction
        let no = check(&attested(vec![thief.clone()], OURS), &key).unwrap_err();
        assert_eq!(no.code, Some(Code::EvidenceInvalid), "another payee: {no}");
        let mut unreadable = good();
        unreadable.parts[0].psbt.clear();
        assert!(check(&unreadable, &key).is_err());
    }
}
