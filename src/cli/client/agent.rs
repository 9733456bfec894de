//! The SSH agent (draft-ietf-sshm-ssh-agent): hands it what is to be signed, over the socket of `SSH_AUTH_SOCK`.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::cli::problem::Problem;

const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// The longest answer that is read, in bytes.
const ANSWER_LEN_MAX: u32 = 65_536;

const CURE: &str =
    "start an agent and load the key: `eval $(ssh-agent)`, `ssh-add`; `ssh-add -l` lists what it has";

/// The agent that the environment names.
pub struct Agent {
    socket: PathBuf,
}

impl Agent {
    /// The agent whose socket is named there, which is the value of `SSH_AUTH_SOCK`.
    pub fn at(socket: Option<OsString>) -> Result<Self, Problem> {
        let socket = socket.filter(|socket| !socket.is_empty());
        let none = || Problem::config("SSH_AUTH_SOCK", "is not set, and --ssh-key names a public key", CURE);
        socket.map(|socket| Self { socket: socket.into() }).ok_or_else(none)
    }

    /// Has the agent sign; waits as long as somebody may take to touch a security key.
    pub fn sign(&self, key: &[u8], data: &[u8]) -> Result<Vec<u8>, Problem> {
        let answer = self
            .ask(&request(key, data)?)
            .map_err(|error| Problem::file(&self.socket, &error).at("SSH_AUTH_SOCK").cure(CURE))?;
        signature(&answer).ok_or_else(|| {
            Problem::config(
                "--ssh-key",
                "is not in the agent, or the agent was told not to sign with it",
                CURE,
            )
        })
    }

    fn ask(&self, message: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut line = UnixStream::connect(&self.socket)?;
        line.write_all(message)?;
        let mut length = [0; 4];
        line.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > ANSWER_LEN_MAX {
            return Err(std::io::Error::other("the agent's answer is longer than any signature"));
        }
        let mut answer = Vec::new();
        line.take(u64::from(length)).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// A request with its length in front: key, data, no flags.
fn request(key: &[u8], data: &[u8]) -> Result<Vec<u8>, Problem> {
    let long = |_| Problem::config("--ssh-key", "cannot be asked of an agent: too long", CURE);
    let string = |bytes: &[u8]| -> Result<Vec<u8>, Problem> {
        let length = u32::try_from(bytes.len()).map_err(long)?;
        Ok([&length.to_be_bytes(), bytes].concat())
    };
    let parts = [vec![SIGN_REQUEST], string(key)?, string(data)?, vec![0; 4]];
    string(&parts.concat())
}

/// The signature in an answer; nothing where the agent said no.
fn signature(answer: &[u8]) -> Option<Vec<u8>> {
    let (kind, rest) = answer.split_first()?;
    let (length, signature) = rest.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    let whole = u32::try_from(signature.len()).is_ok_and(|len| len == length);
    (*kind == SIGN_RESPONSE && whole).then(|| signature.to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_is_a_signature_only_as_a_whole() {
        assert_eq!(signature(&[14, 0, 0, 0, 2, 7, 8]), Some(vec![7, 8]));
        for no in
            [&[][..], &[5], &[14], &[14, 0, 0, 0, 3, 7, 8], &[14, 0, 0, 0, 1, 7, 8], &[13, 0, 0, 0, 1, 7]]
        {
            assert_eq!(signature(no), None);
        }
    }

    /// A real agent with real keys, of which one is encrypted in its file.
    #[test]
    fn a_real_agent_signs_with_open_and_encrypted_keys_of_both_kinds() {
        use crate::evidence::{NAMESPACE_APPROVAL, sign_ssh_with};
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let agent = std::process::Command::new("ssh-agent").args(["-D", "-a", &path("socket")]).spawn();
        let Ok(mut agent) = agent else {
            assert!(
                std::env::var_os("COUNTERSIGN_REQUIRE_SSH_KEYGEN").is_none(),
                "ssh-agent is not installed"
            );
            // not eprintln!, which the test harness keeps to itself when a test passes
            let loud = b"\n*** SKIPPED: a test of the SSH agent: ssh-agent is not installed ***\n\n";
            std::io::stderr().write_all(loud).unwrap();
            return;
        };
        while !std::path::Path::new(&path("socket")).exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let run = |program: &str, args: &[&str]| {
            let mut command = std::process::Command::new(program);
            command.args(args).env("SSH_AUTH_SOCK", path("socket")).env("SSH_ASKPASS_REQUIRE", "force");
            command.env("SSH_ASKPASS", path("ask")).env("DISPLAY", ":0").stdin(std::process::Stdio::null());
            let out = command.output().unwrap();
            assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        };
        std::fs::write(path("ask"), "#!/bin/sh\necho secret\n").unwrap();
        std::fs::set_permissions(path("ask"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let asked = Agent::at(Some(path("socket").into())).unwrap();
        let sign = |name: &str| {
            let public = std::fs::read_to_string(path(&format!("{name}.pub"))).unwrap();
            sign_ssh_with(public.trim(), NAMESPACE_APPROVAL, "text\n", |key, data| asked.sign(key, data))
        };
        std::fs::write(path("text"), "text\n").unwrap();
        for (kind, passphrase) in [("ed25519", ""), ("ecdsa", "secret")] {
            let key = path(kind);
            run("ssh-keygen", &["-q", "-t", kind, "-b", "256", "-N", passphrase, "-C", "", "-f", &key]);
            assert_eq!(
                sign(kind).unwrap_err().field.as_deref(),
                Some("--ssh-key"),
                "it is not in the agent yet"
            );
            run("ssh-add", &["-q", &key]);
            std::fs::write(path("sig"), sign(kind).unwrap()).unwrap();
            let public = std::fs::read_to_string(format!("{key}.pub")).unwrap();
            std::fs::write(path("allowed"), format!("kim {public}")).unwrap();
            let (allowed, sig, text) = (path("allowed"), path("sig"), path("text"));
            let verify =
                "ssh-keygen -Y verify -f \"$0\" -I kim -n countersign-approval-v1 -s \"$1\" < \"$2\"";
            run("sh", &["-c", verify, &allowed, &sig, &text]);
        }
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    #[test]
    fn without_an_agent_it_is_said_what_to_do() {
        for none in [None, Some(OsString::new())] {
            assert!(Agent::at(none).err().unwrap().cure.contains("ssh-add"));
        }
        let nobody = Agent::at(Some("/nonexistent/agent".into())).unwrap();
        assert_eq!(nobody.sign(b"k", b"d").unwrap_err().field.as_deref(), Some("SSH_AUTH_SOCK"));
    }
}
