use std::process::Command;

use crate::evidence::fixture::*;
use crate::evidence::*;
use crate::withdrawal::*;
use ssh_key::{HashAlg, LineEnding};

fn door(armored: &str) -> Result<Approval, Code> {
    verify_approval(&approval(), armored, &trust(), NOW).map_err(|no| no.code())
}

fn kim(namespace: &str, text: &str) -> String {
    sign_ssh(&ssh_private(11), namespace, text).unwrap()
}

#[test]
fn an_operator_approves_exactly_the_text_that_was_rebuilt() {
    let text = approval().render();
    let approved = door(&kim(NAMESPACE_APPROVAL, &text)).unwrap();
    assert_eq!(approved.person(), "kim");
    assert!(approved.groups().contains("treasury") && approved.groups().contains("risk"));
    assert_eq!(approved.withdrawal(), request().id());
    assert_eq!(approved.digest(), &approval().digest());
    assert_eq!(approved.key_fingerprint(), ssh_key(11).fingerprint(HashAlg::Sha256).to_string());
    assert_eq!(approved.signature(), kim(NAMESPACE_APPROVAL, &text));
}

#[test]
fn both_hashes_and_every_kind_of_key_are_accepted() {
    let text = approval().render();
    for hash in [HashAlg::Sha256, HashAlg::Sha512] {
        for (key, person) in [(ssh_key(11), "kim"), (ssh_p256(), "lee")] {
            let sig =
                key.sign(NAMESPACE_APPROVAL, hash, text.as_bytes()).unwrap().to_pem(LineEnding::LF).unwrap();
            assert_eq!(door(&sig).unwrap().person(), person);
        }
    }
    for (key, person) in [(SecurityKey::Ed25519(12), "kim"), (SecurityKey::P256, "park")] {
        for touched in [0x01, 0x05, 0x81] {
            assert_eq!(door(&key.sign(NAMESPACE_APPROVAL, &text, touched)).unwrap().person(), person);
        }
    }
}

#[test]
fn a_security_key_that_was_not_touched_approves_nothing() {
    let text = approval().render();
    for key in [SecurityKey::Ed25519(12), SecurityKey::P256] {
        for untouched in [0x00, 0x04, 0xfe] {
            let no =
                verify_approval(&approval(), &key.sign(NAMESPACE_APPROVAL, &text, untouched), &trust(), NOW);
            let NotProven::Refused(no) = no.unwrap_err() else { panic!("unreadable") };
            assert_eq!(no.code, Code::ApprovalInvalid);
            assert!(no.detail.contains("not touched"), "{}", no.detail);
        }
    }
}

/// The approval of another withdrawal.
fn of(subject: Subject) -> ApprovalText {
    ApprovalText { subject, ..approval() }
}

#[test]
fn what_is_not_a_listed_operators_yes_to_this_text_is_refused() {
    let text = approval().render();
    let other = of(Subject { amount: Amount::from_sat(150_001), ..approval().subject }).render();
    let good = kim(NAMESPACE_APPROVAL, &text);
    let cases = [
        (kim(NAMESPACE_TRUST, &text), Code::ApprovalInvalid),
        (kim("file", &text), Code::ApprovalInvalid),
        (kim(NAMESPACE_APPROVAL, &other), Code::ApprovalInvalid),
        (kim(NAMESPACE_APPROVAL, text.trim_end()), Code::ApprovalInvalid),
        (
            kim(NAMESPACE_APPROVAL, &RejectionText::of(&verified(&request()), "no").render()),
            Code::ApprovalInvalid,
        ),
        (sign_ssh(&ssh_private(STRANGER), NAMESPACE_APPROVAL, &text).unwrap(), Code::OperatorUnknown),
        (sign_ssh(&ssh_private(21), NAMESPACE_APPROVAL, &text).unwrap(), Code::OperatorUnknown),
        (SecurityKey::Ed25519(13).sign(NAMESPACE_APPROVAL, &text, 1), Code::OperatorUnknown),
        (good[..good.len() / 2].to_owned(), Code::SignatureMalformed),
        (good.replace("SSH SIGNATURE", "SSH PUBLIC KEY"), Code::SignatureMalformed),
        (String::new(), Code::SignatureMalformed),
        ("x".repeat(9000), Code::SignatureMalformed),
    ];
    for (armored, code) in cases {
        assert_eq!(door(&armored).map(|_| ()), Err(code), "{armored}");
    }
}

#[test]
fn every_line_of_the_text_binds() {
    let signature = kim(NAMESPACE_APPROVAL, &approval().render());
    let base = approval;
    let changed = [
        of(Subject { organisation: Organisation::parse("other").unwrap(), ..base().subject }),
        of(Subject { request_id: RequestId::parse("w-2").unwrap(), ..base().subject }),
        of(Subject { customer_ref: CustomerRef::parse("another").unwrap(), ..base().subject }),
        of(Subject { asset: Asset::Bitcoin(Network::Testnet4), ..base().subject }),
        of(Subject { destination: "bc1qother".into(), ..base().subject }),
        ApprovalText { beneficiary_vasp: VaspId(2), ..base() },
        ApprovalText { beneficiary_vasp_name: "Robot VASP".into(), ..base() },
        ApprovalText { travel_rule: TravelRule::AddressOnly, ..base() },
        ApprovalText { fee_max: Amount::from_sat(5_001), ..base() },
        ApprovalText { signer_policy: [0; 32], ..base() },
        ApprovalText { cosigner_policy: [0; 32], ..base() },
        ApprovalText { wallet: "00".repeat(8), ..base() },
        ApprovalText { expires_at: base().expires_at.plus(1), ..base() },
    ];
    for expected in changed {
        let no = verify_approval(&expected, &signature, &trust(), NOW).unwrap_err();
        assert_eq!(no.code(), Code::ApprovalInvalid, "{expected:?}");
    }
}

#[test]
fn a_bit_changed_anywhere_in_the_signature_refuses() {
    let armored = kim(NAMESPACE_APPROVAL, &approval().render());
    let body: String = armored.lines().filter(|line| !line.starts_with('-')).collect();
    let blob = data_encoding::BASE64.decode(body.as_bytes()).unwrap();
    let (expected, trust) = (approval(), trust());
    assert!(verify_approval(&expected, &armor(&blob), &trust, NOW).is_ok());
    for at in 0..blob.len() {
        let mut blob = blob.clone();
        blob[at] ^= 1;
        assert!(verify_approval(&expected, &armor(&blob), &trust, NOW).is_err(), "byte {at}");
    }
}

#[test]
fn an_approval_ends_with_its_text() {
    let signature = kim(NAMESPACE_APPROVAL, &approval().render());
    let at =
        |now| verify_approval(&approval(), &signature, &trust(), now).map(|_| ()).map_err(|no| no.code());
    assert_eq!(at(approval().expires_at), Ok(()));
    assert_eq!(at(approval().expires_at.plus(1)), Err(Code::ApprovalInvalid));
}

#[test]
fn two_keys_of_one_person_are_one_person() {
    let text = approval().render();
    let approvals = [
        door(&kim(NAMESPACE_APPROVAL, &text)).unwrap(),
        door(&SecurityKey::Ed25519(12).sign(NAMESPACE_APPROVAL, &text, 1)).unwrap(),
        door(&SecurityKey::P256.sign(NAMESPACE_APPROVAL, &text, 1)).unwrap(),
    ];
    assert_eq!(people_of("treasury", &approvals), ["kim"].into());
    assert_eq!(people_of("risk", &approvals), ["kim", "park"].into());
    assert!(people_of("nobody", &approvals).is_empty());
}

#[test]
fn a_rejection_names_its_withdrawal_and_its_reason() {
    let request = verified(&request());
    let text = RejectionText::of(&request, "the customer called").render();
    let rejected = verify_rejection(&text, &kim(NAMESPACE_APPROVAL, &text), &trust(), &request).unwrap();
    assert_eq!((rejected.person(), rejected.text().reason.as_str()), ("kim", "the customer called"));
    assert_eq!(rejected.digest(), &digest(&text));
    let other =
        WithdrawalRequest { request_id: RequestId::parse("w-2").unwrap(), ..request.request().clone() };
    let no =
        verify_rejection(&text, &kim(NAMESPACE_APPROVAL, &text), &trust(), &verified(&other)).unwrap_err();
    assert_eq!(no.code(), Code::ApprovalInvalid);
    let no = verify_rejection(&text, &kim(NAMESPACE_APPROVAL, &approval().render()), &trust(), &request)
        .unwrap_err();
    assert_eq!(no.code(), Code::ApprovalInvalid);
    assert!(RejectionText::parse(&RejectionText::of(&request, "two\nlines").render()).is_err());
    assert!(RejectionText::parse(&RejectionText::of(&request, "").render()).is_err());
}

/// Signs with the real thing, if it is installed; the committed vectors hold its signatures for where it is not.
#[test]
fn a_signature_of_ssh_keygen_is_accepted_and_ours_by_ssh_keygen() {
    if !ssh_keygen_is_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let run = |args: &[&str], input: &str| {
        let stdin = std::fs::File::open(input).unwrap();
        let out = Command::new("ssh-keygen").args(args).stdin(stdin).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    let text = approval().render();
    std::fs::write(path("text"), &text).unwrap();
    for kind in ["ed25519", "ecdsa"] {
        let key = path(kind);
        run(&["-q", "-t", kind, "-b", "256", "-N", "", "-C", "", "-f", &key], "/dev/null");
        let mut content = content();
        content.operators[0].keys[0] =
            std::fs::read_to_string(format!("{key}.pub")).unwrap().trim().to_owned();
        let trust = open(&content).unwrap();
        for hash in ["hashalg=sha256", "hashalg=sha512"] {
            let _ = std::fs::remove_file(path("text.sig"));
            run(
                &["-q", "-Y", "sign", "-f", &key, "-n", NAMESPACE_APPROVAL, "-O", hash, &path("text")],
                "/dev/null",
            );
            let armored = std::fs::read_to_string(path("text.sig")).unwrap();
            assert_eq!(verify_approval(&approval(), &armored, &trust, NOW).unwrap().person(), "kim");
        }
        let ours = sign_ssh(&std::fs::read_to_string(&key).unwrap(), NAMESPACE_APPROVAL, &text).unwrap();
        std::fs::write(path("ours.sig"), ours).unwrap();
        std::fs::write(path("allowed"), format!("kim {}\n", content.operators[0].keys[0])).unwrap();
        let (allowed, ours) = (path("allowed"), path("ours.sig"));
        run(
            &["-Y", "verify", "-f", &allowed, "-I", "kim", "-n", NAMESPACE_APPROVAL, "-s", &ours],
            &path("text"),
        );
    }
}

#[test]
fn a_client_cannot_sign_with_what_is_no_open_private_key() {
    assert_eq!(sign_ssh("no key", NAMESPACE_APPROVAL, "text").unwrap_err().field, "ssh_key");
    assert_eq!(sign_ssh(&ssh_public(11), NAMESPACE_APPROVAL, "text").unwrap_err().field, "ssh_key");
}

fn ssh_keygen_is_there() -> bool {
    let there = Command::new("ssh-keygen").arg("-?").output().is_ok();
    if !there {
        assert!(std::env::var_os("COUNTERSIGN_REQUIRE_SSH_KEYGEN").is_none(), "ssh-keygen is not installed");
        // not eprintln!, which the test harness keeps to itself when a test passes
        let loud = b"\n*** SKIPPED: a test of SSH signatures: ssh-keygen is not installed ***\n\n";
        std::io::Write::write_all(&mut std::io::stderr(), loud).unwrap();
    }
    there
}

/// `ssh-keygen -Y verify` of what a security key in software signed, in that namespace, over that text.
fn ssh_keygen_verifies(key: &SecurityKey, armored: &str, (namespace, text): (&str, &str)) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("text"), text).unwrap();
    std::fs::write(path("sig"), armored).unwrap();
    std::fs::write(path("allowed"), format!("kim {}\n", key.public().to_openssh().unwrap())).unwrap();
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-f", &path("allowed"), "-I", "kim", "-n", namespace, "-s", &path("sig")]);
    command.stdin(std::fs::File::open(path("text")).unwrap()).output().unwrap().status.success()
}

/// There is no hardware here: the signatures are made as PROTOCOL.u2f says, and the real tool judges them.
#[test]
fn what_a_security_key_signs_here_is_what_ssh_keygen_verifies() {
    if !ssh_keygen_is_there() {
        return;
    }
    let text = approval().render();
    for key in [SecurityKey::Ed25519(12), SecurityKey::P256] {
        for flags in [0x01, 0x05] {
            let armored = key.sign(NAMESPACE_APPROVAL, &text, flags);
            assert!(ssh_keygen_verifies(&key, &armored, (NAMESPACE_APPROVAL, &text)));
            assert!(door(&armored).is_ok());
            assert!(!ssh_keygen_verifies(&key, &armored, (NAMESPACE_FREEZE, &text)));
            assert!(!ssh_keygen_verifies(&key, &armored, (NAMESPACE_APPROVAL, text.trim_end())));
        }
        let other = key.sign(NAMESPACE_FREEZE, &text, 1);
        assert!(ssh_keygen_verifies(&key, &other, (NAMESPACE_FREEZE, &text)));
        assert_eq!(door(&other).map(|_| ()), Err(Code::ApprovalInvalid));
    }
}

/// The signature within an armored one, as an agent gives it.
fn of_agent(armored: &str) -> Vec<u8> {
    let body: String = armored.lines().filter(|line| !line.starts_with('-')).collect();
    let blob = data_encoding::BASE64.decode(body.as_bytes()).unwrap();
    let mut rest = &blob[10..];
    for _ in 0..4 {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        rest = &rest[4 + length..];
    }
    rest[4..].to_vec()
}

#[test]
fn what_an_agent_signs_is_put_together_as_ssh_keygen_would() {
    let text = approval().render();
    let with = |public: &str, signature: Vec<u8>| {
        sign_ssh_with(public, NAMESPACE_APPROVAL, &text, |_, _| Ok::<_, Invalid>(signature))
    };
    let ours = kim(NAMESPACE_APPROVAL, &text);
    assert_eq!(with(&ssh_public(11), of_agent(&ours)).unwrap(), ours);
    for key in [SecurityKey::Ed25519(12), SecurityKey::P256] {
        let public = key.public().to_openssh().unwrap();
        let armored = key.sign(NAMESPACE_APPROVAL, &text, 1);
        assert_eq!(with(&public, of_agent(&armored)).unwrap(), armored);
        assert!(door(&armored).is_ok());
        // untouched, of another key, of another text, or no signature: nothing is handed on
        let wrong = [
            key.sign(NAMESPACE_APPROVAL, &text, 0),
            SecurityKey::Ed25519(13).sign(NAMESPACE_APPROVAL, &text, 1),
            key.sign(NAMESPACE_APPROVAL, "another text\n", 1),
            ours.clone(),
        ];
        for armored in wrong {
            let no = with(&public, of_agent(&armored)).unwrap_err();
            assert_eq!((no.field, no.code), ("ssh_key", Code::SignatureMalformed), "{}", no.problem);
        }
        assert!(with(&public, b"no signature".to_vec()).is_err());
    }
}

#[test]
fn the_requesters_of_a_key_are_its_organisation_and_its_people() {
    let mut content = content();
    let key = content.request_keys[0].clone();
    content.request_keys[0].people = vec!["kim".into(), "jung".into()];
    let trust = open(&content).unwrap();
    let organisation = Organisation::parse(&key.organisation).unwrap();
    let people = |id: &str| trust.requesters(&organisation, id).into_iter().collect::<Vec<_>>();
    assert_eq!(people(&key.id), [key.organisation.clone(), "jung".into(), "kim".into()]);
    assert_eq!(people("another").join(" "), key.organisation);
    content.request_keys[0].people = vec!["no name!".into()];
    assert_eq!(open(&content).unwrap_err().code(), Code::FieldMalformed);
}
