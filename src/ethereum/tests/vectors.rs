//! The standards' own vectors, and what other implementations made.

use alloy_primitives::Bytes;
use alloy_sol_types::{SolStruct, eip712_domain, sol};
use data_encoding::HEXLOWER;

use super::super::execution::SignedTransaction;
use super::super::message::{accepts, message_hash};
use super::super::wallet::Make;
use super::*;

fn rows(file: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    file.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').collect())
}

fn unhex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.strip_prefix("0x").unwrap().as_bytes()).unwrap()
}

const KEY_46: &str = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F";

#[test]
fn transactions_of_eip_155_2930_and_1559_read_as_others_wrote_them() {
    let (mut seen, file) = ([0; 3], include_str!("../../../tests/vectors/ethereum/transactions.txt"));
    for row in rows(file) {
        let [kind, chain, nonce, to, value, gas, fee, tip, data, hash, bytes] = row[..] else { panic!() };
        seen[kind.parse::<usize>().unwrap()] += 1;
        let read = SignedTransaction::read(&unhex(bytes)).unwrap();
        assert_eq!(crate::withdrawal::evm_address::spell(read.sender), KEY_46);
        assert_eq!(read.signing_hash.to_string(), hash);
        assert_eq!(
            (read.chain.number().to_string().as_str(), read.nonce.to_string().as_str()),
            (chain, nonce)
        );
        assert_eq!(
            (
                crate::withdrawal::evm_address::spell(read.to.unwrap()).as_str(),
                read.value.to_string().as_str()
            ),
            (to, value)
        );
        let gas_terms = [
            read.gas.gas_limit.to_string(),
            read.gas.fee_per_gas_max.to_string(),
            read.gas.tip_per_gas_max.to_string(),
        ];
        assert_eq!(gas_terms, [gas, fee, tip]);
        assert_eq!(read.data, Bytes::from(unhex(data)));
        if kind == "2" && value == "0" {
            let plan = ExecutionPlan {
                chain: read.chain,
                nonce: read.nonce,
                to: read.to.unwrap(),
                data: unhex(data),
                gas: read.gas,
            };
            assert_eq!(Execution::build(plan).unwrap().hash().to_string(), hash);
        }
    }
    assert_eq!(seen, [9, 9, 9]);
}

/// EIP-155's own example without its chain id, signed by the same key: ethers and viem write it so. It could be sent again on any chain.
const WITHOUT_CHAIN: &str = "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a7640000801ba08383adc8b8ae116f918fb44ca7ff9dfd8012596a5c130c6246a2cc717ba41cdaa053ddfacf5bd4aa7e46d1575acf52636ea659b91f29e2fb91c75567a279738f38";

#[test]
fn a_transaction_from_before_eip_155_is_bound_to_no_chain_and_refused() {
    let no = SignedTransaction::read(&unhex(WITHOUT_CHAIN)).unwrap_err();
    assert!(no.problem.contains("bound to no chain"), "{}", no.problem);
}

#[test]
fn safe_transactions_hash_as_ethers_and_viem_hash_them() {
    let file = include_str!("../../../tests/vectors/ethereum/safe-transactions.txt");
    let mut count = 0;
    for row in rows(file) {
        let [chain, safe, to, value, data, operation, gas, nonce, hash] = row[..] else { panic!() };
        let make = Make { release: &pins::V1_5_0, singleton: Singleton::Telling };
        let chain = ChainId::new(chain.parse().unwrap()).unwrap();
        let wallet = SafeWallet::adopt(chain, make, owners(), safe.parse().unwrap());
        let call = SafeCall {
            to: to.parse().unwrap(),
            value: value.parse().unwrap(),
            data: unhex(data).into(),
            operation: Operation::from_number(operation.parse().unwrap()).unwrap(),
            safe_tx_gas: gas.parse().unwrap(),
            nonce: match nonce.parse() {
                Ok(nonce) => nonce,
                Err(_) => continue,
            },
        };
        assert_eq!(call.hash(&wallet).unwrap().to_string(), hash);
        count += 1;
    }
    assert!(count >= 25, "{count}");
}

#[test]
fn messages_are_hashed_and_proved_as_wallets_do_it_and_for_nothing_else() {
    let file = include_str!("../../../tests/vectors/ethereum/messages.txt");
    let signer = KEY_46.parse().unwrap();
    for row in rows(file) {
        let [hash, proof, text] = row[..] else { panic!() };
        let text = if text == "-" { vec![] } else { HEXLOWER.decode(text.as_bytes()).unwrap() };
        let text = String::from_utf8(text).unwrap();
        assert_eq!(message_hash(&text).to_string(), hash);
        assert_eq!(verify_message(signer, &text, proof), Ok(()));
        assert_eq!(verify_message(signer, &format!("{text} "), proof), Err(MessageError::Refused));
        assert_eq!(verify_message(owner(KeyRole::Signer), &text, proof), Err(MessageError::Refused));
        assert_eq!(verify_message(signer, &text, &proof.to_ascii_uppercase()), Err(MessageError::Unreadable));
        assert_eq!(verify_message(signer, &text, &proof[..130]), Err(MessageError::Unreadable));
        let zero_based = format!("{}0{}", &proof[..130], u8::from(proof.ends_with('c')));
        assert_eq!(verify_message(signer, &text, &zero_based), Err(MessageError::Refused));
    }
}

#[test]
fn a_signature_with_a_high_s_proves_nothing() {
    let mut row = rows(include_str!("../../../tests/vectors/ethereum/messages.txt"));
    let row = row.next().unwrap();
    let bytes = unhex(row[1]);
    let order = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".parse::<U256>().unwrap();
    let s = order - U256::from_be_slice(&bytes[32..64]);
    let twin = [&bytes[..32], &s.to_be_bytes::<32>(), &[55 - bytes[64]]].concat();
    let proof = format!("0x{}", HEXLOWER.encode(&twin));
    assert_eq!(verify_message(KEY_46.parse().unwrap(), "Hello World", &proof), Err(MessageError::Refused));
}

#[test]
fn a_contract_wallet_is_asked_by_eip_1271_and_only_one_word_is_a_yes() {
    let call = ownership_call("a message", "0x1234").unwrap();
    assert_eq!(call[..4], [0x16, 0x26, 0xba, 0x7e]);
    assert_eq!(call[4..36], message_hash("a message")[..]);
    assert_eq!(ownership_call("a message", "1234"), Err(MessageError::Unreadable));
    let mut yes = vec![0x16, 0x26, 0xba, 0x7e];
    assert!(!accepts(&yes));
    yes.resize(32, 0);
    assert!(accepts(&yes) && !accepts(&[]) && !accepts(&[yes.clone(), vec![0; 32]].concat()));
    yes[31] = 1;
    assert!(!accepts(&yes));
}

sol! {
    struct Person { string name; address wallet; }
    struct Mail { Person from; Person to; string contents; }
}

/// The values are those of EIP-712's `Example.js` (https://eips.ethereum.org/assets/eip-712/Example.js); ethers and viem agree.
#[test]
fn the_typed_data_of_eip_712_hashes_as_it_says() {
    let domain = eip712_domain! {
        name: "Ether Mail", version: "1", chain_id: 1,
        verifying_contract: "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC".parse().unwrap(),
    };
    let person = |name: &str, wallet: &str| Person { name: name.to_owned(), wallet: wallet.parse().unwrap() };
    let mail = Mail {
        from: person("Cow", "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"),
        to: person("Bob", "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"),
        contents: "Hello, Bob!".to_owned(),
    };
    let type_hash = "0xa0cedeb2dc280ba39b857546d74f5549c3a1d7bdc2dd96bf881f76108e23dac2";
    assert_eq!(mail.eip712_type_hash().to_string(), type_hash);
    let struct_hash = "0xc52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e";
    assert_eq!(mail.eip712_hash_struct().to_string(), struct_hash);
    let separator = "0xf2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f";
    assert_eq!(domain.hash_struct().to_string(), separator);
    let hash = "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2";
    assert_eq!(mail.eip712_signing_hash(&domain).to_string(), hash);
    let signed = "0x4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b915621c";
    let found = signature::recover(&hash.parse().unwrap(), &unhex(signed).try_into().unwrap());
    assert_eq!(found, Some(mail.from.wallet), "the cow signed it");
}
