//! Owns how the database's key comes to be known at boot: unwrapped by the exchange's own service, or written down as it is.

use std::time::Duration;

use data_encoding::BASE64;
use zeroize::{Zeroize, Zeroizing};

use super::fields::Fields;
use super::line::{Line, LineFault, Place};
use crate::enclave::DataKey;

/// How long the service may take.
pub const UNWRAP_TIME: Duration = Duration::from_secs(5);
/// Longest text that is handed to the service, in bytes.
pub const INPUT_LEN_MAX: usize = 4096;

/// There is no data key. Never repeats any part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataKeyFault {
    /// Empty or too long to be handed over.
    #[error("is not 1 to {INPUT_LEN_MAX} bytes long")]
    Input,
    /// Not base64.
    #[error("is not base64 (standard alphabet, with padding)")]
    NotBase64,
    /// Not 32 bytes.
    #[error("is {0} bytes long, a key has 32")]
    Length(usize),
    /// The service gives no usable answer.
    #[error("{0}")]
    Service(#[from] LineFault),
    /// The service answers without a key.
    #[error("the answer has no `outputKey`")]
    NoOutput,
    /// The service's key is not base64.
    #[error("`outputKey` of the answer is not base64 (standard alphabet, with padding)")]
    OutputNotBase64,
    /// The service's key is not 32 bytes.
    #[error("`outputKey` of the answer is {0} bytes long, a key has 32")]
    OutputLength(usize),
}

/// Takes base64 for the key itself.
pub fn plain(text: &str) -> Result<DataKey, DataKeyFault> {
    read(text.trim()).map_err(|no| match no {
        Flaw::Base64 => DataKeyFault::NotBase64,
        Flaw::Length(n) => DataKeyFault::Length(n),
    })
}

/// Has the exchange's service turn `input` into the key: asked once, at boot. The input is anything the service understands.
pub async fn unwrapped(line: &Line, place: &Place, input: &str) -> Result<DataKey, DataKeyFault> {
    let input = input.trim();
    if !(1..=INPUT_LEN_MAX).contains(&input.len()) {
        return Err(DataKeyFault::Input);
    }
    let input = Zeroizing::new(serde_json::to_string(input).map_err(|_| DataKeyFault::Input)?);
    let body = Zeroizing::new(format!("{{\"inputKey\":{}}}", *input));
    let answer = line.post(place, body, UNWRAP_TIME).await?;
    let mut fields = Fields::parse(&answer).map_err(|_| DataKeyFault::NoOutput)?;
    let output = fields.text(&["outputKey"], INPUT_LEN_MAX).ok().flatten().ok_or(DataKeyFault::NoOutput)?;
    read(output.as_str().trim()).map_err(|no| match no {
        Flaw::Base64 => DataKeyFault::OutputNotBase64,
        Flaw::Length(n) => DataKeyFault::OutputLength(n),
    })
}

enum Flaw {
    Base64,
    Length(usize),
}

fn read(text: &str) -> Result<DataKey, Flaw> {
    let bytes = Zeroizing::new(BASE64.decode(text.as_bytes()).map_err(|_| Flaw::Base64)?);
    let mut key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| Flaw::Length(bytes.len()))?;
    let taken = DataKey::new(&key);
    key.zeroize();
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_key_is_base64_of_32_bytes() {
        assert!(plain(&BASE64.encode(&[7; 32])).is_ok());
        assert!(plain(&format!("{}\n", BASE64.encode(&[7; 32]))).is_ok());
        for (text, fault) in [
            (BASE64.encode(&[7; 16]), DataKeyFault::Length(16)),
            (BASE64.encode(&[7; 33]), DataKeyFault::Length(33)),
            (String::new(), DataKeyFault::Length(0)),
            ("07".repeat(32), DataKeyFault::Length(48)),
            ("arn:aws:kms:ap-northeast-2:1:key/2".into(), DataKeyFault::NotBase64),
            (BASE64.encode(&[7; 32]).replace('=', ""), DataKeyFault::NotBase64),
        ] {
            assert_eq!(plain(&text).err(), Some(fault), "{text}");
        }
    }
}
