//! What counts as a freeze and as a resume, and what does not.

use crate::evidence::fixture::*;
use crate::evidence::*;
use crate::withdrawal::*;

fn freeze_by(seed: u8, namespace: &str, text: &FreezeText, party: KeyRole) -> Result<(), Code> {
    let text = text.render();
    let armored = sign_ssh(&ssh_private(seed), namespace, &text).unwrap();
    verify_freeze(&text, &armored, &trust(), party, NOW).map(|_| ()).map_err(|no| no.code())
}

fn people(text: &ResumeText, signatures: &[String], now: Seconds) -> Result<Vec<String>, Code> {
    let verified = verify_resume(&text.render(), signatures, &trust(), KeyRole::Signer, now);
    verified.map(|resume| resume.people().keys().cloned().collect()).map_err(|no| no.code())
}

#[test]
fn a_freeze_holds_for_its_party_its_operator_and_ten_minutes() {
    let with = |change: &dyn Fn(&mut FreezeText)| {
        let mut text = freeze();
        change(&mut text);
        text
    };
    for party in [KeyRole::Signer, KeyRole::Cosigner] {
        assert_eq!(freeze_by(11, NAMESPACE_FREEZE, &freeze(), party), Ok(()));
    }
    let to = |party| with(&|text| text.party = party);
    assert_eq!(freeze_by(11, NAMESPACE_FREEZE, &to(Addressee::Signer), KeyRole::Signer), Ok(()));
    let (no, signer) = (Err(Code::FreezeInvalid), KeyRole::Signer);
    assert_eq!(freeze_by(11, NAMESPACE_FREEZE, &to(Addressee::Cosigner), signer), no);
    assert_eq!(freeze_by(11, NAMESPACE_FREEZE, &freeze(), KeyRole::Vault), no);
    assert_eq!(freeze_by(11, NAMESPACE_RESUME, &freeze(), signer), no);
    assert_eq!(freeze_by(11, NAMESPACE_APPROVAL, &freeze(), signer), no);
    assert_eq!(freeze_by(11, NAMESPACE_FREEZE, &with(&|text| text.operator = "lee".into()), signer), no);
    assert_eq!(freeze_by(STRANGER, NAMESPACE_FREEZE, &freeze(), signer), Err(Code::OperatorUnknown));
    let at = |at| with(&|text| text.at = at);
    assert_eq!(freeze_by(11, NAMESPACE_FREEZE, &at(Seconds(NOW.0 - 600)), signer), Ok(()));
    assert_eq!(freeze_by(11, NAMESPACE_FREEZE, &at(Seconds(NOW.0 - 601)), signer), no);
    assert_eq!(freeze_by(11, NAMESPACE_FREEZE, &at(NOW.plus(60)), signer), Ok(()));
    assert_eq!(freeze_by(11, NAMESPACE_FREEZE, &at(NOW.plus(61)), signer), no);
    let long = with(&|text| text.reason = "x".repeat(201));
    assert_eq!(freeze_by(11, NAMESPACE_FREEZE, &long, signer), Err(Code::FieldMalformed));
}

#[test]
fn a_resume_counts_people_and_not_keys() {
    let text = resume();
    let rendered = text.render();
    let kim = sign_ssh(&ssh_private(11), NAMESPACE_RESUME, &rendered).unwrap();
    let kims_token = SecurityKey::Ed25519(12).sign(NAMESPACE_RESUME, &rendered, 1);
    let park = SecurityKey::P256.sign(NAMESPACE_RESUME, &rendered, 1);
    let all = [kim.clone(), kims_token, kim.clone(), park.clone()];
    assert_eq!(people(&text, &all, NOW).unwrap(), ["kim", "park"]);
    assert_eq!(people(&text, &[], NOW).unwrap(), [""; 0]);
    let untouched = SecurityKey::P256.sign(NAMESPACE_RESUME, &rendered, 0);
    assert_eq!(people(&text, &[untouched], NOW), Err(Code::ResumeInvalid));
    // over another text, for another party, too late, in another namespace
    let other = ResumeText { reviewed: 1_205, ..resume() };
    assert_eq!(people(&other, std::slice::from_ref(&kim), NOW), Err(Code::ResumeInvalid));
    let elsewhere = ResumeText { party: KeyRole::Cosigner, ..resume() };
    let signed = sign_ssh(&ssh_private(11), NAMESPACE_RESUME, &elsewhere.render()).unwrap();
    assert_eq!(people(&elsewhere, &[signed], NOW), Err(Code::ResumeInvalid));
    assert_eq!(people(&text, std::slice::from_ref(&kim), text.expires_at.plus(1)), Err(Code::ResumeInvalid));
    let wrong = sign_ssh(&ssh_private(11), NAMESPACE_FREEZE, &rendered).unwrap();
    assert_eq!(people(&text, &[wrong], NOW), Err(Code::ResumeInvalid));
    let many = vec![kim; 65];
    assert_eq!(people(&text, &many, NOW), Err(Code::ResumeInvalid));
    assert!(ResumeText::parse(&rendered.replace("party: signer", "party: vault")).is_err());
}
