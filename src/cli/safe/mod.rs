//! The wallets of EVM chains: whose an owner's seat is, where a Safe will stand and how it gets there, and whether it is what it
//! should be.

mod check;
mod owner;
mod predict;
mod rotate;

use clap::Subcommand;

use super::answer::Answer;
use super::descriptor::ExportArgs;
use super::problem::Problem;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum SafeCommand {
    /// Print the account of a keystore's seat among the owners, with a proof that its holder has the key
    #[command(after_help = OWNER_HELP)]
    Owner(ExportArgs),
    /// Say where the Safe of three owners will stand, how it is deployed, and which lines pin it
    #[command(after_help = PREDICT_HELP)]
    Predict(predict::PredictArgs),
    /// Ask the nodes of an observer's configuration whether the Safes of the trust file are what is pinned
    #[command(after_help = CHECK_HELP)]
    Check(check::CheckArgs),
    /// Propose that an owner's seat goes to another key
    #[command(after_help = ROTATE_HELP)]
    Rotate(rotate::RotateArgs),
    /// Sign as one owner what `safe rotate` proposed; the second signature finishes it
    #[command(after_help = SIGN_HELP)]
    Sign(rotate::SignArgs),
}

const OWNER_HELP: &str = "\
Examples:
  countersign safe owner --keystore keystore --passphrase-file pass --json > a.json
  countersign safe owner --config cosigner.toml

The JSON form goes to `safe predict`. Nothing in it is secret. The same seed has the same account on every EVM chain
(m/44'/60'/account'/0/0).";

const PREDICT_HELP: &str = "\
Examples:
  countersign safe predict --chain eip155:1 --owner a.json --owner b.json --owner c.json
  countersign safe predict --chain eip155:1 --cold --owner c1.json --owner c2.json --owner c3.json --salt 1

Give the owners in the order signer, co-signer, vault; a cold Safe has three of vaults. An owner is the file that
`safe owner --json` wrote, whose proof of possession is checked, or an address, for which nothing is proved. Nobody is asked:
the same owners, release, singleton and salt give the same address on every chain. It is deployed by the call that is printed,
which any account with gas money can send; whoever sends it decides nothing about whose the Safe is. Then `safe check`.";

const CHECK_HELP: &str = "\
Example:
  countersign safe check --config observer.toml

Reads each Safe at the newest final block, by the quorum of the configuration's nodes, and compares it with the trust file as
signer and co-signer do: code of proxy and singleton, version, owners, threshold, no modules, no guards, the fallback handler,
MultiSendCallOnly. Of a cold Safe only its address is pinned: what it is made of is shown. Ends with 1 if a hot one differs.";

const ROTATE_HELP: &str = "\
Examples:
  countersign safe rotate --config observer.toml --chain eip155:1 --seat vault --to c2.json --json > rotation.json
  countersign safe rotate --config observer.toml --chain eip155:1 --of treasury --seat vault --to c2.json

Reads the Safe at the newest final block, by the quorum of the configuration's nodes, and compares it with the trust file. Nothing
is signed. Freeze both parties first and let what is booked come to rest: the rotation takes the next nonce of the Safe.";

const SIGN_HELP: &str = "\
Examples:
  countersign safe sign rotation.json --keystore vault --passphrase-file pass --trust owner.toml \\
      --chain eip155:1 --seat signer --to a2.json --json > signed.json
  countersign safe sign signed.json --config cosigner.toml --chain eip155:1 --seat signer --to a2.json

No node is asked and nothing is sent. Say yourself whose seat goes to whom: a paper that says anything else, or does anything
beside it, is not signed. The second owner's call prints what any account may carry to the chain.";

/// Runs one of the commands.
pub async fn run(command: &SafeCommand) -> Result<Answer, Problem> {
    match command {
        SafeCommand::Owner(args) => owner::owner(args),
        SafeCommand::Predict(args) => predict::predict(args),
        SafeCommand::Check(args) => check::check(args).await,
        SafeCommand::Rotate(args) => rotate::rotate(args).await,
        SafeCommand::Sign(args) => rotate::sign(args),
    }
}
