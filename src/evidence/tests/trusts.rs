use crate::evidence::fixture::*;
use crate::evidence::trust_file::{
    self, EmptiedEntry, EmptyingEntry, ExecutorEntry, SafeEntry, TokenEntry, TrustContent, VaspEntry,
    WalletEntry,
};
use crate::evidence::*;
use crate::withdrawal::*;

fn sign(seed: u8, namespace: &str, text: &str) -> String {
    sign_ssh(&ssh_private(seed), namespace, text).unwrap()
}

/// Opens a text that these people of the quorum signed.
fn open_signed(text: &str, seeds: &[u8], version_min: u64) -> Result<Trust, NotProven> {
    let signatures: Vec<_> = seeds.iter().map(|seed| sign(*seed, NAMESPACE_TRUST, text)).collect();
    let signatures: Vec<_> = signatures.iter().map(String::as_str).collect();
    Trust::open(text, &signatures, &quorum(), version_min)
}

fn text() -> String {
    trust_file::render(&content()).unwrap()
}

#[test]
fn a_file_signed_by_the_quorum_says_whom_to_believe() {
    let trust = open_signed(&text(), &[22, 23], 7).unwrap();
    assert_eq!(trust.content(), &content());
    assert_eq!((trust.version(), trust.text(), trust.digest()), (7, text().as_str(), &digest(&text())));
    assert_eq!(trust.signers().collect::<Vec<_>>(), ["bob", "carol"]);
    assert_eq!((trust.vasp_id(), trust.vasp_name()), (VaspId(1111), "Hanbit Exchange"));
    assert_eq!(trust.chains().collect::<Vec<_>>(), [Network::Mainnet, Network::Testnet4].map(Chain::Bitcoin));
    assert_eq!(trust.hot_descriptor(Network::Mainnet), Some("wsh(hot)#aaaaaaaa"));
    assert_eq!(trust.cold_descriptor(Network::Testnet4), None);
    assert_eq!(trust.hot_descriptor(Network::Signet), None);
    assert_eq!(trust.attestation_key(), &key(ATTESTATION).verifying_key());
    assert_eq!(trust.guards()["limit_day_sat"], "5000000000");
    assert_eq!(trust.vasps().count(), 2);
    assert_eq!(trust.operators().len(), 3);
    assert_eq!(trust.operator(ssh_key(11).public_key().key_data()).unwrap().name, "kim");
    assert!(
        trust.signer_log_key().starts_with("signer.") && trust.cosigner_log_key().starts_with("cosigner.")
    );
}

#[test]
fn too_few_people_or_one_person_twice_open_nothing() {
    for seeds in [&[][..], &[21], &[21, 21], &[21, 24], &[21, STRANGER], &[11, 13]] {
        let no = open_signed(&text(), seeds, 0).unwrap_err();
        assert_eq!(no.code(), Code::TrustFileInvalid, "{seeds:?}");
    }
    assert!(open_signed(&text(), &[21, 24, 22], 0).is_ok());
}

#[test]
fn a_signature_over_other_bytes_or_for_another_use_opens_nothing() {
    let text = text();
    let good = sign(21, NAMESPACE_TRUST, &text);
    let cases = [
        (sign(22, NAMESPACE_TRUST, &format!("{text}\n")), Code::TrustFileInvalid),
        (sign(22, NAMESPACE_APPROVAL, &text), Code::TrustFileInvalid),
        (good[..good.len() - 40].to_owned(), Code::SignatureMalformed),
    ];
    for (bad, code) in cases {
        let no = Trust::open(&text, &[&good, &bad], &quorum(), 0).unwrap_err();
        assert_eq!(no.code(), code);
    }
}

#[test]
fn a_version_never_goes_back_and_never_means_two_files() {
    assert!(open_signed(&text(), &[21, 22], 7).is_ok());
    assert_eq!(open_signed(&text(), &[21, 22], 8).unwrap_err().code(), Code::TrustFileInvalid);
    let trust = trust();
    assert_eq!(trust.check_follows(7, &digest(&text())), Ok(()));
    assert_eq!(trust.check_follows(6, &[0; 32]), Ok(()));
    assert_eq!(trust.check_follows(7, &[0; 32]).unwrap_err().code, Code::TrustFileInvalid);
    assert_eq!(trust.check_follows(8, &digest(&text())).unwrap_err().code, Code::TrustFileInvalid);
}

#[test]
fn nothing_is_read_before_the_quorum_holds() {
    assert_eq!(open_signed("no toml at all", &[21], 0).unwrap_err().code(), Code::TrustFileInvalid);
    assert_eq!(open_signed("no toml at all", &[21, 22], 0).unwrap_err().code(), Code::FieldMalformed);
}

#[test]
fn an_unknown_missing_or_doubled_field_is_refused_with_its_line() {
    let open = |text: &str| {
        let NotProven::Unreadable(no) = open_signed(text, &[21, 22], 0).expect_err(text) else {
            panic!("{text}")
        };
        (no.code, no.problem)
    };
    let (code, problem) = open(&text().replacen("version = 7", "version = 7\nforce = true", 1));
    assert_eq!(code, Code::FieldUnknown);
    assert!(problem.contains("line 2") && problem.contains("force"), "{problem}");
    assert_eq!(open(&text().replacen("active = true", "active = true\nvip = true", 1)).0, Code::FieldUnknown);
    assert_eq!(open(&text().replacen("active = true\n", "", 1)).0, Code::FieldMissing);
    assert_eq!(open(&text().replacen("version = 7", "version = 7\nversion = 8", 1)).0, Code::FieldDuplicate);
    assert_eq!(open(&text().replacen("version = 7", "version = -7", 1)).0, Code::FieldMalformed);
    assert_eq!(open(&text().replacen("active = true", "active = \"true\"", 1)).0, Code::FieldMalformed);
}

#[test]
fn a_content_in_which_one_could_speak_for_another_is_refused() {
    type Change = fn(&mut TrustContent);
    let cases: [(&str, Code, Change); 18] = [
        ("request_keys.key", Code::FieldDuplicate, |c| c.request_keys[2].key = c.request_keys[0].key.clone()),
        ("statement_keys.key", Code::FieldDuplicate, |c| c.statement_keys[0].key = public(EXCHANGE)),
        ("vasps.identity_key", Code::FieldDuplicate, |c| c.vasps[0].identity_key = Some(public(ATTESTATION))),
        ("request_keys.id", Code::FieldDuplicate, |c| c.request_keys[1].id = "2026-a".into()),
        ("request_keys.key", Code::FieldMalformed, |c| c.request_keys[0].key = "00".repeat(32)),
        ("request_keys.key", Code::FieldMalformed, |c| c.request_keys[0].key = public(1).to_uppercase()),
        ("operators.name", Code::FieldDuplicate, |c| c.operators[1].name = "kim".into()),
        ("operators.name", Code::FieldMalformed, |c| c.operators[1].name = "lee\n".into()),
        ("operators.keys", Code::FieldDuplicate, |c| c.operators[1].keys = vec![ssh_public(11)]),
        ("operators.keys", Code::FieldMalformed, |c| c.operators[1].keys = vec!["ssh-ed25519 AAAA".into()]),
        ("vasps.id", Code::FieldDuplicate, |c| c.vasps[1].id = c.vasps[0].id.clone()),
        ("vasps.id", Code::FieldMalformed, |c| c.vasps[1].id = "1111".into()),
        ("vasps.name", Code::FieldMalformed, |c| c.vasps[0].name = "Robot\u{202e}".into()),
        ("vasps.name", Code::FieldMalformed, |c| c.vasps[0].name = "Robot\nwallet: 00".into()),
        ("kind", Code::FieldMalformed, |c| c.statement_keys[0].kinds.push("weather".into())),
        ("wallets.network", Code::FieldDuplicate, |c| c.wallets[1].network = "mainnet".into()),
        ("wallets.network", Code::FieldMalformed, |c| c.wallets[1].network = "moon".into()),
        ("wallets.cold", Code::FieldMalformed, |c| c.wallets[0].cold = Some(String::new())),
    ];
    for (field, code, change) in cases {
        let mut content = content();
        change(&mut content);
        let NotProven::Unreadable(no) = open(&content).expect_err(field) else { panic!("{field}") };
        assert_eq!((no.field, no.code), (field, code));
    }
}

#[test]
fn a_key_of_a_kind_that_may_not_sign_here_is_refused() {
    let p384 = "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBC4Iu7BkM0rbjB/1BbAPe35jZXTuV28MFfNQt1y9UVDPz1VQX2p6D2xtOlLBTbAcTfXMOZNUNIxUfYAVhzmvMFkY4ooUNBRcZSJqQHhgEKrXnWeZJAjaMLOD/FrDWEC2Cw==";
    let rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7";
    for key in [p384, rsa, "", "ssh-ed25519"] {
        let mut content = content();
        content.operators[0].keys = vec![key.to_owned()];
        assert!(open(&content).is_err(), "{key}");
    }
}

#[test]
fn guard_values_may_stand_unquoted_but_not_as_fractions() {
    let with = |value: &str| {
        let text = text().replacen("\"5000000000\"", value, 1);
        open_signed(&text, &[21, 22], 0)
            .map(|trust| trust.guards()["limit_day_sat"].clone())
            .map_err(|no| no.code())
    };
    assert_eq!(with("5000000000"), Ok("5000000000".to_owned()));
    assert_eq!(with("true"), Ok("true".to_owned()));
    assert_eq!(with("0.5"), Err(Code::FieldMalformed));
    assert_eq!(with("[1]"), Err(Code::FieldMalformed));
}

#[test]
fn a_quorum_needs_as_many_people_as_it_counts() {
    let person = |name: &str, seed| (name.to_owned(), ssh_public(seed));
    assert!(Quorum::new(0, &[person("a", 1)]).is_err());
    assert!(Quorum::new(2, &[person("a", 1), person("a", 2)]).is_err());
    assert!(Quorum::new(1, &[person("a", 1), person("b", 1)]).is_err());
    assert!(Quorum::new(1, &[("a".to_owned(), "no key".to_owned())]).is_err());
    assert!(Quorum::new(2, &[person("a", 1), person("b", 2)]).is_ok());
}

#[test]
fn a_file_above_the_limit_names_the_limit() {
    let mut content = content();
    content.vasps.push(VaspEntry { name: "x".repeat(1_000_000), ..content.vasps[0].clone() });
    let no = open(&content).unwrap_err();
    assert_eq!(no.code(), Code::MessageTooLarge);
    assert!(no.to_string().contains("1000000"));
}

fn account(n: u8) -> String {
    crate::withdrawal::evm_address::spell(crate::ethereum::Address::repeat_byte(n))
}

/// A trust file with an EVM chain whose executor this makes of a good one.
fn with_executor(change: impl FnOnce(&mut ExecutorEntry)) -> Result<(), (Code, &'static str)> {
    let mut executor = ExecutorEntry {
        address: account(0xee),
        level_wei: "1".into(),
        refuel_wei_max: "1000".into(),
        day_wei_max: "1000".into(),
    };
    change(&mut executor);
    with_wallet(|entry| entry.executor = Some(executor))
}

/// A trust file with an EVM chain whose emptying this makes of a good one.
fn with_emptying(change: impl FnOnce(&mut EmptyingEntry)) -> Result<(), (Code, &'static str)> {
    let of = |asset: &str| EmptiedEntry { asset: asset.into(), level: "1000".into(), least: "10".into() };
    let mut emptying = EmptyingEntry {
        addresses: 3,
        day_fee_wei_max: "1000".into(),
        assets: vec![of("eip155:1/slip44:60"), of(&format!("eip155:1/erc20:{}", account(0x70)))],
    };
    change(&mut emptying);
    with_wallet(|entry| {
        entry.safe.as_mut().unwrap().treasury = Some(account(2));
        entry.tokens = vec![TokenEntry {
            contract: account(0x70),
            symbol: "USDT".into(),
            decimals: 6,
            gas: None,
            reviewed_to: None,
        }];
        entry.emptying = Some(emptying);
    })
}

/// A trust file with an EVM chain, read back and opened.
fn with_wallet(change: impl FnOnce(&mut WalletEntry)) -> Result<(), (Code, &'static str)> {
    let mut content = content();
    let mut entry = WalletEntry {
        network: "eip155:1".into(),
        hot: account(1),
        cold: None,
        safe: Some(SafeEntry {
            release: "1.4.1".into(),
            singleton: "l2".into(),
            signer: account(0xa),
            cosigner: account(0xb),
            vault: account(0xc),
            also_hot: Vec::new(),
            treasury: None,
        }),
        executor: None,
        emptying: None,
        tokens: Vec::new(),
    };
    change(&mut entry);
    content.wallets.push(entry);
    let text = trust_file::render(&content).unwrap();
    let read: TrustContent = trust_file::parse(&text).unwrap();
    assert_eq!(read, content);
    match open(&content) {
        Ok(_) => Ok(()),
        Err(NotProven::Unreadable(no)) => Err((no.code, no.field)),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_account_that_pays_gas_has_caps_and_is_nobody_else() {
    use Code::*;
    assert_eq!(with_executor(|_| {}), Ok(()));
    let no = |change: fn(&mut ExecutorEntry)| with_executor(change).unwrap_err();
    assert_eq!(no(|e| e.day_wei_max = "999".into()), (FieldMalformed, "wallets.executor.day_wei_max"));
    assert_eq!(no(|e| e.level_wei = "0".into()), (AmountZero, "wallets.executor.level_wei"));
    assert_eq!(no(|e| e.refuel_wei_max = "0.5".into()), (FieldMalformed, "wallets.executor.refuel_wei_max"));
    assert_eq!(no(|e| e.address = e.address.to_lowercase()), (FieldMalformed, "wallets.executor.address"));
    for taken in [0x01, 0x0a, 0x0c] {
        let taken = account(taken);
        let no = with_executor(|e| e.address = taken).unwrap_err();
        assert_eq!(no, (FieldDuplicate, "wallets.executor.address"));
    }
}

#[test]
fn further_hot_safes_are_safes_of_their_own_each_once_and_not_without_end() {
    use Code::*;
    let with = |also_hot: Vec<String>| {
        with_wallet(|entry| {
            let safe = entry.safe.as_mut().unwrap();
            (safe.treasury, safe.also_hot) = (Some(account(2)), also_hot);
        })
    };
    assert_eq!(with(vec![account(0x20), account(0x21)]), Ok(()));
    assert_eq!(with((0..15).map(|n| account(0x20 + n)).collect()), Ok(()));
    let field = "wallets.safe.also_hot";
    assert_eq!(with((0..16).map(|n| account(0x20 + n)).collect()), Err((FieldTooLong, field)));
    for taken in [1, 2, 0x0a, 0x20] {
        assert_eq!(with(vec![account(0x20), account(taken)]), Err((FieldDuplicate, field)), "{taken}");
    }
    assert_eq!(with(vec![account(0x2a).to_lowercase()]), Err((FieldMalformed, field)));
    assert_eq!(with(vec![format!("0x{:040}", 0)]), Err((FieldMalformed, field)));
}

#[test]
fn the_gas_of_a_token_is_what_a_transfer_may_take() {
    let with = |gas: Option<u64>| {
        with_wallet(|entry| {
            entry.tokens = vec![TokenEntry {
                contract: account(0x70),
                symbol: "USDT".into(),
                decimals: 6,
                gas,
                reviewed_to: None,
            }];
        })
    };
    for good in [None, Some(50_000), Some(2_000_000)] {
        assert_eq!(with(good), Ok(()));
    }
    for bad in [0, 49_999, 2_000_001, u64::MAX] {
        assert_eq!(with(Some(bad)), Err((Code::FieldMalformed, "wallets.tokens.gas")), "{bad}");
    }
}

#[test]
fn what_is_emptied_is_ether_or_a_pinned_token_of_a_treasury_each_once_with_levels_that_make_sense() {
    use Code::*;
    assert_eq!(with_emptying(|_| {}), Ok(()));
    let no = |change: fn(&mut EmptyingEntry)| with_emptying(change).unwrap_err();
    let assets = (FieldMalformed, "wallets.emptying.assets");
    assert_eq!(no(|e| e.addresses = 0), (FieldMalformed, "wallets.emptying"));
    assert_eq!(no(|e| e.assets.clear()), (FieldMalformed, "wallets.emptying"));
    assert_eq!(no(|e| e.day_fee_wei_max = "0".into()), (AmountZero, "wallets.emptying.day_fee_wei_max"));
    assert_eq!(no(|e| e.assets[0].asset = "eip155:5/slip44:60".into()), assets);
    assert_eq!(no(|e| e.assets[1].asset = format!("eip155:1/erc20:{}", account(0x71))), assets);
    assert_eq!(no(|e| e.assets[1].asset = e.assets[0].asset.clone()), (FieldDuplicate, assets.1));
    assert_eq!(no(|e| e.assets[1].least = "1001".into()), assets);
    assert_eq!(no(|e| e.assets[0].level = "0".into()), (AmountZero, assets.1));
    let mut pinned = None;
    with_emptying(|e| pinned = Some(e.clone())).unwrap();
    let without = with_wallet(|entry| entry.emptying = pinned).unwrap_err();
    assert_eq!(without, (FieldMalformed, "wallets.emptying"), "no treasury is pinned");
}

#[test]
fn a_height_that_people_have_looked_up_to_stands_at_its_token_and_a_file_without_one_reads_as_before() {
    let token = |reviewed_to| TokenEntry {
        contract: account(0x70),
        symbol: "USDT".into(),
        decimals: 6,
        gas: None,
        reviewed_to,
    };
    let text = |reviewed_to| {
        let mut content = content();
        content.wallets[0].tokens = vec![token(reviewed_to)];
        trust_file::render(&content).unwrap()
    };
    assert!(!text(None).contains("reviewed_to"));
    assert_eq!(text(Some(7)).replace("reviewed_to = 7\n", ""), text(None));
    for reviewed_to in [None, Some(0), Some(23_000_000)] {
        assert_eq!(with_wallet(|entry| entry.tokens = vec![token(reviewed_to)]), Ok(()));
    }
    let negative = text(Some(7)).replace("reviewed_to = 7", "reviewed_to = -7");
    assert!(trust_file::parse(&negative).is_err());
}
