//! Signatures of people: SSHSIG (OpenSSH PROTOCOL.sshsig) over a canonical text, as `ssh-keygen -Y sign` makes them.
//!
//! Says whether a signature holds under the key it names; whose key that is, is for the trust file to say.

use data_encoding::BASE64;
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

use crate::withdrawal::{Code, Invalid};

/// The namespace of approvals and rejections.
pub const NAMESPACE_APPROVAL: &str = "countersign-approval-v1";
/// The namespace of freezes.
pub const NAMESPACE_FREEZE: &str = "countersign-freeze-v1";
/// The namespace of resumes.
pub const NAMESPACE_RESUME: &str = "countersign-resume-v1";
/// The namespace of trust files.
pub const NAMESPACE_TRUST: &str = "countersign-trust-v1";
/// The longest armored signature, in bytes.
pub const ARMOR_LEN_MAX: usize = 8192;

/// Characters on a line of armor.
const ARMOR_WIDTH: usize = 70;
/// FIDO's "user present": the key was touched.
const FLAG_USER_PRESENT: u8 = 0x01;
/// What a security key appends to its signature: one byte of flags, four of counter.
const SK_TRAILER_LEN: usize = 5;

/// Reads an armored signature.
pub(super) fn read(armored: &str) -> Result<SshSig, Invalid> {
    let no = |problem: String| {
        Invalid::new(Code::SignatureMalformed, "signature", problem, Code::SignatureMalformed.cure())
    };
    if armored.len() > ARMOR_LEN_MAX {
        return Err(no(format!("is {} bytes long, the limit is {ARMOR_LEN_MAX}", armored.len())));
    }
    let sig = SshSig::from_pem(armored).map_err(|_| no("is no armored SSH signature".to_owned()))?;
    if sig.version() != SshSig::VERSION || !sig.reserved().is_empty() {
        return Err(no("is of a version that does not exist yet".to_owned()));
    }
    if encode(&sig).is_none_or(|blob| blob_of(armored) != Some(blob)) {
        return Err(no("is not spelled as ssh-keygen spells it".to_owned()));
    }
    Ok(sig)
}

/// The bytes within the armor.
fn blob_of(armored: &str) -> Option<Vec<u8>> {
    let body: String = armored.lines().filter(|line| !line.starts_with('-')).collect();
    BASE64.decode(body.as_bytes()).ok()
}

/// The one encoding of a signature. `ssh-key` reads past wrong inner lengths, and writes security keys of P-256 wrongly.
fn encode(sig: &SshSig) -> Option<Vec<u8>> {
    let bytes = sig.signature_bytes();
    let trailer_len = if on_security_key(sig) { SK_TRAILER_LEN } else { 0 };
    let (raw, trailer) = bytes.split_at_checked(bytes.len().checked_sub(trailer_len)?)?;
    let key = PublicKey::new(sig.public_key().clone(), "").to_bytes().ok()?;
    let algorithm = sig.algorithm();
    let signature = [string(algorithm.as_str().as_bytes())?, string(raw)?, trailer.to_vec()].concat();
    assemble(&key, sig.namespace(), sig.hash_alg(), &signature)
}

/// A `string` of RFC 4251: its length, then its bytes.
fn string(bytes: &[u8]) -> Option<Vec<u8>> {
    let len = u32::try_from(bytes.len()).ok()?;
    Some([len.to_be_bytes().as_slice(), bytes].concat())
}

fn on_security_key(sig: &SshSig) -> bool {
    matches!(sig.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
}

/// Reads an OpenSSH public key of a kind that may sign here: Ed25519, ECDSA P-256, and both on security keys.
pub(super) fn read_public_key(field: &'static str, text: &str) -> Result<PublicKey, Invalid> {
    let cure = "write the line of the .pub file: ssh-ed25519, ecdsa-sha2-nistp256 or their sk- forms";
    let no = |problem: &str| Invalid::new(Code::FieldMalformed, field, problem, cure);
    let key = PublicKey::from_openssh(text).map_err(|_| no("is no OpenSSH public key"))?;
    let weak =
        |bytes: &[u8; 32]| ed25519_dalek::VerifyingKey::from_bytes(bytes).map_or(true, |key| key.is_weak());
    match key.key_data() {
        KeyData::Ed25519(ed) if weak(&ed.0) => Err(no("is a point of small order")),
        KeyData::SkEd25519(sk) if weak(&sk.public_key().0) => Err(no("is a point of small order")),
        KeyData::Ed25519(_) | KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => Ok(key),
        KeyData::Ecdsa(ec) if ec.curve() == EcdsaCurve::NistP256 => Ok(key),
        _ => Err(no("is of a kind that may not sign here")),
    }
}

/// Checks that the signature holds over exactly this text, in this namespace, under the key it names, and that a
/// security key was touched. The error is a clause for a finding's detail.
pub(super) fn check(sig: &SshSig, namespace: &str, text: &str) -> Result<(), &'static str> {
    if sig.namespace() != namespace {
        return Err("the signature is for another namespace");
    }
    if sig.algorithm() != sig.public_key().algorithm() {
        return Err("the signature is of another kind than its key");
    }
    check_touch(sig)?;
    PublicKey::new(sig.public_key().clone(), "")
        .verify(namespace, text.as_bytes(), sig)
        .map_err(|_| "the signature does not hold over this text")
}

/// `ssh-key` verifies security-key signatures without looking at the flags; a key that signs untouched is no person.
fn check_touch(sig: &SshSig) -> Result<(), &'static str> {
    if !on_security_key(sig) {
        return Ok(());
    }
    let bytes = sig.signature_bytes();
    let flags = bytes.len().checked_sub(SK_TRAILER_LEN).and_then(|at| bytes.get(at));
    match flags {
        Some(flags) if flags & FLAG_USER_PRESENT != 0 => Ok(()),
        _ => Err("the security key was not touched"),
    }
}

/// Signs a text with a key that something else holds: `sign` is handed the public key and the data in SSH encoding, and gives
/// back the signature as the SSH agent protocol does. What does not hold as an approval would be checked is not given out.
pub fn sign_ssh_with<E: From<Invalid>>(
    public_key: &str,
    namespace: &str,
    text: &str,
    sign: impl FnOnce(&[u8], &[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let no = |problem: &str| {
        let cure = "load the key that the .pub file names into the agent: `ssh-add -l` lists what it has";
        Invalid::new(Code::SignatureMalformed, "ssh_key", problem, cure)
    };
    let key = read_public_key("ssh_key", public_key)?.to_bytes();
    let key = key.map_err(|_| no("cannot be encoded"))?;
    let data = SshSig::signed_data(namespace, HashAlg::Sha512, text.as_bytes());
    let signature = sign(&key, &data.map_err(|_| no("cannot sign here"))?)?;
    let blob = assemble(&key, namespace, HashAlg::Sha512, &signature).ok_or_else(|| no("is too long"))?;
    let armored = armor(&blob);
    let sig = read(&armored)?;
    check(&sig, namespace, text)
        .map_err(|why| no(&format!("gave a signature that does not count: {why}")))?;
    Ok(armored)
}

/// The blob of a signature (PROTOCOL.sshsig, version 1).
fn assemble(key: &[u8], namespace: &str, hash: HashAlg, signature: &[u8]) -> Option<Vec<u8>> {
    let parts = [
        b"SSHSIG".to_vec(),
        SshSig::VERSION.to_be_bytes().to_vec(),
        string(key)?,
        string(namespace.as_bytes())?,
        string(b"")?,
        string(hash.as_str().as_bytes())?,
        string(signature)?,
    ];
    Some(parts.concat())
}

/// A blob in the armor that `ssh-keygen` writes: 70 characters a line.
fn armor(blob: &[u8]) -> String {
    let body = BASE64.encode(blob);
    let mut armored = String::from("-----BEGIN SSH SIGNATURE-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(ARMOR_WIDTH).unwrap_or((rest, ""));
        armored.push_str(line);
        armored.push('\n');
        rest = after;
    }
    armored.push_str("-----END SSH SIGNATURE-----\n");
    armored
}

/// Signs a text as `ssh-keygen -Y sign -n <namespace>` does, with an unencrypted Ed25519 or ECDSA P-256 private key in
/// OpenSSH form. For clients; security keys and encrypted keys sign through an agent ([`sign_ssh_with`]) or with `ssh-keygen`.
pub fn sign_ssh(private_key: &str, namespace: &str, text: &str) -> Result<String, Invalid> {
    let cure = "give an unencrypted OpenSSH private key, or sign with `ssh-keygen -Y sign`";
    let no = |problem: &str| Invalid::new(Code::FieldMalformed, "ssh_key", problem, cure);
    let key = PrivateKey::from_openssh(private_key).map_err(|_| no("is no OpenSSH private key"))?;
    if key.is_encrypted() {
        return Err(no("is encrypted"));
    }
    key.sign(namespace, HashAlg::Sha512, text.as_bytes())
        .and_then(|sig| sig.to_pem(LineEnding::LF))
        .map_err(|_| no("cannot sign here"))
}
