//! What holds of every text alike: one spelling, and a clear answer to every other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use alloy_primitives::{Address, B256, U256};

use crate::evidence::canonical::{Form, utf8};
use crate::evidence::fixture::*;
use crate::evidence::{self, *};
use crate::withdrawal::*;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use uuid::Uuid;

static TEXTS: LazyLock<Vec<(String, &'static Form, Check)>> = LazyLock::new(texts);
static TRUST: LazyLock<Trust> = LazyLock::new(trust);
static REQUEST: LazyLock<VerifiedRequest> = LazyLock::new(|| verified(&request()));
static APPROVAL: LazyLock<ApprovalText> = LazyLock::new(approval);

type Check = fn(&str) -> Result<(), Invalid>;

/// Each text with its form and its reader.
fn texts() -> Vec<(String, &'static Form, Check)> {
    let statement: Check = |t| statement::parse_statement(t).map(|_| ());
    let mut all: Vec<(String, &'static Form, Check)> = vec![
        (evidence::request::render_request(&request()), &evidence::request::REQUEST, |t| {
            evidence::request::parse_request(t).map(|_| ())
        }),
        (cancellation(), &cancel::CANCEL, |t| cancel::parse_cancel(t).map(|_| ())),
        (answer::render_answer(&answer()), &answer::ANSWER, |t| answer::parse_answer(t).map(|_| ())),
        (attestation::render_attestation(&attestation()), &attestation::ATTESTATION, |t| {
            attestation::parse_attestation(t).map(|_| ())
        }),
        (void::render_void(&void()), &void::VOID, |t| void::parse_void(t).map(|_| ())),
        (
            refill_attestation::render_refill_attestation(&refill()),
            &refill_attestation::REFILL_ATTESTATION,
            |t| refill_attestation::parse_refill_attestation(t).map(|_| ()),
        ),
        (approval().render(), &approval_text::APPROVAL, |t| ApprovalText::parse(t).map(|_| ())),
        (rejection(), &rejection::REJECTION, |t| RejectionText::parse(t).map(|_| ())),
        (freeze().render(), &evidence::freeze::FREEZE, |t| FreezeText::parse(t).map(|_| ())),
        (resume().render(), &evidence::resume::RESUME, |t| ResumeText::parse(t).map(|_| ())),
        (possession().render(), &possession::POSSESSION, |t| PossessionText::parse(t).map(|_| ())),
    ];
    all.extend(
        statements().iter().map(|s| (statement::render_statement(s), &statement::STATEMENT, statement)),
    );
    all
}

fn cancellation() -> String {
    let WithdrawalRequest { organisation, request_id, .. } = request();
    cancel::render_cancel(&CancelRequest { organisation, request_id, asked_at: NOW })
}

fn rejection() -> String {
    RejectionText::of(&verified(&request()), "the customer called").render()
}

#[test]
fn every_text_of_this_world_reads() {
    for (text, _, check) in texts() {
        assert_eq!(check(&text), Ok(()), "{text}");
    }
}

#[test]
fn a_refill_names_each_transaction_once_and_at_least_one() {
    let parse = |a: &RefillAttestation| {
        let text = refill_attestation::render_refill_attestation(a);
        refill_attestation::parse_refill_attestation(&text).map_err(|no| no.field)
    };
    let good = refill();
    assert_eq!(parse(&good), Ok(good.clone()));
    let twice = vec![good.transactions[0].clone(), good.transactions[0].clone()];
    for transactions in [twice, Vec::new()] {
        assert_eq!(parse(&RefillAttestation { transactions, ..good.clone() }), Err("transaction"));
    }
    assert_eq!(parse(&RefillAttestation { index: 1 << 31, ..good.clone() }), Err("index"));
    let signed = sign_refill_attestation(&good, ed25519(&key(ATTESTATION))).unwrap();
    let check =
        |seed: u8| verify_refill_attestation(&signed.text, &signed.signature, &key(seed).verifying_key());
    assert_eq!(check(ATTESTATION).unwrap(), good);
    assert_eq!(check(ROBOT).unwrap_err().code(), Code::EvidenceInvalid);
}

#[test]
fn every_line_missing_doubled_moved_or_misspelt_is_refused_by_name() {
    // Lines that may repeat have their own table, with the statements.
    let repeats = |text: &str| {
        ["kind: coins", "kind: position", "kind: safe", "kind: deposits", "refill-attestation"]
            .iter()
            .any(|with| text.contains(with))
    };
    for (text, form, check) in texts().into_iter().filter(|(text, ..)| !repeats(text)) {
        let lines: Vec<&str> = text.lines().collect();
        let join = |lines: &[&str]| lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
        for at in 1..lines.len() {
            let (key, value) = lines[at].split_once(": ").unwrap();
            assert!(form.keys.contains(&key));
            let swap = |line: &str| {
                let mut lines = lines.clone();
                lines[at] = line;
                check(&join(&lines)).expect_err(line)
            };

            let mut without = lines.clone();
            without.remove(at);
            let no = check(&join(&without)).expect_err(key);
            assert_eq!((no.code, no.field), (Code::FieldMissing, key), "{no}");

            let mut doubled = lines.clone();
            doubled.insert(at, lines[at]);
            let no = check(&join(&doubled)).expect_err(key);
            assert_eq!((no.code, no.field), (Code::FieldDuplicate, key), "{no}");

            if at + 1 < lines.len() {
                let mut moved = lines.clone();
                moved.swap(at, at + 1);
                let no = check(&join(&moved)).expect_err(key);
                let names = [key, lines[at + 1].split(':').next().unwrap()];
                assert!(names.contains(&no.field), "moved `{key}`: {no}");
            }

            let mut more = lines.clone();
            more.insert(at, "memo: hello");
            let no = check(&join(&more)).expect_err(key);
            assert_eq!(no.code, Code::FieldUnknown, "{no}");
            assert!(no.problem.contains(&format!("line {}", at + 1)) && no.problem.contains("memo"), "{no}");

            for bad in [
                format!("{key}: {value}\r"),
                format!("{key}: {value} "),
                format!("{key}:  {value}"),
                format!("{key}: {value}\t"),
                format!("{key}: {value}\0"),
                format!("{key}:{value}"),
                format!("{key}: \u{200b}{value}"),
                format!("{key}:"),
                format!("{key}: "),
                format!("{key}: {}", "9".repeat(form.value_len_max + 1)),
            ] {
                let no = swap(&bad);
                assert!(no.field == key || no.code == Code::MessageTooLarge, "{bad:.80?}: {no}");
            }
        }
        for bad in [
            text.replace('\n', "\r\n"),
            text.trim_end().to_owned(),
            format!("\n{text}"),
            format!("{text}\n"),
            String::new(),
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
    }
}

#[test]
fn no_text_reads_as_another_kind() {
    let texts = texts();
    for (text, form, _) in &texts {
        for (_, other, check) in &texts {
            assert_eq!(check(text).is_ok(), form.heading == other.heading);
        }
    }
}

#[test]
fn an_approval_whose_lines_contradict_each_other_cannot_be_read() {
    let text = approval().render();
    let changes = [
        ("amount", "amount: 0.00150000 BTC", "amount: 0.00150001 BTC"),
        ("amount", "amount_units: 150000", "amount_units: 150001"),
        ("network", "network: mainnet", "network: regtest"),
        ("withdrawal", "request_id: w-000001", "request_id: w-000002"),
        ("expires_at", "Z\n", "+00:00\n"),
        ("expires_at", "Z\n", ".5Z\n"),
    ];
    for (field, from, to) in changes {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text);
        assert_eq!(ApprovalText::parse(&bad).unwrap_err().field, field, "{to}");
    }
}

#[test]
fn a_receipt_holds_only_under_the_attestation_key_and_for_its_withdrawal() {
    let signed = sign_void(&void(), ed25519(&key(ATTESTATION))).unwrap();
    let id = request().id();
    let check = |text: &str, signature: &[u8], seed, id| {
        verify_void(text, signature, &key(seed).verifying_key(), id).map_err(|no| no.code())
    };
    let good = check(&signed.text, &signed.signature, ATTESTATION, id).unwrap();
    assert_eq!((good.void(), good.digest()), (&void(), &digest(&signed.text)));
    let no = |r: Result<VerifiedVoid, Code>| r.unwrap_err();
    assert_eq!(no(check(&signed.text, &signed.signature, STRANGER, id)), Code::EvidenceInvalid);
    let other = WithdrawalId::of(&request().organisation, &RequestId::parse("w-000002").unwrap());
    assert_eq!(no(check(&signed.text, &signed.signature, ATTESTATION, other)), Code::EvidenceInvalid);
    let rejected = WithdrawalVoid { cause: VoidCause::Rejected, ..void() };
    let text = void::render_void(&rejected);
    assert_eq!(no(check(&text, &signed.signature, ATTESTATION, id)), Code::EvidenceInvalid);
    assert_eq!(void::parse_void(&text).unwrap(), rejected);
    // the id is that of the organisation and request id, and a cause is one of two
    let moved = signed.text.replace("w-000001", "w-000002");
    assert_eq!(void::parse_void(&moved).unwrap_err().field, "withdrawal");
    let lost = signed.text.replace("cancelled", "lost");
    assert_eq!(void::parse_void(&lost).unwrap_err().field, "cause");
    // an attestation is no receipt, though the same key signs it
    let attested = sign_attestation(&attestation(), ed25519(&key(ATTESTATION))).unwrap();
    assert_eq!(no(check(&attested.text, &attested.signature, ATTESTATION, id)), Code::FieldMalformed);
}

#[test]
fn a_custodians_refusal_holds_only_under_its_key_in_the_trust_file_and_for_its_transaction() {
    let signed = sign_custody_refusal(&custody_refusal(), ed25519(&key(CUSTODIAN))).unwrap();
    let (named, other) = (custody_refusal().reservation, ReservationId::of_txid(&[9; 32]));
    let check = |text: &str, seed: Option<u8>, reservation, txid: [u8; 32]| {
        let key = seed.map(|seed| key(seed).verifying_key());
        verify_custody_refusal(text, &signed.signature, key.as_ref(), reservation, &txid)
            .map_err(|no| no.code())
    };
    let good = check(&signed.text, Some(CUSTODIAN), named, [0x1d; 32]).unwrap();
    assert_eq!((good.refusal(), good.digest()), (&custody_refusal(), &digest(&signed.text)));
    for (seed, reservation, txid) in [
        (None, named, [0x1d; 32]),
        (Some(STRANGER), named, [0x1d; 32]),
        (Some(ATTESTATION), named, [0x1d; 32]),
        (Some(CUSTODIAN), other, [0x1d; 32]),
        (Some(CUSTODIAN), named, [9; 32]),
    ] {
        let no = check(&signed.text, seed, reservation, txid).unwrap_err();
        assert_eq!(no, Code::EvidenceInvalid, "{seed:?}");
    }
    let another = signed.text.replace("our list", "your list");
    assert_eq!(check(&another, Some(CUSTODIAN), named, [0x1d; 32]).unwrap_err(), Code::EvidenceInvalid);
    let order = custody::render_custody_order(&custody_order());
    assert_eq!(custody::parse_custody_order(&order).unwrap(), custody_order());
    assert!(custody::parse_custody_refusal(&order).is_err());
}

#[test]
fn an_attestation_holds_only_under_the_attestation_key() {
    let signed = sign_attestation(&attestation(), ed25519(&key(ATTESTATION))).unwrap();
    let door = |text: &str, signature: &[u8], seed| {
        verify_attestation(text, signature, &key(seed).verifying_key()).map_err(|no| no.code())
    };
    let good = door(&signed.text, &signed.signature, ATTESTATION).unwrap();
    assert_eq!((good.attestation(), good.digest()), (&attestation(), &digest(&signed.text)));
    assert_eq!(door(&signed.text, &signed.signature, STRANGER).unwrap_err(), Code::EvidenceInvalid);
    let other = signed.text.replace("index: 17", "index: 18");
    assert_eq!(door(&other, &signed.signature, ATTESTATION).unwrap_err(), Code::EvidenceInvalid);
    for bad in [
        AddressAttestation { branch: 2, ..attestation() },
        AddressAttestation { index: 1 << 31, ..attestation() },
        AddressAttestation { wallet: "D34DB33F".into(), ..attestation() },
        AddressAttestation { address: "a b".into(), ..attestation() },
        AddressAttestation { network: Chain::parse("eip155:1").unwrap(), ..attestation() },
        AddressAttestation {
            network: Chain::parse("eip155:1").unwrap(),
            address: "0xd8da6bf26964af9d7eed9e03e53415d37aa96045".into(),
            ..attestation()
        },
    ] {
        assert!(sign_attestation(&bad, |_| panic!("signed")).is_err(), "{bad:?}");
    }
}

#[test]
fn a_possession_names_a_key_with_its_origin() {
    for bad in [
        "xpub661",
        "[3442193e]xpub",
        "[3442193e/48h]",
        "[3442193/48h]xpub",
        "[3442193E/48h]xpub",
        "[3442193e/48h]xp ub",
    ] {
        let no =
            PossessionText::parse(&PossessionText { key: bad.into(), ..possession() }.render()).unwrap_err();
        assert_eq!(no.field, "key", "{bad}");
    }
}

#[test]
fn bytes_changed_anywhere_never_panic_a_reader() {
    for (text, _, check) in texts() {
        let mut bytes = text.clone().into_bytes();
        for at in 0..bytes.len() {
            let good = bytes[at];
            for bad in [0, b'\n', b'\r', b' ', b':', b'0', 0x80, 0xff] {
                bytes[at] = bad;
                if let Ok(text) = utf8(&bytes) {
                    let done = catch_unwind(AssertUnwindSafe(|| drop(check(text))));
                    assert!(done.is_ok(), "{bad:#x} at byte {at} of {text}");
                }
            }
            bytes[at] = good;
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(
    value: &T,
    render: impl Fn(&T) -> String,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> TestCaseResult {
    let text = render(value);
    let again = parse(&text).map_err(|no| TestCaseError::fail(format!("{no}: {text}")))?;
    prop_assert_eq!(&again, value);
    prop_assert_eq!(render(&again), text);
    Ok(())
}

fn asset() -> impl Strategy<Value = Asset> {
    (0..6usize).prop_map(|at| match at {
        0..4 => Asset::Bitcoin(Network::ALL[at]),
        4 => Asset::parse("eip155:1/slip44:60").unwrap(),
        _ => Asset::parse("eip155:8453/erc20:0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913").unwrap(),
    })
}

fn coins() -> impl Strategy<Value = Amount> {
    (1..=2_100_000_000_000_000u64).prop_map(Amount::from_sat)
}

prop_compose! {
    fn requests()(
        organisation in "[A-Za-z0-9._:-]{1,64}", request_id in "[A-Za-z0-9._:-]{1,64}",
        customer_ref in "[!-~]([ -~]{0,60}[!-~])?", asset in asset(), destination in "[!-~]{1,128}",
        amount in coins(), fee_max in coins(), vasp in any::<u64>(), asked_at in any::<u64>(),
    ) -> WithdrawalRequest {
        WithdrawalRequest {
            organisation: Organisation::parse(&organisation).unwrap(),
            request_id: RequestId::parse(&request_id).unwrap(),
            customer_ref: CustomerRef::parse(&customer_ref).unwrap(),
            asset, destination, amount, fee_max,
            beneficiary_vasp: VaspId(vasp),
            asked_at: Seconds(asked_at),
        }
    }
}

fn denomination(asset: Asset) -> Option<Denomination> {
    asset.denomination().or_else(|| Denomination::new("USDC", 6).ok())
}

prop_compose! {
    fn approvals()(
        request in requests(), name in "[!-~가-힣]([ -~가-힣]{0,20}[!-~가-힣])?", wallet in "([0-9a-f]{2}){4,32}",
        rule in 0..4usize, policies in any::<([u8; 32], [u8; 32])>(), expires_at in 0..=253_370_000_000u64,
    ) -> ApprovalText {
        let rules = [TravelRule::Cleared, TravelRule::AddressOnly, TravelRule::Unsigned, TravelRule::Exempt];
        let travel_rule = rules[rule];
        let none = travel_rule == TravelRule::Exempt;
        ApprovalText {
            subject: Subject::of(&request, denomination(request.asset)),
            beneficiary_vasp: if none { VaspId::SELF_HOSTED } else { VaspId(request.beneficiary_vasp.0.max(1)) },
            beneficiary_vasp_name: name, travel_rule, fee_max: request.fee_max,
            signer_policy: policies.0, cosigner_policy: policies.1, wallet, expires_at: Seconds(expires_at),
        }
    }
}

const APPROVAL_FIELDS: usize = 13;

/// `one` with a single field of `other`.
fn with_field(one: &ApprovalText, other: &ApprovalText, which: usize) -> ApprovalText {
    let (mut mixed, from) = (one.clone(), other.clone());
    let subject = &mut mixed.subject;
    match which {
        0 => subject.organisation = from.subject.organisation,
        1 => subject.request_id = from.subject.request_id,
        2 => subject.customer_ref = from.subject.customer_ref,
        3 => subject.amount = from.subject.amount,
        4 => subject.destination = from.subject.destination,
        5 => {
            subject.asset = from.subject.asset;
            subject.denomination = from.subject.denomination;
        }
        6 => mixed.beneficiary_vasp_name = from.beneficiary_vasp_name,
        7 => mixed.fee_max = from.fee_max,
        8 => mixed.signer_policy = from.signer_policy,
        9 => mixed.cosigner_policy = from.cosigner_policy,
        10 => mixed.wallet = from.wallet,
        11 => mixed.expires_at = from.expires_at,
        _ => (mixed.beneficiary_vasp, mixed.travel_rule) = (from.beneficiary_vasp, from.travel_rule),
    }
    mixed
}

prop_compose! {
    fn answers()(
        uuid in any::<[u8; 16]>(), account in any::<bool>(), request in requests(), network in 0..4usize,
        commitment in any::<[u8; 32]>(), result in 0..3usize, reason in "[A-NP-Z][A-Z0-9_-]{0,63}",
        digest in any::<[u8; 32]>(), vasp in any::<u64>(),
    ) -> VerificationAnswer {
        let result = [AnswerResult::Verified, AnswerResult::Denied, AnswerResult::Error][result];
        VerificationAnswer {
            uuid: uuid::Builder::from_random_bytes(uuid).into_uuid(),
            kind: if account { AnswerKind::Account } else { AnswerKind::User },
            originating_vasp: VaspId(vasp),
            beneficiary_vasp: request.beneficiary_vasp,
            asset: request.asset,
            network: Chain::Bitcoin(Network::ALL[network]),
            destination: request.destination,
            amount: request.amount,
            commitment: (!account).then_some(commitment),
            reason: if result == AnswerResult::Verified { "OK".into() } else { reason },
            result,
            answered_at: request.asked_at,
            request_digest: digest,
        }
    }
}

fn evm_chains() -> impl Strategy<Value = ChainId> {
    (1..1u64 << 62).prop_map(|number| ChainId::new(number).unwrap())
}

fn addresses() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::from)
}

prop_compose! {
    fn contracts()(address in addresses(), code_hash in any::<[u8; 32]>()) -> Contract {
        Contract { address, code_hash: code_hash.into() }
    }
}

prop_compose! {
    fn deposits()(
        chain in evm_chains(), treasury in any::<[u8; 19]>(), height in any::<u64>(), hash in any::<[u8; 32]>(),
        page in 0..=statement_deposits::PAGE_MAX,
        tokens in proptest::collection::btree_set(any::<[u8; 19]>(), 0..4),
        held in proptest::collection::btree_map((0..40u32, 0..5usize), 1..=u128::MAX, 0..20),
        which in any::<u64>(),
    ) -> DepositsFact {
        let payable = |bytes: &[u8; 19]| Address::from_slice(&[&[1], bytes.as_slice()].concat());
        let token = |at| EvmAsset::Token(chain, payable(at));
        let mut assets: Vec<_> = [EvmAsset::Ether(chain)].into_iter().chain(tokens.iter().map(token)).collect();
        assets.sort_unstable();
        let held = held.iter().filter_map(|((at, asset), units)| {
            let asset = *assets.get(*asset)?;
            Some(Held { index: page * statement_deposits::PAGE_LEN + at, asset, amount: Amount::from_units(*units) })
        });
        let held: Vec<Held> = held.collect();
        let mut deployed: Vec<u32> =
            held.iter().map(|held| held.index).filter(|index| which >> (index % 64) & 1 == 1).collect();
        deployed.dedup();
        DepositsFact {
            chain, treasury: payable(&treasury), height, block_hash: hash.into(), page, assets, deployed, held,
        }
    }
}

prop_compose! {
    fn safes()(
        chain in evm_chains(), safe in any::<[u8; 19]>(), nonce in any::<u64>(), words in any::<[[u8; 32]; 4]>(),
        pins in proptest::array::uniform3(contracts()), version in "[!-~]{1,64}",
        lists in (proptest::collection::vec(addresses(), 1..5), proptest::collection::vec(addresses(), 0..3)),
        guards in (addresses(), addresses()), height in any::<u64>(), back in any::<u64>(),
        tokens in proptest::collection::btree_map(any::<[u8; 19]>(), (any::<u128>(), any::<u8>()), 0..4),
        endings in proptest::collection::vec(0..3usize, 0..4),
        executor in proptest::option::of((addresses(), any::<u128>())),
    ) -> SafeFact {
        let payable = |bytes: [u8; 19]| Address::from_slice(&[&[1], bytes.as_slice()].concat());
        let token = |(at, of): (&[u8; 19], &(u128, u8))| (EvmAsset::Token(chain, payable(*at)), *of);
        let tokens: Vec<_> = tokens.iter().map(token).collect();
        let count = u64::try_from(endings.len()).unwrap();
        let nonce = nonce.max(count);
        let executed = (nonce - count..).zip(&endings).map(|(nonce, ending)| ExecutedFact {
            nonce,
            safe_tx_hash: B256::from(U256::from(nonce)),
            ending: Ending::ALL[*ending],
            transaction: words[3].into(),
            height: height.saturating_sub(back),
        });
        SafeFact {
            chain,
            safe: payable(safe),
            height,
            block_hash: words[0].into(),
            proxy_code_hash: words[1].into(),
            singleton: pins[0],
            version,
            owners: lists.0,
            threshold: U256::from_be_bytes(words[2]),
            modules: lists.1,
            guard: guards.0,
            module_guard: guards.1,
            fallback_handler: pins[1],
            multi_send: pins[2],
            nonce: U256::from(nonce),
            balances: tokens.iter().map(|(token, of)| (Asset::Evm(*token), Amount::from_units(of.0))).collect(),
            decimals: tokens.iter().map(|(token, of)| (*token, of.1)).collect(),
            executor: executor.map(|(at, wei)| (at, Amount::from_units(wei))),
            executed: executed.collect(),
        }
    }
}

fn bodies() -> impl Strategy<Value = Body> {
    let coin = (any::<[u8; 32]>(), any::<u32>(), any::<u32>()).prop_map(|(txid, vout, confirmations)| Coin {
        txid,
        vout,
        confirmations,
    });
    let raw = proptest::collection::btree_set(proptest::collection::vec(any::<u8>(), 1..40), 0..4);
    let coins = proptest::collection::vec(coin, 1..5);
    let which = proptest::sample::subsequence(Network::ALL.to_vec(), 1..=4);
    prop_oneof![
        (raw, coins).prop_map(|(raw, coins)| Body::Coins { transactions: raw.into_iter().collect(), coins }),
        (which.clone(), 0..2_100_000_000_000_001u64).prop_map(|(networks, n)| {
            Body::Position {
                cold: networks.into_iter().map(|at| (Asset::Bitcoin(at), Amount::from_sat(n))).collect(),
                swept: if n % 2 == 0 { vec![[7; 32]] } else { Vec::new() },
            }
        }),
        (which.clone(), 1..=u64::MAX).prop_map(|(networks, n)| {
            Body::Price(networks.into_iter().map(|at| (Asset::Bitcoin(at), Krw(n.into()))).collect())
        }),
        (which, any::<u32>(), any::<u64>(), evm_chains()).prop_map(|(networks, height, rate, evm)| {
            let fact = |chain| ChainFact { chain, height, fee_rate: FeeRate(rate) };
            let chains = networks.into_iter().map(Chain::Bitcoin).chain([Chain::Evm(evm)]);
            Body::Chain(chains.map(fact).collect())
        }),
        safes().prop_map(|fact| Body::Safe(Box::new(fact))),
        deposits().prop_map(|fact| Body::Deposits(Box::new(fact))),
    ]
}

proptest! {
    #[test]
    fn requests_and_texts_are_one_to_one(value in requests()) {
        same(&value, evidence::request::render_request, evidence::request::parse_request)?;
    }

    #[test]
    fn answers_and_texts_are_one_to_one(value in answers()) {
        same(&value, answer::render_answer, answer::parse_answer)?;
    }

    #[test]
    fn statements_and_texts_are_one_to_one(
        observer in "[A-Za-z0-9._:-]{1,64}", number in 1..=u64::MAX, at in any::<u64>(), body in bodies(),
    ) {
        let value = Statement { observer, number, after: at % number, at: Seconds(at), body };
        same(&value, statement::render_statement, statement::parse_statement)?;
    }

    #[test]
    fn attestations_and_texts_are_one_to_one(
        request in requests(), wallet in "([0-9a-f]{2}){4,32}", branch in 0..2u32, index in 0..1u32 << 31,
    ) {
        let network = request.asset.chain();
        let (branch, address) = match network {
            Chain::Bitcoin(_) => (branch, request.destination),
            Chain::Evm(_) => (0, evm_address::spell(Address::left_padding_from(&index.to_be_bytes()))),
        };
        let value = AddressAttestation {
            organisation: request.organisation, customer_ref: request.customer_ref, wallet,
            network, branch, index, address, attested_at: request.asked_at,
        };
        same(&value, attestation::render_attestation, attestation::parse_attestation)?;
    }

    #[test]
    fn approvals_texts_and_digests_are_one_to_one(one in approvals(), other in approvals(), which in 0..APPROVAL_FIELDS) {
        same(&one, ApprovalText::render, ApprovalText::parse)?;
        // another in one field only, and another in every field
        for other in [with_field(&one, &other, which), other] {
            prop_assert_eq!(one == other, one.render() == other.render());
            prop_assert_eq!(one == other, one.digest() == other.digest());
        }
        let text = one.render();
        let words = one.subject.denomination.as_ref().unwrap().words(one.subject.amount);
        let shown = format!("\namount: {words}\namount_units: {}\n", one.subject.amount);
        prop_assert!(text.contains(&shown), "{}", text);
        let fee = one.subject.asset.fee_asset().denomination().unwrap().words(one.fee_max);
        let shown = format!("\nfee_max: {fee}\nfee_max_units: {}\n", one.fee_max);
        prop_assert!(text.contains(&shown), "{}", text);
        prop_assert!(text.contains(&format!("\ndestination: {}\n", one.subject.destination)), "{}", text);
        prop_assert_eq!(text.lines().count(), 19);
    }

    #[test]
    fn rejections_and_texts_are_one_to_one(request in requests(), reason in "[!-~가-힣]([ -~가-힣]{0,60}[!-~가-힣])?") {
        let value = RejectionText { subject: Subject::of(&request, request.asset.denomination()), reason };
        same(&value, RejectionText::render, RejectionText::parse)?;
    }

    #[test]
    fn cancellations_and_possessions_are_one_to_one(request in requests(), role in 0..3usize, key in "[A-Za-z0-9]{1,111}") {
        let cancel = CancelRequest {
            organisation: request.organisation, request_id: request.request_id, asked_at: request.asked_at,
        };
        same(&cancel, cancel::render_cancel, cancel::parse_cancel)?;
        let possession = PossessionText {
            role: KeyRole::ALL[role], network: request.asset.chain().bitcoin().unwrap_or(Network::Signet), key: format!("[0011aaff/48'/0'/0'/2']{key}"),
            at: request.asked_at,
        };
        same(&possession, PossessionText::render, PossessionText::parse)?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..11usize) {
        let (text, form, check) = &TEXTS[at];
        let tail = String::from_utf8_lossy(&bytes);
        for given in [tail.clone().into_owned(), format!("{}\n{tail}", form.heading), format!("{text}{tail}\n")] {
            let _ = check(&given);
        }
        let _ = utf8(&bytes);
        let (trust, request) = (&*TRUST, &*REQUEST);
        let _ = Trust::open(&tail, &[&tail], &quorum(), 0);
        let _ = trust_file::parse(&tail);
        let _ = verify_request(&tail, &tail, &bytes, trust, NOW, AGE);
        let _ = verify_statement(&tail, &bytes, trust, NOW, Some(AGE), |_, _| None);
        let _ = Clearance::from_answer(&tail, &bytes, trust, request, NOW, AGE, NameMatch::Required);
        let _ = verify_approval(&APPROVAL, &armor(&bytes), trust, NOW);
        let _ = verify_rejection(&TEXTS[5].0, &tail, trust, request);
        let _ = sign_ssh(&tail, NAMESPACE_TRUST, &tail);
        let _ = Uuid::try_parse(&tail);
    }
}
