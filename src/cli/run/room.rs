//! The enclave's process: what the signer starts beside itself. It alone reads the enclave's keys and opens the public listener; then it
//! shuts itself in, and only then it looks at its database or hears anybody.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustix::fs::Mode;
use rustix::process::{getegid, geteuid, getgroups, umask};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::assemble::{self, Known};
use super::standalone::{Desk, PreparedDesk, prepare_desk};
use super::{no_listener, protect, serve, speak};
use crate::cli::answer::Answer;
use crate::cli::config::{self, SignerSettings, load};
use crate::cli::problem::{Exit, Problem};
use crate::enclave::wall::{self, ConfineFault, Inside, Launch, NotStarted, Owner, WallFault};
use crate::enclave::{self, Backend, Enclave};
use crate::keys::forbid_core_dumps;
use crate::withdrawal::Code;

/// What the enclave's process takes.
#[derive(Debug, Args)]
pub struct RoomArgs {
    /// The signer's configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// How the signer starts this very program as its enclave.
pub fn launch(settings: &SignerSettings, config: &Path) -> Result<Launch, Problem> {
    let config = std::path::absolute(config).map_err(|error| Problem::file(config, &error))?;
    Ok(Launch {
        // The program that runs, even if its file was replaced meanwhile.
        program: "/proc/self/exe".into(),
        arguments: vec!["enclave-room".into(), "--config".into(), config.into()],
        owner: settings.enclave.user.as_deref().map(owner_of).transpose()?,
        answer_wait: settings.enclave.answer_wait,
    })
}

/// Runs the enclave until the signer closes the line.
pub fn enclave_room(args: &RoomArgs) -> Result<Answer, Problem> {
    let line = Inside::take()?;
    // From here on the signer is told, and tells its people.
    let refuse = |line: Inside, problem: Problem| {
        let Problem { exit, code, field, text, cure, .. } = problem;
        line.refuse(NotStarted { code, field, text, cure });
        Ok(Answer::silent(exit))
    };
    match prepare(&args.config) {
        Ok(prepared) => serve(async move {
            match prepared.stand().await {
                Ok(standing) => answer(line, standing).await,
                Err(problem) => refuse(line, problem),
            }
        }),
        Err(problem) => refuse(line, problem),
    }
}

/// All that the enclave needs of the world outside, before it is shut in.
struct Prepared {
    settings: enclave::Settings,
    backend: Arc<dyn Backend>,
    listener: StdListener,
    desk: Option<PreparedDesk>,
}

/// The enclave at work, and the listener for the exchange's backend.
struct Standing {
    enclave: Arc<Enclave>,
    desk: Option<Desk>,
}

/// Reads what only the enclave may know, opens its listeners, and shuts the process in.
fn prepare(config: &Path) -> Result<Prepared, Problem> {
    forbid_core_dumps().map_err(|error| Problem::of(Code::ConfigInvalid, error.to_string()))?;
    umask(Mode::RWXG | Mode::RWXO);
    let settings = config::signer(config)?;
    speak(&settings.party.tracing)?;
    is_owner(settings.enclave.user.as_deref())?;
    let trust = load::trust(&settings.party.trust)?;
    let known = Known::of((trust.vasp_id(), trust.vasp_name()), trust.vasps());
    // Whoever unwraps the data key is asked by threads that are gone before the process is shut in.
    let own = runtime()?.block_on(assemble::enclave_settings(&settings.enclave, &known))?;
    let backend = assemble::backend(&settings.enclave)?;
    let listener = listen_now("enclave.listen", settings.enclave.listen)?;
    let desk = prepare_desk(&settings.enclave, known)?;
    if !own.database.exists() {
        let problem = format!("there is no enclave database at `{}`", own.database.display());
        return Err(Problem::of(Code::StoreMissing, problem).at("enclave.database"));
    }
    wall::drop_rights()?;
    protect(settings.party.bounds.memory_lock)?;
    let lists = settings.enclave.screening.as_ref().map(|screening| screening.folder.clone());
    if !wall::confine(&own.database, lists.as_deref())? {
        warn!(
            "this kernel closes off no files (Landlock, Linux 5.13): the enclave's process can read what its user can"
        );
    }
    settings.enclave.notices().iter().for_each(|notice| warn!("{notice}"));
    Ok(Prepared { settings: own, backend, listener, desk })
}

fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Problem::of(Code::Internal, error.to_string()))
}

/// Opens a listener. The enclave of a signer that was killed a moment ago may still be dying.
pub(super) fn listen_now(field: &str, address: SocketAddr) -> Result<StdListener, Problem> {
    bound(address).map_err(|error| no_listener(field, address, &error))
}

fn bound(address: SocketAddr) -> std::io::Result<StdListener> {
    for _ in 0..20 {
        match StdListener::bind(address) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(error),
            Ok(listener) => return listener.set_nonblocking(true).map(|()| listener),
        }
    }
    StdListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
}

impl Prepared {
    async fn stand(self) -> Result<Standing, Problem> {
        let listener = TcpListener::from_std(self.listener);
        let listener = listener.map_err(|error| Problem::of(Code::Internal, error.to_string()))?;
        let enclave = Arc::new(Enclave::start(self.settings, self.backend, listener).await?);
        let desk = self.desk.map(|desk| desk.open(enclave.clone())).transpose()?;
        Ok(Standing { enclave, desk })
    }
}

/// Answers until the signer closes the line. A signal for the whole group is the signer's to follow.
async fn answer(line: Inside, Standing { enclave, desk }: Standing) -> Result<Answer, Problem> {
    let unheard = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let served = line.serve(enclave.clone(), enclave.address()).await;
    drop(unheard);
    if let Some(desk) = desk {
        desk.stop().await;
    }
    if let Some(enclave) = Arc::into_inner(enclave) {
        enclave.stop().await;
    }
    match served {
        Ok(()) => info!("the signer has closed the line; the enclave has finished"),
        Err(error) => return Err(Problem::of(Code::Internal, format!("the line to the signer: {error}"))),
    }
    Ok(Answer::silent(Exit::Ok))
}

/// The user's number and its group's, from the file of users: no service for names is asked.
fn owner_of(name: &str) -> Result<Owner, Problem> {
    let file = Path::new("/etc/passwd");
    let users = std::fs::read_to_string(file).map_err(|error| Problem::file(file, &error))?;
    users.lines().find_map(|line| owner_in(line, name)).ok_or_else(|| {
        let problem = format!("there is no user `{name}` in /etc/passwd");
        Problem::config("enclave.user", problem, "create the user, or leave the field out")
    })
}

/// `name:x:user:group:…`
fn owner_in(line: &str, name: &str) -> Option<Owner> {
    let mut fields = line.split(':');
    if fields.next()? != name {
        return None;
    }
    let mut fields = fields.skip(1);
    Some(Owner { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
}

/// Whether this process is the user's alone, where one is set.
fn is_owner(user: Option<&str>) -> Result<(), Problem> {
    let Some(user) = user else { return Ok(()) };
    let owner = owner_of(user)?;
    let groups = getgroups().unwrap_or_default();
    let alone = groups.iter().all(|group| group.as_raw() == owner.group);
    if geteuid().as_raw() == owner.user && getegid().as_raw() == owner.group && alone {
        return Ok(());
    }
    let problem = format!("the enclave's process could not become `{user}` and give up all other groups");
    let cure = "start the signer with the right to change its user (root), or leave the field out";
    Err(Problem::config("enclave.user", problem, cure))
}

impl From<ConfineFault> for Problem {
    fn from(fault: ConfineFault) -> Self {
        let cure =
            "let the signer's unit allow prctl, seccomp, capset and landlock, and its folder be written";
        Self::config("enclave", fault.to_string(), cure)
    }
}

impl From<WallFault> for Problem {
    fn from(fault: WallFault) -> Self {
        let problem = Self::of(fault.code(), fault.to_string());
        match fault {
            WallFault::NotStarted { field, cure, .. } => Self { field, cure, ..problem },
            WallFault::NotAChild(_) => {
                problem.cure("start `countersign signer`, which starts its enclave by itself")
            }
            WallFault::Spawn(_) => problem.at("enclave"),
            WallFault::Ended(_) | WallFault::Silent | WallFault::Garbled => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let line = "countersign-enclave:x:991:990::/nonexistent:/usr/sbin/nologin";
        let owner = owner_in(line, "countersign-enclave").unwrap();
        assert_eq!((owner.user, owner.group), (991, 990));
        assert!(owner_in(line, "countersign").is_none());
        assert!(owner_in("x:x:not a number:0::", "x").is_none());
    }

    #[test]
    fn a_user_that_this_process_is_not_is_refused() {
        assert!(is_owner(None).is_ok());
        let no = is_owner(Some("nobody")).unwrap_err();
        assert_eq!(no.field.as_deref(), Some("enclave.user"));
        let no = owner_of("nobody of that name").unwrap_err();
        assert_eq!(no.field.as_deref(), Some("enclave.user"));
    }

    #[test]
    fn by_hand_it_does_not_start() {
        // The tests' standard input is no line to a signer.
        let args = RoomArgs { config: "signer.toml".into() };
        let no = enclave_room(&args).unwrap_err();
        assert!(no.text.contains("only a signer starts this"), "{no}");
        assert_eq!(no.exit, Exit::Usage);
    }
}
