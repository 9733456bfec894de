//! What an operator is asked to approve: one withdrawal, in words they can read (law L14). Each party rebuilds the text
//! from what it verified itself.

use data_encoding::HEXLOWER;

use super::canonical::{Form, Reader, Writer, malformed, same};
use super::subject::{Subject, agrees, in_words};
use super::{NotProven, Trust, VerifiedRequest, digest, field};
use crate::withdrawal::{Amount, Asset, Code, Invalid, Seconds, VaspId, WithdrawalId};

/// The form of an approval.
pub static APPROVAL: Form = Form::new(
    "countersign withdrawal-approval v1",
    &[
        "withdrawal",
        "organisation",
        "request_id",
        "customer_ref",
        "asset",
        "network",
        "amount",
        "amount_units",
        "destination",
        "beneficiary_vasp",
        "beneficiary_vasp_name",
        "travel_rule",
        "fee_max",
        "fee_max_units",
        "signer_policy",
        "cosigner_policy",
        "wallet",
        "expires_at",
    ],
);

/// How the travel rule was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TravelRule {
    /// The person was verified.
    Cleared,
    /// Below the threshold only the address was.
    AddressOnly,
    /// The person was verified, and no VASP signed for it: an enclave server says so, each party asked its own.
    Unsigned,
    /// Nobody was asked: the destination is the customer's own registered wallet.
    Exempt,
}

/// What stands in the place of a VASP's name where there is none.
pub const SELF_HOSTED_NAME: &str = "no VASP: the customer's own self-hosted wallet";

impl TravelRule {
    /// The word in the text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cleared => "cleared",
            Self::AddressOnly => "address-only",
            Self::Unsigned => "unsigned",
            Self::Exempt => "exempt",
        }
    }
}

/// What an operator is asked to approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalText {
    /// The withdrawal it is about.
    pub subject: Subject,
    /// The VASP that holds the destination, if one does.
    pub beneficiary_vasp: VaspId,
    /// Its name in the trust file.
    pub beneficiary_vasp_name: String,
    /// How the travel rule was met.
    pub travel_rule: TravelRule,
    /// The most the network fee may be, in base units.
    pub fee_max: Amount,
    /// The hash of the signer's policy.
    pub signer_policy: [u8; 32],
    /// The hash of the co-signer's policy.
    pub cosigner_policy: [u8; 32],
    /// The wallet's fingerprint, 8 to 64 lower-case hex digits.
    pub wallet: String,
    /// The last second at which the approval counts.
    pub expires_at: Seconds,
}

impl ApprovalText {
    /// The text for a verified request. The VASP's name is that of this party's own trust file.
    pub fn of(
        request: &VerifiedRequest,
        trust: &Trust,
        travel_rule: TravelRule,
        policies: PolicyHashes,
        wallet: &str,
        expires_at: Seconds,
    ) -> Result<Self, NotProven> {
        let asked = request.request();
        let name = vasp_name(asked.beneficiary_vasp, trust)?;
        Ok(Self {
            subject: Subject::of(asked, trust.denomination(asked.asset)),
            beneficiary_vasp: asked.beneficiary_vasp,
            beneficiary_vasp_name: name.to_owned(),
            travel_rule,
            fee_max: asked.fee_max,
            signer_policy: policies.signer,
            cosigner_policy: policies.cosigner,
            wallet: field::wallet(wallet)?,
            expires_at,
        })
    }

    /// The withdrawal it is about.
    pub fn withdrawal(&self) -> WithdrawalId {
        self.subject.withdrawal()
    }

    /// The canonical text, which is what operators see and sign.
    pub fn render(&self) -> String {
        self.subject
            .write(Writer::new(&APPROVAL))
            .line("beneficiary_vasp", self.beneficiary_vasp)
            .line("beneficiary_vasp_name", &self.beneficiary_vasp_name)
            .line("travel_rule", self.travel_rule.as_str())
            .line("fee_max", fee_in_words(self.fee_max, self.subject.asset))
            .line("fee_max_units", self.fee_max)
            .line("signer_policy", HEXLOWER.encode(&self.signer_policy))
            .line("cosigner_policy", HEXLOWER.encode(&self.cosigner_policy))
            .line("wallet", &self.wallet)
            .line("expires_at", self.expires_at)
            .finish()
    }

    /// SHA-256 of the text, shown to the operators next to it.
    pub fn digest(&self) -> [u8; 32] {
        digest(&self.render())
    }

    /// Reads the canonical text; every other spelling, and every line that contradicts another, is refused.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut reader = Reader::open(text, &APPROVAL)?;
        let subject = Subject::read(&mut reader)?;
        let asset = subject.asset;
        let approval = Self {
            subject,
            beneficiary_vasp: field::vasp("beneficiary_vasp", reader.take("beneficiary_vasp")?)?,
            beneficiary_vasp_name: reader.take("beneficiary_vasp_name")?.to_owned(),
            travel_rule: match reader.take("travel_rule")? {
                "cleared" => TravelRule::Cleared,
                "address-only" => TravelRule::AddressOnly,
                "unsigned" => TravelRule::Unsigned,
                "exempt" => TravelRule::Exempt,
                _ => {
                    return Err(malformed(
                        "travel_rule",
                        "is none of cleared, address-only, unsigned, exempt",
                    ));
                }
            },
            fee_max: {
                let in_coin = reader.take("fee_max")?;
                let fee_max = field::amount("fee_max_units", reader.take("fee_max_units")?, asset)?;
                agrees("fee_max", in_coin, &fee_in_words(fee_max, asset))?;
                fee_max
            },
            signer_policy: field::hex("signer_policy", reader.take("signer_policy")?)?,
            cosigner_policy: field::hex("cosigner_policy", reader.take("cosigner_policy")?)?,
            wallet: field::wallet(reader.take("wallet")?)?,
            expires_at: field::date("expires_at", reader.take("expires_at")?)?,
        };
        reader.close()?;
        let is_exempt = approval.travel_rule == TravelRule::Exempt;
        if is_exempt != approval.beneficiary_vasp.is_self_hosted() {
            return Err(malformed("travel_rule", "is `exempt` exactly when there is no VASP"));
        }
        same(text, &approval.render())?;
        Ok(approval)
    }
}

/// A fee is taken in the coin of the chain, whatever is paid.
fn fee_in_words(fee: Amount, asset: Asset) -> String {
    in_words(fee, asset.fee_asset().denomination().as_ref())
}

fn vasp_name(id: VaspId, trust: &Trust) -> Result<&str, NotProven> {
    if id.is_self_hosted() {
        return Ok(SELF_HOSTED_NAME);
    }
    let vasp = trust.vasp(id);
    let unknown = || NotProven::refused(Code::TravelRuleVaspUnknown, format!("VASP {id}"));
    vasp.map(|vasp| vasp.name.as_str()).ok_or_else(unknown)
}

/// The hashes of both parties' policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyHashes {
    /// The signer's.
    pub signer: [u8; 32],
    /// The co-signer's.
    pub cosigner: [u8; 32],
}
