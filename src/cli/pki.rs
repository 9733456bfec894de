//! Certificates for small deployments and tests: a CA of one's own, and what it issues.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use zeroize::Zeroizing;

use super::answer::{Answer, Facts};
use super::problem::Problem;
use super::{keyfile, now};
use crate::desk::Role;
use crate::pki::files::write_authority;
use crate::pki::{Authority, LeafOrder, PemFiles, Validity, load_authority};
use crate::withdrawal::Seconds;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum PkiCommand {
    /// Make a certificate authority: `ca.pem` and `ca.key`
    #[command(after_help = "\
Example:
  countersign pki ca --name 'Example test CA' --out tls

Keep ca.key offline. Whoever has it can call as anybody, but signs no request, no statement and no approval.")]
    Ca(CaArgs),
    /// Issue a certificate and its key: `<file>.pem` and `<file>.key`
    #[command(after_help = "\
Examples:
  countersign pki issue --ca tls --role signer --name main --host signer.inner.example --host 10.20.0.5
  countersign pki issue --ca tls --role exchange --name example
  countersign pki issue --ca tls --role server --name relay --host relay.example

An exchange's name is its organisation. `server` carries no role: it is for the enclave's and the relay's listener.")]
    Issue(IssueArgs),
}

/// What `ca` takes.
#[derive(Debug, Args)]
pub struct CaArgs {
    /// The authority's name
    #[arg(long, default_value = "countersign CA")]
    pub name: String,
    /// The folder for ca.pem and ca.key
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// How many days it holds
    #[arg(long, default_value_t = 3650)]
    pub days: u32,
}

/// What `issue` takes.
#[derive(Debug, Args)]
pub struct IssueArgs {
    /// The folder of ca.pem and ca.key
    #[arg(long, value_name = "FOLDER")]
    pub ca: PathBuf,
    /// Whose certificate it is
    #[arg(long, value_enum)]
    pub role: CertificateRole,
    /// The name after the role
    #[arg(long)]
    pub name: String,
    /// A DNS name or IP address that it serves under; may be given several times
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// The folder for the files; the CA's own where nothing is said
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// The files' name without ending; `role-name` where nothing is said
    #[arg(long, value_name = "NAME")]
    pub file: Option<String>,
    /// How many days it holds
    #[arg(long, default_value_t = 398)]
    pub days: u32,
}

/// Whose certificate can be issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum CertificateRole {
    Exchange,
    Observer,
    Operator,
    Auditor,
    Executor,
    Signer,
    Cosigner,
    /// A usual server certificate without a role
    Server,
}

impl CertificateRole {
    const fn role(self) -> Option<Role> {
        match self {
            Self::Exchange => Some(Role::Exchange),
            Self::Observer => Some(Role::Observer),
            Self::Operator => Some(Role::Operator),
            Self::Auditor => Some(Role::Auditor),
            Self::Executor => Some(Role::Executor),
            Self::Signer => Some(Role::Signer),
            Self::Cosigner => Some(Role::Cosigner),
            Self::Server => None,
        }
    }
}

/// Runs one of the commands.
pub fn run(command: &PkiCommand) -> Result<Answer, Problem> {
    match command {
        PkiCommand::Ca(args) => authority(args),
        PkiCommand::Issue(args) => issue(args),
    }
}

/// From an hour ago, since clocks differ, for that many days.
fn validity(days: u32) -> Validity {
    let now = now();
    Validity {
        not_before: Seconds(now.0.saturating_sub(3_600)),
        not_after: now.plus(u64::from(days).saturating_mul(86_400)),
    }
}

fn authority(args: &CaArgs) -> Result<Answer, Problem> {
    let (certificate, key) = (args.out.join("ca.pem"), args.out.join("ca.key"));
    folder(&args.out)?;
    write_authority(&Authority::create(&args.name, validity(args.days))?, &certificate, &key)?;
    Ok(files_made(&certificate, &key))
}

fn folder(path: &Path) -> Result<(), Problem> {
    std::fs::create_dir_all(path).map_err(|error| Problem::file(path, &error))
}

fn files_made(certificate: &Path, key: &Path) -> Answer {
    let facts = Facts::new().line("certificate", certificate.display()).line("key", key.display());
    Answer::ok(json!({ "certificate": certificate, "key": key }), facts.text())
}

fn issue(args: &IssueArgs) -> Result<Answer, Problem> {
    let serves =
        matches!(args.role, CertificateRole::Signer | CertificateRole::Cosigner | CertificateRole::Server);
    if serves && args.hosts.is_empty() {
        return Err(Problem::config(
            "--host",
            "is missing: this certificate serves",
            "name every host that clients will call it by",
        ));
    }
    let (ca, ca_key) = (args.ca.join("ca.pem"), args.ca.join("ca.key"));
    let out = args.out.as_ref().unwrap_or(&args.ca);
    folder(out)?;
    let Some(role) = args.role.role() else {
        let files = PemFiles::in_folder(out, args.file.as_deref().unwrap_or(&args.name));
        return issue_server(args, (&ca, &ca_key), &files);
    };
    let stem = args.file.clone().unwrap_or_else(|| format!("{role}-{}", args.name));
    let files = PemFiles::in_folder(out, &stem);
    let order =
        LeafOrder { role, name: args.name.clone(), hosts: args.hosts.clone(), validity: validity(args.days) };
    files.write(&load_authority(&ca, &ca_key)?.issue(&order)?)?;
    Ok(files_made(&files.certificate, &files.key))
}

/// A certificate without a role. The room of certificates issues only those with one, since only they let anybody in.
fn issue_server(args: &IssueArgs, (ca, ca_key): (&Path, &Path), files: &PemFiles) -> Result<Answer, Problem> {
    let no =
        |error: rcgen::Error| Problem::config("certificate", error.to_string(), "check name, hosts and CA");
    let authority = load_authority(ca, ca_key)?;
    let ca_key = rcgen::KeyPair::from_pem(&authority.danger_key_pem()).map_err(no)?;
    let issuer = rcgen::Issuer::from_ca_cert_pem(authority.certificate_pem(), ca_key).map_err(no)?;
    let mut params = rcgen::CertificateParams::new(args.hosts.clone()).map_err(no)?;
    let validity = validity(args.days);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + std::time::Duration::from_secs(validity.not_before.0);
    params.not_after = epoch + std::time::Duration::from_secs(validity.not_after.0);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, args.name.as_str());
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(no)?;
    let certificate = params.signed_by(&key, &issuer).map_err(no)?;
    keyfile::write_new(&files.key, &Zeroizing::new(key.serialize_pem()))?;
    keyfile::write_new(&files.certificate, &certificate.pem())?;
    Ok(files_made(&files.certificate, &files.key))
}
