//! Reads the assets that the travel rule may be asked about: Bitcoin by its networks, any other by its names.

use super::typed::AssetTable;
use crate::cli::problem::Problem;
use crate::enclave::Coin;
use crate::withdrawal::Network;

const FIELD: &str = "enclave.assets";
const CURE: &str = "write symbol, network, caip19 and decimals, such as \"ETH\", \"Ethereum\", \"eip155:1/slip44:60\" and 18";

/// What an enclave that stands alone knows: Bitcoin on its main network, where nothing is said.
pub(super) fn known(
    networks: Option<&[String]>,
    tables: &[AssetTable],
    lines: &[String],
) -> Result<Vec<Coin>, Problem> {
    let is_silent = networks.is_none() && tables.is_empty() && lines.is_empty();
    let own = match networks {
        None if is_silent => vec![Coin::bitcoin(Network::Mainnet)],
        None => Vec::new(),
        Some(networks) => of_networks(networks)?,
    };
    all(own, tables, lines)
}

fn of_networks(networks: &[String]) -> Result<Vec<Coin>, Problem> {
    let field = "enclave.networks";
    if networks.is_empty() {
        return Err(Problem::config(field, "is empty", "name a network, or leave it out for mainnet"));
    }
    let read = |text: &String| Network::parse(text).map(Coin::bitcoin);
    let coins = networks.iter().map(read).collect::<Result<Vec<_>, _>>();
    coins.map_err(|no| Problem::config(field, no.problem, no.cure))
}

/// These and the named ones; nothing may have two meanings.
pub(super) fn all(own: Vec<Coin>, tables: &[AssetTable], lines: &[String]) -> Result<Vec<Coin>, Problem> {
    let lines = lines.iter().map(|line| line_of(line)).collect::<Result<Vec<_>, _>>()?;
    let mut coins = own;
    for table in tables.iter().chain(&lines) {
        let AssetTable { symbol, network, caip19, decimals } = table;
        let no = |problem: String| Problem::config(FIELD, problem, CURE);
        let coin = Coin::named(symbol, network, caip19, *decimals)
            .map_err(|problem| no(format!("`{symbol}` on `{network}`: {problem}")))?;
        let is_same = |other: &Coin| {
            other.asset() == coin.asset()
                || (other.symbol() == coin.symbol() && other.network() == coin.network())
        };
        if coins.iter().any(is_same) {
            return Err(no(format!(
                "`{symbol}` on `{network}` stands twice, by its names or its CAIP-19 id"
            )));
        }
        coins.push(coin);
    }
    Ok(coins)
}

/// The same in one text, as a variable has it: `ETH Ethereum eip155:1/slip44:60 18`.
fn line_of(line: &str) -> Result<AssetTable, Problem> {
    let no = || {
        let problem = format!("`{line}` is not four words");
        Problem::config(
            FIELD,
            problem,
            "write ticker, network, CAIP-19 id and decimals with blanks between them",
        )
    };
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [symbol, network, caip19, decimals] = *words else { return Err(no()) };
    let decimals = decimals.parse().map_err(|_| no())?;
    Ok(AssetTable { symbol: symbol.into(), network: network.into(), caip19: caip19.into(), decimals })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ETH: &str = "ETH Ethereum eip155:1/slip44:60 18";
    const USDT: &str = "USDT Ethereum eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7 6";

    fn named(networks: Option<&[&str]>, lines: &[&str]) -> Result<Vec<String>, Problem> {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let networks = networks.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        let coins = known(networks.as_deref(), &[], &lines)?;
        Ok(coins.iter().map(|coin| format!("{} {}", coin.symbol(), coin.network())).collect())
    }

    #[test]
    fn bitcoin_is_known_where_nothing_is_said_and_what_is_said_is_known() {
        assert_eq!(named(None, &[]).unwrap(), ["BTC mainnet"]);
        assert_eq!(named(Some(&["signet"]), &[]).unwrap(), ["BTC signet"]);
        assert_eq!(named(None, &[ETH, USDT]).unwrap(), ["ETH Ethereum", "USDT Ethereum"]);
        assert_eq!(named(Some(&["mainnet"]), &[ETH]).unwrap(), ["BTC mainnet", "ETH Ethereum"]);
    }

    #[test]
    fn an_asset_that_cannot_be_meant_or_has_two_meanings_is_refused_by_its_field() {
        for lines in [
            vec!["ETH Ethereum eip155:1/slip44:60"],
            vec!["ETH Ethereum eip155:1/slip44:60 many"],
            vec!["ETH Ethereum ether 18"],
            vec![ETH, ETH],
            vec![ETH, "ETH Ethereum eip155:5/slip44:60 18"],
            vec![ETH, "WETH Ethereum eip155:1/slip44:60 18"],
        ] {
            assert_eq!(
                named(None, &lines).unwrap_err().field.as_deref(),
                Some("enclave.assets"),
                "{lines:?}"
            );
        }
    }
}
