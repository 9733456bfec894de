//! What observers state: builds a statement's canonical text, numbers and dates it, signs it, and sends it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use serde_json::json;

use super::connect::{self, ConnectArgs, given, key_file};
use super::record::Record;
use super::withdraw::{signed_only, wire};
use crate::cli::answer::{Answer, Facts};
use crate::cli::keyfile;
use crate::cli::problem::Problem;
use crate::cli::{now, now_ms};
use crate::evidence::{Body, ChainFact, Coin, SafeFact, Statement, ed25519, sign_statement};
use crate::wire::v1;
use crate::withdrawal::{Amount, Asset, Chain, FeeRate, Krw, Seconds};

/// What can be stated.
#[derive(Debug, Subcommand)]
pub enum ObserveCommand {
    /// Coins of the hot wallet, with the raw transactions that made them
    #[command(after_help = "\
Example:
  countersign observe coins --profile observer.toml --transaction 0200…00 --coin <txid>:0:6

A coin that is stated for the first time needs its raw transaction, which proves its amount. State it again with every
change of its confirmations; spent coins are not stated. When nothing has changed, say so by a statement without coins:
an observer that is silent for as long as the policy's ages.position_s holds every withdrawal.")]
    Coins(CoinsArgs),
    /// What lies cold
    #[command(after_help = "\
Example:
  countersign observe position --profile observer.toml --cold mainnet=7000000000 --swept <txid>

Name each sweep and refill that the balance counts already, so that it is not counted twice.")]
    Position(PositionArgs),
    /// What a whole coin costs, in Korean won
    #[command(after_help = "\
Example:
  countersign observe price --profile observer.toml --price mainnet=150000000")]
    Price(PriceArgs),
    /// The height of the tip, and the fee rate
    #[command(after_help = "\
Example:
  countersign observe chain --profile observer.toml --tip mainnet=900000 --fee-rate mainnet=5000

The fee rate is in satoshi per 1,000 virtual bytes: 5000 is 5 sat/vB. Of an EVM chain it is in wei per 1,000 units of gas:
--tip eip155:1=23000000 --fee-rate eip155:1=2000000000000 is 2 gwei.")]
    Chain(ChainArgs),
    /// A Safe at one final block, and what became of its transactions
    #[command(after_help = "\
Example:
  countersign observe safe --profile observer.toml --facts safe.txt

The file holds the lines of a Safe exactly as they stand in the statement, from `network:` on; docs/requests.md lists them.")]
    Safe(SafeArgs),
}

/// Who states, and when.
#[derive(Debug, Args)]
pub struct ObserverArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// The observer, as the trust file names it
    #[arg(long, value_name = "NAME")]
    pub observer: Option<String>,
    /// The file of its statement key
    #[arg(long, value_name = "FILE")]
    pub statement_key: Option<PathBuf>,
    /// The statement's number, above the last of this kind; unix milliseconds where nothing is said
    #[arg(long)]
    pub number: Option<u64>,
    /// The number of the last statement of this kind that was taken; from the record beside the statement key where nothing
    /// is said. Who gives an older one states again all that was stated since
    #[arg(long, value_name = "NUMBER")]
    pub after: Option<u64>,
    /// When it was true, in unix seconds; now where nothing is said
    #[arg(long, value_name = "SECONDS")]
    pub at: Option<u64>,
    /// Print the signed statement and send nothing
    #[arg(long)]
    pub sign_only: bool,
}

/// What `observe coins` takes.
#[derive(Debug, Args)]
pub struct CoinsArgs {
    /// Who states.
    #[command(flatten)]
    pub observer: ObserverArgs,
    /// A raw transaction in hex, or @ and a file that holds it
    #[arg(long = "transaction", value_name = "HEX")]
    pub transactions: Vec<String>,
    /// A coin: txid:vout:confirmations, the txid as explorers print it
    #[arg(long = "coin", value_name = "COIN", value_parser = coin)]
    pub coins: Vec<Coin>,
}

/// What `observe position` takes.
#[derive(Debug, Args)]
pub struct PositionArgs {
    /// Who states.
    #[command(flatten)]
    pub observer: ObserverArgs,
    /// What lies cold of an asset, in base units: network or CAIP-19 id, `=`, amount
    #[arg(long, value_name = "ASSET=UNITS", required = true, value_parser = pair::<Asset>)]
    pub cold: Vec<(Asset, u64)>,
    /// A sweep that is in these balances already, by its txid as explorers print it
    #[arg(long, value_name = "TXID", value_parser = txid)]
    pub swept: Vec<[u8; 32]>,
}

/// What `observe price` takes.
#[derive(Debug, Args)]
pub struct PriceArgs {
    /// Who states.
    #[command(flatten)]
    pub observer: ObserverArgs,
    /// The price of a whole coin in won: network or CAIP-19 id, `=`, price
    #[arg(long = "price", value_name = "ASSET=KRW", required = true, value_parser = pair::<Asset>)]
    pub prices: Vec<(Asset, u64)>,
}

/// What `observe chain` takes.
#[derive(Debug, Args)]
pub struct ChainArgs {
    /// Who states.
    #[command(flatten)]
    pub observer: ObserverArgs,
    /// The height of a network's best block
    #[arg(long = "tip", value_name = "NETWORK=HEIGHT", required = true, value_parser = pair::<Chain>)]
    pub tips: Vec<(Chain, u64)>,
    /// What a transaction should pay, in satoshi per 1,000 virtual bytes, or in wei per 1,000 units of gas
    #[arg(long = "fee-rate", value_name = "NETWORK=RATE", required = true, value_parser = pair::<Chain>)]
    pub fee_rates: Vec<(Chain, u64)>,
}

/// What `observe safe` takes.
#[derive(Debug, Args)]
pub struct SafeArgs {
    /// Who states.
    #[command(flatten)]
    pub observer: ObserverArgs,
    /// The file with the lines of the Safe
    #[arg(long, value_name = "FILE")]
    pub facts: PathBuf,
}

/// What stands before `=`.
trait Named: Sized {
    fn named(text: &str) -> Result<Self, crate::withdrawal::Invalid>;
}

impl Named for Asset {
    fn named(text: &str) -> Result<Self, crate::withdrawal::Invalid> {
        connect::asset(text)
    }
}

impl Named for Chain {
    fn named(text: &str) -> Result<Self, crate::withdrawal::Invalid> {
        Self::parse(text)
    }
}

fn pair<T: Named>(text: &str) -> Result<(T, u64), String> {
    let (name, number) = text.rsplit_once('=').ok_or("write name=number")?;
    let number = number.parse().map_err(|_| format!("`{number}` is no whole number"))?;
    T::named(name).map(|name| (name, number)).map_err(|no| format!("{}; {}", no.problem, no.cure))
}

/// A transaction's id as explorers print it, turned into internal byte order.
fn txid(text: &str) -> Result<[u8; 32], String> {
    let decoded = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let mut txid = decoded.ok_or("write the txid as 64 lower-case hex digits")?;
    txid.reverse();
    Ok(txid)
}

fn coin(text: &str) -> Result<Coin, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let [id, vout, confirmations] = parts.as_slice() else {
        return Err("write txid:vout:confirmations".to_owned());
    };
    let number = |part: &str| part.parse::<u32>().map_err(|_| format!("`{part}` is no whole number"));
    Ok(Coin { txid: txid(id)?, vout: number(vout)?, confirmations: number(confirmations)? })
}

/// States one of them.
pub async fn run(command: &ObserveCommand) -> Result<Answer, Problem> {
    let (observer, body) = match command {
        ObserveCommand::Coins(args) => {
            let transactions =
                args.transactions.iter().map(|text| transaction(text)).collect::<Result<_, _>>()?;
            (&args.observer, Body::Coins { transactions, coins: args.coins.clone() })
        }
        ObserveCommand::Position(args) => {
            let cold = args.cold.iter().map(|(asset, sat)| (*asset, Amount::from_sat(*sat))).collect();
            (&args.observer, Body::Position { cold, swept: args.swept.clone() })
        }
        ObserveCommand::Price(args) => (
            &args.observer,
            Body::Price(args.prices.iter().map(|(asset, krw)| (*asset, Krw((*krw).into()))).collect()),
        ),
        ObserveCommand::Chain(args) => (&args.observer, Body::Chain(chain(args)?)),
        ObserveCommand::Safe(args) => {
            let lines =
                std::fs::read_to_string(&args.facts).map_err(|error| Problem::file(&args.facts, &error))?;
            (&args.observer, Body::Safe(Box::new(SafeFact::parse(&lines)?)))
        }
    };
    submit(observer, body).await
}

fn transaction(text: &str) -> Result<Vec<u8>, Problem> {
    let digits = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|error| Problem::file(path.as_ref(), &error))?,
        None => text.to_owned(),
    };
    HEXLOWER.decode(digits.trim().as_bytes()).map_err(|_| {
        Problem::config(
            "--transaction",
            "is not lower-case hex",
            "give the raw transaction, as `getrawtransaction` prints it",
        )
    })
}

fn chain(args: &ChainArgs) -> Result<Vec<ChainFact>, Problem> {
    let no = |problem: String| {
        Problem::config("--tip", problem, "give --tip and --fee-rate once for each network")
    };
    let facts = args.tips.iter().map(|(chain, height)| {
        let rate = args
            .fee_rates
            .iter()
            .find(|(of, _)| of == chain)
            .ok_or_else(|| no(format!("has no --fee-rate for {chain}")))?;
        let height = u32::try_from(*height).map_err(|_| no(format!("`{height}` is no height")))?;
        Ok(ChainFact { chain: *chain, height, fee_rate: FeeRate(rate.1) })
    });
    let facts = facts.collect::<Result<Vec<_>, Problem>>()?;
    if facts.len() == args.fee_rates.len() {
        Ok(facts)
    } else {
        Err(no("does not name every network of --fee-rate".into()))
    }
}

async fn submit(args: &ObserverArgs, body: Body) -> Result<Answer, Problem> {
    let profile = args.connect.profile()?;
    let observer = given("--observer", args.observer.as_ref(), profile.observer.as_ref())?;
    let key_file = key_file("--statement-key", args.statement_key.as_ref(), profile.statement_key.as_ref())?;
    let key = keyfile::read("--statement-key", key_file)?;
    let record = Record::beside(key_file)?;
    let kind = body.kind();
    let number = args.number.unwrap_or_else(now_ms);
    let statement = Statement {
        observer: observer.clone(),
        number,
        after: args.after.map_or_else(|| record.last(kind), Ok)?,
        at: args.at.map_or_else(now, Seconds),
        body,
    };
    let signed = wire(sign_statement(&statement, ed25519(&key))?, observer.clone());
    if args.sign_only {
        return Ok(signed_only(&signed));
    }
    let session = args.connect.open()?;
    let message = v1::SubmitStatementRequest { statement: Some(signed) };
    let accepted = session.client.statements().submit_statement(session.request(message)).await?.into_inner();
    record.note(kind, number)?;
    let kind = kind.as_str();
    let facts = Facts::new()
        .line("accepted", format!("{kind} of {observer}"))
        .line("number", accepted.accepted_number)
        .line("log index", accepted.log_index);
    let json = json!({ "observer": observer, "kind": kind, "number": accepted.accepted_number, "log_index": accepted.log_index });
    Ok(Answer::ok(json, facts.text()))
}
