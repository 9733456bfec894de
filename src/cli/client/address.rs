//! Deposit addresses, checked before they are shown: by the co-signer's attestation, and by the wallet's own descriptor.

use clap::Args;
use serde_json::{Value, json};

use super::connect::{self, ConnectArgs, Profile, asset_of, given};
use crate::bitcoin::{Branch, WalletDescriptor};
use crate::cli::answer::{Answer, Facts};
use crate::cli::problem::Problem;
use crate::desk::{AddressOrder, AddressView};
use crate::evidence::signature::read_public_key;
use crate::evidence::verify_attestation;
use crate::wire::{BATCH_LEN_MAX, v1};
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
        Ok(Self {
            attestation_key: key.map(|key| read_public_key("attestation_key", key)).transpose()?,
            wallet: descriptor.map(|text| read_descriptor(asset, text)).transpose()?,
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
        if by.is_empty() {
            by.push("nothing; give --attestation-key or --descriptor");
        }
        Ok(by)
    }
}
