//! An owner's seat: its account with a proof of possession, as it travels between machines.

use std::path::Path;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::cli::answer::{Answer, Facts};
use crate::cli::descriptor::{ExportArgs, role_of};
use crate::cli::now;
use crate::cli::problem::Problem;
use crate::ethereum::{Address, address_of, verify_possession};
use crate::evidence::PossessionText;
use crate::keys::{KeyRole, Seat};
use crate::withdrawal::Code;
use crate::withdrawal::evm_address::{read, spell};

/// An owner with its proof.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    role: String,
    address: String,
    key: String,
    possession_text: String,
    possession_signature: String,
}

/// Prints a keystore's owner.
pub fn owner(args: &ExportArgs) -> Result<Answer, Problem> {
    let keystore = args.open()?;
    let role = role_of(&keystore)?;
    let seat = keystore.seat_keys()?;
    let broken = |text: String| Problem::of(Code::Internal, text);
    let public = seat.public_key(Seat::Owner).map_err(|fault| broken(fault.to_string()))?;
    let address = spell(address_of(&public).ok_or_else(|| broken("the key has no account".into()))?);
    let fingerprint = keystore.hot_key()?.xpub().fingerprint();
    let terms = keystore.terms();
    let key = format!("[{fingerprint}/44'/60'/{}'/0/0]{address}", terms.account);
    let text = PossessionText { role, network: terms.network, key: key.clone(), at: now() }.render();
    let signature = seat.prove_possession(&text)?;
    let signature = [signature.compact().as_slice(), &[signature.recovery_id()]].concat();
    let facts = Facts::new().line("role", role.as_str()).line("address", &address).line("key", &key);
    let shown =
        format!("{}Use --json to hand it to `safe predict` with its proof of possession.\n", facts.text());
    let owner = Owner {
        role: role.as_str().to_owned(),
        address,
        key,
        possession_text: text,
        possession_signature: HEXLOWER.encode(&signature),
    };
    Ok(Answer::ok(serde_json::to_value(&owner).map_err(|error| broken(error.to_string()))?, shown))
}

/// Reads an address, or the file of `safe owner --json`; and says whether possession of its key was proved.
pub fn read_owner(text: &str, role: KeyRole) -> Result<(Address, bool), Problem> {
    let no = |problem: String, cure: &str| Problem::config(format!("--owner {text}"), problem, cure);
    let spelled = |address: &str| {
        read(address)
            .map_err(|problem| no(problem.to_owned(), "write 0x and 40 hex digits with the EIP-55 checksum"))
    };
    if text.starts_with("0x") {
        return Ok((spelled(text)?, false));
    }
    let cure = "use the file of `countersign safe owner --json`";
    let path = Path::new(text);
    let content = std::fs::read_to_string(path).map_err(|error| Problem::file(path, &error).at("--owner"))?;
    let owner: Owner =
        serde_json::from_str(&content).map_err(|error| no(format!("cannot be read: {error}"), cure))?;
    let said = PossessionText::parse(&owner.possession_text)?;
    if said.role != role {
        let problem = format!("is the {}'s, expected the {}'s", said.role.as_str(), role.as_str());
        return Err(no(problem, "give the owners in the order signer, co-signer, vault"));
    }
    let address = spelled(&owner.address)?;
    let names_it = said.key == owner.key && said.key.ends_with(&format!("]{}", owner.address));
    if owner.role != said.role.as_str() || !names_it || !proves(address, &owner) {
        return Err(no("its proof of possession does not hold".into(), cure));
    }
    Ok((address, true))
}

fn proves(address: Address, owner: &Owner) -> bool {
    let signature = HEXLOWER.decode(owner.possession_signature.as_bytes()).unwrap_or_default();
    let Ok(signature) = <[u8; 65]>::try_from(signature) else { return false };
    let Some((compact, [recovery_id])) = signature.split_first_chunk::<64>() else { return false };
    verify_possession(address, &owner.possession_text, compact, *recovery_id)
}
