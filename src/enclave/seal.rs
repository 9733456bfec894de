//! Owns the end-to-end seal: HPKE (RFC 9180) base mode, and what the ciphertext is bound to. Knows no network and no database.
//!
//! The suite is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, named in every envelope so that another can stand beside it.

use std::convert::Infallible;

use data_encoding::{BASE64, HEXLOWER};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::withdrawal::VaspId;

/// The algorithms of this version.
pub const SUITE: &str = "hpke-base-x25519-sha256-chacha20poly1305";

const INFO: &[u8] = b"countersign travel rule v1";
const BLOCK: usize = 512;

type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type Enc = <X25519HkdfSha256 as Kem>::EncappedKey;

/// An envelope cannot be made or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Entropy,
    /// The envelope names algorithms that this version does not have.
    #[error("the envelope's suite is not known")]
    Suite,
    /// A public key that cannot be one.
    #[error("a public key is malformed")]
    Key,
    /// Altered, sealed to another key, or bound to something else.
    #[error("the envelope does not open")]
    Unreadable,
}

/// Ciphertext on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The algorithms.
    pub suite: String,
    /// Which of the receiver's keys opens it, as [`key_id`] names it.
    pub key_id: String,
    /// The encapsulated key, base64.
    pub enc: String,
    /// The sealed bytes, base64.
    pub ciphertext: String,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the originating VASP.
    Request,
    /// Back to it.
    Reply,
    /// From the originating VASP, what followed.
    Report,
    /// Back to it.
    Receipt,
    /// From the beneficiary VASP, how far a transfer has come.
    Inquiry,
    /// Back to it.
    Status,
}

/// What an envelope is bound to: it opens under nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Which way.
    pub direction: Direction,
    /// The verification.
    pub uuid: &'a str,
    /// Who sealed it.
    pub from: VaspId,
    /// Who opens it.
    pub to: VaspId,
    /// How the request's key was chosen.
    pub key_type: &'static str,
}

impl Binding<'_> {
    /// The associated data.
    pub fn bytes(&self) -> Vec<u8> {
        let direction = match self.direction {
            Direction::Request => "request",
            Direction::Reply => "reply",
            Direction::Report => "report",
            Direction::Receipt => "receipt",
            Direction::Inquiry => "inquiry",
            Direction::Status => "status",
        };
        format!(
            "countersign envelope v1\nsuite: {SUITE}\ndirection: {direction}\nuuid: {}\nfrom: {}\nto: {}\nkey_type: {}\n",
            self.uuid, self.from, self.to, self.key_type
        )
        .into_bytes()
    }
}

/// A key pair of one's own.
pub struct KeyPair {
    /// The private half, wiped when dropped.
    pub private: Zeroizing<Vec<u8>>,
    /// The public half.
    pub public: [u8; 32],
}

impl KeyPair {
    /// Makes one from 32 bytes of fresh entropy (RFC 9180 section 7.1.3).
    pub fn derive(entropy: &Zeroizing<[u8; 32]>) -> Self {
        let (private, public) = X25519HkdfSha256::derive_keypair(&**entropy);
        let mut private = private.to_bytes();
        let pair = Self { private: Zeroizing::new(private.to_vec()), public: public.to_bytes().into() };
        private.zeroize();
        pair
    }
}

/// The name of a public key: the first 16 bytes of its SHA-256, in hex.
pub fn key_id(public: &[u8; 32]) -> String {
    let digest = Sha256::digest(public);
    HEXLOWER.encode(digest.get(..16).unwrap_or_default())
}

/// Seals bytes to a public key. `entropy` is 32 fresh bytes, never used again.
pub fn seal(
    to: &[u8; 32],
    binding: Binding<'_>,
    plain: &[u8],
    entropy: Zeroizing<[u8; 32]>,
) -> Result<Envelope, SealFault> {
    let (enc, ciphertext) = seal_raw(to, INFO, &binding.bytes(), plain, entropy)?;
    Ok(Envelope {
        suite: SUITE.to_owned(),
        key_id: key_id(to),
        enc: BASE64.encode(&enc),
        ciphertext: BASE64.encode(&ciphertext),
    })
}

/// Opens an envelope.
pub fn open(
    private: &[u8],
    binding: Binding<'_>,
    envelope: &Envelope,
) -> Result<Zeroizing<Vec<u8>>, SealFault> {
    if envelope.suite != SUITE {
        return Err(SealFault::Suite);
    }
    let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| SealFault::Unreadable);
    open_raw(private, INFO, &binding.bytes(), &decode(&envelope.enc)?, &decode(&envelope.ciphertext)?)
}

/// Pads JSON with blanks to whole blocks, so that the length of a name does not show.
///
/// The room is made beforehand: a text that grows would leave a copy behind. A width of `format!` ends at 65,535.
pub fn pad(json: Zeroizing<String>) -> Zeroizing<String> {
    let whole = json.len().div_ceil(BLOCK) * BLOCK;
    let mut padded = Zeroizing::new(String::with_capacity(whole));
    padded.push_str(&json);
    padded.extend(std::iter::repeat_n(' ', whole - json.len()));
    padded
}

fn seal_raw(
    to: &[u8; 32],
    info: &[u8],
    aad: &[u8],
    plain: &[u8],
    entropy: Zeroizing<[u8; 32]>,
) -> Result<(Vec<u8>, Vec<u8>), SealFault> {
    let to = PublicKey::from_bytes(to).map_err(|_| SealFault::Key)?;
    let mut once = Once { bytes: entropy, used: 0, short: false };
    let sealed = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &to,
        info,
        plain,
        aad,
        &mut once,
    );
    let (enc, ciphertext) = sealed.map_err(|_| SealFault::Key)?;
    if once.short { Err(SealFault::Entropy) } else { Ok((enc.to_bytes().to_vec(), ciphertext)) }
}

fn open_raw(
    private: &[u8],
    info: &[u8],
    aad: &[u8],
    enc: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealFault> {
    let private = PrivateKey::from_bytes(private).map_err(|_| SealFault::Key)?;
    let enc = Enc::from_bytes(enc).map_err(|_| SealFault::Unreadable)?;
    let open = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>;
    open(&OpModeR::Base, &private, &enc, info, sealed, aad)
        .map(Zeroizing::new)
        .map_err(|_| SealFault::Unreadable)
}

/// Hands out given entropy once; asked for more than there is, it says so and the result is thrown away.
struct Once {
    bytes: Zeroizing<[u8; 32]>,
    used: usize,
    short: bool,
}

impl TryRng for Once {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut four = [0; 4];
        self.try_fill_bytes(&mut four)?;
        Ok(u32::from_le_bytes(four))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut eight = [0; 8];
        self.try_fill_bytes(&mut eight)?;
        Ok(u64::from_le_bytes(eight))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let left = self.bytes.get(self.used..).unwrap_or_default();
        self.short |= left.len() < out.len();
        out.iter_mut().zip(left).for_each(|(to, from)| *to = *from);
        self.used = self.used.saturating_add(out.len());
        Ok(())
    }
}

impl TryCryptoRng for Once {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    fn entropy(hex: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(bytes(hex).try_into().unwrap())
    }

    const BINDING: Binding<'static> = Binding {
        direction: Direction::Request,
        uuid: "u",
        from: VaspId(1),
        to: VaspId(2),
        key_type: "PerVasp",
    };

    /// RFC 9180 appendix A.2.1 (base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305), sequence number 0.
    #[test]
    fn the_vector_of_rfc_9180_for_this_suite_holds() {
        let receiver =
            KeyPair::derive(&entropy("1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df"));
        assert_eq!(
            HEXLOWER.encode(&receiver.public),
            "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"
        );
        let info = bytes("4f6465206f6e2061204772656369616e2055726e");
        let plain = bytes("4265617574792069732074727574682c20747275746820626561757479");
        let once = entropy("909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b");
        let (enc, sealed) = seal_raw(&receiver.public, &info, b"Count-0", &plain, once).unwrap();
        assert_eq!(HEXLOWER.encode(&enc), "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
        assert_eq!(
            HEXLOWER.encode(&sealed),
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"
        );
        assert_eq!(*open_raw(&receiver.private, &info, b"Count-0", &enc, &sealed).unwrap(), plain);
    }

    #[test]
    fn an_envelope_opens_under_its_binding_alone() {
        let pair = KeyPair::derive(&Zeroizing::new([7; 32]));
        let envelope = seal(&pair.public, BINDING, b"secret", Zeroizing::new([8; 32])).unwrap();
        assert_eq!(&**open(&pair.private, BINDING, &envelope).unwrap(), b"secret");
        for other in [
            Binding { direction: Direction::Reply, ..BINDING },
            Binding { uuid: "v", ..BINDING },
            Binding { from: VaspId(3), ..BINDING },
            Binding { to: VaspId(3), ..BINDING },
            Binding { key_type: "PerAddress", ..BINDING },
        ] {
            assert_eq!(open(&pair.private, other, &envelope), Err(SealFault::Unreadable));
        }
        let other = KeyPair::derive(&Zeroizing::new([9; 32]));
        assert_eq!(open(&other.private, BINDING, &envelope), Err(SealFault::Unreadable));
        let foreign = Envelope { suite: "rot13".into(), ..envelope };
        assert_eq!(open(&pair.private, BINDING, &foreign), Err(SealFault::Suite));
    }

    #[test]
    fn a_key_that_gives_no_secret_is_refused() {
        assert_eq!(seal(&[0; 32], BINDING, b"secret", Zeroizing::new([8; 32])), Err(SealFault::Key));
    }

    #[test]
    fn padding_hides_the_length_and_stays_json() {
        let pad = |text: &str| pad(Zeroizing::new(text.to_owned()));
        assert_eq!(pad("\"Robbins\"").len(), pad("\"김민수\"").len());
        assert_eq!(serde_json::from_str::<String>(&pad("\"김민수\"")).unwrap(), "김민수");
        assert_eq!(pad(&format!("\"{}\"", "김".repeat(300))).len() % BLOCK, 0);
        assert_eq!(pad(&"1".repeat(BLOCK)).len(), BLOCK);
    }

    #[test]
    fn a_long_payload_is_padded_too() {
        for (text, blocks) in [("a".repeat(66_000), 129), ("김".repeat(27_500), 162)] {
            let padded = pad(Zeroizing::new(text.clone()));
            assert_eq!((padded.len(), padded.trim_end()), (blocks * BLOCK, &*text));
        }
    }
}
