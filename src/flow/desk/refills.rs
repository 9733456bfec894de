//! The signer's counter for refills: coins are proved here, the writer books, the co-signer attests.

use super::{SignerDesk, refused};
use crate::bitcoin::Branch;
use crate::bitcoin::refill::ColdCoin;
use crate::desk::{Caller, ColdCoinOrder, DeskError, RefillDesk, RefillOrder, RefillView, SignedText};
use crate::evidence::refill_attestation::verify_refill_attestation;
use crate::flow::writer::Question;
use crate::flow::{Command, RefillStep};
use crate::withdrawal::{Code, Finding, Invalid, Kind};

/// The most coins that one request brings.
const COINS_MAX: usize = 1_000;

impl SignerDesk {
    fn prove_cold(&self, order: &ColdCoinOrder) -> Result<ColdCoin, DeskError> {
        let branch = Branch::of_number(order.branch).ok_or_else(|| {
            let cure = "give 0 for receiving addresses, 1 for change";
            Invalid::new(Code::FieldMalformed, "coins.branch", "is no branch of the cold wallet", cure)
        })?;
        let place = (self.context.cold.as_ref(), branch, order.index);
        let coin = ColdCoin::prove(&order.raw_transaction, order.vout, place);
        coin.map_err(|error| DeskError::Refused(Finding::new(error.code(), error.to_string())))
    }

    async fn step(&self, id: &str, step: RefillStep) -> Result<RefillView, DeskError> {
        let id = id.to_owned();
        self.command(|reply| Command::Refill { id, step, reply }).await
    }

    /// Takes a refill to the co-signer. What it refuses ends here; where it does not answer, export asks again.
    async fn attest_refill(&self, id: &str) -> Result<RefillView, DeskError> {
        let order = self.question(|to| Question::RefillOrder(id.to_owned(), to)).await?;
        let order = order.ok_or_else(|| DeskError::not_found(id))?;
        match self.cosigner.attest_refill(order).await {
            Ok(word) => {
                self.check_word(id, &word).await?;
                self.step(id, RefillStep::Attested(word)).await
            }
            // What it only lacks now it may have when it is asked again.
            Err(DeskError::Refused(finding)) if is_final(&finding) => {
                self.step(id, RefillStep::Denied(finding.code)).await?;
                Err(DeskError::Refused(finding))
            }
            Err(error) => Err(error),
        }
    }

    /// The co-signer must have attested the very same address and transactions (law L16).
    async fn check_word(&self, id: &str, word: &SignedText) -> Result<(), DeskError> {
        let key = self.context.trust.attestation_key();
        let said = verify_refill_attestation(&word.text, &word.signature, key).map_err(refused)?;
        let view = self.question(|to| Question::Refill(id.to_owned(), to)).await?;
        let view = view.ok_or_else(|| DeskError::not_found(id))?;
        let txids = said.transactions.iter().map(|t| (t.txid.as_str(), u128::from(t.amount_sat)));
        let ours = view.parts.iter().map(|part| (part.txid.as_str(), part.amount.units()));
        let same = said.refill == id
            && said.address == view.address
            && said.index == view.index
            && said.wallet == self.context.wallet.fingerprint()
            && txids.eq(ours);
        if same {
            return Ok(());
        }
        let detail = "the co-signer attested another refill than was booked here";
        Err(DeskError::Refused(Finding::new(Code::EvidenceInvalid, detail)))
    }
}

/// Whether a no of the co-signer's ends a refill. The share is a hold for withdrawals; a refill is asked for anew.
fn is_final(finding: &Finding) -> bool {
    finding.code == Code::HotShareAboveLimit || finding.code.kind() != Kind::Hold
}

#[tonic::async_trait]
impl RefillDesk for SignerDesk {
    async fn request(&self, caller: &Caller, order: RefillOrder) -> Result<RefillView, DeskError> {
        if order.asset != self.context.asset {
            let problem = format!("`{}` is not the asset of this wallet", order.asset);
            let cure = "send the asset of this wallet";
            return Err(Invalid::new(Code::AssetUnknown, "asset", problem, cure).into());
        }
        if order.coins.len() > COINS_MAX {
            let cure = "send at most 1000 coins; those that are known need not be sent";
            return Err(Invalid::new(Code::FieldTooLong, "coins", "are too many", cure).into());
        }
        let coins = order.coins.iter().map(|coin| self.prove_cold(coin)).collect::<Result<Vec<_>, _>>()?;
        let (by, amount) = (caller.name.clone(), order.amount);
        let booked = self.command(|reply| Command::RequestRefill { by, amount, coins, reply }).await?;
        match self.attest_refill(&booked.id).await {
            Ok(view) => Ok(view),
            Err(DeskError::Refused(finding)) if is_final(&finding) => Err(DeskError::Refused(finding)),
            // It is booked; the co-signer is asked again when it is exported.
            Err(_) => Ok(booked),
        }
    }

    async fn refills(&self, _caller: &Caller) -> Result<Vec<RefillView>, DeskError> {
        self.question(Question::Refills).await
    }

    async fn refill(&self, _caller: &Caller, id: &str) -> Result<RefillView, DeskError> {
        let view = self.question(|to| Question::Refill(id.to_owned(), to)).await?;
        view.ok_or_else(|| DeskError::not_found(id))
    }

    async fn export(&self, caller: &Caller, id: &str) -> Result<RefillView, DeskError> {
        let view = self.refill(caller, id).await?;
        if view.attestation.is_none() && view.state.is_open() {
            self.attest_refill(id).await?;
        }
        self.step(id, RefillStep::Exported).await
    }

    async fn import(&self, _caller: &Caller, id: &str, psbt: Vec<u8>) -> Result<RefillView, DeskError> {
        self.step(id, RefillStep::Import(psbt)).await
    }

    async fn take_back(&self, _caller: &Caller, id: &str, reason: &str) -> Result<RefillView, DeskError> {
        self.step(id, RefillStep::Cancel(reason.to_owned())).await
    }
}
