//! The examples of the README are loaded as they stand there.

use super::{BTC, codes, facts};
use crate::facts::Kind;
use crate::{BUILT_IN, Guard, Policy, PolicyCode, Settings};

const README: &str = include_str!("../../README.md");

fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn examples() -> (Policy, Guard) {
    let [settings, guard] = blocks("toml")[..] else { panic!("settings and guard") };
    let settings: Settings = toml::from_str(settings).unwrap();
    let guard: Guard = toml::from_str(guard).unwrap();
    let own: Vec<(String, &str)> =
        blocks("cedar").into_iter().enumerate().map(|(i, text)| (format!("own-{i}.cedar"), text)).collect();
    let mut files = BUILT_IN.to_vec();
    files.extend(own.iter().map(|(name, text)| (name.as_str(), *text)));
    (Policy::load(&files, settings, &guard).unwrap(), guard)
}

#[test]
fn the_examples_of_the_readme_load_and_say_what_they_say() {
    let (policy, _) = examples();
    let mut f = facts(Kind::Withdraw);
    f.asset = BTC.into();
    f.beneficiary_vasp = "vasp-under-review".into();
    assert_eq!(codes(&policy.decide(&f)), [PolicyCode::PolicyHeld]);
    f.beneficiary_vasp = "another".into();
    assert!(policy.decide(&f).is_release());
}

#[test]
fn the_readme_lists_every_word_and_every_code() {
    let schema = include_str!("../../policies/schema.cedarschema");
    let words = schema
        .lines()
        .filter_map(|l| l.trim().split_once(": "))
        .filter(|(_, of)| ["Bool,", "Long,", "String,", "Set<String>,"].contains(of));
    let words: Vec<&str> = words.map(|(word, _)| word).collect();
    assert_eq!(words.len(), 34);
    for word in words.into_iter().chain(PolicyCode::ALL.iter().map(|c| c.as_str())) {
        assert!(README.contains(&format!("`{word}`")), "{word}");
    }
}
