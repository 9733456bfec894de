//! The keyed tags of rows and the seal over all of them (L23). Pure: no SQL, no I/O.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::{Head, OpenFault, Table};

type HmacSha256 = Hmac<Sha256>;

/// The secret from which a store's keys are derived. It never leaves and is erased when dropped.
pub struct StoreSecret(Box<Zeroizing<[u8; 32]>>);

impl StoreSecret {
    /// Moves 32 secret bytes in and erases where they came from.
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let mut inside = Box::new(Zeroizing::new([0; 32]));
        inside.copy_from_slice(bytes);
        bytes.zeroize();
        Self(inside)
    }
}

/// The keyed tag of one row: also the condition under which the row may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(pub(super) [u8; 32]);

/// What a tag is computed over.
pub(super) struct Tagged<'a> {
    pub(super) table: Table,
    pub(super) key: &'a str,
    pub(super) state: &'a str,
    pub(super) at: i64,
    pub(super) content: &'a str,
    pub(super) log_index: i64,
}

/// The sum over all rows: the exclusive or of a keyed function of each row's tag. Order does not matter, so that a
/// commit changes it by what it removes and adds; without the key no set of rows with the same sum can be found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct LedgerSum(pub(super) [u8; 32]);

impl LedgerSum {
    pub(super) const EMPTY: Self = Self([0; 32]);
}

/// The three keys of a store, ready to use. No Debug, no Clone. The HMAC states that hold them are erased on drop only
/// where `hmac` and `sha2` are built with their feature `zeroize`.
pub(super) struct Seals {
    row: HmacSha256,
    sum: HmacSha256,
    head: HmacSha256,
}

impl Seals {
    /// Derives the keys (HKDF-SHA256, RFC 5869, no salt, one label each).
    pub(super) fn derive(secret: &StoreSecret) -> Result<Self, OpenFault> {
        let hkdf = Hkdf::<Sha256>::new(None, secret.0.as_slice());
        let key = |label: &str| {
            let mut key = Zeroizing::new([0; 32]);
            hkdf.expand(label.as_bytes(), key.as_mut_slice()).map_err(|_| OpenFault::WrongSecret)?;
            HmacSha256::new_from_slice(key.as_slice()).map_err(|_| OpenFault::WrongSecret)
        };
        Ok(Self {
            row: key("countersign store row v1")?,
            sum: key("countersign store ledger sum v1")?,
            head: key("countersign store head v1")?,
        })
    }

    /// A value that only the right secret gives: tells a wrong secret from an altered row.
    pub(super) fn secret_check(&self) -> [u8; 32] {
        self.head.clone().chain_update(b"countersign store secret check v1").finalize().into_bytes().into()
    }

    /// The tag of a row. Every part is preceded by its length, so that no two rows give the same bytes.
    pub(super) fn tag(&self, row: &Tagged<'_>) -> Tag {
        let mut mac = self.row.clone();
        let (at, log_index) = (row.at.to_be_bytes(), row.log_index.to_be_bytes());
        let parts: [&[u8]; 6] = [
            row.table.name().as_bytes(),
            row.key.as_bytes(),
            row.state.as_bytes(),
            &at,
            row.content.as_bytes(),
            &log_index,
        ];
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Tag(mac.finalize().into_bytes().into())
    }

    /// Puts a row into the sum, or takes it out again: the same operation.
    pub(super) fn toggle(&self, sum: &mut LedgerSum, tag: &Tag) {
        let part: [u8; 32] = self.sum.clone().chain_update(tag.0).finalize().into_bytes().into();
        sum.0.iter_mut().zip(part).for_each(|(to, from)| *to ^= from);
    }

    /// The seal over log head and ledger. The stored value says nothing about the sum.
    pub(super) fn seal(&self, head: &Head, sum: &LedgerSum) -> [u8; 32] {
        let mut mac = self.head.clone();
        mac.update(b"countersign store seal v1");
        mac.update(&head.size.to_be_bytes());
        mac.update(&head.root);
        mac.update(&(head.checkpoint.len() as u64).to_be_bytes());
        mac.update(head.checkpoint.as_bytes());
        mac.update(&sum.0);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn seals(byte: u8) -> Seals {
        Seals::derive(&StoreSecret::take(&mut [byte; 32])).unwrap()
    }

    fn row<'a>(key: &'a str, state: &'a str) -> Tagged<'a> {
        Tagged { table: Table::Coin, key, state, at: 5, content: "{}", log_index: 7 }
    }

    #[test]
    fn a_tag_depends_on_every_part_on_their_borders_and_on_the_secret() {
        let seals_1 = seals(1);
        let tag = seals_1.tag(&row("ab", "c"));
        assert_eq!(tag, seals_1.tag(&row("ab", "c")));
        assert_ne!(tag, seals_1.tag(&row("a", "bc")));
        assert_ne!(tag, seals_1.tag(&Tagged { table: Table::Address, ..row("ab", "c") }));
        assert_ne!(tag, seals_1.tag(&Tagged { at: 6, ..row("ab", "c") }));
        assert_ne!(tag, seals_1.tag(&Tagged { content: "{ }", ..row("ab", "c") }));
        assert_ne!(tag, seals_1.tag(&Tagged { log_index: 8, ..row("ab", "c") }));
        assert_ne!(tag, seals(2).tag(&row("ab", "c")));
    }

    #[test]
    fn a_sum_does_not_depend_on_order_and_forgets_what_is_taken_out() {
        let seals = seals(1);
        let (a, b) = (seals.tag(&row("a", "x")), seals.tag(&row("b", "x")));
        let sum = |tags: &[Tag]| {
            let mut sum = LedgerSum::EMPTY;
            tags.iter().for_each(|tag| seals.toggle(&mut sum, tag));
            sum.0
        };
        assert_eq!(sum(&[a, b]), sum(&[b, a]));
        assert_ne!(sum(&[a, b]), sum(&[a]));
        assert_eq!(sum(&[a, b, b]), sum(&[a]));
    }

    #[test]
    fn the_secret_is_erased_where_it_came_from() {
        let mut bytes = [9; 32];
        let _secret = StoreSecret::take(&mut bytes);
        assert_eq!(bytes, [0; 32]);
    }
}
