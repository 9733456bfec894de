//! Owns the configuration files of the three services: the fields of `deploy/*.example.toml`, on loopback.

use std::net::SocketAddr;
use std::path::Path;

use super::folder::Folder;
use super::papers::{Keys, OBSERVER, REQUEST_KEY};
use super::seeds::{COSIGNER_ORIGIN, SIGNER_ORIGIN, Seeds};
use super::{Fault, NETWORK, ORGANISATION, evm, policy, ports};

/// Who listens where.
#[derive(Debug, Clone, Copy)]
pub struct Listeners {
    /// The signer's gRPC.
    pub signer: SocketAddr,
    /// The co-signer's gRPC.
    pub cosigner: SocketAddr,
    /// The signer's brake.
    pub signer_freeze: SocketAddr,
    /// The co-signer's brake.
    pub cosigner_freeze: SocketAddr,
    /// The signer's enclave, for the relay.
    pub enclave: SocketAddr,
    /// The relay.
    pub relay: SocketAddr,
    /// The counterparty VASP, for the relay.
    pub robot: SocketAddr,
}

impl Listeners {
    /// Free ports on loopback.
    pub fn choose() -> Result<Self, Fault> {
        let free = ports::free;
        Ok(Self {
            signer: free()?,
            cosigner: free()?,
            signer_freeze: free()?,
            cosigner_freeze: free()?,
            enclave: free()?,
            relay: free()?,
            robot: free()?,
        })
    }
}

/// Writes policies and configurations.
pub fn write(folder: &Folder, listeners: &Listeners, keys: &Keys, seeds: &Seeds) -> Result<(), Fault> {
    folder.write("signer/policy.toml", &policy::settings())?;
    folder.write("cosigner/policy.toml", &policy::settings())?;
    folder.write("signer/signer.toml", &signer(folder, listeners, keys, seeds))?;
    folder.write("cosigner/cosigner.toml", &cosigner(folder, listeners, keys, seeds))?;
    folder.write("relay/relay.toml", &relay(listeners, keys, seeds))?;
    profiles(folder, listeners, seeds)
}

fn signer(folder: &Folder, listeners: &Listeners, keys: &Keys, seeds: &Seeds) -> String {
    let party = party(Party {
        name: "signer",
        listen: [listeners.signer, listeners.signer_freeze],
        store: &folder.at("signer/ledger.db"),
        origin: SIGNER_ORIGIN,
        keys,
        seeds,
    });
    let (cosigner, enclave, relay_port) = (listeners.cosigner, listeners.enclave, listeners.relay.port());
    let relay_key = data_encoding::HEXLOWER.encode(keys.relay.verifying_key().as_bytes());
    let asset = |(symbol, network, caip19, decimals): &(String, String, String, u32)| {
        format!(
            "\n[[enclave.assets]]\nsymbol = \"{symbol}\"\nnetwork = \"{network}\"\ncaip19 = \"{caip19}\"\ndecimals = {decimals}\n"
        )
    };
    let assets: String = evm::travel_names().iter().map(asset).collect();
    format!(
        r#"{party}
[cosigner]
address = "{cosigner}"

[enclave]
database = "enclave.db"
data_key = {{ file = "enclave-data-key" }}
identity_key = {{ file = "enclave-identity-key" }}
listen = "{enclave}"
public_endpoint = "https://{enclave}"

[enclave.tls]
ca = "../travel/ca.pem"
cert = "../travel/enclave.pem"
key = "../travel/enclave.key"

[enclave.relay]
# By its name, so that names are looked up by the shut-in process as they are elsewhere.
url = "https://localhost:{relay_port}"
key = "{relay_key}"
{assets}"#
    )
}

fn cosigner(folder: &Folder, listeners: &Listeners, keys: &Keys, seeds: &Seeds) -> String {
    party(Party {
        name: "cosigner",
        listen: [listeners.cosigner, listeners.cosigner_freeze],
        store: &folder.at("cosigner/cosigner.db"),
        origin: COSIGNER_ORIGIN,
        keys,
        seeds,
    })
}

struct Party<'a> {
    name: &'a str,
    /// Its gRPC, and its brake.
    listen: [SocketAddr; 2],
    store: &'a Path,
    origin: &'a str,
    keys: &'a Keys,
    seeds: &'a Seeds,
}

/// What both parties' files have in common.
fn party(party: Party<'_>) -> String {
    let Party { name, listen: [listen, freeze], store, origin, keys, seeds } = party;
    let store = quoted(&format!("sqlite:{}", store.display()));
    let (hot, cold) = (seeds.hot.fingerprint(), seeds.cold.fingerprint());
    let trust = trust(keys);
    format!(
        r#"network = "{NETWORK}"
listen = "{listen}"

[freeze]
listen = "{freeze}"
folder = "freeze"

[tls]
ca = "../tls/ca.pem"
cert = "../tls/{name}.pem"
key = "../tls/{name}.key"

[wallet]
hot_fingerprint = "{hot}"
cold_fingerprint = "{cold}"

[store]
url = {store}

[keystore]
path = "keystore"
passphrase = {{ file = "passphrase" }}

{trust}

[policy]
settings = "policy.toml"
rules = "built-in"

[log]
origin = "{origin}"

[limits]
# Throwaway keys: a machine that grants no locked memory may still play.
memory_lock = false

[tracing]
format = "text"
"#
    )
}

/// Where the trust file stands, and who may sign it.
pub fn trust(keys: &Keys) -> String {
    let line =
        |(name, key): &(String, String)| format!("  {{ name = \"{name}\", key = {} }},\n", quoted(key));
    let people: String = keys.people().iter().map(line).collect();
    let signed: Vec<String> =
        keys.people().iter().take(2).map(|(person, _)| format!("\"trust.toml.{person}.sig\"")).collect();
    let signed = signed.join(", ");
    format!(
        "[trust]\nfile = \"trust.toml\"\nsignatures = [{signed}]\n\n[trust.quorum]\nthreshold = 2\npeople = [\n{people}]"
    )
}

fn relay(listeners: &Listeners, keys: &Keys, seeds: &Seeds) -> String {
    let member = |(vasp, key): &(String, String)| {
        format!("\n[[member]]\nvasp = \"{vasp}\"\nidentity_key = \"{key}\"\n")
    };
    let members: String = keys.members(seeds).iter().map(member).collect();
    let listen = listeners.relay;
    format!(
        r#"listen = "{listen}"
key = {{ file = "key" }}

[tls]
ca = "../travel/ca.pem"
cert = "../travel/relay.pem"
key = "../travel/relay.key"
{members}
[tracing]
format = "text"
"#
    )
}

/// What the client commands need of each of the cast, so that a stranger can go on by hand.
fn profiles(folder: &Folder, listeners: &Listeners, seeds: &Seeds) -> Result<(), Fault> {
    folder.folder("profiles")?;
    let own = [
        (
            "exchange",
            format!(
                "organisation = \"{ORGANISATION}\"\nrequest_key = \"../keys/exchange-request-key\"\nrequest_key_id = \"{REQUEST_KEY}\"\n"
            ),
        ),
        (
            "observer",
            format!("observer = \"{OBSERVER}\"\nstatement_key = \"../keys/observer-statement-key\"\n"),
        ),
        (
            "operator",
            format!(
                "ssh_key = \"../keys/operator-kim\"\noperator = \"kim\"\nsigner_freeze = \"{}\"\ncosigner_freeze = \"{}\"\n",
                listeners.signer_freeze, listeners.cosigner_freeze
            ),
        ),
        (
            "auditor",
            format!("log_key = {}\ncosigner_key = {}\n", quoted(&seeds.signer_log), quoted(&seeds.witness)),
        ),
    ];
    let (signer, attestation) = (listeners.signer, &seeds.attestation);
    let hot = quoted(seeds.hot.as_str());
    for (role, own) in own {
        let text = format!(
            r#"connect = "{signer}"
ca = "../tls/ca.pem"
cert = "../tls/{role}.pem"
key = "../tls/{role}.key"
network = "{NETWORK}"
attestation_key = "{attestation}"
descriptor = {hot}
{own}"#
        );
        folder.write(&format!("profiles/{role}.toml"), &text)?;
    }
    Ok(())
}

/// A text as TOML spells it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
