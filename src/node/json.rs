//! One JSON-RPC 2.0 answer, read strictly: the version, our own id, and either a result or an error, never both.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::fault::EndpointFault;
use super::hex::Data;

/// How deep an answer may be nested; the deepest that is read has five levels.
const DEPTH_MAX: usize = 16;

/// The longest text of an error that is kept, in characters.
const MESSAGE_LEN_MAX: usize = 200;

/// A node's own no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RpcError {
    pub code: i64,
    /// On one line, shortened.
    pub message: String,
    /// The bytes it came with, if there were any.
    pub data: Option<Vec<u8>>,
}

impl From<RpcError> for EndpointFault {
    fn from(error: RpcError) -> Self {
        Self::Refused { code: error.code, message: error.message }
    }
}

/// The members that nobody reads. With them serde looks at every byte of an object, UTF-8 as well, and reads none from an array.
pub(super) type Rest = IgnoredAny;

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Envelope<T> {
    jsonrpc: String,
    id: u64,
    #[serde(default, deserialize_with = "present")]
    result: Option<Option<T>>,
    #[serde(default)]
    error: Option<RawError>,
    #[serde(flatten)]
    _rest: Rest,
}

#[derive(Deserialize)]
struct RawError {
    code: i64,
    message: String,
    #[serde(default)]
    data: Option<Value>,
    #[serde(flatten)]
    _rest: Rest,
}

/// Tells `null` from nothing at all.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

/// Reads the answer to the question with this id. `None` is the node's own `null`.
pub(super) fn read<T: DeserializeOwned>(
    body: &[u8],
    id: u64,
) -> Result<Result<Option<T>, RpcError>, EndpointFault> {
    if !is_shallow(body) {
        return Err(EndpointFault::Malformed("it is nested too deep"));
    }
    let envelope: Envelope<T> = serde_json::from_slice(body)
        .map_err(|_| EndpointFault::Malformed("it is no JSON-RPC answer of the expected form"))?;
    if envelope.jsonrpc != "2.0" || envelope.id != id {
        return Err(EndpointFault::Malformed("it has another version or id"));
    }
    match (envelope.result, envelope.error) {
        (Some(result), None) => Ok(Ok(result)),
        (None | Some(None), Some(error)) => Ok(Err(error.kept())),
        _ => Err(EndpointFault::Malformed("it has no result and no error, or both")),
    }
}

impl RawError {
    fn kept(self) -> RpcError {
        let shown = self.message.chars().take(MESSAGE_LEN_MAX);
        let message = shown.map(|c| if c.is_control() { '�' } else { c }).collect();
        RpcError { code: self.code, message, data: self.data.and_then(returned) }
    }
}

/// The bytes that came with an error: as they are, behind a word, or within an object. Nodes differ.
fn returned(data: Value) -> Option<Vec<u8>> {
    let text = match data {
        Value::String(text) => text,
        Value::Object(mut members) => match members.remove("result")? {
            Value::String(text) => text,
            _ => return None,
        },
        _ => return None,
    };
    let hex = text.strip_prefix("Reverted ").unwrap_or(&text);
    Data::try_from(hex.to_owned()).ok().map(|data| data.0)
}

/// Whether brackets outside of texts are never nested deeper than [`DEPTH_MAX`].
fn is_shallow(body: &[u8]) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth = depth.saturating_add(1),
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return false;
        }
    }
    true
}
