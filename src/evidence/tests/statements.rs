use alloy_primitives::{Address, U256};

use crate::evidence::fixture::*;
use crate::evidence::statement::*;
use crate::evidence::*;
use crate::withdrawal::*;

fn door(signed: &Signed, now: Seconds, last: Option<u64>) -> Result<VerifiedStatement, Code> {
    verify_statement(&signed.text, &signed.signature, &trust(), now, Some(AGE), |_, _| last)
        .map_err(|no| no.code())
}

/// Knocks where the statement before it was heard.
fn next(signed: &Signed, now: Seconds) -> Result<VerifiedStatement, Code> {
    door(signed, now, parse_statement(&signed.text).ok().map(|statement| statement.after))
}

fn sign(statement: &Statement, seed: u8) -> Signed {
    sign_statement(statement, ed25519(&key(seed))).unwrap()
}

fn invalid(text: &str) -> (Code, &'static str) {
    let no = parse_statement(text).expect_err(text);
    (no.code, no.field)
}

#[test]
fn every_kind_is_verified_and_says_what_was_stated() {
    for statement in statements() {
        let signed = sign(&statement, OBSERVER);
        let verified = next(&signed, NOW).unwrap();
        assert_eq!(verified.statement(), &statement);
        assert_eq!(verified.digest(), &digest(&signed.text));
        assert_eq!((verified.text(), verified.signature()), (signed.text.as_str(), &signed.signature));
    }
}

#[test]
fn an_older_or_equal_number_is_out_of_order_and_a_missing_one_a_gap() {
    let signed = sign(&statements()[2], OBSERVER);
    let number = statements()[2].number;
    assert!(door(&signed, NOW, Some(number - 1)).is_ok());
    assert_eq!(door(&signed, NOW, Some(number)).unwrap_err(), Code::StatementOutOfOrder);
    assert_eq!(door(&signed, NOW, Some(number + 1)).unwrap_err(), Code::StatementOutOfOrder);
    let after = Statement { after: number - 2, ..statements()[2].clone() };
    let code = |last| door(&sign(&after, OBSERVER), NOW, last).map(|_| ()).err();
    assert_eq!(code(Some(number - 1)), None);
    assert_eq!(code(Some(number - 2)), None);
    assert_eq!(code(Some(number - 3)), Some(Code::StatementGap));
    assert_eq!(code(None), Some(Code::StatementGap));
    assert_eq!(code(Some(number)), Some(Code::StatementOutOfOrder));
    let asked = std::cell::RefCell::new(Vec::new());
    let last = |observer: &str, kind| {
        asked.borrow_mut().push((observer.to_owned(), kind));
        Some(number - 1)
    };
    verify_statement(&signed.text, &signed.signature, &trust(), NOW, Some(AGE), last).unwrap();
    assert_eq!(asked.into_inner(), [("watcher-1".to_owned(), StatementKind::Price)]);
}

#[test]
fn a_statement_too_old_or_of_the_future_is_out_of_range() {
    let signed = sign(&statements()[0], OBSERVER);
    let at = statements()[0].at.0;
    let code = |now| next(&signed, Seconds(now)).map(|_| ()).err();
    assert_eq!(code(at + AGE), None);
    assert_eq!(code(at + AGE + 1), Some(Code::StatementTimeOutOfRange));
    assert_eq!(code(at - SKEW_S_MAX), None);
    assert_eq!(code(at - SKEW_S_MAX - 1), Some(Code::StatementTimeOutOfRange));
    assert!(VerifiedStatement::reverify(&signed.text, &signed.signature, &trust()).is_ok());
}

#[test]
fn an_observer_speaks_only_with_its_own_key_and_of_its_own_kinds() {
    let price = |observer: &str| Statement { observer: observer.into(), ..statements()[2].clone() };
    assert!(next(&sign(&price("prices"), 8), NOW).is_ok());
    let position = Statement { observer: "prices".into(), ..statements()[1].clone() };
    for signed in [
        sign(&position, 8),
        sign(&price("watcher-1"), 8),
        sign(&price("prices"), OBSERVER),
        sign(&price("nobody"), OBSERVER),
        sign(&price("watcher-1"), EXCHANGE),
    ] {
        assert_eq!(next(&signed, NOW).unwrap_err(), Code::StatementSignatureInvalid, "{}", signed.text);
    }
}

#[test]
fn a_body_has_one_spelling() {
    let head =
        |kind| format!("countersign statement v1\nobserver: w\nkind: {kind}\nnumber: 1\nafter: 0\nat: 1\n");
    let id = "00".repeat(31) + "01";
    let btc = ASSET.to_string();
    let cases = [
        ("coins", format!("coin: {id}:0 1\ntransaction: 00\n"), Code::FieldUnknown, "transaction"),
        ("coins", format!("transaction: 0\ncoin: {id}:0 1\n"), Code::FieldMalformed, "transaction"),
        ("coins", format!("transaction: AA\ncoin: {id}:0 1\n"), Code::FieldMalformed, "transaction"),
        (
            "coins",
            format!("transaction: 00\ntransaction: 00\ncoin: {id}:0 1\n"),
            Code::FieldDuplicate,
            "transaction",
        ),
        ("coins", format!("coin: {id}:0 1\ncoin: {id}:0 2\n"), Code::FieldDuplicate, "coin"),
        ("coins", format!("coin: {id}:00 1\n"), Code::FieldMalformed, "coin"),
        ("coins", format!("coin: {id}:0  1\n"), Code::FieldMalformed, "coin"),
        ("coins", format!("coin: {id}:4294967296 1\n"), Code::FieldMalformed, "coin"),
        ("coins", format!("coin: {}:0 1\n", &id[1..]), Code::FieldMalformed, "coin"),
        ("coins", format!("coin: {id} 1\n"), Code::FieldMalformed, "coin"),
        ("coins", format!("coin: {id}:0 1\ncold: {btc} 1\n"), Code::FieldUnknown, "cold"),
        ("position", String::new(), Code::FieldMissing, "cold"),
        ("position", format!("cold: {btc} 1\ncold: {btc} 2\n"), Code::FieldDuplicate, "cold"),
        ("position", format!("cold: {btc} 01\n"), Code::FieldMalformed, "cold"),
        ("position", format!("cold: {btc} -1\n"), Code::AmountNegative, "cold"),
        ("position", format!("cold: {btc} 2100000000000001\n"), Code::AmountAboveSupply, "cold"),
        ("position", "cold: btc 1\n".into(), Code::AssetUnknown, "cold"),
        ("price", format!("price: {btc} 0\n"), Code::AmountZero, "price"),
        ("price", format!("price: {btc} 1.5\n"), Code::FieldMalformed, "price"),
        ("price", format!("price: {btc}\n"), Code::FieldMalformed, "price"),
        ("chain", "tip: mainnet 1\n".into(), Code::FieldMissing, "fee_rate"),
        ("chain", "fee_rate: mainnet 1\n".into(), Code::FieldMissing, "tip"),
        ("chain", "tip: mainnet 1\nfee_rate: signet 1\n".into(), Code::FieldMalformed, "fee_rate"),
        (
            "chain",
            "tip: mainnet 1\ntip: signet 1\nfee_rate: mainnet 1\n".into(),
            Code::FieldMalformed,
            "fee_rate",
        ),
        (
            "chain",
            "tip: signet 1\ntip: signet 1\nfee_rate: signet 1\nfee_rate: signet 1\n".into(),
            Code::FieldDuplicate,
            "tip",
        ),
        ("chain", "tip: moon 1\nfee_rate: moon 1\n".into(), Code::FieldMalformed, "tip"),
        ("chain", "tip: eip155:01 1\nfee_rate: eip155:01 1\n".into(), Code::FieldMalformed, "tip"),
        ("chain", "tip: eip155:1 1\nfee_rate: eip155:10 1\n".into(), Code::FieldMalformed, "fee_rate"),
        ("weather", String::new(), Code::FieldMalformed, "kind"),
    ];
    for (kind, body, code, field) in cases {
        assert_eq!(invalid(&format!("{}{body}", head(kind))), (code, field), "{kind}: {body}");
    }
}

/// The text of a safe statement with one line put in another's place.
fn with_line(from: &str, to: &str) -> String {
    let good = render_statement(&statements()[4]);
    let at = format!("\n{from}");
    assert_eq!(good.matches(&at).count(), 1, "{from}");
    let (before, after) = good.split_once(&at).unwrap();
    let (_, rest) = after.split_once('\n').unwrap();
    format!("{before}\n{to}{}{rest}", if to.is_empty() { "" } else { "\n" })
}

#[test]
fn every_fact_of_a_safe_has_one_spelling() {
    use Code::*;
    let safe = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045";
    let (zero, hash) = (Address::ZERO, "ab".repeat(32));
    let done = |n: u64, height| format!("executed: {n} {n:064x} paid {hash} {height}");
    let cases = [
        ("network", "network: mainnet".to_owned(), FieldMalformed, "network"),
        ("network", "network: eip155:01".into(), FieldMalformed, "network"),
        ("safe: ", format!("safe: {}", safe.to_lowercase()), FieldMalformed, "safe"),
        ("safe: ", format!("safe: {zero}"), FieldMalformed, "safe"),
        ("block", format!("block: 1 0x{hash}"), FieldMalformed, "block"),
        ("block", format!("block: 01 {hash}"), FieldMalformed, "block"),
        ("proxy_code", format!("proxy_code: {}", hash.to_uppercase()), FieldMalformed, "proxy_code"),
        ("singleton", format!("singleton: {safe}"), FieldMalformed, "singleton"),
        ("version", format!("version: {}", "1".repeat(65)), FieldTooLong, "version"),
        ("version", "version: 1 4 1".into(), FieldMalformed, "version"),
        ("threshold", "threshold: 02".into(), FieldMalformed, "threshold"),
        ("threshold", "threshold: 0x2".into(), FieldMalformed, "threshold"),
        ("threshold", format!("threshold: {}0", U256::MAX), FieldMalformed, "threshold"),
        ("guard", "guard: 0x0".into(), FieldMalformed, "guard"),
        ("guard", String::new(), FieldMissing, "guard"),
        ("nonce", "nonce: 1_0".into(), FieldMalformed, "nonce"),
        ("decimals", "decimals: eip155:1/slip44:60 18".into(), FieldMalformed, "decimals"),
        ("decimals", format!("decimals: eip155:10/erc20:{safe} 18"), FieldMalformed, "decimals"),
        ("decimals", format!("decimals: eip155:1/erc20:{safe} 256"), FieldMalformed, "decimals"),
        ("balance: eip155:1/slip44:60", "balance: eip155:10/slip44:60 1".into(), FieldMalformed, "balance"),
        ("balance: eip155:1/slip44:60", format!("balance: {ASSET} 1"), FieldMalformed, "balance"),
        ("balance: eip155:1/slip44:60", "balance: eip155:1/slip44:60 00".into(), FieldMalformed, "balance"),
        (
            "balance: eip155:1/slip44:60",
            format!("balance: eip155:1/slip44:60 {}0", u128::MAX),
            AmountAboveSupply,
            "balance",
        ),
        ("executed: 8", format!("executed: 8 {hash} lost {hash} 23000008"), FieldMalformed, "executed"),
        ("executed: 8", format!("executed: 8 {hash} paid {hash}"), FieldMalformed, "executed"),
        (
            "executed: 8",
            format!("executed: 8 {} paid {hash} 23000008", "07".repeat(32)),
            FieldDuplicate,
            "executed",
        ),
        ("executor", format!("executor: {safe}"), FieldMalformed, "executor"),
        ("executor", format!("executor: {} 1", safe.to_lowercase()), FieldMalformed, "executor"),
        ("executor", format!("executor: {safe} 01"), FieldMalformed, "executor"),
        ("executor", format!("executor: {safe} {}0", u128::MAX), AmountAboveSupply, "executor"),
        // a gap, a nonce again, one that is still to come, one before its time, and one after the block
        ("executed: 7", done(6, 23_000_007), FieldMalformed, "executed"),
        ("executed: 7", done(8, 23_000_007), FieldMalformed, "executed"),
        ("nonce", "nonce: 8".into(), FieldMalformed, "executed"),
        ("executed: 8", done(8, 23_000_006), FieldMalformed, "executed"),
        ("executed: 8", done(8, 23_000_101), FieldMalformed, "executed"),
    ];
    for (line, to, code, field) in cases {
        assert_eq!(invalid(&with_line(line, &to)), (code, field), "{to}");
    }
    let twice = |line: &str| format!("{line}\n{line}");
    let balance = "balance: eip155:1/slip44:60 1";
    assert_eq!(
        invalid(&with_line("balance: eip155:1/slip44:60", &twice(balance))),
        (FieldDuplicate, "balance")
    );
    let executor = "executor: 0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045 1";
    assert_eq!(invalid(&with_line("executor", &twice(executor))), (StatementMalformed, "executor"));
    let token = "decimals: eip155:1/erc20:0xdAC17F958D2ee523a2206206994597C13D831ec7 6";
    assert_eq!(invalid(&with_line("decimals", &twice(token))), (FieldDuplicate, "decimals"));
}

#[test]
fn a_safe_nobody_would_trust_can_be_stated_and_silence_about_a_token_too() {
    let fact = SafeFact {
        threshold: U256::MAX,
        nonce: U256::MAX,
        modules: vec![Address::repeat_byte(7); 200],
        guard: Address::repeat_byte(8),
        balances: Vec::new(),
        decimals: Vec::new(),
        executed: Vec::new(),
        executor: None,
        ..safe_fact()
    };
    let stated = Statement { body: Body::Safe(Box::new(fact)), ..statements()[4].clone() };
    assert_eq!(parse_statement(&render_statement(&stated)), Ok(stated));
}

#[test]
fn the_lines_of_a_safe_alone_read_as_in_a_statement_and_nothing_stands_behind_them() {
    let text = render_statement(&statements()[4]);
    let lines = &text[text.find("network: ").unwrap()..];
    assert_eq!(SafeFact::parse(lines), Ok(safe_fact()));
    assert_eq!(
        SafeFact::parse(&format!("{lines}nonce: 9\n")).map_err(|no| no.code),
        Err(Code::FieldDuplicate)
    );
    assert_eq!(SafeFact::parse("").map_err(|no| no.field), Err("network"));
}

#[test]
fn a_thousand_coins_pass_and_one_more_does_not() {
    let many = |n: usize| Statement {
        body: Body::Coins {
            transactions: vec![],
            coins: (0..n)
                .map(|vout| Coin { txid: [7; 32], vout: u32::try_from(vout).unwrap(), confirmations: 1 })
                .collect(),
        },
        ..statements()[0].clone()
    };
    assert!(parse_statement(&render_statement(&many(1000))).is_ok());
    assert_eq!(invalid(&render_statement(&many(1001))), (Code::StatementMalformed, "coin"));
    let fat = Body::Coins {
        transactions: vec![vec![0; 2_000_000]],
        coins: vec![Coin { txid: [7; 32], vout: 0, confirmations: 1 }],
    };
    let no =
        parse_statement(&render_statement(&Statement { body: fat, ..statements()[0].clone() })).unwrap_err();
    assert_eq!(no.code, Code::MessageTooLarge);
    assert!(no.problem.contains("4000000"));
}

#[test]
fn a_transaction_id_is_printed_as_explorers_print_it() {
    let text = render_statement(&statements()[0]);
    assert!(
        text.contains("coin: 1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100:3 0\n"),
        "{text}"
    );
}

#[test]
fn a_page_of_deposits_states_each_place_once_in_order_and_nothing_of_another_page_or_chain() {
    use Code::{AmountZero, FieldDuplicate, FieldMalformed, FieldMissing};
    let of_deposits = |statement: &Statement| matches!(statement.body, Body::Deposits(_));
    let good = render_statement(&statements().into_iter().find(of_deposits).unwrap());
    assert!(parse_statement(&good).is_ok());
    let ether = "eip155:1/slip44:60";
    for (from, to, no) in [
        ("page: 1", "page: 2", (FieldMalformed, "held")),
        ("page: 1", "page: 21474837", (FieldMalformed, "page")),
        (
            "safe: 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "safe: 0x0000000000000000000000000000000000000001",
            (FieldMalformed, "safe"),
        ),
        (
            "safe: 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "safe: 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            (FieldMalformed, "safe"),
        ),
        ("deployed: 117", "deployed: 118", (FieldMalformed, "deployed")),
        ("deployed: 117", "deployed: 117\ndeployed: 117", (FieldMalformed, "deployed")),
        ("held: 100 ", "held: 200 ", (FieldMalformed, "held")),
        ("held: 100 ", "held: 118 ", (FieldMalformed, "held")),
        ("held: 117 eip155:1/slip44:60 1\n", "held: 117 eip155:1/slip44:60 0\n", (AmountZero, "held")),
        ("held: 117 eip155:1/slip44:60 1\n", "held: 117 eip155:10/slip44:60 1\n", (FieldMalformed, "held")),
        ("held: 117 eip155:1/slip44:60 1\n", "held: 117 eip155:1/slip44:60 01\n", (FieldMalformed, "held")),
    ] {
        assert!(good.contains(from), "{from}");
        assert_eq!(invalid(&good.replacen(from, to, 1)), no, "{to}");
    }
    let line = format!("asset: {ether}\n");
    assert_eq!(invalid(&good.replacen(&line, "", 1)), (FieldMalformed, "held"), "it was not looked at");
    assert_eq!(invalid(&good.replacen(&line, &format!("{line}{line}"), 1)), (FieldDuplicate, "asset"));
    let bare: String =
        good.lines().filter(|line| !line.starts_with("asset")).map(|l| format!("{l}\n")).collect();
    assert_eq!(invalid(&bare), (FieldMissing, "asset"));
    // an empty page is a fact
    let empty = DepositsFact { deployed: Vec::new(), held: Vec::new(), ..deposits_fact() };
    let empty = Statement { body: Body::Deposits(Box::new(empty)), ..statements()[5].clone() };
    assert_eq!(parse_statement(&render_statement(&empty)), Ok(empty));
}
