//! Which withdrawal an operator's yes or no is about: the lines that both texts begin with.

use super::canonical::{Reader, Writer, malformed};
use super::field;
use crate::withdrawal::{
    Amount, Asset, CustomerRef, Denomination, Invalid, Organisation, RequestId, WithdrawalId,
    WithdrawalRequest,
};

/// The withdrawal that a text is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Who asks.
    pub organisation: Organisation,
    /// Under which id.
    pub request_id: RequestId,
    /// Whose money it is.
    pub customer_ref: CustomerRef,
    /// What is paid; the network follows from it.
    pub asset: Asset,
    /// How much, in base units; the text says it in coin as well.
    pub amount: Amount,
    /// How the text says it; in base units alone, where nothing is given.
    pub denomination: Option<Denomination>,
    /// Where to, in full.
    pub destination: String,
}

impl Subject {
    /// The withdrawal that a request asks for, and how its amount is said.
    pub fn of(asked: &WithdrawalRequest, denomination: Option<Denomination>) -> Self {
        Self {
            organisation: asked.organisation.clone(),
            request_id: asked.request_id.clone(),
            customer_ref: asked.customer_ref.clone(),
            asset: asked.asset,
            amount: asked.amount,
            denomination,
            destination: asked.destination.clone(),
        }
    }

    /// The withdrawal's id.
    pub fn withdrawal(&self) -> WithdrawalId {
        WithdrawalId::of(&self.organisation, &self.request_id)
    }

    /// Its lines.
    pub(super) fn write(&self, writer: Writer) -> Writer {
        writer
            .line("withdrawal", self.withdrawal())
            .line("organisation", &self.organisation)
            .line("request_id", &self.request_id)
            .line("customer_ref", &self.customer_ref)
            .line("asset", self.asset)
            .line("network", self.asset.chain())
            .line("amount", in_words(self.amount, self.denomination.as_ref()))
            .line("amount_units", self.amount)
            .line("destination", &self.destination)
    }

    /// Reads its lines; a line that contradicts another is refused.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Invalid> {
        let withdrawal = reader.take("withdrawal")?;
        let organisation = Organisation::parse(reader.take("organisation")?)?;
        let request_id = RequestId::parse(reader.take("request_id")?)?;
        let customer_ref = CustomerRef::parse(reader.take("customer_ref")?)?;
        let asset = field::asset("asset", reader.take("asset")?)?;
        let network = reader.take("network")?;
        let amount_in_words = reader.take("amount")?;
        let amount = field::amount("amount_units", reader.take("amount_units")?, asset)?;
        let denomination = Denomination::of_words(amount_in_words, amount);
        let subject = Self {
            organisation,
            request_id,
            customer_ref,
            asset,
            amount,
            denomination,
            destination: field::destination(reader.take("destination")?)?,
        };
        agrees("withdrawal", withdrawal, &subject.withdrawal().to_string())?;
        agrees("network", network, &subject.asset.chain().to_string())?;
        agrees("amount", amount_in_words, &in_words(amount, subject.denomination.as_ref()))?;
        if asset.denomination().is_some_and(|own| subject.denomination != Some(own)) {
            return Err(malformed("amount", "is in another denomination than the asset's"));
        }
        Ok(subject)
    }
}

/// An amount as people read it, with every decimal: `0.00150000 BTC`; in base units, where nothing else is known.
pub(super) fn in_words(amount: Amount, denomination: Option<&Denomination>) -> String {
    denomination.map_or_else(|| format!("{amount} base units"), |known| known.words(amount))
}

/// Refuses a line that contradicts the ones it follows from.
pub(super) fn agrees(field: &'static str, found: &str, derived: &str) -> Result<(), Invalid> {
    if found == derived { Ok(()) } else { Err(malformed(field, "contradicts the other lines")) }
}
