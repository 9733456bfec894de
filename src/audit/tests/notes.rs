//! Signed notes: keys, checkpoints and cosignatures, ours and those of other implementations.

use data_encoding::HEXLOWER;
use serde_json::Value;

use super::*;

const VECTORS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/audit/notes.json"));

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn accepted(head: Head) -> Accepted {
    let known = Witnessed { origin: ORIGIN.to_owned(), last: Head::EMPTY, root_at_size: None };
    let proof = ConsistencyProof::empty();
    let checkpoint = signed(head);
    match witness::witness(&known, &Submission { checkpoint: &checkpoint, old_size: 0, proof: &proof }) {
        Witness::Accept(accepted) => accepted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_verifier_key_has_one_text_form() {
    for text in [
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6",
    ] {
        let key = LogKey::parse(text).unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(LogKey::new(key.name(), key.public()).unwrap(), key);
    }
    let witness = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    assert_eq!(WitnessKey::parse(witness).unwrap().to_string(), witness);
}

#[test]
fn a_verifier_key_that_is_not_exactly_one_is_refused() {
    let good = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(LogKey::parse(&good.replace("c74f", "C74F")), Err(KeyInvalid::Hash));
    assert_eq!(LogKey::parse(&good.replace("c74f", "c74e")), Err(KeyInvalid::Hash));
    assert_eq!(LogKey::parse(&good.replace("Peter", "Paul")), Err(KeyInvalid::Hash));
    assert_eq!(LogKey::parse(&good[..good.len() - 1]), Err(KeyInvalid::Form));
    assert_eq!(LogKey::parse("PeterNeumann"), Err(KeyInvalid::Form));
    assert_eq!(LogKey::parse("PeterNeumann+c74f20a3+"), Err(KeyInvalid::Form));
    assert_eq!(WitnessKey::parse(good), Err(KeyInvalid::Type { found: 1, expected: 4 }));
    let public = *log_key().public();
    for name in ["", "a b", "a+b", "a\nb", "a\u{7f}b", &"x".repeat(256)] {
        assert_eq!(LogKey::new(name, &public), Err(KeyInvalid::Name(name.to_owned())));
    }
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(LogKey::new("weak", &identity), Err(KeyInvalid::Public));
}

#[test]
fn checkpoints_signed_by_another_implementation_open() {
    for vector in vectors()["checkpoints"].as_array().unwrap() {
        let public = HEXLOWER.decode(vector["public"].as_str().unwrap().as_bytes()).unwrap();
        let origin = vector["origin"].as_str().unwrap();
        let key = LogKey::new(origin, &public.try_into().unwrap()).unwrap();
        let note = vector["note"].as_str().unwrap();
        let opened = VerifiedCheckpoint::open(note, &key).unwrap();
        assert_eq!((opened.origin(), opened.head().size), (origin, vector["size"].as_u64().unwrap()));
        assert_eq!(opened.head().root.0[0], 0x2a);
        assert_eq!(opened.note(), note);
        let changed = note.replacen("\n1\n", "\n2\n", 1);
        assert_eq!(VerifiedCheckpoint::open(&changed, &key).unwrap_err(), CheckpointInvalid::Unsigned);
    }
}

#[test]
fn a_cosignature_of_a_public_witness_opens_among_unknown_signatures() {
    let vector = &vectors()["cosignature"];
    let key = WitnessKey::parse(vector["vkey"].as_str().unwrap()).unwrap();
    let note = vector["note"].as_str().unwrap();
    let opened = Cosignature::open(note, &key).unwrap();
    assert_eq!(opened.at(), Seconds(vector["at"].as_u64().unwrap()));
    assert_eq!(opened.head().size, vector["size"].as_u64().unwrap());
    assert_eq!(opened.origin(), "arche2025h1.staging.ct.transparency.dev");
    assert!(note.contains(&opened.line().unwrap()));
    let changed = note.replacen("1432088532", "1432088533", 1);
    assert_eq!(Cosignature::open(&changed, &key).unwrap_err(), CosignatureInvalid::Unsigned);
    assert_eq!(Cosignature::open(note, &witness_key()).unwrap_err(), CosignatureInvalid::Unsigned);
}

#[test]
fn a_checkpoint_is_three_lines_and_opens_with_its_own_key_only() {
    let head = head_of(&leaf_hashes(5, 0));
    let made = signed(head);
    let expected = format!("{ORIGIN}\n5\n{}\n", data_encoding::BASE64.encode(&head.root.0));
    assert_eq!(made.body(), expected);
    assert!(made.note().starts_with(&format!("{expected}\n— {ORIGIN} ")));
    let opened = VerifiedCheckpoint::open(made.note(), &log_key()).unwrap();
    assert_eq!(opened.head(), &head);
    let other = LogKey::new(ORIGIN, signing_key(3).verifying_key().as_bytes()).unwrap();
    assert_eq!(VerifiedCheckpoint::open(made.note(), &other).unwrap_err(), CheckpointInvalid::Unsigned);
    let other = LogKey::new("other.example/log", log_key().public()).unwrap();
    assert_eq!(VerifiedCheckpoint::open(made.note(), &other).unwrap_err(), CheckpointInvalid::Unsigned);
}

#[test]
fn a_signature_of_the_wrong_key_never_becomes_a_checkpoint() {
    let checkpoint = Checkpoint::new(&log_key(), Head::EMPTY);
    assert_eq!(checkpoint.sign(&log_key(), &sign_with(9)).unwrap_err(), CheckpointInvalid::Unsigned);
    assert_eq!(checkpoint.sign(&log_key(), &|_| [0; 64]).unwrap_err(), CheckpointInvalid::Unsigned);
}

/// Signs any body with the log's key.
fn note_over(body: &str) -> String {
    let mut note = signed_note::Note::new(body.as_bytes(), &[]).unwrap();
    let placed = key::Placed { key: &log_key(), signature: sign_with(1)(body.as_bytes()).to_vec() };
    note.add_sigs(&[&placed]).unwrap();
    String::from_utf8(note.to_bytes()).unwrap()
}

#[test]
fn a_signed_body_that_is_no_plain_checkpoint_is_refused() {
    let root = data_encoding::BASE64.encode(&[9; 32]);
    let refused = [
        (format!("{ORIGIN}\n5\n{root}\nextension\n"), CheckpointInvalid::Body),
        (format!("{ORIGIN}\n05\n{root}\n"), CheckpointInvalid::Body),
        (format!("{ORIGIN}\n+5\n{root}\n"), CheckpointInvalid::Body),
        (format!("{ORIGIN}\n-1\n{root}\n"), CheckpointInvalid::Body),
        (format!("{ORIGIN}\n18446744073709551616\n{root}\n"), CheckpointInvalid::Body),
        (format!("{ORIGIN}\n5\n{}\n", &root[..40]), CheckpointInvalid::Body),
        (format!("{ORIGIN}\n5\n"), CheckpointInvalid::Body),
        (format!("other.example\n5\n{root}\n"), CheckpointInvalid::Origin),
        (format!("{ORIGIN}\n0\n{root}\n"), CheckpointInvalid::EmptyRoot),
    ];
    for (body, why) in refused {
        assert_eq!(VerifiedCheckpoint::open(&note_over(&body), &log_key()).unwrap_err(), why, "{body}");
    }
    assert!(VerifiedCheckpoint::open(&note_over(&format!("{ORIGIN}\n5\n{root}\n")), &log_key()).is_ok());
}

#[test]
fn every_changed_byte_of_a_note_is_noticed() {
    let made = signed(head_of(&leaf_hashes(12, 0)));
    for at in 0..made.note().len() {
        let mut bytes = made.note().as_bytes().to_vec();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        assert!(VerifiedCheckpoint::open(&text, &log_key()).is_err(), "byte {at}");
    }
    assert_eq!(
        VerifiedCheckpoint::open(&"x".repeat(100_000), &log_key()).unwrap_err(),
        CheckpointInvalid::TooLong
    );
}

#[test]
fn a_cosignature_signs_header_time_and_body() {
    let head = head_of(&leaf_hashes(5, 0));
    let seen = std::cell::RefCell::new(Vec::new());
    let sign = |message: &[u8]| {
        seen.borrow_mut().push(String::from_utf8(message.to_vec()).unwrap());
        sign_with(2)(message)
    };
    let made = Cosignature::sign(&accepted(head), &witness_key(), Seconds(1_679_315_147), &sign).unwrap();
    let body = signed(head).body();
    assert_eq!(seen.into_inner(), [format!("cosignature/v1\ntime 1679315147\n{body}")]);
    assert_eq!((made.witness(), made.at(), made.head()), (WITNESS, Seconds(1_679_315_147), &head));
}

#[test]
fn a_cosignature_line_merges_into_its_note_and_into_no_other() {
    let checkpoint = signed(head_of(&leaf_hashes(5, 0)));
    let made =
        Cosignature::sign(&accepted(*checkpoint.head()), &witness_key(), Seconds(50), &sign_with(2)).unwrap();
    let opened = Cosignature::open_line(&checkpoint, &made.line().unwrap(), &witness_key()).unwrap();
    let merged = opened.merge_into(&checkpoint).unwrap();
    assert_eq!(merged, format!("{}{}", checkpoint.note(), made.line().unwrap()));
    assert_eq!(Cosignature::open(&merged, &witness_key()).unwrap().at(), Seconds(50));

    let both = VerifiedCheckpoint::open(&merged, &log_key()).unwrap();
    let later =
        Cosignature::sign(&accepted(*checkpoint.head()), &witness_key(), Seconds(60), &sign_with(2)).unwrap();
    let merged = later.merge_into(&both).unwrap();
    assert_eq!(merged.matches(WITNESS).count(), 1);
    assert_eq!(Cosignature::open(&merged, &witness_key()).unwrap().at(), Seconds(60));

    let other = signed(head_of(&leaf_hashes(6, 0)));
    assert_eq!(opened.merge_into(&other).unwrap_err(), CosignatureInvalid::OtherCheckpoint);
    let line = made.line().unwrap();
    assert_eq!(
        Cosignature::open_line(&other, &line, &witness_key()).unwrap_err(),
        CosignatureInvalid::Unsigned
    );
    for text in [line.trim_end().to_owned(), format!("{line}{line}"), "\n".to_owned(), String::new()] {
        assert!(Cosignature::open_line(&checkpoint, &text, &witness_key()).is_err(), "{text}");
    }
}

#[test]
fn a_cosignature_needs_a_time_and_the_right_key() {
    let head = head_of(&leaf_hashes(5, 0));
    for time in [0, 1 << 63, u64::MAX] {
        let made = Cosignature::sign(&accepted(head), &witness_key(), Seconds(time), &sign_with(2));
        assert_eq!(made.unwrap_err(), CosignatureInvalid::Time);
    }
    let made = Cosignature::sign(&accepted(head), &witness_key(), Seconds(1), &sign_with(3));
    assert_eq!(made.unwrap_err(), CosignatureInvalid::Unsigned);
}

#[test]
fn a_cosignature_with_a_time_no_witness_may_use_is_refused_though_truly_signed() {
    let checkpoint = signed(head_of(&leaf_hashes(5, 0)));
    let line_at = |time: u64| {
        let message = format!("cosignature/v1\ntime {time}\n{}", checkpoint.body());
        let signature = [&time.to_be_bytes()[..], &sign_with(2)(message.as_bytes())].concat();
        let line = signed_note::Signature::new(WITNESS.to_owned(), witness_key().id(), signature).unwrap();
        String::from_utf8(line.to_bytes()).unwrap()
    };
    let open = |time| Cosignature::open_line(&checkpoint, &line_at(time), &witness_key());
    assert_eq!(open(77).unwrap().at(), Seconds(77));
    assert_eq!(open(0).unwrap_err(), CosignatureInvalid::Unsigned);
    assert_eq!(open(1 << 63).unwrap_err(), CosignatureInvalid::Unsigned);
}

#[test]
fn a_note_has_one_spelling() {
    let note = signed(head_of(&leaf_hashes(5, 0))).note().to_owned();
    assert!(note.ends_with("=\n"));
    let respelled = [
        note.replace("=\n", "\n"),
        note.trim_end().to_owned(),
        format!("{note}\n"),
        note.replace('\n', "\r\n"),
        note.replace("— ", "—  "),
        format!("{note}— x\n"),
    ];
    for text in respelled {
        assert!(VerifiedCheckpoint::open(&text, &log_key()).is_err(), "{text}");
    }
}

#[test]
fn a_log_signature_is_no_cosignature_even_by_the_same_key_and_name() {
    let checkpoint = signed(head_of(&leaf_hashes(5, 0)));
    let same = WitnessKey::new(ORIGIN, log_key().public()).unwrap();
    assert_eq!(Cosignature::open(checkpoint.note(), &same).unwrap_err(), CosignatureInvalid::Unsigned);
}
