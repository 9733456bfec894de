//! What a custodian hands back for a PSBT: signatures of one key, in any of three forms. It reads them and takes nothing else
//! from what came; the transaction stays the party's own.

use std::str::FromStr;

use ::bitcoin::hex::FromHex;
use ::bitcoin::secp256k1::ecdsa::Signature;
use ::bitcoin::{EcdsaSighashType, Psbt, ecdsa, psbt};

use super::checked::CheckedTransaction;
use super::descriptor::KeySlot;
use super::placing::{SignatureError, VerifiedSignatures};
use super::psbt_reader::{self, PSBT_LEN_MAX};
use crate::withdrawal::Code;

/// Longest answer that is read, in bytes: a PSBT of the greatest length in base64.
pub const ANSWER_LEN_MAX: usize = PSBT_LEN_MAX / 3 * 4 + 8;

/// Why what was handed back is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Neither a PSBT nor signatures.
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
    /// The PSBT is of another transaction.
    #[error("the PSBT is of another transaction than the one handed over")]
    OtherTransaction,
    /// At one input there is not exactly one signature of the key, over the whole transaction.
    #[error("input {at}: {problem}")]
    Input {
        /// Which input.
        at: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A signature does not hold, or there are too many or too few.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl AnswerError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Malformed(_) => Code::CustodianAnswerMalformed,
            Self::OtherTransaction => Code::CustodianAnswerForeign,
            Self::Input { .. } | Self::Signature(_) => Code::CustodianAnswerSignatures,
        }
    }
}

impl CheckedTransaction {
    /// Takes one key's signatures out of what a custodian handed back, and verifies each over the digests computed here.
    ///
    /// Read are a PSBT (BIP-0174) in binary or base64, and one line of hex for each input in order: strict DER and the
    /// sighash byte. There must be exactly one signature at each input, of this key, SIGHASH_ALL, with a low S.
    pub fn answered(&self, slot: KeySlot, answer: &[u8]) -> Result<VerifiedSignatures, AnswerError> {
        if answer.len() > ANSWER_LEN_MAX {
            let problem = format!("it is {} bytes long, the limit is {ANSWER_LEN_MAX}", answer.len());
            return Err(AnswerError::Malformed(problem));
        }
        let found = match std::str::from_utf8(answer).map(str::trim) {
            Ok("") => return Err(malformed("it is empty")),
            Ok(text) if text.starts_with("cHNidP") => {
                let psbt = Psbt::from_str(text).map_err(malformed)?;
                self.signatures_in(slot, &psbt_reader::read(&psbt.serialize()).map_err(malformed)?)?
            }
            Ok(text) if !text.starts_with("psbt") => raw(text)?,
            Ok(_) | Err(_) => self.signatures_in(slot, &psbt_reader::read(answer).map_err(malformed)?)?,
        };
        Ok(self.verify(slot, found)?)
    }

    fn signatures_in(&self, slot: KeySlot, psbt: &Psbt) -> Result<Vec<Signature>, AnswerError> {
        if psbt.unsigned_tx != *self.transaction() {
            return Err(AnswerError::OtherTransaction);
        }
        let inputs = psbt.inputs.iter().zip(self.inputs()).enumerate();
        let one = |(at, (map, input)): (usize, (&psbt::Input, &super::CheckedInput))| {
            let wrong = |problem| AnswerError::Input { at, problem };
            if has_more_than_partial(map) {
                return Err(wrong("it holds more than partial signatures"));
            }
            let mut signatures = map.partial_sigs.iter();
            match (signatures.next(), signatures.next()) {
                (None, _) => Err(wrong("there is no signature")),
                (Some(_), Some(_)) => Err(wrong("there are more signatures than were asked for")),
                (Some((key, signature)), None) => {
                    let is_ours = key.compressed && key.inner == *input.coin().script.pubkey(slot);
                    let found = is_ours.then_some(signature).ok_or(wrong("it is signed with another key"))?;
                    over_all(found).ok_or(wrong("the sighash type is not SIGHASH_ALL"))
                }
            }
        };
        inputs.map(one).collect()
    }
}

/// Whether an input carries what only a finished or another kind of input has, or asks for another sighash type.
fn has_more_than_partial(map: &psbt::Input) -> bool {
    let is_all = map.sighash_type.is_none_or(|kind| kind == EcdsaSighashType::All.into());
    let finals = map.final_script_sig.is_some() || map.final_script_witness.is_some();
    let taproot = map.tap_key_sig.is_some() || !map.tap_script_sigs.is_empty();
    !is_all || finals || taproot
}

fn over_all(signature: &ecdsa::Signature) -> Option<Signature> {
    (signature.sighash_type == EcdsaSighashType::All).then_some(signature.signature)
}

/// One line for each input.
fn raw(text: &str) -> Result<Vec<Signature>, AnswerError> {
    let line = |(at, line): (usize, &str)| {
        let bytes = Vec::<u8>::from_hex(line).map_err(|_| malformed("neither a PSBT nor lines of hex"))?;
        let signature = ecdsa::Signature::from_slice(&bytes).map_err(malformed)?;
        let problem = "the sighash type is not SIGHASH_ALL";
        over_all(&signature).ok_or(AnswerError::Input { at, problem })
    };
    text.lines().enumerate().map(line).collect()
}

fn malformed(problem: impl std::fmt::Display) -> AnswerError {
    // What a reader says of foreign bytes may quote them.
    AnswerError::Malformed(problem.to_string().chars().filter(|c| !c.is_control()).take(200).collect())
}
