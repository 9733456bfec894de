//! Who is who in the travel-rule network, for an enclave that stands alone: `vasp` and `vasps` of a trust file, signed in the same way.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::canonical::check_value;
use super::field;
use super::trust::{MachineKeys, Trust, Vasp, read_vasps};
use super::trust_file::{OwnVasp, TRUST_SIZE_MAX, VaspEntry};
use super::{NotProven, Quorum};
use crate::withdrawal::{Code, Invalid, VaspId};

const CURE: &str = "write version, [vasp] and [[vasps]] as deploy/directory.example.toml shows";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u64,
    vasp: OwnVasp,
    vasps: Vec<VaspEntry>,
}

/// The own id and the other VASPs, under a quorum's signatures.
#[derive(Debug)]
pub struct Directory {
    version: u64,
    vasp_id: VaspId,
    vasp_name: String,
    vasps: BTreeMap<VaspId, Vasp>,
}

impl Directory {
    /// The one door. Takes a file of `version`, `vasp` and `vasps` alone, or a whole trust file. Nothing is read before the
    /// signatures hold.
    pub fn open(text: &str, signatures: &[&str], quorum: &Quorum) -> Result<Self, NotProven> {
        if text.len() > TRUST_SIZE_MAX {
            let problem = format!("is {} bytes long, the limit is {TRUST_SIZE_MAX}", text.len());
            return Err(Invalid::new(Code::MessageTooLarge, "trust file", problem, CURE).into());
        }
        quorum.signers(text, signatures)?;
        let is_whole = text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("wallets"));
        if is_whole {
            return Ok(Self::of(Trust::open(text, signatures, quorum, 0)?));
        }
        let content: Content = toml::from_str(text).map_err(|no| {
            let problem = no.message().lines().next().unwrap_or_default().to_owned();
            Invalid::new(Code::FieldMalformed, "trust file", problem, CURE)
        })?;
        let vasp_id = field::vasp("vasp.id", &content.vasp.id)?;
        check_value("vasp.name", &content.vasp.name, 256)?;
        let vasps = read_vasps(&content.vasps, vasp_id, &mut MachineKeys::default())?;
        Ok(Self { version: content.version, vasp_id, vasp_name: content.vasp.name, vasps })
    }

    /// That of a whole trust file.
    fn of(trust: Trust) -> Self {
        let (version, vasp_id, vasp_name) = (trust.version(), trust.vasp_id(), trust.vasp_name().to_owned());
        Self { version, vasp_id, vasp_name, vasps: trust.into_vasps() }
    }

    /// Only grows.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Our own id.
    pub fn vasp_id(&self) -> VaspId {
        self.vasp_id
    }

    /// Our own name.
    pub fn vasp_name(&self) -> &str {
        &self.vasp_name
    }

    /// The other VASPs, active or not.
    pub fn vasps(&self) -> impl Iterator<Item = &Vasp> {
        self.vasps.values()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::{NAMESPACE_TRUST, sign_ssh};

    const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn people() -> (String, Quorum) {
        let key = ssh_key::PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[7; 32]));
        let public = key.public_key().to_openssh().unwrap();
        let quorum = Quorum::new(1, &[("kim".to_owned(), public)]).unwrap();
        (key.to_openssh(ssh_key::LineEnding::LF).unwrap().to_string(), quorum)
    }

    fn open(text: &str) -> Result<Directory, NotProven> {
        let (key, quorum) = people();
        let signature = sign_ssh(&key, NAMESPACE_TRUST, text).unwrap();
        Directory::open(text, &[&signature], &quorum)
    }

    fn text(id: &str) -> String {
        format!(
            "version = 3\n[vasp]\nid = \"1001\"\nname = \"Ours\"\n[[vasps]]\nid = \"{id}\"\nname = \"Other\"\n\
             identity_key = \"{KEY}\"\nactive = true\n"
        )
    }

    #[test]
    fn a_directory_is_read_only_under_its_signatures() {
        let directory = open(&text("2002")).unwrap();
        assert_eq!(
            (directory.version(), directory.vasp_id(), directory.vasps().count()),
            (3, VaspId(1001), 1)
        );
        let (key, quorum) = people();
        let signature = sign_ssh(&key, NAMESPACE_TRUST, &text("2002")).unwrap();
        assert!(Directory::open(&text("2003"), &[&signature], &quorum).is_err());
        assert!(Directory::open(&text("2002"), &[], &quorum).is_err());
    }

    #[test]
    fn our_own_id_unknown_fields_and_keys_given_twice_are_refused() {
        assert!(open(&text("1001")).is_err());
        assert!(open(&format!("colour = 1\n{}", text("2002"))).is_err());
        let twice = text("2002")
            + text("2003").split_once("[[vasps]]").map(|(_, v)| "[[vasps]]".to_owned() + v).unwrap().as_str();
        assert!(open(&twice).is_err());
    }
}
