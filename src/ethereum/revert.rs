//! Why a call failed: the bytes it returned, read as a reason that says something to a person.

use std::fmt;

use alloy_primitives::U256;
use alloy_sol_types::{Panic, Revert as SolidityRevert, SolError};

/// The longest text of a reason that is shown, in characters.
const TEXT_LEN_MAX: usize = 200;

/// The error codes of the Safe contracts (`docs/error_codes.md` of safe-smart-account, 1.4.1 and 1.5.0).
const SAFE_CODES: &[(&str, &str)] = &[
    ("GS000", "could not finish initialization"),
    ("GS001", "threshold needs to be defined"),
    ("GS002", "no contract at the address of the setup call"),
    ("GS010", "not enough gas to execute the Safe transaction"),
    ("GS011", "could not pay gas costs with ether"),
    ("GS012", "could not pay gas costs with the token"),
    ("GS013", "the Safe transaction failed, and neither gas price nor its own gas were set"),
    ("GS020", "signatures too short"),
    ("GS021", "contract signature inside the static part"),
    ("GS022", "length of a contract signature not present"),
    ("GS023", "contract signature not complete"),
    ("GS024", "contract signature not valid"),
    ("GS025", "hash was not approved"),
    ("GS026", "not an owner, or signatures not in order"),
    ("GS027", "signed data does not hash to what is signed"),
    ("GS030", "only owners can approve a hash"),
    ("GS031", "only the Safe itself may call this"),
    ("GS100", "modules were initialized before"),
    ("GS101", "no valid module address"),
    ("GS102", "module was added before"),
    ("GS103", "not the module before it"),
    ("GS104", "only an enabled module may call this"),
    ("GS105", "no valid start of a page of modules"),
    ("GS106", "no valid size of a page of modules"),
    ("GS200", "owners were set up before"),
    ("GS201", "threshold above the number of owners"),
    ("GS202", "threshold is zero"),
    ("GS203", "no valid owner address"),
    ("GS204", "is an owner already"),
    ("GS205", "not the owner before it"),
    ("GS300", "guard does not say that it is one"),
    ("GS301", "guard of modules does not say that it is one"),
    ("GS400", "the fallback handler cannot be the Safe itself"),
];

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revert {
    /// A Safe's own code, with what it means.
    Safe(&'static str, &'static str),
    /// A text of the contract's, on one line and shortened.
    Text(String),
    /// A check of Solidity's, by its number.
    Panic(U256),
    /// An error of the contract's own, by its selector.
    Other([u8; 4]),
    /// Nothing was said.
    Silent,
}

impl Revert {
    /// Reads what a failed call returned. Whatever it is, there is an answer.
    pub fn read(returned: &[u8]) -> Self {
        if returned.is_empty() {
            return Self::Silent;
        }
        if let Ok(error) = SolidityRevert::abi_decode_validate(returned) {
            return Self::of_text(&error.reason);
        }
        if let Ok(panic) = Panic::abi_decode_validate(returned) {
            return Self::Panic(panic.code);
        }
        returned.first_chunk::<4>().map_or(Self::Silent, |selector| Self::Other(*selector))
    }

    fn of_text(text: &str) -> Self {
        match SAFE_CODES.iter().find(|(code, _)| *code == text) {
            Some((code, meaning)) => Self::Safe(code, meaning),
            None => {
                let shown = text.chars().take(TEXT_LEN_MAX).map(|c| if c.is_control() { '�' } else { c });
                Self::Text(shown.collect())
            }
        }
    }

    /// The Safe's own code, `GS026`, if it is one.
    pub const fn safe_code(&self) -> Option<&'static str> {
        match self {
            Self::Safe(code, _) => Some(code),
            _ => None,
        }
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safe(code, meaning) => write!(f, "{code}: {meaning}"),
            Self::Text(text) => write!(f, "`{text}`"),
            Self::Panic(number) => write!(f, "panic 0x{number:02x}: {}", panic_meaning(number)),
            Self::Other(selector) => {
                write!(f, "an error of its own, 0x{}", data_encoding::HEXLOWER.encode(selector))
            }
            Self::Silent => f.write_str("no reason was given"),
        }
    }
}

/// What Solidity's numbers mean.
fn panic_meaning(number: &U256) -> &'static str {
    match u8::try_from(*number) {
        Ok(0x01) => "an assertion does not hold",
        Ok(0x11) => "arithmetic overflow",
        Ok(0x12) => "division by zero",
        Ok(0x21) => "no such value of an enumeration",
        Ok(0x22) => "storage encoded wrongly",
        Ok(0x31) => "pop from an empty array",
        Ok(0x32) => "index outside an array",
        Ok(0x41) => "too much memory",
        Ok(0x51) => "call of a function that was never set",
        _ => "unknown",
    }
}
