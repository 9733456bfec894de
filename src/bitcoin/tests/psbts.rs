//! The PSBT reader against the vectors of BIP-0174, and against anything at all.

use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::scene::Scene;
use crate::bitcoin::psbt_reader::read;
use crate::withdrawal::Code;

const VECTORS: &str = include_str!("../../../tests/vectors/bitcoin/psbt.txt");

#[test]
fn the_vectors_of_bip_174_are_read_and_refused_as_it_says() {
    let mut counts = [0, 0];
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(' ').collect();
        let bytes = HEXLOWER.decode(parts[2].as_bytes()).unwrap();
        match (parts[0], read(&bytes)) {
            // the reader may be stricter than the BIP, never looser; what it reads it writes back as it was
            ("valid", Ok(psbt)) => {
                counts[0] += 1;
                assert_eq!(read(&psbt.serialize()).unwrap(), psbt);
            }
            ("invalid", Err(error)) => {
                counts[1] += 1;
                assert_eq!(error.code, Code::PsbtMalformed);
            }
            (verdict, _) => panic!("{verdict} is not: {}…", &parts[2][..60]),
        }
    }
    assert_eq!(counts, [6, 15]);
}

/// BIP-0174: a field whose type takes no key data must not have any; a map must not hold a key twice.
#[test]
fn key_data_where_none_belongs_and_doubled_keys_are_refused() {
    let bytes = Scene::withdrawal().bytes();
    let global = bytes[5] as usize + 6;
    let mut longer_key = bytes.clone();
    assert_eq!(longer_key[5..7], [1, 0]);
    longer_key.splice(5..7, [2, 0, 0]);
    assert_eq!(read(&longer_key).unwrap_err().code, Code::PsbtMalformed);
    // the global map's only pair: key, one byte of length, the transaction
    let len = usize::from(bytes[global]);
    assert!(len < 0xfd);
    let pair = bytes[5..global + 1 + len].to_vec();
    let mut doubled = bytes.clone();
    doubled.splice(5..5, pair);
    assert_eq!(read(&doubled).unwrap_err().code, Code::PsbtMalformed);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&bytes);
        let _ = read(&[b"psbt\xff", &bytes[..]].concat());
    }

    #[test]
    fn no_damage_makes_the_checker_panic(at in any::<prop::sample::Index>(), with in prop::collection::vec(any::<u8>(), 0..8)) {
        let scene = Scene::withdrawal();
        let mut bytes = scene.bytes();
        let at = at.index(bytes.len());
        let end = bytes.len().min(at + with.len());
        bytes.splice(at..end, with);
        let _ = scene.check(&bytes);
    }
}
