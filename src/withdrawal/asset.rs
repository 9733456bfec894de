//! Assets by their CAIP-19 names, and how people read an amount of one.

use std::fmt;

use super::{Amount, Chain, Code, EvmAsset, Invalid, Network};

/// An asset: a coin or a token on a chain, written as its CAIP-19 id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asset {
    /// The native coin of a Bitcoin network.
    Bitcoin(Network),
    /// The coin of an EVM chain, or a token there.
    Evm(EvmAsset),
}

impl Asset {
    /// Reads a CAIP-19 id such as `bip122:000000000019d6689c085ae165831e93/slip44:0` or `eip155:1/slip44:60`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.starts_with("eip155:") {
            return EvmAsset::parse(text).map(Self::Evm);
        }
        Network::ALL.into_iter().map(Self::Bitcoin).find(|asset| asset.to_string() == text).ok_or_else(|| {
            Invalid::new(
                Code::AssetUnknown,
                "asset",
                format!("`{}` is no asset we know", text.chars().take(80).collect::<String>()),
                "send a CAIP-19 id: `bip122:<genesis>/slip44:<coin type>`, `eip155:<chain>/slip44:60` or \
                 `eip155:<chain>/erc20:<EIP-55 address>`",
            )
        })
    }

    /// The chain it lives on.
    pub const fn chain(self) -> Chain {
        match self {
            Self::Bitcoin(network) => Chain::Bitcoin(network),
            Self::Evm(asset) => Chain::Evm(asset.chain()),
        }
    }

    /// The asset in which its chain takes fees: itself, or the coin of the chain of a token.
    pub const fn fee_asset(self) -> Self {
        match self {
            Self::Bitcoin(_) => self,
            Self::Evm(asset) => Self::Evm(EvmAsset::Ether(asset.chain())),
        }
    }

    /// How people read an amount of it. A token says nothing of itself that is believed: whoever uses one has pinned it.
    pub fn denomination(self) -> Option<Denomination> {
        match self {
            Self::Bitcoin(_) => Some(Denomination::bitcoin()),
            Self::Evm(EvmAsset::Ether(_)) => Some(Denomination::ether()),
            Self::Evm(EvmAsset::Token(..)) => None,
        }
    }

    /// The most there can ever be, in base units; where nothing bounds it, the most that is counted.
    pub const fn supply_max(self) -> Amount {
        match self {
            Self::Bitcoin(_) => Amount::from_sat(2_100_000_000_000_000),
            Self::Evm(_) => Amount::from_units(u128::MAX),
        }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bitcoin(network) => {
                write!(f, "bip122:{}/slip44:{}", network.caip2_reference(), network.coin_type())
            }
            Self::Evm(asset) => asset.fmt(f),
        }
    }
}

/// The most decimals of an asset: more do not fit an amount.
pub const DECIMALS_MAX: u32 = 30;

/// The longest ticker, in bytes.
const SYMBOL_LEN_MAX: usize = 20;

/// How people read an amount of an asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Denomination {
    symbol: String,
    decimals: u32,
}

impl Denomination {
    /// A ticker of up to 20 letters, digits and `. _ -`, and the number of decimals of a whole coin; the clause says what is wrong.
    pub fn new(symbol: &str, decimals: u32) -> Result<Self, &'static str> {
        let is_ticker = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if symbol.is_empty() || symbol.len() > SYMBOL_LEN_MAX || !symbol.bytes().all(is_ticker) {
            return Err("`symbol` is no ticker of up to 20 letters, digits and . _ -");
        }
        if decimals > DECIMALS_MAX {
            return Err("`decimals` is above 30");
        }
        Ok(Self { symbol: symbol.to_owned(), decimals })
    }

    /// That of every network of Bitcoin.
    pub fn bitcoin() -> Self {
        Self { symbol: "BTC".to_owned(), decimals: 8 }
    }

    /// That of ether.
    pub fn ether() -> Self {
        Self { symbol: "ETH".to_owned(), decimals: 18 }
    }

    /// The ticker.
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// The number of decimals of a whole coin.
    pub const fn decimals(&self) -> u32 {
        self.decimals
    }

    /// An amount with every decimal: `0.00150000 BTC`.
    pub fn words(&self, amount: Amount) -> String {
        format!("{} {}", amount.in_coin(self.decimals), self.symbol)
    }

    /// The denomination in which a text has an amount; nothing where it has not exactly this form.
    pub fn of_words(words: &str, amount: Amount) -> Option<Self> {
        let (coins, symbol) = words.split_once(' ')?;
        let decimals = coins.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let read = Self::new(symbol, u32::try_from(decimals).ok()?).ok()?;
        (read.words(amount) == words).then_some(read)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_reads_back_and_no_two_share_a_name() {
        for network in Network::ALL {
            let asset = Asset::Bitcoin(network);
            assert_eq!(Asset::parse(&asset.to_string()), Ok(asset));
        }
        for text in ["eip155:1/slip44:60", "eip155:8453/erc20:0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"] {
            assert_eq!(Asset::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Asset::parse("btc").unwrap_err().code, Code::AssetUnknown);
        assert_eq!(Asset::parse("eip155:1/slip44:61").unwrap_err().code, Code::AssetUnknown);
    }

    #[test]
    fn an_amount_in_words_gives_its_denomination_back_and_no_other_text_does() {
        let usdt = Denomination::new("USDT", 6).unwrap();
        let amount = Amount::from_units(1_500_000);
        assert_eq!(usdt.words(amount), "1.500000 USDT");
        assert_eq!(Denomination::of_words("1.500000 USDT", amount), Some(usdt));
        let whole = Denomination::new("X", 0).unwrap();
        assert_eq!(
            (whole.words(amount).as_str(), Denomination::of_words("1500000 X", amount)),
            ("1500000 X", Some(whole))
        );
        for wrong in ["1.5 USDT", "1.500001 USDT", "1.500000", "1.500000  USDT", "1.500000 USDT ", ""] {
            assert_eq!(Denomination::of_words(wrong, amount), None, "{wrong}");
        }
    }

    #[test]
    fn fees_of_a_token_are_taken_in_the_coin_of_its_chain() {
        let token = Asset::parse("eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7").unwrap();
        assert_eq!(token.fee_asset().to_string(), "eip155:1/slip44:60");
        assert_eq!(token.denomination(), None);
    }
}
