//! `countersign enclave rekey`: another data key, while the enclave runs or while it does not.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::outward::Outward;
use super::{assemble, protect, serve};
use crate::cli::answer::{Answer, Out, table};
use crate::cli::config::environment::Variables;
use crate::cli::config::secrets::DataKeySource;
use crate::cli::config::verifyvasp::TravelRule;
use crate::cli::config::{self, EnclaveSettings};
use crate::cli::keyfile;
use crate::cli::problem::{Exit, Problem};
use crate::enclave::{HandedOver, KeyUse, Rekey};
use crate::flow::context::machine_clock;
use crate::withdrawal::Code;

/// How long an enclave that runs is waited for to ask for the new key; it looks every second.
const PATIENCE: Duration = Duration::from_secs(8);
const TICK: Duration = Duration::from_millis(250);
/// How often progress is said.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// What changing the data key takes.
#[derive(Debug, Args)]
pub struct RekeyArgs {
    /// The configuration of an enclave that stands alone, with the new key in it and the old one among the old ones
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read the documented VEGA_* variables as well
    #[arg(long, conflicts_with = "signer_config")]
    pub from_env: bool,
    /// The configuration of a signer, for the enclave within it
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub signer_config: Option<PathBuf>,
    /// Make a new key in a new file, say what to write into the configuration, and change nothing else
    #[arg(long, value_name = "FILE", conflicts_with = "status")]
    pub generate: Option<PathBuf>,
    /// Show which keys have sealed how much, and change nothing
    #[arg(long)]
    pub status: bool,
}

/// Changes the data key of an enclave's database.
pub fn rekey(args: &RekeyArgs, out: Out) -> Result<Answer, Problem> {
    let (enclave, memory_lock) = settings(args)?;
    if let Some(path) = &args.generate {
        return generate(&enclave, path);
    }
    is_owner(&enclave.database)?;
    if args.status {
        return serve(async move { status(&enclave.database).await });
    }
    protect(memory_lock)?;
    serve(change(enclave, out))
}

fn settings(args: &RekeyArgs) -> Result<(EnclaveSettings, bool), Problem> {
    if let Some(path) = &args.signer_config {
        let settings = config::signer(path)?;
        let TravelRule::Own(enclave) = settings.travel_rule else {
            let cure = "name the new key under verifyvasp.data_key and the one before under verifyvasp.old_data_keys, and restart";
            return Err(Problem::config("--signer-config", "has an adapter and no enclave of its own", cure));
        };
        return Ok((*enclave, settings.party.bounds.memory_lock));
    }
    if args.config.is_none() && !args.from_env {
        let cure = "name --config FILE, --signer-config FILE or --from-env";
        return Err(Problem::config("--config", "is missing", cure));
    }
    let settings = config::enclave(args.config.as_deref(), args.from_env.then(Variables::of_process))?;
    Ok((settings.enclave, settings.memory_lock))
}

/// What SQLite writes beside the database belongs to who writes it: the enclave could not open it any more.
fn is_owner(database: &Path) -> Result<(), Problem> {
    let about = std::fs::metadata(database).map_err(|error| Problem::file(database, &error))?;
    if about.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let problem = format!("`{}` belongs to the user {}", database.display(), about.uid());
    Err(Problem::config("enclave.database", problem, "run this as that user (sudo -u)"))
}

/// The form of the new key follows that of the key there is.
fn generate(enclave: &EnclaveSettings, path: &Path) -> Result<Answer, Problem> {
    // The configuration's paths count from its own folder, and not from here.
    let path = &std::path::absolute(path).map_err(|error| Problem::file(path, &error))?;
    let secret = keyfile::fresh()?;
    let (new, old) = match &enclave.data_key {
        DataKeySource::Hex(_) => {
            keyfile::create(path, &secret)?;
            ("data_key", "old_data_keys")
        }
        DataKeySource::Plain(_) => {
            keyfile::write_new(path, &Zeroizing::new(format!("{}\n", BASE64.encode(secret.expose()))))?;
            ("encryption_key", "old_encryption_keys")
        }
        DataKeySource::Wrapped(..) => {
            let cure = "have it make one, write that as encryption_key and the one before into old_encryption_keys, and run `rekey`";
            return Err(Problem::config(
                "enclave.decrypt_url",
                "names the service that makes the keys",
                cure,
            ));
        }
    };
    let path = path.display();
    let text = format!(
        "a new key stands in {path}: back it up. Nothing else was changed.\n\
         Now write into [enclave], and leave the enclave running:\n\
         \x20 {new} = {{ file = \"{path}\" }}\n\
         \x20 {old} = [the value that {new} has now]\n\
         Then run `countersign enclave rekey` without --generate."
    );
    let json = json!({ "made": path.to_string(), "field": new, "old_field": old });
    Ok(Answer::ok(json, text))
}

async fn status(database: &Path) -> Result<Answer, Problem> {
    let uses = Rekey::uses_of(database).await?;
    let json = json!({ "keys": lines(&uses) });
    let rows: Vec<[String; 2]> = uses.into_iter().map(|one| [one.key_id, one.values.to_string()]).collect();
    Ok(Answer::ok(json, table(["key", "sealed values"], &rows)))
}

fn lines(uses: &[KeyUse]) -> Vec<Value> {
    uses.iter().map(|one| json!({ "key_id": one.key_id, "values": one.values })).collect()
}

async fn change(enclave: EnclaveSettings, out: Out) -> Result<Answer, Problem> {
    let outward = enclave.exchange.as_ref().map(Outward::of).transpose()?;
    let key = assemble::data_key_chain(&enclave, outward.as_ref().map(Outward::line)).await?;
    let rekey = Rekey::open(&enclave.database, &key, machine_clock()).await?;
    drop(key);
    let new = rekey.key_id();
    let before: BTreeMap<String, u64> =
        rekey.uses().await?.into_iter().map(|one| (one.key_id, one.values)).collect();
    let old: Vec<String> = before.keys().filter(|id| **id != new).cloned().collect();
    if old.is_empty() {
        rekey.end().await?;
        let text = format!("everything is sealed with the key {new} already; no other key is needed");
        return Ok(Answer::ok(json!({ "done": true, "key_id": new, "old_keys": [], "changed": 0 }), text));
    }
    let taken = hand_over(&rekey).await?;
    let mut said = Instant::now();
    while rekey.go_on().await? {
        // One that was too busy to ask before.
        rekey.hand_over().await?;
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            say(&rekey, &new, out).await?;
        }
        sleep(Duration::from_millis(2)).await;
    }
    let changed: u64 = old.iter().filter_map(|id| before.get(id)).sum();
    rekey.end().await?;
    Ok(done(&new, &old, changed, taken))
}

async fn say(rekey: &Rekey, new: &str, out: Out) -> Result<(), Problem> {
    let left: u64 = rekey.uses().await?.iter().filter(|one| one.key_id != new).map(|one| one.values).sum();
    out.print(&Value::Null, &format!("{left} values are left"));
    Ok(())
}

/// Until everybody who runs has the new key; nothing is sealed anew before.
async fn hand_over(rekey: &Rekey) -> Result<usize, Problem> {
    let until = Instant::now() + PATIENCE;
    loop {
        let stands = rekey.hand_over().await?;
        match stands {
            HandedOver::Taken(count) => return Ok(count),
            HandedOver::Nobody if Instant::now() >= until => return Ok(0),
            HandedOver::Asked if Instant::now() >= until => {
                let problem = "an enclave runs on this database and does not take the new key";
                let cure = "look at its log; nothing was sealed anew, and this can be run again";
                return Err(Problem {
                    exit: Exit::Fault,
                    ..Problem::of(Code::EnclaveUnavailable, problem).cure(cure)
                });
            }
            HandedOver::Nobody | HandedOver::Asked => sleep(TICK).await,
        }
    }
}

fn done(new: &str, old: &[String], changed: u64, taken: usize) -> Answer {
    let names = old.join(", ");
    let who = match taken {
        0 => "No enclave was running on it, or it had the new key already.".to_owned(),
        _ => "The enclave that runs has taken the new key over.".to_owned(),
    };
    let text = format!(
        "everything is sealed with the key {new}: {changed} values were sealed anew. {who}\n\
         Take the old keys ({names}) out of the configuration. They open nothing of this database any more; destroy them\n\
         once no backup is left that was made before now."
    );
    let json = json!({
        "done": true, "key_id": new, "old_keys": old, "changed": changed, "enclaves": taken,
        "old_keys_needed_by": "backups made before now",
    });
    Answer::ok(json, text)
}
