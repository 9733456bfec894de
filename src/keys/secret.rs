//! The boxes secrets lie in: filled in place, compared in constant time, wiped when dropped, never printed or copied.

use std::io::Read;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret of `N` bytes on the heap, so that moving it copies a pointer and not the secret.
pub struct Secret<const N: usize>(Box<[u8; N]>);

/// A secret of 32 bytes.
pub type Secret32 = Secret<32>;

impl<const N: usize> Secret<N> {
    /// Makes a box of zeros and lets `fill` write the secret into it.
    pub fn fill_with(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self(Box::new([0; N]));
        fill(&mut secret.0);
        secret
    }

    /// Like [`Self::fill_with`], where filling can fail; a half-filled box is wiped.
    pub fn try_fill_with<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Box::new([0; N]));
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// Takes the bytes out of `source` and wipes it.
    pub fn take_from(source: &mut [u8; N]) -> Self {
        let secret = Self::fill_with(|to| to.copy_from_slice(source));
        source.zeroize();
        secret
    }

    /// The secret itself. Every caller of this is a place to review.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    pub(super) fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl<const N: usize> ZeroizeOnDrop for Secret<N> {}

impl<const N: usize> ConstantTimeEq for Secret<N> {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.as_slice().ct_eq(other.0.as_slice())
    }
}

/// A secret whose length is only known when it is read: a passphrase or the words of a phrase.
pub struct SecretBytes {
    // INVARIANT: allocated once at its final capacity; growing would leave an unwiped copy behind.
    bytes: Box<[u8]>,
    len: usize,
}

impl SecretBytes {
    /// Takes the bytes out of `source` and wipes it.
    pub fn take_from(source: &mut [u8]) -> Self {
        let mut bytes = vec![0; source.len()].into_boxed_slice();
        bytes.copy_from_slice(source);
        source.zeroize();
        Self { len: bytes.len(), bytes }
    }

    /// Makes a box of `len` zeros and lets `fill` write the secret into it.
    pub fn fill_with(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut secret = Self { bytes: vec![0; len].into_boxed_slice(), len };
        fill(&mut secret.bytes);
        secret
    }

    /// Reads `source` to its end; `Ok(None)` when it holds more than `len_max` bytes.
    pub fn read_from(source: &mut dyn Read, len_max: usize) -> std::io::Result<Option<Self>> {
        let mut secret = Self::fill_with(len_max.saturating_add(1), |_| {});
        secret.len = 0;
        loop {
            let Some(rest) = secret.bytes.get_mut(secret.len..).filter(|rest| !rest.is_empty()) else {
                return Ok(None);
            };
            match source.read(rest) {
                Ok(0) => return Ok(Some(secret)),
                Ok(n) => secret.len = secret.len.saturating_add(n),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Forgets one line feed at the end, which editors and `echo` add.
    pub fn without_last_line_feed(mut self) -> Self {
        if self.expose().last() == Some(&b'\n') {
            self.len = self.len.saturating_sub(1);
        }
        self
    }

    /// The secret itself. Every caller of this is a place to review.
    pub fn expose(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }

    /// The secret as text, if it is UTF-8.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(self.expose()).ok()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl ZeroizeOnDrop for SecretBytes {}

impl ConstantTimeEq for SecretBytes {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.expose().ct_eq(other.expose())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn taking_a_secret_wipes_its_source() {
        let mut source = [7u8; 32];
        let secret = Secret::take_from(&mut source);
        assert_eq!((source, *secret.expose()), ([0; 32], [7; 32]));
        let mut words = *b"words";
        let secret = SecretBytes::take_from(&mut words);
        assert_eq!((&words, secret.expose()), (&[0; 5], &b"words"[..]));
    }

    #[test]
    fn reading_stops_at_the_limit_and_drops_one_line_feed_only() {
        let read = |bytes: &[u8], max| SecretBytes::read_from(&mut &bytes[..], max).unwrap();
        assert!(read(b"12345", 4).is_none());
        assert_eq!(read(b"1234", 4).unwrap().expose(), b"1234");
        assert_eq!(read(b"ab\n\n", 9).unwrap().without_last_line_feed().expose(), b"ab\n");
        assert!(read(b"\n", 9).unwrap().without_last_line_feed().is_empty());
    }

    #[test]
    fn equality_sees_every_byte() {
        let secret = |byte| Secret::<32>::fill_with(|to| to[31] = byte);
        assert!(bool::from(secret(1).ct_eq(&secret(1))));
        assert!(!bool::from(secret(1).ct_eq(&secret(2))));
    }
}
