//! Owns the laws of what comes from a chain and from the other party: two readers agree, and what is found good pays what was expected.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::str::FromStr as _;
use std::sync::{Arc, OnceLock};

use ::bitcoin::bip32::{ChildNumber, DerivationPath, Xpriv, Xpub};
use ::bitcoin::hashes::Hash as _;
use ::bitcoin::secp256k1::Secp256k1;
use ::bitcoin::{NetworkKind, OutPoint, Transaction, Txid, consensus};
use data_encoding::{BASE64, HEXLOWER};
use miniscript::{Descriptor, DescriptorPublicKey};

use super::message::{unsigned_message, verify_message};
use super::{
    AccountKey, Branch, Chance, Destination, Expectations, FeeCaps, KeySlot, OwnCoin, OwnOutput, Payee,
    RawTransaction, TransactionKind, Unsigned, UnsignedPlan, WalletDescriptor, check_psbt, psbt_reader,
};
use crate::withdrawal::fuzzing::told;
use crate::withdrawal::{FeeRate, Network};

fn kind(network: Network) -> ::bitcoin::Network {
    match network {
        Network::Mainnet => ::bitcoin::Network::Bitcoin,
        Network::Testnet4 => ::bitcoin::Network::Testnet4,
        Network::Signet => ::bitcoin::Network::Signet,
        Network::Regtest => ::bitcoin::Network::Regtest,
    }
}

/// Addresses: what is read is what another library reads, on that network, to the same script.
pub(crate) fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for network in Network::ALL {
        match Destination::parse(text, network) {
            Err(no) => told(&no),
            Ok(destination) => {
                let other = ::bitcoin::Address::from_str(text).expect("another library reads it");
                let other = other.require_network(kind(network)).expect("on this network");
                assert_eq!(other.script_pubkey(), *destination.script_pubkey());
                let again = Destination::parse(destination.as_str(), network).unwrap();
                assert_eq!(again.script_pubkey(), destination.script_pubkey());
                assert!(destination.as_str().eq_ignore_ascii_case(text));
            }
        }
    }
}

pub(crate) fn address_seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<String> = [
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
        "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3",
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
    ]
    .map(str::to_owned)
    .to_vec();
    all.push(wallet().address(Branch::Deposit, 0).unwrap());
    all.into_iter().map(String::into_bytes).collect()
}

fn account_xpriv(network: Network, seed: u8) -> Xpriv {
    let net = if network == Network::Mainnet { NetworkKind::Main } else { NetworkKind::Test };
    let path = DerivationPath::from_str(&format!("48'/{}'/0'/2'", network.coin_type())).unwrap();
    Xpriv::new_master(net, &[seed; 32]).unwrap().derive_priv(&Secp256k1::new(), &path).unwrap()
}

fn account_key(network: Network, seed: u8) -> AccountKey {
    let (secp, net) =
        (Secp256k1::new(), if network == Network::Mainnet { NetworkKind::Main } else { NetworkKind::Test });
    let master = Xpriv::new_master(net, &[seed; 32]).unwrap();
    let path = DerivationPath::from_str(&format!("48'/{}'/0'/2'", network.coin_type())).unwrap();
    let xpub = Xpub::from_priv(&secp, &master.derive_priv(&secp, &path).unwrap());
    AccountKey::new(network, master.fingerprint(&secp).to_bytes(), 0, &xpub.to_string()).unwrap()
}

fn wallet() -> &'static WalletDescriptor {
    static WALLET: OnceLock<WalletDescriptor> = OnceLock::new();
    WALLET.get_or_init(|| {
        WalletDescriptor::assemble(
            Network::Regtest,
            [1, 2, 3].map(|seed| account_key(Network::Regtest, seed)),
        )
        .unwrap()
    })
}

/// Descriptors and account keys: one spelling, and the scripts that another library derives.
pub(crate) fn descriptor(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for network in Network::ALL {
        match AccountKey::parse(network, text) {
            Err(no) => told(&no),
            Ok(key) => {
                assert_eq!(AccountKey::parse(network, &key.to_string()).unwrap().to_string(), key.to_string())
            }
        }
        match WalletDescriptor::parse(network, text) {
            Err(no) => told(&no),
            Ok(wallet) => same_scripts(&wallet),
        }
    }
    let body = text.split_once('#').map_or(text, |(body, _)| body);
    if let Ok(sum) = super::descriptor::checksum_of(body)
        && let Ok(wallet) = WalletDescriptor::parse(Network::Regtest, &format!("{body}#{sum}"))
    {
        same_scripts(&wallet);
    }
}

fn same_scripts(wallet: &WalletDescriptor) {
    let again = WalletDescriptor::parse(wallet.network(), wallet.as_str()).unwrap();
    assert_eq!((again.as_str(), again.fingerprint()), (wallet.as_str(), wallet.fingerprint()));
    let both =
        Descriptor::<DescriptorPublicKey>::from_str(wallet.as_str()).expect("another library reads it");
    let both = both.into_single_descriptors().unwrap();
    for (branch, other) in [Branch::Deposit, Branch::Change].into_iter().zip(both) {
        let script = other.at_derivation_index(7).unwrap().script_pubkey();
        assert_eq!(*wallet.script(branch, 7).unwrap().script_pubkey(), script);
    }
}

pub(crate) fn descriptor_seeds() -> Vec<Vec<u8>> {
    let text = wallet().as_str().to_owned();
    let mainnet = WalletDescriptor::assemble(
        Network::Mainnet,
        [4, 5, 6].map(|seed| account_key(Network::Mainnet, seed)),
    )
    .unwrap();
    vec![
        text.split_once('#').unwrap().0.as_bytes().to_vec(),
        text.into_bytes(),
        mainnet.as_str().as_bytes().to_vec(),
        account_key(Network::Regtest, 1).to_string().into_bytes(),
        account_key(Network::Mainnet, 1).to_string().into_bytes(),
    ]
}

const PAID: u64 = 150_000;
const COIN: u64 = 200_000;

fn coin(outpoint: &OutPoint) -> Option<OwnCoin> {
    let script = Arc::new(wallet().script(Branch::Deposit, outpoint.vout).ok()?);
    (outpoint.vout < 4).then_some(OwnCoin { outpoint: *outpoint, amount_sat: COIN, script })
}

fn payee() -> Payee {
    let address =
        Destination::parse("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", Network::Regtest).unwrap();
    Payee::new(&address, PAID)
}

fn caps() -> FeeCaps {
    FeeCaps { rate_max: FeeRate(300_000), transaction_sat_max: 50_000, asked_sat_max: Some(50_000) }
}

/// PSBTs: as a reader takes them, and at the co-signer's door: what is found good pays the payee, oneself, and a fee within its caps.
pub(crate) fn psbt(data: &[u8]) {
    match psbt_reader::read(data) {
        Err(no) => told(&no),
        Ok(psbt) => {
            let written = psbt.serialize();
            assert_eq!(psbt_reader::read(&written).expect("what is written can be read"), psbt);
        }
    }
    let (payees, expect) = (&*PAYEES, withdrawal(&PAYEES));
    if let Ok(checked) = check_psbt(data, wallet(), &expect, &coin) {
        assert_eq!(checked.kind(), TransactionKind::Withdrawal);
        let transaction = checked.transaction();
        let out: u64 = transaction.output.iter().map(|out| out.value.to_sat()).sum();
        let fee = COIN * u64::try_from(transaction.input.len()).unwrap() - out;
        assert!(checked.fee_sat() == fee && fee <= 50_000);
        let mut own = checked
            .change()
            .map(|change| change.script().script_pubkey().to_owned())
            .into_iter()
            .collect::<Vec<_>>();
        own.push(payees[0].script_pubkey.clone());
        assert!(
            transaction.output.iter().all(|out| own.contains(&out.script_pubkey)),
            "somebody else is paid"
        );
        assert_eq!(
            transaction.output.iter().filter(|out| out.script_pubkey == payees[0].script_pubkey).count(),
            1
        );
        assert!(checked.signatures().is_none());
    }
}

/// What a custodian hands back: whatever is taken is what its key signed over our own transaction, and nothing of the rest.
pub(crate) fn custody(data: &[u8]) {
    let (ours, expect) = (booked(), withdrawal(&PAYEES));
    let checked = check_psbt(&ours, wallet(), &expect, &coin).expect("our own PSBT is good");
    match checked.answered(KeySlot::B, data) {
        Err(no) => assert!(!no.to_string().is_empty() && !no.code().cure().is_empty()),
        Ok(taken) => {
            assert_eq!((taken.slot(), taken.signatures().len()), (KeySlot::B, checked.inputs().len()));
            let again = checked.psbt_with(&taken).unwrap();
            let expect = Expectations { signed_by: Some(KeySlot::B), ..withdrawal(&PAYEES) };
            check_psbt(&again, wallet(), &expect, &coin).expect("what is taken is what the signer takes");
        }
    }
}

pub(crate) fn custody_seeds() -> Vec<Vec<u8>> {
    let secp = Secp256k1::new();
    let checked = check_psbt(&booked(), wallet(), &withdrawal(&PAYEES), &coin).unwrap();
    let sign = |input: &super::CheckedInput| {
        let script = &input.coin().script;
        let path = [script.branch().number(), script.index()].map(|index| ChildNumber::Normal { index });
        let key = account_xpriv(Network::Regtest, 2).derive_priv(&secp, &path).unwrap().private_key;
        let message = ::bitcoin::secp256k1::Message::from_digest(*input.digest());
        Ok::<_, super::SignatureError>(secp.sign_ecdsa(&message, &key))
    };
    let signed = checked.psbt_with(&checked.sign_with(KeySlot::B, sign).unwrap()).unwrap();
    let psbt = ::bitcoin::Psbt::deserialize(&signed).unwrap();
    let lines: Vec<String> = psbt
        .inputs
        .iter()
        .map(|input| HEXLOWER.encode(&input.partial_sigs.values().next().unwrap().to_vec()))
        .collect();
    vec![signed, BASE64.encode(&psbt.serialize()).into_bytes(), lines.join("\n").into_bytes()]
}

static PAYEES: std::sync::LazyLock<[Payee; 1]> = std::sync::LazyLock::new(|| [payee()]);

fn withdrawal(payees: &[Payee; 1]) -> Expectations<'_> {
    Expectations {
        txid: None,
        receiver: KeySlot::B,
        signed_by: None,
        payees,
        cold: None,
        change_index_max: 20,
        change_ready: None,
        caps: caps(),
        tip_height: 800_000,
    }
}

pub(crate) fn psbt_seeds() -> Vec<Vec<u8>> {
    let vectors = include_str!("../../tests/vectors/bitcoin/psbt.txt");
    let hex = vectors.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').nth(2));
    let mut all: Vec<Vec<u8>> = hex.filter_map(|hex| HEXLOWER.decode(hex.as_bytes()).ok()).collect();
    all.push(booked());
    all
}

/// A withdrawal of ours, as it is handed over.
fn booked() -> Vec<u8> {
    let change = OwnOutput {
        script: Arc::new(wallet().script(Branch::Change, 3).unwrap()),
        amount_sat: COIN - PAID - 5_000,
    };
    let outpoint = OutPoint { txid: Txid::from_byte_array([8; 32]), vout: 0 };
    let plan = UnsignedPlan {
        inputs: vec![coin(&outpoint).unwrap()],
        payees: vec![payee()],
        cold: None,
        change: Some(change),
        tip_height: 800_000,
    };
    let unsigned = Unsigned::build(plan, Chance { order: 1, lock_time: 1 }).unwrap();
    unsigned.psbt(KeySlot::B, wallet(), None).unwrap()
}

/// Raw transactions: what is read is what another library reads, byte for byte, and proves its own outputs and no others.
pub(crate) fn transaction(data: &[u8]) {
    match RawTransaction::read(data) {
        Err(no) => assert!(!no.to_string().is_empty()),
        Ok(read) => {
            let other: Transaction = consensus::deserialize(data).expect("another library reads it");
            assert_eq!(consensus::serialize(&other), data);
            assert_eq!((other.compute_txid(), other.is_coinbase()), (read.txid(), read.is_coinbase()));
            for (vout, out) in other.output.iter().enumerate().take(20) {
                let vout = u32::try_from(vout).unwrap();
                let proven = read.prove(vout, &out.script_pubkey).unwrap();
                assert_eq!(proven.amount_sat(), out.value.to_sat());
                assert_eq!(proven.outpoint(), OutPoint { txid: read.txid(), vout });
                assert!(read.prove(vout, ::bitcoin::Script::from_bytes(&[0x51; 35])).is_err());
            }
            assert!(
                read.prove(u32::try_from(other.output.len()).unwrap(), ::bitcoin::Script::new()).is_err()
            );
        }
    }
}

pub(crate) fn transaction_seeds() -> Vec<Vec<u8>> {
    let raw = "0200000001000000000000000000000000000000000000000000000000000000000000000000000000000000000001f049020000000000160014751e76e8199196d454941c45d1b3a323f1433bd600000000";
    let mut all = vec![HEXLOWER.decode(raw.as_bytes()).unwrap()];
    let vectors = psbt_seeds();
    all.extend(
        vectors
            .iter()
            .filter_map(|psbt| psbt_reader::read(psbt).ok())
            .map(|psbt| consensus::serialize(&psbt.unsigned_tx)),
    );
    let previous =
        vectors.iter().filter_map(|psbt| psbt_reader::read(psbt).ok()).flat_map(|psbt| psbt.inputs);
    all.extend(
        previous
            .filter_map(|input| input.non_witness_utxo)
            .map(|transaction| consensus::serialize(&transaction)),
    );
    all
}

/// BIP-0322's own vector: this address signed this message with this proof.
const SIGNER: &str = "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l";
const MESSAGE: &str = "Hello World";
const PROOF: &str = "AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=";

/// Signed messages: a proof as text and as the bytes behind it; none holds for another message or another address.
pub(crate) fn message(data: &[u8]) {
    let Some((pick, rest)) = data.split_first() else { return };
    let address = [
        SIGNER,
        "bc1ppv609nr0vr25u07u95waq5lucwfm6tde4nydujnu8npg4q75mr5sxq8lt3",
        "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3",
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    ][usize::from(*pick % 4)];
    let address = Destination::parse(address, Network::Mainnet).unwrap();
    if let Ok(text) = std::str::from_utf8(rest) {
        hold(&address, text);
        assert!(unsigned_message(&address, text).input[0].witness.is_empty());
    }
    hold(&address, &BASE64.encode(rest));
}

fn hold(address: &Destination, proof: &str) {
    if verify_message(address, MESSAGE, proof).is_ok() {
        assert_eq!((address.as_str(), proof), (SIGNER, PROOF), "a proof that nobody made");
        assert!(verify_message(address, "Hello World!", proof).is_err());
    }
}

pub(crate) fn message_seeds() -> Vec<Vec<u8>> {
    let raw = BASE64.decode(PROOF.as_bytes()).unwrap();
    let mut all: Vec<Vec<u8>> = (0..4u8).map(|pick| [vec![pick], raw.clone()].concat()).collect();
    all.push([b"\0".as_slice(), PROOF.as_bytes()].concat());
    all.push([b"\x01".as_slice(), &[1, 64], &[5; 64]].concat());
    let keys = [
        vec![0x52, 33, 2],
        vec![9; 32],
        vec![33, 2],
        vec![9; 32],
        vec![33, 3],
        vec![9; 32],
        vec![0x53, 0xae],
    ]
    .concat();
    let (signature, len) = (&raw[2..74], u8::try_from(keys.len()).unwrap());
    all.push([&[2, 4, 0, 72], signature, &[72], signature, &[len], &keys].concat());
    all
}
