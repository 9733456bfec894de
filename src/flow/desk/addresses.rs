//! The exchange's counter for deposit addresses.

use super::{SignerDesk, refused};

use crate::desk::{
    AddressDesk, AddressOrder, AddressView, AttestationOrder, Caller, DeskError, Role, SignedText,
};
use crate::flow::context::Context;
use crate::flow::rail::deposit::has_addresses;
use crate::flow::{Allocated, Command};
use crate::withdrawal::{Code, Finding};

#[tonic::async_trait]
impl AddressDesk for SignerDesk {
    async fn create_batch(
        &self,
        caller: &Caller,
        orders: Vec<AddressOrder>,
    ) -> Result<Vec<AddressView>, DeskError> {
        for order in &orders {
            if caller.role == Role::Exchange && caller.name != order.organisation.as_str() {
                let detail = "the certificate is of another organisation";
                return Err(DeskError::nothing_happened(Code::RoleNotAllowed, detail));
            }
            has_addresses(&self.context, order.asset)?;
        }
        let mut allocated = self.command(|reply| Command::Allocate { orders, reply }).await?;
        let unattested: Vec<&mut Allocated> =
            allocated.iter_mut().filter(|a| a.attestation.is_none()).collect();
        if !unattested.is_empty() {
            let asked = unattested.iter().map(|a| attestation_order(a)).collect();
            let words = self.cosigner.attest_addresses(asked).await?;
            let mut attested = Vec::with_capacity(words.len());
            for (address, word) in unattested.into_iter().zip(words) {
                check_attestation(&self.context, address, &word)?;
                address.attestation = Some(word.clone());
                attested.push((address.order.clone(), word));
            }
            self.command(|reply| Command::Attested { attested, reply }).await?;
        }
        let missing =
            || DeskError::may_have_happened(Code::CosignerUnreachable, "an address was not attested");
        allocated.into_iter().map(|a| a.view().ok_or_else(missing)).collect()
    }
}

fn attestation_order(allocated: &Allocated) -> AttestationOrder {
    AttestationOrder {
        organisation: allocated.order.organisation.clone(),
        customer_ref: allocated.order.customer_ref.clone(),
        network: allocated.order.asset.chain(),
        branch: 0,
        index: allocated.index,
    }
}

/// The co-signer must have derived the very same address; otherwise none leaves (law L19).
fn check_attestation(context: &Context, allocated: &Allocated, word: &SignedText) -> Result<(), DeskError> {
    let key = context.trust.attestation_key();
    let verified = crate::evidence::attestation::verify_attestation(&word.text, &word.signature, key)
        .map_err(refused)?;
    let said = verified.attestation();
    let same = said.address == allocated.address
        && said.index == allocated.index
        && said.branch == 0
        && said.wallet == allocated.wallet
        && said.network == allocated.order.asset.chain()
        && said.customer_ref == allocated.order.customer_ref
        && said.organisation == allocated.order.organisation;
    if same {
        return Ok(());
    }
    let finding =
        Finding::new(Code::EvidenceInvalid, "the co-signer attested another address than was derived here");
    Err(DeskError::Refused(finding))
}
