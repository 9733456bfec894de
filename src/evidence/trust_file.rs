//! What stands in a trust file, as TOML. This is content and no evidence: only [`super::Trust::open`] makes it believed.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::withdrawal::{Code, Invalid};

/// The longest trust file, in bytes.
pub const TRUST_SIZE_MAX: usize = 1_000_000;

const CURE: &str = "write the trust file as docs/requests.md shows";

/// A whole trust file. Keys of machines are 64 lower-case hex digits (Ed25519), keys of people OpenSSH lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustContent {
    /// Only grows.
    pub version: u64,
    /// Who we are in the travel-rule network.
    pub vasp: OwnVasp,
    /// The co-signer's keys that are not coin keys.
    pub cosigner: CosignerKeys,
    /// The verifier keys of both logs, in C2SP signed-note form.
    pub log: LogKeys,
    /// Policy guard values, by name. Their meaning is the policy's; a whole number or a boolean may stand unquoted.
    #[serde(default, deserialize_with = "guard_values")]
    pub guard: BTreeMap<String, String>,
    /// One wallet a chain; a chain without one is not enabled.
    pub wallets: Vec<WalletEntry>,
    /// The exchange's request keys.
    pub request_keys: Vec<RequestKeyEntry>,
    /// The observers' statement keys.
    pub statement_keys: Vec<StatementKeyEntry>,
    /// The people who approve.
    #[serde(default)]
    pub operators: Vec<OperatorEntry>,
    /// The counterparty VASPs.
    #[serde(default)]
    pub vasps: Vec<VaspEntry>,
}

/// Our own VASP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnVasp {
    /// Decimal id.
    pub id: String,
    /// Name, as people know it.
    pub name: String,
}

/// The co-signer's keys that are not coin keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosignerKeys {
    /// Signs address attestations.
    pub attestation_key: String,
    /// Signs what an outside custodian of key B refuses; without it no word of a custodian ends a reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custodian_key: Option<String>,
}

/// Verifier keys of the logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogKeys {
    /// Of the signer's checkpoints.
    pub signer: String,
    /// Of the co-signer's cosignatures.
    pub cosigner: String,
}

/// The wallets of one chain: descriptors, or Safes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalletEntry {
    /// Its name in configuration, or the CAIP-2 id of an EVM chain.
    pub network: String,
    /// The hot wallet: a descriptor, or the address of a Safe.
    pub hot: String,
    /// The cold wallet; without it nothing is released (law L11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold: Option<String>,
    /// What the Safes are made of; on EVM chains alone, and there always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe: Option<SafeEntry>,
    /// The account that pays gas, where a hot Safe refuels it; on EVM chains alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<ExecutorEntry>,
    /// When what lies at deposit addresses is brought to a hot Safe; on EVM chains with a treasury alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emptying: Option<EmptyingEntry>,
    /// The tokens that are paid, on EVM chains alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenEntry>,
}

/// What a Safe is made of, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SafeEntry {
    /// The release of its contracts, such as `1.4.1`.
    pub release: String,
    /// `l1` or `l2`: which singleton its proxy runs.
    pub singleton: String,
    /// The account of key A.
    pub signer: String,
    /// The account of key B.
    pub cosigner: String,
    /// The account of key C.
    pub vault: String,
    /// More hot Safes of the same contracts and owners. What lies in all of them together counts as hot, and each is paid from at
    /// the same time as the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_hot: Vec<String>,
    /// The treasury Safe that owns the deposit addresses: another one of the same contracts and owners. Without it there are
    /// no deposit addresses on the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treasury: Option<String>,
}

/// The account that pays gas, and how much of a hot Safe's ether it gets. Amounts are decimal wei.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutorEntry {
    /// The account, with the EIP-55 checksum.
    pub address: String,
    /// Below this balance it is refuelled.
    pub level_wei: String,
    /// The most that it gets at once.
    pub refuel_wei_max: String,
    /// The most that it gets within a day.
    pub day_wei_max: String,
}

/// When deposit addresses are emptied into a hot Safe, and what that may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmptyingEntry {
    /// As soon as something worth it lies at so many addresses.
    pub addresses: u32,
    /// The most that it may cost within a day, in decimal wei.
    pub day_fee_wei_max: String,
    /// The assets that are brought in; others stay where they are.
    pub assets: Vec<EmptiedEntry>,
}

/// When one asset is brought in. Amounts are decimal base units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmptiedEntry {
    /// Its CAIP-19 id: the chain's ether, or a pinned token.
    pub asset: String,
    /// As soon as this much lies at all addresses together.
    pub level: String,
    /// What is less at one address stays there: it is not worth its gas.
    pub least: String,
}

/// A token (ERC-20) that is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// Its contract, with the EIP-55 checksum.
    pub contract: String,
    /// Its ticker, as people and the travel-rule network call it.
    pub symbol: String,
    /// The decimals of a whole token, as its contract has them.
    pub decimals: u32,
    /// The gas kept for one transfer of it: what transfers are seen to take, with a margin. Without it 160,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gas: Option<u64>,
    /// The height of a block of its chain. What the token paid otherwise than asked up to there people have looked at, and it stops
    /// nothing; absent: people have looked at nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed_to: Option<u64>,
}

/// One request key of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestKeyEntry {
    /// Whose.
    pub organisation: String,
    /// Its name within the organisation.
    pub id: String,
    /// Ed25519 public key.
    pub key: String,
    /// The last second at which it signs, in Unix seconds; absent: no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
    /// The people who can sign with it; none of them approves what it asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<String>,
}

/// One statement key of an observer. An observer may have several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementKeyEntry {
    /// Whose.
    pub observer: String,
    /// Ed25519 public key.
    pub key: String,
    /// What it may speak of: coins, position, price, chain, safe, deposits, ownership.
    pub kinds: Vec<String>,
}

/// One person who approves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorEntry {
    /// The person, not the key.
    pub name: String,
    /// The groups they belong to.
    pub groups: Vec<String>,
    /// Their OpenSSH public keys.
    pub keys: Vec<String>,
}

/// One counterparty VASP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaspEntry {
    /// Decimal id.
    pub id: String,
    /// Name, as operators see it.
    pub name: String,
    /// Ed25519 public key that signs its answers; a VASP without one names its `network`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_key: Option<String>,
    /// `verifyvasp`, where it signs nothing and an enclave server of that network speaks for it; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Whose travel-rule law binds it, where that is known: an ISO 3166-1 alpha-2 code of the policy's thresholds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// Whether its answers clear anything now.
    pub active: bool,
}

/// The TOML text of a trust file, for whoever writes one; it is signed with `ssh-keygen -Y sign -n countersign-trust-v1`.
pub fn render(content: &TrustContent) -> Result<String, Invalid> {
    toml::to_string(content)
        .map_err(|no| Invalid::new(Code::FieldMalformed, "trust file", no.to_string(), CURE))
}

/// Reads the TOML text of a trust file.
pub(super) fn parse(text: &str) -> Result<TrustContent, Invalid> {
    toml::from_str(text).map_err(|no| {
        let problem = no.message().lines().next().unwrap_or_default().to_owned();
        let code = match problem.split(' ').next() {
            Some("unknown") => Code::FieldUnknown,
            Some("missing") => Code::FieldMissing,
            Some("duplicate") => Code::FieldDuplicate,
            _ => Code::FieldMalformed,
        };
        let line =
            no.span().and_then(|span| text.get(..span.start)).map_or(1, |t| t.matches('\n').count() + 1);
        Invalid::new(code, "trust file", format!("line {line}: {problem}"), CURE)
    })
}

fn guard_values<'de, D: Deserializer<'de>>(de: D) -> Result<BTreeMap<String, String>, D::Error> {
    let table = BTreeMap::<String, toml::Value>::deserialize(de)?;
    let plain = |(name, value): (String, toml::Value)| match value {
        toml::Value::String(text) => Ok((name, text)),
        toml::Value::Integer(number) => Ok((name, number.to_string())),
        toml::Value::Boolean(yes) => Ok((name, yes.to_string())),
        _ => Err(serde::de::Error::custom(format!(
            "guard value `{name}` is no string, whole number or boolean"
        ))),
    };
    table.into_iter().map(plain).collect()
}
