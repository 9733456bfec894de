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

use super::adapter::PreparedAdapter;
use super::assemble::Known;
use super::standalone::{self, Desk};
use super::{no_listener, protect, serve, speak};
use crate::cli::answer::Answer;
use crate::cli::config::verifyvasp::TravelRule;
use crate::cli::config::{self, SignerSettings, load};
use crate::cli::problem::{Exit, Problem};
use crate::enclave::verifyvasp::Adapter;
use crate::enclave::wall::{self, ConfineFault, Inside, Launch, NotStarted, Owner, WallFault};
use crate::enclave::{Door, Enclave};
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
        owner: settings.travel_rule.user().map(owner_of).transpose()?,
        answer_wait: settings.travel_rule.answer_wait(),
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
enum Prepared {
    /// The embedded module.
    Own(Box<PreparedEnclave>),
    /// The adapter to an enclave server of the network.
    VerifyVasp(Box<PreparedAdapter>),
}

struct PreparedEnclave {
    parts: standalone::Prepared,
    listener: StdListener,
}

/// What works behind the door, and the listener for others.
enum Standing {
    Own { enclave: Arc<Enclave>, desk: Option<Desk> },
    VerifyVasp { adapter: Arc<Adapter>, desk: Option<Desk> },
}

/// Reads what only the enclave may know, opens its listeners, and shuts the process in.
fn prepare(config: &Path) -> Result<Prepared, Problem> {
    forbid_core_dumps().map_err(|error| Problem::of(Code::ConfigInvalid, error.to_string()))?;
    umask(Mode::RWXG | Mode::RWXO);
    let settings = config::signer(config)?;
    speak(&settings.party.tracing)?;
    is_owner(settings.travel_rule.user())?;
    let trust = load::trust(&settings.party.trust)?;
    let (prepared, places, notices) = match &settings.travel_rule {
        TravelRule::Own(own) => {
            let known = Known::of(trust.version(), (trust.vasp_id(), trust.vasp_name()), trust.vasps());
            // Whoever unwraps the data key is asked by threads that are gone before the process is shut in.
            let prepared = PreparedEnclave {
                parts: runtime()?.block_on(standalone::prepare(own, known))?,
                listener: listen_now("enclave.listen", own.listen)?,
            };
            let places = ("enclave.database", own.database.clone(), own.screening.as_ref());
            (Prepared::Own(Box::new(prepared)), places, own.notices())
        }
        TravelRule::VerifyVasp(adapter) => {
            let prepared = PreparedAdapter::of(adapter, &trust)?;
            let places = ("verifyvasp.database", adapter.database.clone(), adapter.screening.as_ref());
            (Prepared::VerifyVasp(Box::new(prepared)), places, adapter.notices())
        }
    };
    let (field, database, screening) = places;
    if !database.exists() {
        let problem = format!("there is no enclave database at `{}`", database.display());
        return Err(Problem::of(Code::StoreMissing, problem).at(field));
    }
    wall::drop_rights()?;
    protect(settings.party.bounds.memory_lock)?;
    if !wall::confine(&database, screening.map(|screening| screening.folder.as_path()))? {
        warn!(
            "this kernel closes off no files (Landlock, Linux 5.13): the enclave's process can read what its user can"
        );
    }
    notices.iter().for_each(|notice| warn!("{notice}"));
    Ok(prepared)
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
        match self {
            Self::Own(prepared) => {
                let PreparedEnclave { parts, listener } = *prepared;
                let standalone::Prepared { settings, backend, desk } = parts;
                let listener = TcpListener::from_std(listener);
                let listener = listener.map_err(|error| Problem::of(Code::Internal, error.to_string()))?;
                let enclave = Arc::new(Enclave::start(settings, backend, listener).await?);
                let desk = desk.map(|desk| desk.open(enclave.clone())).transpose()?;
                Ok(Standing::Own { enclave, desk })
            }
            Self::VerifyVasp(prepared) => {
                let (adapter, desk) = prepared.stand().await?;
                Ok(Standing::VerifyVasp { adapter, desk })
            }
        }
    }
}

impl Standing {
    fn door(&self) -> Arc<dyn Door> {
        match self {
            Self::Own { enclave, .. } => enclave.clone(),
            Self::VerifyVasp { adapter, .. } => adapter.clone(),
        }
    }

    /// Where others call; nowhere, where there is no listener.
    fn address(&self) -> SocketAddr {
        match self {
            Self::Own { enclave, .. } => enclave.address(),
            Self::VerifyVasp { desk, .. } => {
                desk.as_ref().map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |desk| desk.address)
            }
        }
    }

    async fn stop(self) {
        match self {
            Self::Own { enclave, desk } => {
                if let Some(desk) = desk {
                    desk.stop().await;
                }
                if let Some(enclave) = Arc::into_inner(enclave) {
                    enclave.stop().await;
                }
            }
            Self::VerifyVasp { adapter, desk } => {
                if let Some(desk) = desk {
                    desk.stop().await;
                }
                if let Some(adapter) = Arc::into_inner(adapter) {
                    adapter.stop().await;
                }
            }
        }
    }
}

/// Answers until the signer closes the line. A signal for the whole group is the signer's to follow.
async fn answer(line: Inside, standing: Standing) -> Result<Answer, Problem> {
    let unheard = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let served = line.serve(standing.door(), standing.address()).await;
    drop(unheard);
    standing.stop().await;
    match served {
        Ok(()) => info!("the signer has closed the line; the enclave has finished"),
        Err(error) => return Err(Problem::of(Code::Internal, format!("the line to the signer: {error}"))),
    }
    Ok(Answer::silent(Exit::Ok))
}

/// The user's number and its group's, from the file of users: no service for names is asked.
pub(in crate::cli) fn owner_of((field, name): (&str, &str)) -> Result<Owner, Problem> {
    let file = Path::new("/etc/passwd");
    let users = std::fs::read_to_string(file).map_err(|error| Problem::file(file, &error))?;
    users.lines().find_map(|line| owner_in(line, name)).ok_or_else(|| {
        let problem = format!("there is no user `{name}` in /etc/passwd");
        Problem::config(field, problem, "create the user, or leave the field out")
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
fn is_owner(user: Option<(&str, &str)>) -> Result<(), Problem> {
    let Some((field, user)) = user else { return Ok(()) };
    let owner = owner_of((field, user))?;
    let groups = getgroups().unwrap_or_default();
    let alone = groups.iter().all(|group| group.as_raw() == owner.group);
    if geteuid().as_raw() == owner.user && getegid().as_raw() == owner.group && alone {
        return Ok(());
    }
    let problem = format!("the enclave's process could not become `{user}` and give up all other groups");
    let cure = "start the signer with the right to change its user (root), or leave the field out";
    Err(Problem::config(field, problem, cure))
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
        for field in ["enclave.user", "verifyvasp.user"] {
            let no = is_owner(Some((field, "nobody"))).unwrap_err();
            assert_eq!(no.field.as_deref(), Some(field));
            let no = owner_of((field, "nobody of that name")).unwrap_err();
            assert_eq!(no.field.as_deref(), Some(field));
        }
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
