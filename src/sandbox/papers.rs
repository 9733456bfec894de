//! Owns the papers of the cast: certificates of a throwaway CA, machines' and people's keys, and the trust file that two
//! of three people sign.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{LineEnding, PrivateKey};

use super::folder::{Folder, fresh};
use super::seeds::Seeds;
use super::{Fault, NETWORK, ORGANISATION, ROBOT_NAME, ROBOT_VASP, now, policy};
use crate::desk::Role;
use crate::evidence::trust_file::{
    CosignerKeys, LogKeys, OperatorEntry, OwnVasp, RequestKeyEntry, StatementKeyEntry, TrustContent,
    VaspEntry, WalletEntry, render,
};
use crate::evidence::{NAMESPACE_TRUST, Quorum, Trust, sign_ssh};
use crate::pki::{Authority, LeafOrder, PemFiles, Validity};
use crate::withdrawal::Seconds;

/// The trust file's name of the exchange's key.
pub const REQUEST_KEY: &str = "2026-a";
/// The observer.
pub const OBSERVER: &str = "watcher-1";
/// The observer of EVM chains, where one runs.
pub const EVM_OBSERVER: &str = "evm-watcher";
/// The operator who approves.
pub const OPERATOR: &str = "kim";
/// The other one, of the risk desk: without both no freeze ends.
pub const RISK_OPERATOR: &str = "lee";
/// Our own VASP.
const OWN_VASP: (&str, &str) = ("1001", "Hanbit Exchange");
/// How long a certificate of the sandbox holds, in seconds.
const LIFE_S: u64 = 7 * 86_400;

/// An SSH key in the two forms that programs take.
pub struct SshKey {
    /// OpenSSH's private form, not encrypted.
    pub private: String,
    /// The line of a `.pub` file.
    pub public: String,
}

impl SshKey {
    fn create(name: &str) -> Result<Self, Fault> {
        let no = |error: ssh_key::Error| Fault::setup("an SSH key", error);
        let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&fresh()?));
        key.set_comment(name);
        let private = key.to_openssh(LineEnding::LF).map_err(no)?.to_string();
        Ok(Self { private, public: key.public_key().to_openssh().map_err(no)? })
    }
}

/// Keys that somebody of the cast signs with. None of them is a key to coins.
pub struct Keys {
    /// The exchange's request key.
    pub exchange: SigningKey,
    /// The observer's statement key.
    pub observer: SigningKey,
    /// The statement key of the observer of EVM chains.
    pub evm_observer: SigningKey,
    /// The operator's SSH key.
    pub operator: SshKey,
    /// The risk desk's SSH key.
    pub risk_operator: SshKey,
    /// The relay's key.
    pub relay: SigningKey,
    /// The identity key of the counterparty VASP.
    pub robot: SigningKey,
    quorum: Vec<(String, SshKey)>,
}

impl Keys {
    /// Makes all of them, and writes those that somebody may want to go on with.
    pub fn create(folder: &Folder) -> Result<Self, Fault> {
        let machine = || fresh().map(|bytes| SigningKey::from_bytes(&bytes));
        let quorum =
            ["choi", "jung", "han"].map(|name| SshKey::create(name).map(|key| (name.to_owned(), key)));
        let keys = Self {
            exchange: machine()?,
            observer: machine()?,
            evm_observer: machine()?,
            operator: SshKey::create(OPERATOR)?,
            risk_operator: SshKey::create(RISK_OPERATOR)?,
            relay: machine()?,
            robot: machine()?,
            quorum: quorum.into_iter().collect::<Result<_, _>>()?,
        };
        folder.folder("keys")?;
        let hex = |key: &SigningKey| format!("{}\n", HEXLOWER.encode(key.as_bytes()));
        folder.write("keys/exchange-request-key", &hex(&keys.exchange))?;
        folder.write("keys/observer-statement-key", &hex(&keys.observer))?;
        folder.write("keys/operator-kim", &keys.operator.private)?;
        folder.write("keys/operator-kim.pub", &format!("{}\n", keys.operator.public))?;
        folder.write("keys/operator-lee", &keys.risk_operator.private)?;
        folder.folder("relay")?;
        folder.write("relay/key", &hex(&keys.relay))?;
        Ok(keys)
    }

    /// Who may sign a trust file: name and public key.
    pub fn people(&self) -> Vec<(String, String)> {
        self.quorum.iter().map(|(name, key)| (name.clone(), key.public.clone())).collect()
    }

    /// Writes the trust file, has two of the three people sign it, and opens it as each party will.
    pub fn trust(&self, folder: &Folder, seeds: &Seeds, on_chain: bool) -> Result<Trust, Fault> {
        let no = |what: &dyn std::fmt::Display| Fault::setup("the trust file", what);
        let text = render(&self.content(seeds, on_chain)).map_err(|invalid| no(&invalid))?;
        let mut signatures = Vec::new();
        for (name, key) in self.quorum.iter().take(2) {
            let signature = sign_ssh(&key.private, NAMESPACE_TRUST, &text).map_err(|invalid| no(&invalid))?;
            signatures.push((name, signature));
        }
        for party in ["signer", "cosigner"] {
            folder.write(&format!("{party}/trust.toml"), &text)?;
            for (name, signature) in &signatures {
                folder.write(&format!("{party}/trust.toml.{name}.sig"), signature)?;
            }
        }
        let quorum = Quorum::new(2, &self.people()).map_err(|invalid| no(&invalid))?;
        let armored: Vec<&str> = signatures.iter().map(|(_, signature)| signature.as_str()).collect();
        Trust::open(&text, &armored, &quorum, 0).map_err(|not| no(&not))
    }

    /// Gives another program the trust file that the parties have, with its signatures.
    pub fn hand_trust(&self, folder: &Folder, to: &str) -> Result<(), Fault> {
        let names = self.quorum.iter().take(2).map(|(name, _)| format!("trust.toml.{name}.sig"));
        for name in std::iter::once("trust.toml".to_owned()).chain(names) {
            let from = folder.at(&format!("signer/{name}"));
            let text =
                std::fs::read_to_string(&from).map_err(|source| Fault::file(from.display(), source))?;
            folder.write(&format!("{to}/{name}"), &text)?;
        }
        Ok(())
    }

    /// Who states what: where nobody reads a chain, the played observer states the Safe.
    fn statement_keys(&self, on_chain: bool) -> Vec<StatementKeyEntry> {
        let entry = |observer: &str, key: &SigningKey, kinds: &[&str]| StatementKeyEntry {
            observer: observer.into(),
            key: HEXLOWER.encode(key.verifying_key().as_bytes()),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        };
        let played = ["coins", "position", "price", "chain", "safe"];
        let [own @ .., _] = &played;
        match on_chain {
            false => vec![entry(OBSERVER, &self.observer, &played)],
            true => vec![
                entry(OBSERVER, &self.observer, own),
                entry(EVM_OBSERVER, &self.evm_observer, &["chain", "safe"]),
            ],
        }
    }

    fn content(&self, seeds: &Seeds, on_chain: bool) -> TrustContent {
        let public = |key: &SigningKey| HEXLOWER.encode(key.verifying_key().as_bytes());
        TrustContent {
            version: 1,
            vasp: OwnVasp { id: OWN_VASP.0.into(), name: OWN_VASP.1.into() },
            cosigner: CosignerKeys { attestation_key: seeds.attestation.clone(), custodian_key: None },
            log: LogKeys { signer: seeds.signer_log.clone(), cosigner: seeds.witness.clone() },
            guard: BTreeMap::from([("policy".to_owned(), policy::guard())]),
            wallets: vec![
                WalletEntry {
                    network: NETWORK.as_str().into(),
                    hot: seeds.hot.as_str().into(),
                    cold: Some(seeds.cold.as_str().into()),
                    safe: None,
                    executor: None,
                    emptying: None,
                    tokens: Vec::new(),
                },
                seeds.safes.entry(),
            ],
            request_keys: vec![RequestKeyEntry {
                organisation: ORGANISATION.into(),
                id: REQUEST_KEY.into(),
                key: public(&self.exchange),
                not_after: None,
                people: Vec::new(),
            }],
            statement_keys: self.statement_keys(on_chain),
            operators: vec![
                OperatorEntry {
                    name: OPERATOR.into(),
                    groups: vec!["treasury".into()],
                    keys: vec![self.operator.public.clone()],
                },
                OperatorEntry {
                    name: RISK_OPERATOR.into(),
                    groups: vec!["risk".into()],
                    keys: vec![self.risk_operator.public.clone()],
                },
            ],
            vasps: vec![VaspEntry {
                id: ROBOT_VASP.to_string(),
                name: ROBOT_NAME.into(),
                identity_key: Some(public(&self.robot)),
                network: None,
                jurisdiction: None,
                active: true,
            }],
        }
    }

    /// The relay's members: VASP id and public key.
    pub fn members(&self, seeds: &Seeds) -> [(String, String); 2] {
        let robot = HEXLOWER.encode(self.robot.verifying_key().as_bytes());
        [(OWN_VASP.0.to_owned(), seeds.vasp_identity.clone()), (ROBOT_VASP.to_string(), robot)]
    }

    /// Our own VASP with its key.
    pub fn own_vasp(seeds: &Seeds) -> Result<(crate::withdrawal::VaspId, [u8; 32]), Fault> {
        let no = || Fault::setup("our VASP's key", "is not what `init` should print");
        let id = crate::withdrawal::VaspId::parse(OWN_VASP.0).map_err(|_| no())?;
        let key = HEXLOWER.decode(seeds.vasp_identity.as_bytes()).ok().and_then(|key| key.try_into().ok());
        Ok((id, key.ok_or_else(no)?))
    }
}

/// Issues the certificates of both networks: ours, whose certificates carry roles, and the travel rule's, whose do not.
/// Both authorities' keys are forgotten at once.
pub fn certificates(folder: &Folder) -> Result<(), Fault> {
    let validity =
        Validity { not_before: Seconds(now().0.saturating_sub(3_600)), not_after: now().plus(LIFE_S) };
    let no = |fault: crate::pki::PkiFault| Fault::setup("a certificate", fault);
    let authority = Authority::create("countersign sandbox", validity).map_err(no)?;
    let tls = folder.folder("tls")?;
    folder.write("tls/ca.pem", authority.certificate_pem())?;
    let cast = [
        (Role::Signer, "sandbox"),
        (Role::Cosigner, "sandbox"),
        (Role::Exchange, ORGANISATION),
        (Role::Observer, OBSERVER),
        (Role::Operator, OPERATOR),
        (Role::Auditor, "anybody"),
        (Role::Executor, "sandbox"),
    ];
    for (role, name) in cast {
        let serves = matches!(role, Role::Signer | Role::Cosigner);
        let hosts = if serves { vec!["127.0.0.1".into(), "localhost".into()] } else { Vec::new() };
        let order = LeafOrder { role, name: name.into(), hosts, validity };
        let issued = authority.issue(&order).map_err(no)?;
        PemFiles::in_folder(&tls, role.as_str()).write(&issued).map_err(no)?;
    }
    travel_certificates(folder, validity)
}

/// Usual server certificates, which name no role.
fn travel_certificates(folder: &Folder, validity: Validity) -> Result<(), Fault> {
    let no = |error: rcgen::Error| Fault::setup("a certificate of the travel-rule network", error);
    let (from, until) = (validity.not_before, validity.not_after);
    let params = |hosts: &[&str]| -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>())?;
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(from.0);
        params.not_after = epoch + Duration::from_secs(until.0);
        Ok(params)
    };
    let key = KeyPair::generate().map_err(no)?;
    let mut authority = params(&[]).map_err(no)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let certificate = authority.self_signed(&key).map_err(no)?;
    let issuer = Issuer::new(authority, key);
    folder.folder("travel")?;
    folder.write("travel/ca.pem", &certificate.pem())?;
    for name in ["enclave", "relay", "robot"] {
        let key = KeyPair::generate().map_err(no)?;
        let leaf = params(&["127.0.0.1", "localhost"])
            .and_then(|params| params.signed_by(&key, &issuer))
            .map_err(no)?;
        folder.write(&format!("travel/{name}.pem"), &leaf.pem())?;
        folder.write(&format!("travel/{name}.key"), &key.serialize_pem())?;
    }
    Ok(())
}
