//! Owns HPKE's base mode over bytes: one seal for each entropy, and keys that are ready to open.

use std::convert::Infallible;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{X25519HkdfSha256, XWing};
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use super::SealFault;
use super::suite::{PublicKey, Suite};

/// Fresh bytes for one envelope: X-Wing takes all, X25519 the first half.
pub type Entropy = Zeroizing<[u8; 64]>;

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

    /// The suite of the key.
    pub(super) const fn suite(&self) -> Suite {
        match self.0 {
            Private::XWing(_) => Suite::XWing,
            Private::X25519(_) => Suite::X25519,
        }
    }

    /// Opens bytes that were sealed with the same information and associated data.
    pub(super) fn open_raw(
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

/// Seals bytes: the encapsulated key and the ciphertext. Entropy that was too short makes nothing.
pub(super) fn seal_raw(
    to: &PublicKey,
    info: &[u8],
    aad: &[u8],
    plain: &[u8],
    entropy: Entropy,
) -> Result<(Vec<u8>, Vec<u8>), SealFault> {
    let mut once = Once { bytes: entropy, used: 0, short: false };
    let sealed = match to.suite() {
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
    let to = K::PublicKey::from_bytes(to.bytes()).map_err(|_| SealFault::Key)?;
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
    use data_encoding::HEXLOWER;

    use super::super::suite::KeyPair;
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
}
