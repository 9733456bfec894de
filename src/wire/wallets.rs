//! Customers' own wallets on the wire and at the desk.

use super::field::{required, time, time_to_wire};
use super::v1;
use crate::desk::{ChallengeOrder, ChallengeView, WalletEvidence, WalletView};
use crate::withdrawal::{Asset, CustomerRef, Invalid, Organisation};

impl TryFrom<v1::CreateWalletChallengeRequest> for ChallengeOrder {
    type Error = Invalid;

    fn try_from(wire: v1::CreateWalletChallengeRequest) -> Result<Self, Invalid> {
        Ok(Self {
            organisation: Organisation::parse(&wire.organisation)?,
            customer_ref: CustomerRef::parse(&wire.customer_ref)?,
            asset: Asset::parse(&wire.asset)?,
            address: wire.address,
        })
    }
}

impl From<ChallengeOrder> for v1::CreateWalletChallengeRequest {
    fn from(order: ChallengeOrder) -> Self {
        Self {
            organisation: order.organisation.to_string(),
            customer_ref: order.customer_ref.to_string(),
            asset: order.asset.to_string(),
            address: order.address,
        }
    }
}

impl From<ChallengeView> for v1::WalletChallenge {
    fn from(view: ChallengeView) -> Self {
        Self {
            challenge: Some(view.challenge.into()),
            name: view.name,
            message: view.message,
            expire_time: Some(time_to_wire(view.expires_at)),
        }
    }
}

impl TryFrom<v1::WalletChallenge> for ChallengeView {
    type Error = Invalid;

    fn try_from(wire: v1::WalletChallenge) -> Result<Self, Invalid> {
        Ok(Self {
            challenge: required(wire.challenge, "challenge")?.try_into()?,
            name: wire.name,
            message: wire.message,
            expires_at: time(wire.expire_time, "expire_time")?,
        })
    }
}

impl From<WalletEvidence> for v1::CreateWalletRegistrationRequest {
    fn from(evidence: WalletEvidence) -> Self {
        Self { registration: Some(evidence.registration.into()), challenge: Some(evidence.challenge.into()) }
    }
}

impl TryFrom<v1::CreateWalletRegistrationRequest> for WalletEvidence {
    type Error = Invalid;

    fn try_from(wire: v1::CreateWalletRegistrationRequest) -> Result<Self, Invalid> {
        Ok(Self {
            registration: required(wire.registration, "registration")?.try_into()?,
            challenge: required(wire.challenge, "challenge")?.try_into()?,
        })
    }
}

impl From<WalletView> for v1::WalletRegistration {
    fn from(view: WalletView) -> Self {
        Self {
            name: view.name,
            organisation: view.organisation.to_string(),
            customer_ref: view.customer_ref.to_string(),
            asset: view.asset.to_string(),
            address: view.address,
            effective_time: Some(time_to_wire(view.effective_at)),
            delete_time: view.removed_at.map(time_to_wire),
            registration: Some(view.evidence.registration.into()),
            challenge: Some(view.evidence.challenge.into()),
        }
    }
}

impl TryFrom<v1::WalletRegistration> for WalletView {
    type Error = Invalid;

    fn try_from(wire: v1::WalletRegistration) -> Result<Self, Invalid> {
        Ok(Self {
            name: wire.name,
            organisation: Organisation::parse(&wire.organisation)?,
            customer_ref: CustomerRef::parse(&wire.customer_ref)?,
            asset: Asset::parse(&wire.asset)?,
            address: wire.address,
            effective_at: time(wire.effective_time, "effective_time")?,
            removed_at: wire.delete_time.map(|at| time(Some(at), "delete_time")).transpose()?,
            evidence: WalletEvidence {
                registration: required(wire.registration, "registration")?.try_into()?,
                challenge: required(wire.challenge, "challenge")?.try_into()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::desk::SignedText;
    use crate::withdrawal::{Network, Seconds};

    fn signed(text: &str) -> SignedText {
        SignedText { text: text.into(), key_id: "k".into(), signature: [3; 64] }
    }

    #[test]
    fn a_wallet_and_its_challenge_come_back_from_the_wire_as_they_were() {
        let order = ChallengeOrder {
            organisation: Organisation::parse("x").unwrap(),
            customer_ref: CustomerRef::parse("c 1").unwrap(),
            asset: Asset::Bitcoin(Network::Signet),
            address: "tb1q".into(),
        };
        let wire = v1::CreateWalletChallengeRequest::from(order.clone());
        assert_eq!(ChallengeOrder::try_from(wire), Ok(order.clone()));
        let given = ChallengeView {
            challenge: signed("c\n"),
            name: "ab".into(),
            message: "sign me".into(),
            expires_at: Seconds(7),
        };
        assert_eq!(ChallengeView::try_from(v1::WalletChallenge::from(given.clone())), Ok(given));
        for removed_at in [None, Some(Seconds(9))] {
            let view = WalletView {
                name: "ab".into(),
                organisation: order.organisation.clone(),
                customer_ref: order.customer_ref.clone(),
                asset: order.asset,
                address: order.address.clone(),
                effective_at: Seconds(8),
                removed_at,
                evidence: WalletEvidence { registration: signed("r\n"), challenge: signed("c\n") },
            };
            let wire = v1::CreateWalletRegistrationRequest::from(view.evidence.clone());
            assert_eq!(WalletEvidence::try_from(wire), Ok(view.evidence.clone()));
            assert_eq!(WalletView::try_from(v1::WalletRegistration::from(view.clone())), Ok(view));
        }
    }

    #[test]
    fn a_registration_without_its_challenge_names_the_field() {
        let wire =
            v1::CreateWalletRegistrationRequest { registration: Some(signed("r\n").into()), challenge: None };
        assert_eq!(WalletEvidence::try_from(wire).unwrap_err().field, "challenge");
    }
}
