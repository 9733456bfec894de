//! Owns the assets that may be asked about: what the network and CAIP-19 call them, how small they are cut, and what an address of each
//! looks like.

use sha3::{Digest, Keccak256};

use crate::bitcoin::Destination;
use crate::evidence::answer::{asset_name, network_name};
use crate::withdrawal::{Asset, Chain, Denomination, Network};

/// What makes a text an address, and two texts the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Whatever its VASP takes for one, in the very same characters. A tag or memo stands behind it as `address:tag`.
    Exact,
    /// An address of that Bitcoin network, in its normal spelling.
    Bitcoin(Network),
    /// `0x` and 40 hex digits; letter case is a checksum (EIP-55) where both cases occur, and parts no two addresses.
    Evm,
}

/// An asset that may be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    denomination: Denomination,
    network: String,
    asset: String,
    form: Form,
}

impl Coin {
    /// One of the signer's own: its addresses were checked by whoever signed the request.
    pub fn own(asset: Asset, denomination: Denomination) -> Self {
        Self { denomination, network: asset.chain().to_string(), asset: asset.to_string(), form: Form::Exact }
    }

    /// The coin of a network of Bitcoin.
    pub fn bitcoin(network: Network) -> Self {
        Self::own(Asset::Bitcoin(network), Denomination::bitcoin())
    }

    /// An asset by its names; its form of address follows from the namespace of its CAIP-19 id. `Err` says what cannot be meant.
    pub fn named(symbol: &str, network: &str, asset: &str, decimals: u32) -> Result<Self, &'static str> {
        let denomination = Denomination::new(symbol, decimals)?;
        network_name(network).map_err(|_| "`network` is not 1 to 64 printable characters without blanks")?;
        asset_name(asset).map_err(|_| "`caip19` is no CAIP-19 id such as eip155:1/slip44:60")?;
        let own = Asset::parse(asset).ok();
        if own.and_then(Asset::denomination).is_some_and(|own| own.decimals() != decimals) {
            return Err("`decimals` is not what that asset has");
        }
        let form = match own.map(Asset::chain) {
            Some(Chain::Bitcoin(own)) if own.as_str() != network => {
                return Err("`network` is not what signers call that asset's network");
            }
            Some(Chain::Bitcoin(own)) => Form::Bitcoin(own),
            Some(Chain::Evm(_)) => Form::Evm,
            None if has_case_aside(asset) => Form::Evm,
            None => Form::Exact,
        };
        let (network, asset) = (network.to_owned(), asset.to_owned());
        Ok(Self { denomination, network, asset, form })
    }

    /// The ticker.
    pub fn symbol(&self) -> &str {
        self.denomination.symbol()
    }

    /// The network's name, as other VASPs are told it.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Its CAIP-19 id.
    pub fn asset(&self) -> &str {
        &self.asset
    }

    /// How amounts of it are said.
    pub const fn denomination(&self) -> &Denomination {
        &self.denomination
    }

    /// How many decimals a whole one has.
    pub const fn decimals(&self) -> u32 {
        self.denomination.decimals()
    }

    /// Whether a text may be one of its addresses.
    pub fn is_address(&self, text: &str) -> bool {
        match self.form {
            Form::Exact => !text.is_empty(),
            Form::Bitcoin(network) => {
                Destination::parse(text, network).is_ok_and(|parsed| parsed.as_str() == text)
            }
            Form::Evm => is_evm(text),
        }
    }
}

/// Whether two texts are the same address of an asset with that CAIP-19 id.
pub fn is_same_address(asset: &str, one: &str, other: &str) -> bool {
    one == other || (has_case_aside(asset) && is_evm(one) && is_evm(other) && one.eq_ignore_ascii_case(other))
}

/// Whether letter case parts no two addresses of such an asset.
pub fn has_case_aside(asset: &str) -> bool {
    asset.starts_with("eip155:")
}

/// EIP-55: where both cases occur, each letter is a capital exactly if its digit of the hash of all is above 7.
fn is_evm(text: &str) -> bool {
    let Some(digits) = text.strip_prefix("0x").filter(|digits| digits.len() == 40) else { return false };
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return false;
    }
    let (lower, upper) = (digits.to_ascii_lowercase(), digits.to_ascii_uppercase());
    if digits == lower || digits == upper {
        return true;
    }
    let hash = data_encoding::HEXLOWER.encode(&Keccak256::digest(lower.as_bytes()));
    digits
        .bytes()
        .zip(hash.bytes())
        .all(|(letter, nibble)| letter.is_ascii_digit() || letter.is_ascii_uppercase() == (nibble > b'7'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ETH: &str = "eip155:1/slip44:60";
    const USDT: &str = "eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7";
    const XRP: &str = "xrpl:0/slip44:144";

    /// The addresses of EIP-55 itself.
    #[test]
    fn an_evm_address_has_one_case_or_the_checksum_of_eip_55() {
        let eth = Coin::named("ETH", "Ethereum", ETH, 18).unwrap();
        for good in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            assert!(eth.is_address(good), "{good}");
            assert!(eth.is_address(&good.to_lowercase()), "{good}");
            assert!(is_same_address(ETH, good, &good.to_lowercase()), "{good}");
        }
        for bad in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0X5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg",
            "",
        ] {
            assert!(!eth.is_address(bad), "{bad}");
        }
    }

    #[test]
    fn an_address_is_the_same_in_another_case_on_evm_networks_alone() {
        let (lower, upper) = ("0x".to_owned() + &"ab".repeat(20), "0x".to_owned() + &"AB".repeat(20));
        assert!(is_same_address(USDT, &lower, &upper));
        assert!(!is_same_address(
            XRP,
            "rLHzPsX6oXkzU2qL12kHCH8G8cnZv1rBJh",
            "rlhzpsx6oxkzu2ql12khch8g8cnzv1rbjh"
        ));
        assert!(!is_same_address(XRP, &lower, &upper));
        let xrp = Coin::named("XRP", "Ripple", XRP, 6).unwrap();
        let tagged = "rLHzPsX6oXkzU2qL12kHCH8G8cnZv1rBJh:12345";
        assert!(xrp.is_address(tagged));
        assert!(!is_same_address(XRP, tagged, "rLHzPsX6oXkzU2qL12kHCH8G8cnZv1rBJh:12346"), "another tag");
    }

    #[test]
    fn a_bitcoin_address_is_of_its_network_and_in_its_normal_spelling() {
        let own = Asset::Bitcoin(Network::Mainnet).to_string();
        let btc = Coin::named("BTC", "mainnet", &own, 8).unwrap();
        assert!(btc.is_address("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"));
        assert!(!btc.is_address("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"));
        assert!(!btc.is_address("bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"));
        assert!(Coin::named("BTC", "mainnet", &own, 9).is_err());
        assert!(Coin::named("BTC", "Bitcoin", &own, 8).is_err(), "signers call it mainnet");
    }

    #[test]
    fn names_that_cannot_be_meant_are_refused() {
        for (symbol, network, asset, decimals) in [
            ("", "Ethereum", ETH, 18),
            ("E TH", "Ethereum", ETH, 18),
            ("ETH", "", ETH, 18),
            ("ETH", "Ethereum Mainnet", ETH, 18),
            ("ETH", "Ethereum", "eip155:1", 18),
            ("ETH", "Ethereum", "ethereum", 18),
            ("ETH", "Ethereum", ETH, 31),
        ] {
            assert!(Coin::named(symbol, network, asset, decimals).is_err(), "{symbol} {network} {asset}");
        }
    }
}
