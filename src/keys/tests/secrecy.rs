//! No error prints a secret, and no secret can be printed or copied.

use std::fmt::{Debug, Display};

use super::super::*;
use super::*;

/// Fails to compile when `$type` implements `$trait`: two impls would fit and inference would be ambiguous.
macro_rules! never {
    ($type:ty: $($trait:path),+) => { $(const _: fn() = || {
        trait Ambiguous<A> { fn here() {} }
        impl<T: ?Sized> Ambiguous<()> for T {}
        struct Implements;
        impl<T: ?Sized + $trait> Ambiguous<Implements> for T {}
        let _ = <$type as Ambiguous<_>>::here;
    };)+ };
}

never!(Secret32: Debug, Display, Clone, Default, serde::Serialize);
never!(SecretBytes: Debug, Display, Clone, Default, serde::Serialize);
never!(Seed: Debug, Display, Clone, Default, serde::Serialize);
never!(Phrase: Debug, Display, Clone, Default, serde::Serialize);
never!(OpenKeystore: Debug, Display, Clone, Default, serde::Serialize);
never!(HotKey: Debug, Display, Clone, Default, serde::Serialize);
never!(IdentityKey: Debug, Display, Clone, Default, serde::Serialize);
never!(super::super::hd::Scalar32: Debug, Display, Clone, Default, serde::Serialize);
never!(SigningOrder: Debug, Clone, Default, serde::de::DeserializeOwned);
never!(EcdsaSignature: Clone, Default, serde::de::DeserializeOwned);

#[test]
fn no_error_of_the_room_repeats_what_it_was_given() {
    let words = "quokka wombat numbat zorkmid zoo zoo zoo zoo zoo zoo zoo zoo";
    let passphrase = "hunter2-correct-horse";
    let mut said = Vec::new();
    let mut say = |error: &dyn std::error::Error| said.push(format!("{error} {error:?}"));

    say(&Phrase::parse(&secret(words)).err().unwrap());
    say(&Phrase::parse(&secret(&words.replace("quokka wombat numbat zorkmid", "zoo zoo zoo zoo")))
        .err()
        .unwrap());
    say(&Phrase::parse(&secret("quokka wombat")).err().unwrap());
    say(&Phrase::parse(&secret(&"quokka ".repeat(500))).err().unwrap());
    let bytes = sealed(&seed_of(1), terms(Network::Regtest));
    say(&open(&bytes, &secret(passphrase)).err().unwrap());
    say(&open(words.as_bytes(), &secret(passphrase)).err().unwrap());
    say(&open(&bytes[..300], &secret(passphrase)).err().unwrap());
    say(&AccountXpub::parse(words, Network::Regtest).err().unwrap());
    let opened = super::opened(&seed_of(1), Network::Regtest);
    say(&opened.hot_key().ok().unwrap().prove_possession(passphrase).err().unwrap());
    say(&opened.ed25519_identity("log").ok().unwrap().sign_text(passphrase).err().unwrap());

    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("p");
    std::fs::write(&path, passphrase.repeat(300)).unwrap();
    say(&PassphraseSource::File(path).read().err().unwrap());

    let seed = data_encoding::HEXLOWER.encode(seed_of(1).expose());
    assert_eq!(said.len(), 11);
    for text in said {
        for secret in ["quokka", "wombat", "numbat", "zorkmid", "hunter2", "zoo", &seed[..8], &seed[64..72]] {
            assert!(!text.contains(secret), "`{secret}` in `{text}`");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,300}", key in "[1-9A-HJ-NP-Za-km-z]{0,120}", cut in 0usize..140) {
        let _ = Phrase::parse(&secret(&text));
        let _ = AccountXpub::parse(&text, Network::Mainnet);
        let origin = "[73c5da0a/48'/0'/0'/2']";
        let with_origin = format!("{origin}{key}");
        proptest::prop_assert!(AccountXpub::parse(&with_origin, Network::Mainnet).is_err());
        let known = "xpub6DkFAXWQ2dHxq2vatrt9qyA3bXYU4ToWQwCHbf5XB2mSTexcHZCeKS1VZYcPoBd5X8yVcbXFHJR9R8UCVpt82VX1VhR28mCyxUFL4r6KFrf";
        let mixed = format!("{origin}{}{key}", &known[..cut.min(known.len() - 1)]);
        let same = mixed.ends_with(known);
        proptest::prop_assert!(same || AccountXpub::parse(&mixed, Network::Mainnet).is_err());
    }
}
