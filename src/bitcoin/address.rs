//! Addresses: reading any standard destination, spelling own ones. It knows forms and networks, not who owns what.

use ::bitcoin::bech32::{self, Fe32, Hrp, hrp};
use ::bitcoin::secp256k1::XOnlyPublicKey;
use ::bitcoin::{Script, ScriptBuf, base58};

use super::account_key::shown;
use super::fee;
use crate::withdrawal::{Code, Invalid, Network};

/// Longest address that is read, in bytes (BIP-0173).
pub const ADDRESS_LEN_MAX: usize = 90;

const FIELD: &str = "destination";

/// The standard kinds of destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    /// Pay to public key hash, base58.
    P2pkh,
    /// Pay to script hash, base58 (BIP-0016).
    P2sh,
    /// Segwit version 0, 20 bytes (BIP-0141).
    P2wpkh,
    /// Segwit version 0, 32 bytes (BIP-0141).
    P2wsh,
    /// Segwit version 1, 32 bytes (BIP-0341).
    P2tr,
}

impl AddressKind {
    /// The smallest amount nodes relay to it, in satoshi: Bitcoin Core's dust threshold at 3 sat/vB.
    pub const fn dust_sat(self) -> u64 {
        match self {
            Self::P2pkh => 546,
            Self::P2sh => 540,
            Self::P2wpkh => 294,
            Self::P2wsh | Self::P2tr => 330,
        }
    }
}

/// A destination that can be paid on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    kind: AddressKind,
    text: String,
    script_pubkey: ScriptBuf,
}

impl Destination {
    /// Reads an address of `network`: base58check, or bech32/bech32m as BIP-0173 and BIP-0350 say for its version.
    ///
    /// Testnet4 and signet share their address forms (with testnet3), so an address of one reads as one of the other.
    pub fn parse(text: &str, network: Network) -> Result<Self, Invalid> {
        if text.is_empty() {
            let cure = "send the address to pay";
            return Err(Invalid::new(Code::FieldMissing, FIELD, "is empty", cure));
        }
        if text.len() > ADDRESS_LEN_MAX {
            let problem = format!("is {} bytes long, the limit is {ADDRESS_LEN_MAX}", text.len());
            return Err(Invalid::new(
                Code::FieldTooLong,
                FIELD,
                problem,
                "send one address and nothing else",
            ));
        }
        match bech32::segwit::decode(text) {
            Ok((prefix, version, program)) => segwit(text, network, (prefix, version, &program)),
            Err(_) if looks_like_segwit(text) => Err(malformed(text)),
            Err(_) => legacy(text, network),
        }
    }

    /// What kind of output it is.
    pub fn kind(&self) -> AddressKind {
        self.kind
    }

    /// The address in its normalised spelling: bech32 in lower case.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The script an output to it carries.
    pub fn script_pubkey(&self) -> &Script {
        &self.script_pubkey
    }

    /// The smallest amount nodes relay to it, in satoshi.
    pub fn dust_sat(&self) -> u64 {
        self.kind.dust_sat()
    }

    /// Weight units of an output to it.
    pub fn output_weight(&self) -> u64 {
        fee::output_weight(self.script_pubkey.len())
    }
}

fn segwit(text: &str, network: Network, parts: (Hrp, Fe32, &[u8])) -> Result<Destination, Invalid> {
    let (prefix, version, program) = parts;
    if prefix.to_lowercase() != hrp_of(network).to_lowercase() {
        return Err(wrong_network(text, network));
    }
    let kind = match (version.to_u8(), program.len()) {
        (0, 20) => AddressKind::P2wpkh,
        (0, 32) => AddressKind::P2wsh,
        (1, 32) => AddressKind::P2tr,
        (version, _) => {
            return Err(not_payable(format!("is of witness version {version}, which is not standard")));
        }
    };
    // BIP-0341: an output whose key is no point on the curve can never be spent; what is sent there is burnt
    if kind == AddressKind::P2tr && XOnlyPublicKey::from_slice(program).is_err() {
        return Err(not_payable(
            "is a taproot address whose key is no point on the curve; nobody could spend it".into(),
        ));
    }
    let opcode = if version.to_u8() == 0 { 0x00 } else { 0x50 + version.to_u8() };
    let mut script = Vec::with_capacity(34);
    script.extend_from_slice(&[opcode, program.len() as u8]);
    script.extend_from_slice(program);
    Ok(Destination { kind, text: text.to_ascii_lowercase(), script_pubkey: ScriptBuf::from_bytes(script) })
}

fn legacy(text: &str, network: Network) -> Result<Destination, Invalid> {
    let payload = base58::decode_check(text).map_err(|_| malformed(text))?;
    let (version, hash) = payload.split_first().ok_or_else(|| malformed(text))?;
    let hash: &[u8; 20] = hash.try_into().map_err(|_| malformed(text))?;
    let (kind, mainnet) = match version {
        0x00 => (AddressKind::P2pkh, true),
        0x05 => (AddressKind::P2sh, true),
        0x6f => (AddressKind::P2pkh, false),
        0xc4 => (AddressKind::P2sh, false),
        _ => return Err(wrong_network(text, network)),
    };
    if mainnet != (network == Network::Mainnet) {
        return Err(wrong_network(text, network));
    }
    let (before, after): (&[u8], &[u8]) = match kind {
        AddressKind::P2pkh => (&[0x76, 0xa9, 20], &[0x88, 0xac]),
        _ => (&[0xa9, 20], &[0x87]),
    };
    let script_pubkey = ScriptBuf::from_bytes([before, hash, after].concat());
    Ok(Destination { kind, text: text.to_owned(), script_pubkey })
}

/// The human-readable part of a network's segwit addresses.
pub(super) fn hrp_of(network: Network) -> Hrp {
    match network {
        Network::Mainnet => hrp::BC,
        Network::Testnet4 | Network::Signet => hrp::TB,
        Network::Regtest => hrp::BCRT,
    }
}

/// Spells the address of a P2WSH script.
pub(super) fn spell_p2wsh(network: Network, script_pubkey: &Script) -> String {
    let program = script_pubkey.as_bytes().get(2..).unwrap_or_default();
    // a program of 32 bytes always encodes; the empty text is never an address
    bech32::segwit::encode_v0(hrp_of(network), program).unwrap_or_default()
}

fn looks_like_segwit(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["bc1", "tb1", "bcrt1"].iter().any(|prefix| lower.starts_with(prefix))
}

fn malformed(text: &str) -> Invalid {
    let problem = format!("`{}…` is no address: form or checksum does not hold", shown(text));
    Invalid::new(Code::AddressMalformed, FIELD, problem, Code::AddressMalformed.cure())
}

fn wrong_network(text: &str, network: Network) -> Invalid {
    let problem = format!("`{}…` is an address of another network than {network}", shown(text));
    Invalid::new(Code::AddressWrongNetwork, FIELD, problem, Code::AddressWrongNetwork.cure())
}

fn not_payable(problem: String) -> Invalid {
    Invalid::new(Code::AddressNotPayable, FIELD, problem, Code::AddressNotPayable.cure())
}
