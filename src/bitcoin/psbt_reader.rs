//! Reading a PSBT (BIP-0174, version 0) within limits. What it says is not believed here; `check` does that.

use ::bitcoin::{Psbt, psbt};

use super::account_key::shown;
use super::fee::{INPUTS_MAX, OUTPUTS_MAX};
use crate::withdrawal::{Code, Invalid};

/// Longest PSBT that is read, in bytes.
pub const PSBT_LEN_MAX: usize = 256 * 1024;

/// Reads one PSBT in binary form. Longer than the limit, too many inputs or outputs, and trailing bytes are refused.
pub fn read(bytes: &[u8]) -> Result<Psbt, Invalid> {
    if bytes.len() > PSBT_LEN_MAX {
        let problem = format!("is {} bytes long, the limit is {PSBT_LEN_MAX}", bytes.len());
        return Err(Invalid::new(Code::FieldTooLong, "psbt", problem, Code::PsbtMalformed.cure()));
    }
    let mut rest = bytes;
    let psbt = Psbt::deserialize_from_reader(&mut rest)
        .map_err(|error| no(format!("cannot be read: {}", shown(&error.to_string()))))?;
    if !rest.is_empty() {
        return Err(no(format!("is followed by {} bytes that do not belong to it", rest.len())));
    }
    if psbt.inputs.len() > INPUTS_MAX || psbt.outputs.len() > OUTPUTS_MAX {
        return Err(no(format!("has more than {INPUTS_MAX} inputs or {OUTPUTS_MAX} outputs")));
    }
    Ok(psbt)
}

/// Whether the global map holds anything but the unsigned transaction.
pub(super) fn has_foreign_globals(psbt: &Psbt) -> bool {
    let Psbt { unsigned_tx: _, inputs: _, outputs: _, version, xpub, proprietary, unknown } = psbt;
    *version != 0 || !xpub.is_empty() || !proprietary.is_empty() || !unknown.is_empty()
}

/// Whether an input map holds a field that has no place between our two parties.
pub(super) fn has_foreign_input_fields(input: &psbt::Input) -> bool {
    // every field is named, so that a new one breaks the build instead of slipping through
    let psbt::Input {
        witness_utxo: _,
        witness_script: _,
        partial_sigs: _,
        sighash_type: _,
        bip32_derivation: _,
        non_witness_utxo,
        redeem_script,
        final_script_sig,
        final_script_witness,
        ripemd160_preimages,
        sha256_preimages,
        hash160_preimages,
        hash256_preimages,
        tap_key_sig,
        tap_script_sigs,
        tap_scripts,
        tap_key_origins,
        tap_internal_key,
        tap_merkle_root,
        proprietary,
        unknown,
    } = input;
    let scripts = non_witness_utxo.is_some() || redeem_script.is_some();
    let finals = final_script_sig.is_some() || final_script_witness.is_some();
    let preimages = !(ripemd160_preimages.is_empty()
        && sha256_preimages.is_empty()
        && hash160_preimages.is_empty()
        && hash256_preimages.is_empty());
    let taproot = tap_key_sig.is_some()
        || tap_internal_key.is_some()
        || tap_merkle_root.is_some()
        || !(tap_script_sigs.is_empty() && tap_scripts.is_empty() && tap_key_origins.is_empty());
    scripts || finals || preimages || taproot || !(proprietary.is_empty() && unknown.is_empty())
}

/// Whether an output map holds anything but derivations.
pub(super) fn has_foreign_output_fields(output: &psbt::Output) -> bool {
    let psbt::Output {
        bip32_derivation: _,
        redeem_script,
        witness_script,
        tap_internal_key,
        tap_tree,
        tap_key_origins,
        proprietary,
        unknown,
    } = output;
    redeem_script.is_some()
        || witness_script.is_some()
        || tap_internal_key.is_some()
        || tap_tree.is_some()
        || !(tap_key_origins.is_empty() && proprietary.is_empty() && unknown.is_empty())
}

fn no(problem: String) -> Invalid {
    Invalid::new(Code::PsbtMalformed, "psbt", problem, Code::PsbtMalformed.cure())
}
