//! Deposit addresses on the wire and at the desk.

use super::field::required;
use super::v1;
use crate::desk::{AddressOrder, AddressView};
use crate::withdrawal::{Asset, CustomerRef, Invalid, Organisation};

impl TryFrom<v1::CreateAddressRequest> for AddressOrder {
    type Error = Invalid;

    fn try_from(wire: v1::CreateAddressRequest) -> Result<Self, Invalid> {
        Ok(Self {
            organisation: Organisation::parse(&wire.organisation)?,
            asset: Asset::parse(&wire.asset)?,
            customer_ref: CustomerRef::parse(&wire.customer_ref)?,
        })
    }
}

impl From<AddressOrder> for v1::CreateAddressRequest {
    fn from(order: AddressOrder) -> Self {
        Self {
            organisation: order.organisation.to_string(),
            asset: order.asset.to_string(),
            customer_ref: order.customer_ref.to_string(),
        }
    }
}

impl From<AddressView> for v1::Address {
    fn from(view: AddressView) -> Self {
        Self {
            organisation: view.organisation.to_string(),
            asset: view.asset.to_string(),
            customer_ref: view.customer_ref.to_string(),
            address: view.address,
            index: view.index,
            attestation: Some(view.attestation.into()),
        }
    }
}

impl TryFrom<v1::Address> for AddressView {
    type Error = Invalid;

    fn try_from(wire: v1::Address) -> Result<Self, Invalid> {
        Ok(Self {
            organisation: Organisation::parse(&wire.organisation)?,
            asset: Asset::parse(&wire.asset)?,
            customer_ref: CustomerRef::parse(&wire.customer_ref)?,
            address: wire.address,
            index: wire.index,
            attestation: required(wire.attestation, "attestation")?.try_into()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::desk::SignedText;
    use crate::withdrawal::{Code, Network};

    #[test]
    fn an_address_comes_back_from_the_wire_as_it_was() {
        let view = AddressView {
            organisation: Organisation::parse("x").unwrap(),
            asset: Asset::Bitcoin(Network::Signet),
            customer_ref: CustomerRef::parse("c 1").unwrap(),
            address: "tb1q".into(),
            index: 7,
            attestation: SignedText { text: "a\n".into(), key_id: "b".into(), signature: [1; 64] },
        };
        assert_eq!(AddressView::try_from(v1::Address::from(view.clone())), Ok(view));
    }

    #[test]
    fn an_address_order_names_the_field_that_is_wrong() {
        let order = AddressOrder {
            organisation: Organisation::parse("x").unwrap(),
            asset: Asset::Bitcoin(Network::Mainnet),
            customer_ref: CustomerRef::parse("c").unwrap(),
        };
        let wire = v1::CreateAddressRequest::from(order.clone());
        assert_eq!(AddressOrder::try_from(wire.clone()), Ok(order));
        let no = |wire| AddressOrder::try_from(wire).unwrap_err();
        assert_eq!(
            no(v1::CreateAddressRequest { asset: "BTC".into(), ..wire.clone() }).code,
            Code::AssetUnknown
        );
        assert_eq!(no(v1::CreateAddressRequest { customer_ref: "김".into(), ..wire }).field, "customer_ref");
    }
}
