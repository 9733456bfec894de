//! Owns the end-to-end seal: HPKE (RFC 9180) base mode, and what the ciphertext is bound to. Knows no network and no database.
//!
//! The suites are X-Wing (ML-KEM-768 with X25519, draft-ietf-hpke-pq) and DHKEM(X25519, HKDF-SHA256), each with HKDF-SHA256 and
//! ChaCha20-Poly1305. Every envelope names its own. X-Wing stays secret as long as one of its halves does: what is recorded today must
//! stay secret for years.

use std::convert::Infallible;

use data_encoding::{BASE64, HEXLOWER};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{X25519HkdfSha256, XWing};
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::withdrawal::VaspId;

/// A set of algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// Secret also from who has a quantum computer one day.
    XWing,
    /// X25519 alone; every enclave has it.
    X25519,
}

impl Suite {
    /// Every suite, the better one first.
    pub const ALL: [Self; 2] = [Self::XWing, Self::X25519];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XWing => "hpke-base-xwing-sha256-chacha20poly1305",
            Self::X25519 => "hpke-base-x25519-sha256-chacha20poly1305",
        }
    }

    /// Reads that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.as_str() == text)
    }

    /// The best suite of one's own that the other side names too.
    pub fn best(own: &[Self], theirs: &[String]) -> Option<Self> {
        own.iter().copied().filter(|suite| theirs.iter().any(|name| name == suite.as_str())).min()
    }

    const fn public_len(self) -> usize {
        match self {
            Self::XWing => 1_216,
            Self::X25519 => 32,
        }
    }
}

/// A public key with the suite it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    suite: Suite,
    bytes: Vec<u8>,
}

impl PublicKey {
    /// Takes the bytes of a key over; nothing, if they are not as many as the suite's keys have.
    pub fn new(suite: Suite, bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == suite.public_len()).then_some(Self { suite, bytes })
    }

    /// The suite.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Fresh bytes for one envelope: X-Wing takes all, X25519 the first half.
pub type Entropy = Zeroizing<[u8; 64]>;

const INFO: &[u8] = b"countersign travel rule v1";
const BLOCK: usize = 512;

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
    /// From who brings a new data key to the process that runs; passes no relay.
    Handover,
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
    pub fn bytes(&self, suite: Suite) -> Vec<u8> {
        let direction = match self.direction {
            Direction::Request => "request",
            Direction::Reply => "reply",
            Direction::Report => "report",
            Direction::Receipt => "receipt",
            Direction::Inquiry => "inquiry",
            Direction::Status => "status",
            Direction::Handover => "handover",
        };
        format!(
            "countersign envelope v1\nsuite: {}\ndirection: {direction}\nuuid: {}\nfrom: {}\nto: {}\nkey_type: {}\n",
            suite.as_str(), self.uuid, self.from, self.to, self.key_type
        )
        .into_bytes()
    }
}

/// A key pair of one's own.
pub struct KeyPair {
    /// The private half, wiped when dropped.
    pub private: Zeroizing<Vec<u8>>,
    /// The public half.
    pub public: PublicKey,
}

impl KeyPair {
    /// Makes one from 32 bytes of fresh entropy (RFC 9180 section 7.1.3).
    pub fn derive(suite: Suite, entropy: &Zeroizing<[u8; 32]>) -> Self {
        match suite {
            Suite::XWing => derive::<XWing>(suite, entropy),
            Suite::X25519 => derive::<X25519HkdfSha256>(suite, entropy),
        }
    }
}

fn derive<K: Kem>(suite: Suite, entropy: &[u8; 32]) -> KeyPair {
    let (private, public) = K::derive_keypair(entropy);
    let mut private = private.to_bytes();
    let public = PublicKey { suite, bytes: public.to_bytes().to_vec() };
    let pair = KeyPair { private: Zeroizing::new(private.to_vec()), public };
    private.zeroize();
    pair
}

/// The name of a public key: the first 16 bytes of its SHA-256, in hex.
pub fn key_id(public: &PublicKey) -> String {
    let digest = Sha256::digest(public.bytes());
    HEXLOWER.encode(digest.get(..16).unwrap_or_default())
}

/// Seals bytes to a public key. `entropy` is never used again.
pub fn seal(
    to: &PublicKey,
    binding: Binding<'_>,
    plain: &[u8],
    entropy: Entropy,
) -> Result<Envelope, SealFault> {
    let (enc, ciphertext) = seal_raw(to, INFO, &binding.bytes(to.suite), plain, entropy)?;
    Ok(Envelope {
        suite: to.suite.as_str().to_owned(),
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
    let suite = Suite::parse(&envelope.suite).ok_or(SealFault::Suite)?;
    Opener::new(suite, private)?.open(binding, envelope)
}

/// The private half of a key pair, ready to open: that of X-Wing is made from its 32 bytes only once.
pub struct Opener(Private);

enum Private {
    XWing(Box<<XWing as Kem>::PrivateKey>),
    X25519(<X25519HkdfSha256 as Kem>::PrivateKey),
}

impl Opener {
    /// Reads the bytes of a private key.
    pub fn new(suite: Suite, private: &[u8]) -> Result<Self, SealFault> {
        let no = |_| SealFault::Key;
        Ok(Self(match suite {
            Suite::XWing => Private::XWing(Box::new(Deserializable::from_bytes(private).map_err(no)?)),
            Suite::X25519 => Private::X25519(Deserializable::from_bytes(private).map_err(no)?),
        }))
    }

    /// Opens an envelope; one of another suite is not for this key.
    pub fn open(&self, binding: Binding<'_>, envelope: &Envelope) -> Result<Zeroizing<Vec<u8>>, SealFault> {
        let suite = Suite::parse(&envelope.suite).ok_or(SealFault::Suite)?;
        if suite != self.suite() {
            return Err(SealFault::Unreadable);
        }
        let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| SealFault::Unreadable);
        let sealed = (&*decode(&envelope.enc)?, &*decode(&envelope.ciphertext)?);
        self.open_raw(INFO, &binding.bytes(suite), sealed)
    }

    const fn suite(&self) -> Suite {
        match self.0 {
            Private::XWing(_) => Suite::XWing,
            Private::X25519(_) => Suite::X25519,
        }
    }

    fn open_raw(
        &self,
        info: &[u8],
        aad: &[u8],
        sealed: (&[u8], &[u8]),
    ) -> Result<Zeroizing<Vec<u8>>, SealFault> {
        match &self.0 {
            Private::XWing(private) => open_with::<XWing>(private, info, aad, sealed),
            Private::X25519(private) => open_with::<X25519HkdfSha256>(private, info, aad, sealed),
        }
    }
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
    to: &PublicKey,
    info: &[u8],
    aad: &[u8],
    plain: &[u8],
    entropy: Entropy,
) -> Result<(Vec<u8>, Vec<u8>), SealFault> {
    let mut once = Once { bytes: entropy, used: 0, short: false };
    let sealed = match to.suite {
        Suite::XWing => seal_with::<XWing>(to, info, aad, plain, &mut once),
        Suite::X25519 => seal_with::<X25519HkdfSha256>(to, info, aad, plain, &mut once),
    };
    if once.short { Err(SealFault::Entropy) } else { sealed }
}

fn seal_with<K: Kem>(
    to: &PublicKey,
    info: &[u8],
    aad: &[u8],
    plain: &[u8],
    once: &mut Once,
) -> Result<(Vec<u8>, Vec<u8>), SealFault> {
    let to = K::PublicKey::from_bytes(&to.bytes).map_err(|_| SealFault::Key)?;
    let seal = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, K>;
    let (enc, ciphertext) = seal(&OpModeS::Base, &to, info, plain, aad, once).map_err(|_| SealFault::Key)?;
    Ok((enc.to_bytes().to_vec(), ciphertext))
}

fn open_with<K: Kem>(
    private: &K::PrivateKey,
    info: &[u8],
    aad: &[u8],
    (enc, sealed): (&[u8], &[u8]),
) -> Result<Zeroizing<Vec<u8>>, SealFault> {
    let enc = K::EncappedKey::from_bytes(enc).map_err(|_| SealFault::Unreadable)?;
    let open = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, K>;
    open(&OpModeR::Base, private, &enc, info, sealed, aad)
        .map(Zeroizing::new)
        .map_err(|_| SealFault::Unreadable)
}

/// Hands out given entropy once; asked for more than there is, it says so and the result is thrown away.
struct Once {
    bytes: Entropy,
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

    fn ikm(hex: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(bytes(hex).try_into().unwrap())
    }

    fn entropy(hex: &str) -> Entropy {
        let mut all = [0; 64];
        all[..hex.len() / 2].copy_from_slice(&bytes(hex));
        Zeroizing::new(all)
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
        let receiver = KeyPair::derive(
            Suite::X25519,
            &ikm("1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df"),
        );
        assert_eq!(
            HEXLOWER.encode(receiver.public.bytes()),
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
        let receiver = Opener::new(Suite::X25519, &receiver.private).unwrap();
        assert_eq!(*receiver.open_raw(&info, b"Count-0", (&enc, &sealed)).unwrap(), plain);
    }

    /// draft-connolly-cfrg-xwing-kem, appendix C, the first vector: the KEM under the suite.
    #[test]
    fn the_first_vector_of_x_wing_holds() {
        let private = bytes("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26");
        let private = <XWing as Kem>::PrivateKey::from_bytes(&private).unwrap();
        let once = entropy(
            "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2\
             35b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2",
        );
        let mut once = Once { bytes: once, used: 0, short: false };
        let (secret, enc) = XWing::encap_with_rng(&XWing::sk_to_pk(&private), None, &mut once).unwrap();
        let expected = bytes("d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384");
        assert_eq!((secret.0.as_slice(), once.short), (&*expected, false));
        assert_eq!(XWing::decap(&private, None, &enc).unwrap().0.as_slice(), &*expected);
    }

    #[test]
    fn an_envelope_opens_under_its_binding_alone() {
        for suite in Suite::ALL {
            let pair = KeyPair::derive(suite, &Zeroizing::new([7; 32]));
            let envelope = seal(&pair.public, BINDING, b"secret", Zeroizing::new([8; 64])).unwrap();
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
            let other = KeyPair::derive(suite, &Zeroizing::new([9; 32]));
            assert_eq!(open(&other.private, BINDING, &envelope), Err(SealFault::Unreadable));
            for other in Suite::ALL.into_iter().filter(|other| *other != suite) {
                let renamed = Envelope { suite: other.as_str().into(), ..envelope.clone() };
                assert_eq!(open(&pair.private, BINDING, &renamed), Err(SealFault::Unreadable));
            }
            let foreign = Envelope { suite: "rot13".into(), ..envelope };
            assert_eq!(open(&pair.private, BINDING, &foreign), Err(SealFault::Suite));
        }
    }

    #[test]
    fn a_key_that_gives_no_secret_is_refused() {
        let zero = PublicKey::new(Suite::X25519, vec![0; 32]).unwrap();
        assert_eq!(seal(&zero, BINDING, b"secret", Zeroizing::new([8; 64])), Err(SealFault::Key));
        // coefficients of an ML-KEM key lie below its modulus
        let high = PublicKey::new(Suite::XWing, vec![0xff; 1_216]).unwrap();
        assert_eq!(seal(&high, BINDING, b"secret", Zeroizing::new([8; 64])), Err(SealFault::Key));
        assert_eq!(PublicKey::new(Suite::XWing, vec![1; 32]), None);
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
