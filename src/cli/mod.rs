//! The terminal: configuration, `init`, the services, the client commands. It speaks to a running service by the wire only.
//!
//! Reading order: [`Command`] (what can be asked), [`config`] (what a service runs on), [`init`] (the one place that creates),
//! `run` (the services), [`client`] (the calls), [`problem`] and [`answer`] (how it all ends).

pub mod answer;
pub mod client;
pub mod config;
pub mod descriptor;
pub mod init;
pub mod instance;
pub mod keyfile;
pub mod pki;
pub mod policy;
pub mod problem;
pub mod run;
pub mod safe;
pub mod sandbox;
pub mod trust;
mod words;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use sandbox::SandboxArgs;

use self::answer::{Answer, Out};
use self::client::{
    address, approvals, approve, audit, freeze, health, observe, position, refill, resume, statement, wallet,
    withdraw, withdrawals,
};
use self::problem::Problem;
use crate::withdrawal::{Code, Seconds};

const AFTER: &str = "\
Exit codes:
  0  done, or the answer is yes
  1  refused or held, or the answer is no
  2  the command, a file or the configuration cannot be used; nothing was done
  3  something broke; the text says whether it may have happened all the same

Every command takes --json and then prints one JSON document (`watch`: one a line); a problem is then a document
{\"error\": {\"exit\", \"code\", \"field\", \"problem\", \"cure\", \"may_have_happened\"}}. Codes are listed in docs/refusals.md.

First steps:
  countersign sandbox                          everything on this machine, with throwaway keys
  countersign help init                        the keys of a deployment
  countersign signer --config FILE --check     judge a configuration without starting";

/// A hot-wallet signing service with multisig orchestration
#[derive(Debug, Parser)]
#[command(
    name = "countersign",
    version,
    about = "A hot-wallet signing service with multisig orchestration",
    after_help = AFTER,
    max_term_width = 100,
    disable_help_subcommand = false,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Print one JSON document for programs instead of text for people
    #[arg(long, global = true)]
    pub json: bool,
    /// What is to be done
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant)]
pub enum Command {
    /// Play the whole cast on this machine with throwaway keys, and show what happens
    #[command(after_help = sandbox::HELP)]
    Sandbox(SandboxArgs),
    /// Make keystore, store and keys of a role, once
    #[command(after_help = INIT_HELP)]
    Init(init::InitArgs),
    /// The wallet's descriptor: export keys, assemble, compare and pin
    #[command(subcommand)]
    Descriptor(descriptor::DescriptorCommand),
    /// The wallets of EVM chains: owners, where a Safe will stand, whether it is as pinned
    #[command(subcommand)]
    Safe(safe::SafeCommand),
    /// Look at a trust file as a party would open it
    #[command(subcommand)]
    Trust(trust::TrustCommand),
    /// Look at a policy: the figures that its presets and defaults stand for
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Certificates for small deployments and tests
    #[command(subcommand)]
    Pki(pki::PkiCommand),
    /// Run the signer: key A, the ledger, the log, the travel rule
    #[command(after_help = SIGNER_HELP)]
    Signer(run::ServiceArgs),
    /// Run the co-signer: key B; it decides again, by itself
    #[command(after_help = COSIGNER_HELP)]
    Cosigner(run::ServiceArgs),
    /// Run the travel-rule module alone, without a signer
    #[command(after_help = ENCLAVE_HELP)]
    Enclave(run::EnclaveArgs),
    /// Run a relay: carries sealed travel-rule parcels between enclaves
    #[command(after_help = RELAY_HELP)]
    Relay(run::ServiceArgs),
    /// Run an observer of EVM chains: several nodes in, signed statements out
    #[command(after_help = OBSERVER_HELP)]
    Observer(run::ObserverArgs),
    /// Run an executor: carries released Safe transactions to their chain, and pays the gas
    #[command(after_help = EXECUTOR_HELP)]
    Executor(run::ExecutorArgs),
    /// The signer's enclave, which the signer starts by itself
    #[command(hide = true)]
    EnclaveRoom(run::RoomArgs),
    /// Exchange: get deposit addresses of customers
    #[command(after_help = ADDRESS_HELP)]
    Address(address::AddressArgs),
    /// Exchange: ask for a withdrawal, signed with the request key
    #[command(after_help = WITHDRAW_HELP)]
    Withdraw(withdraw::WithdrawArgs),
    /// Exchange: take a request back, as long as the co-signer has not signed it
    #[command(after_help = CANCEL_HELP)]
    Cancel(withdraw::CancelArgs),
    /// Exchange: customers' own self-hosted wallets, which are paid without a VASP's answer
    #[command(subcommand)]
    Wallet(wallet::WalletCommand),
    /// Show a withdrawal, or list those that match
    #[command(after_help = STATUS_HELP)]
    Status(withdrawals::StatusArgs),
    /// Print each change of withdrawals as it is written to the log
    #[command(after_help = WATCH_HELP)]
    Watch(withdrawals::WatchArgs),
    /// Operator: show what waits for an approval, in the words that would be signed
    #[command(after_help = APPROVALS_HELP)]
    Approvals(approvals::ApprovalsArgs),
    /// Operator: approve a withdrawal with an SSH key
    #[command(after_help = APPROVE_HELP)]
    Approve(approve::ApproveArgs),
    /// Operator: reject a withdrawal, for good, with an SSH key
    #[command(after_help = REJECT_HELP)]
    Reject(approve::RejectArgs),
    /// Operator: stop the signer and the co-signer at once, each over its own listener
    #[command(after_help = FREEZE_HELP)]
    Freeze(freeze::FreezeArgs),
    /// Operators: end a freeze, a quorum together
    #[command(subcommand, after_help = RESUME_HELP)]
    Resume(resume::ResumeCommand),
    /// Observer: state coins, the cold balance, prices, the chain, Safes
    #[command(subcommand)]
    Observe(observe::ObserveCommand),
    /// Show where the money rests: hot, cold, the share, what is missing
    #[command(after_help = POSITION_HELP)]
    Position(position::PositionArgs),
    /// Show whether a signer or co-signer serves, and whether a signer's travel rule can be met
    #[command(after_help = HEALTH_HELP)]
    Health(health::HealthArgs),
    /// Operator: refills from cold, as PSBTs for the cold room
    #[command(subcommand)]
    Refill(refill::RefillCommand),
    /// Operator, auditor: the daily statement of what rests hot and cold
    #[command(subcommand)]
    Statement(statement::StatementCommand),
    /// Auditor: verify or export the signing log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
}

const INIT_HELP: &str = "\
Examples:
  countersign init --role signer --config signer.toml
  countersign init --role cosigner --config cosigner.toml --words-file words
  countersign init --role vault --network mainnet --keystore c.keystore --passphrase-file pass
  countersign init --role signer --config signer.toml --words-from paper.txt     (restore from words)
  countersign init --role exchange --key-file request.key
  countersign init --role executor --config executor.toml

A new seed's 24 words are shown once, on the terminal itself, or written to --words-file. Nothing is ever overwritten, and
no service makes its keystore or its database by itself. The words restore the seed and all that comes from it; back up
the enclave's data key as well, which does not come from the seed.";

const SIGNER_HELP: &str = "\
Examples:
  countersign signer --config /etc/countersign-signer/signer.toml --check
  countersign signer --config /etc/countersign-signer/signer.toml

deploy/signer.example.toml shows every field. The process says `ready` on its output once it takes calls, with every
listener. SIGTERM or SIGINT: it takes nothing new, finishes what it has begun, and exits.";

const COSIGNER_HELP: &str = "\
Examples:
  countersign cosigner --config /etc/countersign-cosigner/cosigner.toml --check
  countersign cosigner --config /etc/countersign-cosigner/cosigner.toml

Runs on another machine than the signer, under other people. deploy/cosigner.example.toml shows every field.";

const ENCLAVE_HELP: &str = "\
Examples:
  countersign enclave --config enclave.toml --check
  countersign enclave --config enclave.toml
  countersign enclave --from-env                             (VEGA_* and COUNTERSIGN_ENCLAVE_* variables)
  countersign enclave --from-env --config enclave.toml       (each value in one of the two; in both it is refused)

Holds no key to coins. deploy/enclave.example.toml shows every field, docs/travel-rule.md every variable and every call.
Its database and keys are made once: countersign init --role enclave.";

const RELAY_HELP: &str = "\
Examples:
  countersign relay --config relay.toml --check
  countersign relay --config relay.toml

Holds no key to coins, reads no payload, decides nothing. deploy/relay.example.toml shows every field.";

const OBSERVER_HELP: &str = "\
Examples:
  countersign observer --config observer.toml --check
  countersign observer --config observer.toml --begin eip155:1=23000000      (once, at first)
  countersign observer --config observer.toml
  countersign observer --config observer.toml --once --json

States heights, fee rates and Safes to the signer. Holds no key to coins and decides nothing. One state, one process.
It goes on by itself when nodes or the signer come back, and ends where only a change by somebody helps.
--once ends with 1 if something could not be stated. deploy/observer.example.toml shows every field.";

const EXECUTOR_HELP: &str = "\
Examples:
  countersign init --role executor --config executor.toml       (once: the account that pays gas, and the ledger)
  countersign executor --config executor.toml --check
  countersign executor --config executor.toml
  countersign executor status --config executor.toml --open

Follows what the signer has released for the Safes of one chain, and carries each transaction to a final block. Its key pays gas
and moves no customer's money; at the signer it can read what was released and nothing else. Several may share one ledger: one
works, the others stand by. deploy/executor.example.toml shows every field. SIGTERM or SIGINT: it gives its turn back, and exits.";

const ADDRESS_HELP: &str = "\
Examples:
  countersign address --profile exchange.toml customer-81
  countersign address --profile exchange.toml --json customer-81 customer-82

With the co-signer's attestation key, or with the wallet's descriptor or treasury Safe, the address is checked here before it is shown.
Both may stand in the profile. A profile is TOML:
  connect = \"signer.inner.example:7401\"
  ca = \"tls/ca.pem\"
  cert = \"tls/exchange.pem\"
  key = \"tls/exchange.key\"
  network = \"mainnet\"
  organisation = \"example\"
  request_key = \"request.key\"
  request_key_id = \"2026-a\"
  attestation_key = \"…\"
Other fields: observer, statement_key, operator, ssh_key, signer_freeze, cosigner_freeze, descriptor, treasury, log_key, cosigner_key.";

const WITHDRAW_HELP: &str = "\
Examples:
  countersign withdraw --profile exchange.toml --request payout-7.json
  countersign withdraw --profile exchange.toml --request-id payout-7 --customer-ref customer-81 --asset mainnet \\
    --destination bc1q… --amount 150000 --fee-max 5000 --beneficiary-vasp 2002 --ivms101 names.json

A request id belongs to its first request for ever: the same request again gets the saved outcome, another one under the
same id is refused. After a fault ask again with the same --asked-at. Ends with 1 if it is held or refused; a held one
resumes by itself, see `countersign watch`.";

const CANCEL_HELP: &str = "\
Example:
  countersign cancel --profile exchange.toml payout-7

Ends with 1 if it was too late.";

const HEALTH_HELP: &str = "\
Example:
  countersign health --profile exchange.toml

Ends with 1 where something does not serve. The travel rule serves while the enclave's process answers, its database does, and
the relay has its endpoint; withdrawals that need it wait meanwhile. Programs ask grpc.health.v1.Health for
`countersign.enclave`.";

const STATUS_HELP: &str = "\
Examples:
  countersign status --profile exchange.toml --request-id payout-7
  countersign status --profile operator.toml wd_0123…
  countersign status --profile operator.toml --outcome held

For one withdrawal it ends with 1 if that is held or refused; a list always ends with 0.";

const WATCH_HELP: &str = "\
Examples:
  countersign watch --profile exchange.toml
  countersign watch --profile exchange.toml --from 1200 --json
  countersign watch --profile exchange.toml --from 0 --until wd_0123…

After a break go on with --from and the last log index that was printed: changes of one commit may come twice, none is lost.";

const APPROVALS_HELP: &str = "\
Examples:
  countersign approvals --profile operator.toml
  countersign approvals --profile operator.toml --watch --json

Shows each withdrawal that waits in exactly the words that would be signed, what is missing and who has approved; several
stand in a table at the end, with their sum.";

const APPROVE_HELP: &str = "\
Examples:
  countersign approve --profile operator.toml wd_0123… --ssh-key ~/.ssh/id_ed25519
  countersign approve --profile operator.toml wd_0123… wd_4567… wd_89ab…

With a security key or an encrypted key, through the agent:
  ssh-add ~/.ssh/id_ed25519_sk
  countersign approve --profile operator.toml wd_0123… --ssh-key ~/.ssh/id_ed25519_sk.pub

Or in three steps:
  countersign approve --profile operator.toml wd_0123… --text-out text
  ssh-keygen -Y sign -n countersign-approval-v1 -f ~/.ssh/id_ed25519_sk text
  countersign approve --profile operator.toml wd_0123… --signature text.sig

The signature counts, the certificate only opens the door. Read the text: it is exactly what will be paid. Several withdrawals
are all shown, then each is signed by itself; if one is refused the others stand, and it ends with what became of the worst.";

const REJECT_HELP: &str = "\
Example:
  countersign reject --profile operator.toml wd_0123… --reason 'unknown beneficiary' --ssh-key ~/.ssh/id_ed25519

A rejection is for good. With a security key: through the agent, or --text-out and --signature, as with `approve`.";

const FREEZE_HELP: &str = "\
Examples:
  countersign freeze --profile operator.toml --reason 'a machine of ours was broken into'
  countersign freeze --profile operator.toml --reason 'a drill' --party cosigner --json
  countersign freeze show --profile operator.toml

With a security key or an encrypted key, in three steps within ten minutes:
  countersign freeze --profile operator.toml --reason 'a drill' --text-out freeze
  ssh-keygen -Y sign -n countersign-freeze-v1 -f ~/.ssh/id_ed25519_sk freeze
  countersign freeze --profile operator.toml --text freeze --signature freeze.sig

Any one operator may. Each party is asked by itself and answers by itself: once it says FROZEN nothing is being signed there,
and a restart changes nothing. It ends with 0 only if every party that was meant is frozen. Ended by `countersign resume`.";

const RESUME_HELP: &str = "\
Examples, after looking at `countersign freeze show` and both logs:
  countersign resume text --profile operator.toml --reviewed-signer 1204 --reviewed-cosigner 880 end-of-drill
  countersign resume text --profile operator.toml --reviewed-signer 1204 --reviewed-cosigner 880 --scope sweeps sweeps-only
  ssh-keygen -Y sign -n countersign-resume-v1 -f ~/.ssh/id_ed25519_sk end-of-drill/resume-signer
  mv end-of-drill/resume-signer.sig end-of-drill/resume-signer.kim.sig
  countersign resume send --profile operator.toml end-of-drill

Each party's policy says who must sign (freeze.resume_needs) and how long it waits before it takes effect by itself
(freeze.resume_delay_s). Whoever freezes again meanwhile voids it. What was asked during the freeze then needs approval.";

const POSITION_HELP: &str = "\
Examples:
  countersign position --profile operator.toml
  countersign position --profile auditor.toml --asset mainnet --json";

/// Reads the arguments, does what they say, and prints it. `play` runs the sandbox, which stands above this room.
pub fn main(play: fn(SandboxArgs) -> ExitCode) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    // Whoever speaks TLS names its provider; those that cannot take this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let out = Out { json: cli.json };
    match cli.command {
        Command::Sandbox(args) => play(SandboxArgs { json: cli.json, ..args }),
        command => out.end(run(command, out)).into(),
    }
}

/// Does what a command says.
pub fn run(command: Command, out: Out) -> Result<Answer, Problem> {
    match command {
        Command::Signer(args) => run::signer(&args, out),
        Command::Cosigner(args) => run::cosigner(&args, out),
        Command::Enclave(args) => run::enclave(&args, out),
        Command::Relay(args) => run::relay(&args, out),
        Command::Observer(args) => run::observer::observer(&args, out),
        Command::Executor(args) => run::executor::executor(&args, out),
        Command::EnclaveRoom(args) => run::enclave_room(&args),
        Command::Descriptor(command) => descriptor::run(&command),
        Command::Trust(command) => trust::run(&command),
        Command::Pki(command) => pki::run(&command),
        Command::Policy(command) => policy::run(&command),
        other => wait_for(asked(other, out)),
    }
}

async fn asked(command: Command, out: Out) -> Result<Answer, Problem> {
    match command {
        Command::Init(args) => init::run(args).await,
        Command::Safe(command) => safe::run(&command).await,
        Command::Address(args) => address::run(&args).await,
        Command::Withdraw(args) => withdraw::run(&args).await,
        Command::Cancel(args) => withdraw::cancel(&args).await,
        Command::Wallet(command) => wallet::run(&command).await,
        Command::Status(args) => withdrawals::status(&args).await,
        Command::Watch(args) => withdrawals::watch(&args, out).await,
        Command::Approvals(args) => approvals::list(&args, out).await,
        Command::Approve(args) => approve::approve(&args).await,
        Command::Reject(args) => approve::reject(&args).await,
        Command::Freeze(args) => freeze::run(&args).await,
        Command::Resume(command) => resume::run(&command).await,
        Command::Observe(command) => observe::run(&command).await,
        Command::Position(args) => position::run(&args).await,
        Command::Health(args) => health::run(&args).await,
        Command::Refill(command) => refill::run(&command).await,
        Command::Statement(command) => statement::run(&command).await,
        Command::Audit(command) => audit::run(&command).await,
        Command::Sandbox(_)
        | Command::Descriptor(_)
        | Command::Trust(_)
        | Command::Pki(_)
        | Command::Policy(_)
        | Command::Signer(_)
        | Command::Cosigner(_)
        | Command::Enclave(_)
        | Command::EnclaveRoom(_)
        | Command::Executor(_)
        | Command::Observer(_)
        | Command::Relay(_) => Err(Problem::of(Code::Internal, "the command has no answer of this kind")),
    }
}

fn wait_for<T>(work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Problem::of(Code::Internal, error.to_string()))?.block_on(work)
}

/// The machine's clock, in unix milliseconds.
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The machine's clock.
fn now() -> Seconds {
    Seconds(now_ms() / 1_000)
}
