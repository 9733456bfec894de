//! Owns the law of the relay's own file: what is believed names members that can be reached and told apart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::Config;

/// The relay's part of a configuration file.
pub(crate) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Config::parse(text) {
        Ok(config) => {
            let keys = config.keys().expect("what was checked holds");
            assert_eq!(keys.len(), config.members.len());
        }
        Err(no) => assert!(!no.to_string().is_empty()),
    }
}

pub(crate) fn config_seeds() -> Vec<Vec<u8>> {
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    vec![
        format!("[[members]]\nvasp = \"7\"\nidentity_key = \"{key}\"\nendpoint = \"https://a.example:1\"\n")
            .into_bytes(),
        include_bytes!("../../deploy/relay.example.toml").to_vec(),
    ]
}
