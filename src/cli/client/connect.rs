//! Where a client connects and with which keys: flags, or a profile in TOML that saves typing them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use tonic::Request;

use crate::cli::config::read;
use crate::cli::problem::Problem;
use crate::desk::Role;
use crate::grpc::{Client, ClientOrder};
use crate::pki::PemFiles;
use crate::withdrawal::{Asset, Network};

/// How to reach the service.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// A profile in TOML: connect, ca, cert, key, and the keys and names that the commands take
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub profile: Option<PathBuf>,
    /// The service's address; its host must stand in its certificate
    #[arg(long, value_name = "HOST:PORT", help_heading = "Connection")]
    pub connect: Option<String>,
    /// Who calls.
    #[command(flatten)]
    pub caller: CallerArgs,
    /// How long one call may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 20, help_heading = "Connection")]
    pub deadline: u64,
}

/// The files that a caller shows and trusts.
#[derive(Debug, Default, Args)]
pub struct CallerArgs {
    /// The CA's certificate
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub ca: Option<PathBuf>,
    /// The caller's certificate, whose role says what it may ask
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub cert: Option<PathBuf>,
    /// The certificate's key
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub key: Option<PathBuf>,
}

impl CallerArgs {
    /// The three files, each by its flag or the profile.
    pub fn files(&self, profile: &Profile) -> Result<PemFiles, Problem> {
        Ok(PemFiles {
            authority: needed("--ca", self.ca.as_ref(), profile.ca.as_ref())?,
            certificate: needed("--cert", self.cert.as_ref(), profile.cert.as_ref())?,
            key: needed("--key", self.key.as_ref(), profile.key.as_ref())?,
        })
    }
}

/// What a connection cannot do without.
fn needed<T: Clone>(flag: &str, flagged: Option<&T>, known: Option<&T>) -> Result<T, Problem> {
    let cure = "give it, or --profile with a file that has it";
    flagged.or(known).cloned().ok_or_else(|| Problem::config(flag, "is missing", cure))
}

/// A profile. Every field may be given as a flag instead, which then counts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// `host:port`.
    pub connect: Option<String>,
    /// The CA's certificate.
    pub ca: Option<PathBuf>,
    /// The caller's certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// The network of the assets that are meant.
    pub network: Option<String>,
    /// The exchange's name.
    pub organisation: Option<String>,
    /// The file of its request key.
    pub request_key: Option<PathBuf>,
    /// The key's name in the trust file.
    pub request_key_id: Option<String>,
    /// The observer's name.
    pub observer: Option<String>,
    /// The file of its statement key.
    pub statement_key: Option<PathBuf>,
    /// The operator's name in the trust file.
    pub operator: Option<String>,
    /// The signer's freeze listener.
    pub signer_freeze: Option<String>,
    /// The co-signer's freeze listener.
    pub cosigner_freeze: Option<String>,
    /// The operator's private SSH key.
    pub ssh_key: Option<PathBuf>,
    /// The co-signer's attestation key, hex.
    pub attestation_key: Option<String>,
    /// The hot wallet's descriptor.
    pub descriptor: Option<String>,
    /// The treasury Safe of an EVM chain: release, singleton and address.
    pub treasury: Option<String>,
    /// The verifier key of the signer's log.
    pub log_key: Option<String>,
    /// The verifier key of the co-signer's cosignatures.
    pub cosigner_key: Option<String>,
}

impl Profile {
    /// Reads a profile; its paths count from its folder.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let (mut profile, base) = read::file::<Self>(path)?;
        let paths = [&mut profile.ca, &mut profile.cert, &mut profile.key];
        let keys = [&mut profile.request_key, &mut profile.statement_key, &mut profile.ssh_key];
        paths.into_iter().chain(keys).flatten().for_each(|path| *path = base.join(&*path));
        Ok(profile)
    }
}

/// A line to the service, and what the profile says besides.
pub struct Session {
    /// The clients of each service.
    pub client: Client,
    /// The profile, empty where none was given.
    pub profile: Profile,
    deadline: Duration,
}

impl ConnectArgs {
    /// Reads the profile, if there is one.
    pub fn profile(&self) -> Result<Profile, Problem> {
        self.profile.as_deref().map_or_else(|| Ok(Profile::default()), Profile::read)
    }

    /// Makes ready to call the signer. Nothing is connected before the first call.
    pub fn open(&self) -> Result<Session, Problem> {
        self.open_to(Role::Signer)
    }

    /// Makes ready to call one of the parties.
    pub fn open_to(&self, server_role: Role) -> Result<Session, Problem> {
        let profile = self.profile()?;
        let address = needed("--connect", self.connect.as_ref(), profile.connect.as_ref())?;
        let order = ClientOrder { address, files: self.caller.files(&profile)?, server_role };
        let deadline = Duration::from_secs(self.deadline.max(1));
        Ok(Session { client: Client::open(&order)?, profile, deadline })
    }
}

impl Session {
    /// A message with its deadline.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        request
    }
}

/// A value of a flag or of the profile; without either, what to give.
pub fn given(flag: &str, flagged: Option<&String>, known: Option<&String>) -> Result<String, Problem> {
    let wanted = || Problem::config(flag, "is missing", "give it, or write it into the profile");
    flagged.or(known).cloned().ok_or_else(wanted)
}

/// The file of an Ed25519 key, by a flag or the profile.
pub fn key_file<'a>(
    flag: &str,
    flagged: Option<&'a PathBuf>,
    known: Option<&'a PathBuf>,
) -> Result<&'a Path, Problem> {
    flagged.or(known).map(PathBuf::as_path).ok_or_else(|| {
        Problem::config(
            flag,
            "is missing",
            "name the key file that `countersign init` made, or write it into the profile",
        )
    })
}

/// An asset by its CAIP-19 id, or by the name of its network.
pub fn asset(text: &str) -> Result<Asset, crate::withdrawal::Invalid> {
    Network::parse(text).map(Asset::Bitcoin).or_else(|_| Asset::parse(text))
}

/// The asset of a flag, or that of the profile's network.
pub fn asset_of(flagged: Option<&Asset>, profile: &Profile) -> Result<Asset, Problem> {
    match (flagged, &profile.network) {
        (Some(asset), _) => Ok(*asset),
        (None, Some(network)) => Ok(Asset::Bitcoin(Network::parse(network)?)),
        (None, None) => Err(Problem::config(
            "--asset",
            "is missing",
            "give a network's name or a CAIP-19 id, or write network into the profile",
        )),
    }
}
