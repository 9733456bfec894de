//! How a person signs a text: with an open private key, or through the SSH agent with the key that a .pub file names.

use std::path::Path;

use zeroize::Zeroizing;

use super::agent::Agent;
use crate::cli::problem::Problem;
use crate::evidence::{sign_ssh, sign_ssh_with};

/// Signs a text in a namespace. A file that holds a public key means: the agent has the private one.
pub fn sign(key: &Path, namespace: &str, text: &str) -> Result<String, Problem> {
    let file = std::fs::read_to_string(key).map_err(|error| Problem::file(key, &error).at("--ssh-key"))?;
    let file = Zeroizing::new(file);
    if file.contains("PRIVATE KEY-----") {
        return Ok(sign_ssh(&file, namespace, text)?);
    }
    let agent = Agent::at(std::env::var_os("SSH_AUTH_SOCK"))?;
    sign_ssh_with(file.trim(), namespace, text, |key, data| agent.sign(key, data))
}
