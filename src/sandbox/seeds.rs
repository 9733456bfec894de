//! Makes the six seeds, each in a process of its own, and the wallets and Safes from their public halves: no process ever holds
//! two keys, and this one holds none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::Value;

use super::children::run;
use super::evm::Safes;
use super::folder::{Folder, fresh};
use super::{Fault, NETWORK};
use crate::bitcoin::WalletDescriptor;

/// The name of the signer's log.
pub const SIGNER_ORIGIN: &str = "sandbox.countersign.example/signer";
/// The name of the co-signer's log.
pub const COSIGNER_ORIGIN: &str = "sandbox.countersign.example/cosigner";

/// What the seeds gave away: public keys only.
pub struct Seeds {
    /// The hot wallet: signer, co-signer, vault.
    pub hot: WalletDescriptor,
    /// The cold wallet: three keys of its own.
    pub cold: WalletDescriptor,
    /// The Safes of the same six seeds.
    pub safes: Safes,
    /// The verifier key of the signer's log.
    pub signer_log: String,
    /// The verifier key of the co-signer's cosignatures.
    pub witness: String,
    /// The key under the co-signer's address attestations, hex.
    pub attestation: String,
    /// The key of our VASP in the travel-rule network, hex.
    pub vasp_identity: String,
}

/// Makes everything with `countersign init`, proves possession with `descriptor export` and `safe owner`, and assembles both wallets.
pub async fn make(folder: &Folder) -> Result<Seeds, Fault> {
    let (signer, cosigner, vault) =
        (folder.folder("signer")?, folder.folder("cosigner")?, folder.folder("vault")?);
    let cold = [folder.folder("cold-1")?, folder.folder("cold-2")?, folder.folder("cold-3")?];
    let [cold_1, cold_2, cold_3] = &cold;
    for place in [&signer, &cosigner, &vault, cold_1, cold_2, cold_3] {
        passphrase(folder, place)?;
    }
    let store = |place: &Path, name: &str| join("sqlite:", &place.join(name));
    let signer_more = [
        pair("--store", store(&signer, "ledger.db")),
        pair("--origin", SIGNER_ORIGIN),
        pair("--freeze-folder", signer.join("freeze")),
        pair("--enclave-database", signer.join("enclave.db")),
        pair("--enclave-data-key", signer.join("enclave-data-key")),
        pair("--enclave-identity-key", signer.join("enclave-identity-key")),
    ];
    let cosigner_more = [
        pair("--store", store(&cosigner, "cosigner.db")),
        pair("--origin", COSIGNER_ORIGIN),
        pair("--freeze-folder", cosigner.join("freeze")),
    ];
    let (a, b, ..) = tokio::try_join!(
        seed("signer", &signer, &signer_more),
        seed("cosigner", &cosigner, &cosigner_more),
        seed("vault", &vault, &[]),
        seed("vault", cold_1, &[]),
        seed("vault", cold_2, &[]),
        seed("vault", cold_3, &[]),
    )?;
    let (of_hot, of_cold) = ([&signer, &cosigner, &vault], [cold_1, cold_2, cold_3]);
    let (hot, cold, safes) =
        tokio::try_join!(wallet(&of_hot, false), wallet(&of_cold, true), Safes::make(folder))?;
    Ok(Seeds {
        hot,
        cold,
        safes,
        signer_log: text(&a, "log_key")?,
        witness: text(&b, "witness_key")?,
        attestation: text(&b, "attestation_key")?,
        vasp_identity: text(&a, "enclave_identity_key")?,
    })
}

fn passphrase(folder: &Folder, place: &Path) -> Result<(), Fault> {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    folder.write(&format!("{name}/passphrase"), &HEXLOWER.encode(&fresh()?)).map(drop)
}

fn pair(flag: &str, value: impl Into<OsString>) -> [OsString; 2] {
    [flag.into(), value.into()]
}

fn join(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}

/// Runs `init`, then `descriptor export` and `safe owner` for one seed; each is a process that holds this one key.
async fn seed(role: &str, place: &Path, more: &[[OsString; 2]]) -> Result<Value, Fault> {
    let keystore = pair("--keystore", place.join("keystore"));
    let unlock = [keystore, pair("--passphrase-file", place.join("passphrase"))];
    let made = [
        pair("--role", role),
        pair("--network", NETWORK.as_str()),
        // Throwaway keys: guessing the passphrase may be cheap. `init` refuses this on mainnet.
        pair("--cost", "cheap"),
        pair("--words-file", place.join("words")),
    ];
    let mut init: Vec<OsString> = vec!["init".into(), "--json".into()];
    init.extend(made.iter().chain(&unlock).chain(more).flatten().cloned());
    let told = run("countersign init", &init).await?;
    for (words, file) in [(["descriptor", "export"], "export.json"), (["safe", "owner"], "owner.json")] {
        let mut export: Vec<OsString> = words.map(OsString::from).into();
        export.push("--json".into());
        export.extend(unlock.iter().flatten().cloned());
        let exported = run("a keystore's export", &export).await?;
        let file = place.join(file);
        std::fs::write(&file, exported).map_err(|source| Fault::file(file.display(), source))?;
    }
    serde_json::from_str(&told).map_err(|no| Fault::setup("countersign init", no))
}

/// Puts three exported keys together; `assemble` checks each proof of possession.
async fn wallet(places: &[&PathBuf; 3], cold: bool) -> Result<WalletDescriptor, Fault> {
    let mut arguments: Vec<OsString> = vec!["descriptor".into(), "assemble".into(), "--json".into()];
    arguments.extend(pair("--network", NETWORK.as_str()));
    arguments.extend(places.iter().flat_map(|place| pair("--key", place.join("export.json"))));
    arguments.extend(cold.then(|| OsString::from("--cold")));
    let told = run("countersign descriptor assemble", &arguments).await?;
    let told: Value = serde_json::from_str(&told).map_err(|no| Fault::setup("descriptor assemble", no))?;
    WalletDescriptor::parse(NETWORK, &text(&told, "descriptor")?).map_err(|no| Fault::setup("the wallet", no))
}

fn text(told: &Value, key: &'static str) -> Result<String, Fault> {
    let text = told.get(key).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| Fault::setup("countersign init", format!("`{key}` is not in what it printed")))
}
