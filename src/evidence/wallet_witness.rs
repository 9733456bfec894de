//! A contract wallet's proof as a registration carries it: what the contract was shown, with an observer's signed word that it
//! accepted that (EIP-1271). Whether it is of this wallet and this message is for the caller to compare.

use data_encoding::{BASE64, HEXLOWER};

use super::signature::Signed;
use super::statement::{Body, VerifiedStatement};
use super::statement_ownership::OwnershipFact;
use super::{NotProven, Trust, digest};
use crate::withdrawal::Code;

/// The proof of a registration: what the contract was shown, the observer's text in base64, and its signature in hex, with points
/// between.
pub fn write_witnessed(proof: &str, word: &Signed) -> String {
    format!("{proof}.{}.{}", BASE64.encode(word.text.as_bytes()), HEXLOWER.encode(&word.signature))
}

/// What an observer, whom the trust file lets speak of it, said of the proof in this.
pub fn witnessed(text: &str, trust: &Trust) -> Result<OwnershipFact, NotProven> {
    let mut parts = text.split('.');
    let (Some(proof), Some(said), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        let detail = "the proof carries no observer's statement that the contract accepts it";
        return Err(NotProven::refused(Code::ContractWalletNotWitnessed, detail));
    };
    let unreadable =
        || NotProven::refused(Code::EvidenceInvalid, "the statement in the proof cannot be read");
    let said = BASE64.decode(said.as_bytes()).ok().and_then(|said| String::from_utf8(said).ok());
    let said = said.ok_or_else(unreadable)?;
    let signature = HEXLOWER.decode(signature.as_bytes()).map_err(|_| unreadable())?;
    let verified = VerifiedStatement::reverify(&said, &signature, trust)?;
    let Body::Ownership(fact) = &verified.statement().body else { return Err(unreadable()) };
    if fact.proof_digest != digest(proof) {
        return Err(NotProven::refused(Code::OwnershipNotProven, "the statement is about another proof"));
    }
    Ok(*fact)
}
