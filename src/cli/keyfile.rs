//! Ed25519 keys of machines in files: 32 secret bytes as 64 hex digits and a line feed, for their owner only.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::config::load;
use super::problem::Problem;
use crate::keys::{PassphraseSource, Secret32};
use crate::withdrawal::Code;

/// 32 fresh bytes of the system's generator.
pub fn fresh() -> Result<Secret32, Problem> {
    Secret32::try_fill_with(|to| getrandom::fill(to))
        .map_err(|_| Problem::of(Code::Internal, "the system gives no randomness"))
}

/// Writes a secret as hex digits into a new file of mode 0600.
pub fn create(path: &Path, secret: &Secret32) -> Result<(), Problem> {
    let digits = Zeroizing::new(HEXLOWER.encode(secret.expose()));
    write_new(path, &Zeroizing::new(format!("{}\n", *digits)))
}

/// Writes a new file for its owner only and makes it durable; never over another.
pub fn write_new(path: &Path, text: &str) -> Result<(), Problem> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| Problem::file(path, &error))
}

/// Reads such a file.
pub fn read(field: &str, path: &Path) -> Result<SigningKey, Problem> {
    load::hex_key(field, &PassphraseSource::File(path.to_owned())).map(|secret| signing_key(&secret))
}

/// The key of a secret.
pub fn signing_key(secret: &Secret32) -> SigningKey {
    SigningKey::from_bytes(secret.expose())
}

/// The public half of a secret, in hex.
pub fn public_hex(secret: &Secret32) -> String {
    HEXLOWER.encode(signing_key(secret).verifying_key().as_bytes())
}
