//! The deployments that are trusted: Safe 1.4.1 and 1.5.0 at their canonical addresses, each with its code's hash.
//!
//! Addresses and hashes are those of the public registry (npm `@safe-global/safe-deployments`, entry `canonical`). The
//! code is that of npm `@safe-global/safe-contracts` 1.4.1 and `@safe-global/safe-smart-account` 1.5.0; a test deploys
//! it through the canonical factory at `0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7` and finds these very values.

use alloy_primitives::{Address, B256, address, b256};

/// A contract with the Keccak-256 hash of its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Where it stands.
    pub address: Address,
    /// The hash of its runtime code.
    pub code_hash: B256,
}

/// Which singleton a proxy runs. Both behave the same; the second tells everything in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Singleton {
    /// `Safe`.
    Plain,
    /// `SafeL2`.
    Telling,
}

/// A singleton with what depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SingletonPin {
    /// The contract.
    pub pin: Pin,
    /// Keccak-256 of the proxy's creation code with this singleton behind it: what CREATE2 takes.
    pub init_code_hash: B256,
}

/// One version of the Safe contracts.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// What `VERSION()` answers.
    pub version: &'static str,
    /// `Safe`.
    pub plain: SingletonPin,
    /// `SafeL2`.
    pub telling: SingletonPin,
    /// `SafeProxyFactory`.
    pub factory: Pin,
    /// The hash of a proxy's runtime code.
    pub proxy_code_hash: B256,
    /// `MultiSendCallOnly`, the one contract that may ever be called with DELEGATECALL.
    pub multi_send: Pin,
    /// `CompatibilityFallbackHandler`.
    pub fallback_handler: Pin,
}

impl Release {
    /// Every release that is trusted.
    pub const ALL: [&'static Self; 2] = [&V1_4_1, &V1_5_0];

    /// The release of that version, if it is trusted.
    pub fn of(version: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|release| release.version == version)
    }

    /// One of its singletons.
    pub const fn singleton(&self, which: Singleton) -> SingletonPin {
        match which {
            Singleton::Plain => self.plain,
            Singleton::Telling => self.telling,
        }
    }
}

/// Safe 1.4.1.
pub static V1_4_1: Release = Release {
    version: "1.4.1",
    plain: SingletonPin {
        pin: Pin {
            address: address!("0x41675C099F32341bf84BFc5382aF534df5C7461a"),
            code_hash: b256!("0x1fe2df852ba3299d6534ef416eefa406e56ced995bca886ab7a553e6d0c5e1c4"),
        },
        init_code_hash: b256!("0x76733d705f71b79841c0ee960a0ca880f779cde7ef446c989e6d23efc0a4adfb"),
    },
    telling: SingletonPin {
        pin: Pin {
            address: address!("0x29fcB43b46531BcA003ddC8FCB67FFE91900C762"),
            code_hash: b256!("0xb1f926978a0f44a2c0ec8fe822418ae969bd8c3f18d61e5103100339894f81ff"),
        },
        init_code_hash: b256!("0xe298282cefe913ab5d282047161268a8222e4bd4ed106300c547894bbefd31ee"),
    },
    factory: Pin {
        address: address!("0x4e1DCf7AD4e460CfD30791CCC4F9c8a4f820ec67"),
        code_hash: b256!("0x50c3cdc4074750a7a974204a716c999edd37482f907608d960b2b025ee0b3317"),
    },
    proxy_code_hash: b256!("0xd7d408ebcd99b2b70be43e20253d6d92a8ea8fab29bd3be7f55b10032331fb4c"),
    multi_send: Pin {
        address: address!("0x9641d764fc13c8B624c04430C7356C1C7C8102e2"),
        code_hash: b256!("0xecd5bd14a08c5d2122379900b2f272bdf107a7e92423c10dd5fe3254386c9939"),
    },
    fallback_handler: Pin {
        address: address!("0xfd0732Dc9E303f09fCEf3a7388Ad10A83459Ec99"),
        code_hash: b256!("0x7c6007a5d711cea8dfd5d91f5940ec29c7f200fe511eb1fc1397b367af3c42f9"),
    },
};

/// Safe 1.5.0.
pub static V1_5_0: Release = Release {
    version: "1.5.0",
    plain: SingletonPin {
        pin: Pin {
            address: address!("0xFf51A5898e281Db6DfC7855790607438dF2ca44b"),
            code_hash: b256!("0xdda019cbd7c867a533a2a86e5c53434fdc50b13122b5a5ddb4a8df61b31c20f2"),
        },
        init_code_hash: b256!("0x9dd695a8d96e2c0f6ede304e13cc2efe754fa353b7389a23340c9317113bc975"),
    },
    telling: SingletonPin {
        pin: Pin {
            address: address!("0xEdd160fEBBD92E350D4D398fb636302fccd67C7e"),
            code_hash: b256!("0x180193227186ccb85316c94db1f0d156ed932b14712cfaac78901899178572dc"),
        },
        init_code_hash: b256!("0xc00f8ed2d8e1bacf9a81836a956d9be01fbb50416bce76c09d18859e6bb6d223"),
    },
    factory: Pin {
        address: address!("0x14F2982D601c9458F93bd70B218933A6f8165e7b"),
        code_hash: b256!("0x967dae4cda22b0c9ef7f31b010bdc1ceb0af9904b0c3dc060b5302e4c18a4529"),
    },
    proxy_code_hash: b256!("0x4e381985ca68b3e5d27b4425fa581c19cf33146d3f887a3cfca96f55528ea46f"),
    multi_send: Pin {
        address: address!("0xA83c336B20401Af773B6219BA5027174338D1836"),
        code_hash: b256!("0xcdbdcec38d2f1c7d961b0029ff8416b7e86e9974d6f0e9c9580c7d17fcfb6663"),
    },
    fallback_handler: Pin {
        address: address!("0x3EfCBb83A4A7AfcB4F68D501E2c2203a38be77f4"),
        code_hash: b256!("0x3c6a85bcf7b563daa624b884b4e9a1b9fa5371edde7be945d998071a48f28bbc"),
    },
};
