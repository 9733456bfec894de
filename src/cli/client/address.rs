//! Deposit addresses, checked before they are shown: by the co-signer's attestation, and by the wallet's own descriptor or the
//! treasury Safe.

use clap::Args;
use serde_json::{Value, json};

use super::connect::{self, ConnectArgs, Profile, asset_of, given};
use crate::bitcoin::{Branch, WalletDescriptor};
use crate::cli::answer::{Answer, Facts};
use crate::cli::problem::Problem;
use crate::desk::{AddressOrder, AddressView};
use crate::ethereum::{Deposits, Make, Release, Singleton};
use crate::evidence::signature::read_public_key;
use crate::evidence::verify_attestation;
use crate::wire::{BATCH_LEN_MAX, v1};
use crate::withdrawal::evm_address::{read, spell};
use crate::withdrawal::{Asset, Code, CustomerRef, Invalid, Organisation};

/// What `address` takes.
#[derive(Debug, Args)]
pub struct AddressArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The customers; the same reference gets the same address for ever
    #[arg(value_name = "CUSTOMER_REF", required = true)]
    pub customer_refs: Vec<String>,
    /// The exchange, as the trust file names it
    #[arg(long, value_name = "NAME")]
    pub organisation: Option<String>,
    /// A network's name or a CAIP-19 id
    #[arg(long, value_parser = connect::asset)]
    pub asset: Option<Asset>,
    /// The co-signer's attestation key in hex: checks that it derived the same address
    #[arg(long, value_name = "HEX")]
    pub attestation_key: Option<String>,
    /// The hot wallet's descriptor: derives the address here as well
    #[arg(long)]
    pub descriptor: Option<String>,
    /// The treasury Safe of an EVM chain, such as `1.4.1/l2/0x…`: derives the address here as well
    #[arg(long, value_name = "RELEASE/SINGLETON/ADDRESS")]
    pub treasury: Option<String>,
}

/// Asks for addresses, one for each customer.
pub async fn run(args: &AddressArgs) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    let profile = &session.profile;
    let organisation = given("--organisation", args.organisation.as_ref(), profile.organisation.as_ref())?;
    let organisation = Organisation::parse(&organisation)?;
    let asset = asset_of(args.asset.as_ref(), profile)?;
    let orders = args.customer_refs.iter().map(|text| {
        Ok(AddressOrder {
            organisation: organisation.clone(),
            asset,
            customer_ref: CustomerRef::parse(text)?,
        })
    });
    let orders = orders.collect::<Result<Vec<_>, Problem>>()?;
    let views = match orders.as_slice() {
        [order] => {
            let message = v1::CreateAddressRequest::from(order.clone());
            vec![session.client.addresses().create_address(session.request(message)).await?.into_inner()]
        }
        many => batches(&session, many).await?,
    };
    let checker = Checker::new(args, profile, asset)?;
    let mut documents: Vec<Value> = Vec::new();
    let mut text = String::new();
    for (wire, order) in views.into_iter().zip(&orders) {
        let view = AddressView::try_from(wire)?;
        let checked = checker.check(&view, order)?;
        let facts = Facts::new()
            .line("customer", &view.customer_ref)
            .line("address", &view.address)
            .line("index", view.index)
            .line("checked", checked.join(", "));
        text.push_str(&facts.text());
        documents.push(json!({
            "organisation": view.organisation.as_str(), "asset": view.asset.to_string(),
            "customer_ref": view.customer_ref.as_str(), "address": view.address, "index": view.index,
            "checked_by": checked,
            "attestation": { "text": view.attestation.text, "key_id": view.attestation.key_id,
                "signature": data_encoding::HEXLOWER.encode(&view.attestation.signature) },
        }));
    }
    Ok(Answer::ok(json!({ "addresses": documents }), text))
}

async fn batches(session: &connect::Session, orders: &[AddressOrder]) -> Result<Vec<v1::Address>, Problem> {
    let messages: Vec<_> = orders
        .chunks(BATCH_LEN_MAX)
        .map(|batch| v1::BatchCreateAddressesRequest {
            requests: batch.iter().cloned().map(Into::into).collect(),
        })
        .collect();
    let mut client = session.client.addresses();
    let mut answers = client.batch_create_addresses(tokio_stream::iter(messages)).await?.into_inner();
    let mut views = Vec::with_capacity(orders.len());
    while let Some(answer) = answers.message().await? {
        views.extend(answer.addresses);
    }
    if views.len() == orders.len() {
        return Ok(views);
    }
    Err(Problem::of(Code::Internal, format!("{} addresses came for {} customers", views.len(), orders.len())))
}

/// What addresses are checked with.
struct Checker {
    attestation_key: Option<ed25519_dalek::VerifyingKey>,
    wallet: Option<WalletDescriptor>,
    deposits: Option<Deposits>,
}

fn read_treasury(asset: Asset, text: &str) -> Result<Deposits, Invalid> {
    let no = |code, problem: String, cure| Invalid::new(code, "treasury", problem, cure);
    if asset.chain().bitcoin().is_some() {
        let problem = format!("`{asset}` has no treasury Safe");
        return Err(no(Code::AssetUnknown, problem, "leave the treasury out for this asset"));
    }
    let malformed = |problem: &str| {
        let cure = "write the release, `l1` or `l2`, and the treasury Safe as the trust file pins them: 1.4.1/l2/0x…";
        no(Code::FieldMalformed, problem.to_owned(), cure)
    };
    let mut parts = text.split('/');
    let (Some(release), Some(singleton), Some(address), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("is not three words with `/` between"));
    };
    let release = Release::of(release).ok_or_else(|| malformed("names no known release"))?;
    let singleton = match singleton {
        "l1" => Singleton::Plain,
        "l2" => Singleton::Telling,
        _ => return Err(malformed("names neither `l1` nor `l2`")),
    };
    let treasury = read(address).map_err(malformed)?;
    Ok(Deposits::owned_by(Make { release, singleton }, treasury))
}

fn read_descriptor(asset: Asset, text: &str) -> Result<WalletDescriptor, Invalid> {
    let network = asset.chain().bitcoin().ok_or_else(|| {
        let problem = format!("`{asset}` has no descriptor");
        Invalid::new(Code::AssetUnknown, "descriptor", problem, "leave the descriptor out for this asset")
    })?;
    WalletDescriptor::parse(network, text)
}

impl Checker {
    fn new(args: &AddressArgs, profile: &Profile, asset: Asset) -> Result<Self, Problem> {
        let key = args.attestation_key.as_ref().or(profile.attestation_key.as_ref());
        let descriptor = args.descriptor.as_ref().or(profile.descriptor.as_ref());
        let treasury = args.treasury.as_ref().or(profile.treasury.as_ref());
        // A profile may serve several chains: what it says of another one checks nothing here.
        let of_bitcoin = asset.chain().bitcoin().is_some();
        let descriptor = descriptor.filter(|_| of_bitcoin || args.descriptor.is_some());
        let treasury = treasury.filter(|_| !of_bitcoin || args.treasury.is_some());
        Ok(Self {
            attestation_key: key.map(|key| read_public_key("attestation_key", key)).transpose()?,
            wallet: descriptor.map(|text| read_descriptor(asset, text)).transpose()?,
            deposits: treasury.map(|text| read_treasury(asset, text)).transpose()?,
        })
    }

    /// Says by what the address was checked; an address that does not hold is a no.
    fn check(&self, view: &AddressView, order: &AddressOrder) -> Result<Vec<&'static str>, Problem> {
        let wrong = |detail: &str| {
            Err(Problem::of(Code::EvidenceInvalid, detail)
                .cure("show nobody this address; find out who altered it"))
        };
        if view.customer_ref != order.customer_ref
            || view.organisation != order.organisation
            || view.asset != order.asset
        {
            return wrong("the service answered for somebody else");
        }
        let mut by = Vec::new();
        if let Some(key) = &self.attestation_key {
            let verified = verify_attestation(&view.attestation.text, &view.attestation.signature, key)?;
            let said = verified.attestation();
            let same = said.address == view.address
                && said.index == view.index
                && said.branch == 0
                && said.network == view.asset.chain()
                && said.customer_ref == view.customer_ref
                && said.organisation == view.organisation;
            if !same {
                return wrong("the co-signer attested another address");
            }
            by.push("the co-signer's attestation");
        }
        if let Some(wallet) = &self.wallet {
            if wallet.address(Branch::Deposit, view.index)? != view.address {
                return wrong("the wallet's descriptor gives another address");
            }
            by.push("the descriptor");
        }
        if let Some(deposits) = &self.deposits {
            if spell(deposits.address(view.index.into())) != view.address {
                return wrong("the treasury Safe gives another address");
            }
            by.push("the treasury Safe");
        }
        if by.is_empty() {
            by.push("nothing; give --attestation-key, --descriptor or --treasury");
        }
        Ok(by)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::desk::SignedText;
    use crate::evidence::attestation::{AddressAttestation, sign_attestation};
    use crate::evidence::ed25519;
    use crate::withdrawal::{ChainId, EvmAsset, Network, Seconds};

    const TREASURY: &str = "1.4.1/l2/0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";

    fn ether() -> Asset {
        Asset::Evm(EvmAsset::Ether(ChainId::new(1).unwrap()))
    }

    fn key() -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&[5; 32])
    }

    fn view(address: String) -> AddressView {
        let (organisation, customer_ref) =
            (Organisation::parse("acme").unwrap(), CustomerRef::parse("c").unwrap());
        let attestation = AddressAttestation {
            organisation: organisation.clone(),
            customer_ref: customer_ref.clone(),
            wallet: "d8da6bf26964af9d7eed9e03e53415d37aa96045".into(),
            network: ether().chain(),
            branch: 0,
            index: 3,
            address: address.clone(),
            attested_at: Seconds(1),
        };
        let signed = sign_attestation(&attestation, ed25519(&key())).unwrap();
        let attestation =
            SignedText { text: signed.text, key_id: String::new(), signature: signed.signature };
        AddressView { organisation, asset: ether(), customer_ref, address, index: 3, attestation }
    }

    fn checked(view: &AddressView, treasury: &str) -> Result<Vec<&'static str>, Problem> {
        let deposits = read_treasury(ether(), treasury)?;
        let attestation_key = Some(key().verifying_key());
        let checker = Checker { attestation_key, wallet: None, deposits: Some(deposits) };
        let AddressView { organisation, asset, customer_ref, .. } = view.clone();
        checker.check(view, &AddressOrder { organisation, asset, customer_ref })
    }

    #[test]
    fn an_address_of_an_evm_chain_is_checked_by_the_attestation_and_by_the_treasury_without_asking_anybody() {
        let address = |at: u64| spell(read_treasury(ether(), TREASURY).unwrap().address(at));
        let good = view(address(3));
        assert_eq!(checked(&good, TREASURY).unwrap(), ["the co-signer's attestation", "the treasury Safe"]);
        // another index, release or singleton derives another address; an altered view is not what was attested
        assert_eq!(checked(&view(address(4)), TREASURY).unwrap_err().code, Some(Code::EvidenceInvalid));
        for other in [TREASURY.replace("1.4.1", "1.5.0"), TREASURY.replace("l2", "l1")] {
            assert_eq!(checked(&good, &other).unwrap_err().code, Some(Code::EvidenceInvalid), "{other}");
        }
        let altered = AddressView { address: address(4), ..good };
        assert_eq!(checked(&altered, TREASURY).unwrap_err().code, Some(Code::EvidenceInvalid));
    }

    #[test]
    fn a_treasury_has_one_spelling() {
        let address = TREASURY.strip_prefix("1.4.1/l2/").unwrap();
        for bad in [
            address.to_owned(),
            format!("1.3.0/l2/{address}"),
            format!("1.4.1/l3/{address}"),
            format!("1.4.1/l2/{}", address.to_lowercase()),
            format!("{TREASURY}/"),
        ] {
            assert_eq!(read_treasury(ether(), &bad).unwrap_err().code, Code::FieldMalformed, "{bad}");
        }
        let bitcoin = Asset::Bitcoin(Network::Regtest);
        assert_eq!(read_treasury(bitcoin, TREASURY).unwrap_err().code, Code::AssetUnknown);
    }
}
