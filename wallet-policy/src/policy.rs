//! Owns the policy as a whole: loads it strictly, names it by its hash, and decides by the stricter of files and laws.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::assess::{Assessment, AssetRules};
use crate::code::{Effect, PolicyCode};
use crate::decision::{Decision, Finding};
use crate::facts::Facts;
use crate::outline::Outline;
use crate::rails::{self, Case, RAILS, Rail};
use crate::rules::{Rules, SCHEMA};
use crate::settings::{Guard, Settings, SettingsError};
use crate::tiers::{TierError, Tiers};

/// The rules that are shipped, by file name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("approvals.cedar", include_str!("../policies/approvals.cedar")),
    ("clearance.cedar", include_str!("../policies/clearance.cedar")),
    ("destination.cedar", include_str!("../policies/destination.cedar")),
    ("facts.cedar", include_str!("../policies/facts.cedar")),
    ("fees.cedar", include_str!("../policies/fees.cedar")),
    ("freeze.cedar", include_str!("../policies/freeze.cedar")),
    ("limits.cedar", include_str!("../policies/limits.cedar")),
    ("permit.cedar", include_str!("../policies/permit.cedar")),
    ("share.cedar", include_str!("../policies/share.cedar")),
];

/// Why a policy cannot be used. Nothing leaves until it is repaired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A file is not Cedar.
    #[error("`{file}`: {problem}")]
    Unreadable {
        /// The file's name.
        file: String,
        /// What the parser says.
        problem: String,
    },
    /// Two files have one name.
    #[error("the file `{0}` is given twice")]
    DuplicateFile(String),
    /// A rule has no id of its own.
    #[error("`{file}`: a rule has no @id of small letters, digits and hyphens")]
    NoId {
        /// The file's name.
        file: String,
    },
    /// Two rules have one id.
    #[error("the id `{id}` stands in `{first}` and again in `{second}`")]
    DuplicateId {
        /// The id.
        id: String,
        /// Where it stands first.
        first: String,
        /// Where it stands again.
        second: String,
    },
    /// An annotation does not say what it must.
    #[error("rule `{id}`: {problem}")]
    Annotation {
        /// The rule.
        id: String,
        /// What is wrong.
        problem: String,
    },
    /// The rules do not fit the schema, or the validator warns of them.
    #[error("the rules do not hold up: {0}")]
    Invalid(String),
    /// A setting cannot be used, or is looser than the trust file allows.
    #[error("setting {0}")]
    Settings(#[from] SettingsError),
    /// Tiers cannot be used.
    #[error("tiers: {0}")]
    Tiers(#[from] TierError),
}

/// A policy that has been read, validated and found no looser than its guard.
#[derive(Debug)]
pub struct Policy {
    rules: Rules,
    assets: BTreeMap<String, AssetRules>,
    outline: Outline,
}

impl Policy {
    /// Reads Cedar files, given as name and text, and settings, both bounded by what the trust file pins.
    pub fn load(files: &[(&str, &str)], settings: Settings, guard: &Guard) -> Result<Self, PolicyError> {
        settings.validate()?;
        guard.check(&settings)?;
        let mut files = files.to_vec();
        files.sort_unstable();
        if let Some((name, _)) =
            files.iter().zip(files.iter().skip(1)).find(|(a, b)| a.0 == b.0).map(|(a, _)| a)
        {
            return Err(PolicyError::DuplicateFile((*name).to_owned()));
        }
        let rules = Rules::load(&files, settings.assets.keys())?;
        let general = Tiers::new(settings.tiers.clone())?;
        let mut assets = BTreeMap::new();
        for (id, asset) in &settings.assets {
            let tiers = general.joined(&Tiers::new(asset.tiers.clone())?);
            let share = settings.share_rule(id);
            assets.insert(id.clone(), AssetRules::new(asset, share, settings.ages, tiers, &settings.freeze));
        }
        let hash = hash_all(&hash_files(&files), &settings);
        let schema = data_encoding::HEXLOWER.encode(&Sha256::digest(SCHEMA));
        let outline = Outline::new(hash, schema, rules.digests(), settings);
        Ok(Self { rules, assets, outline })
    }

    /// The shipped rules with these settings.
    pub fn built_in(settings: Settings, guard: &Guard) -> Result<Self, PolicyError> {
        Self::load(BUILT_IN, settings, guard)
    }

    /// SHA-256 over the schema, the sorted files and the canonical settings: equal policies, equal hash.
    pub const fn hash(&self) -> [u8; 32] {
        self.outline.hash()
    }

    /// The hash as 64 small hexadecimal digits, as approvals and the log show it.
    pub fn hash_hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.hash())
    }

    /// The settings it was loaded with.
    pub const fn settings(&self) -> &Settings {
        self.outline.settings()
    }

    /// What is kept of it, so that a later policy can be compared with this one.
    pub const fn outline(&self) -> &Outline {
        &self.outline
    }

    /// Whether this policy may let something leave that `old` did not, so that approvals under `old` no longer count (L14).
    pub fn loosens(&self, old: &Outline) -> bool {
        self.outline.loosens(old)
    }

    /// May this leave? Total: every set of facts has an answer, and every doubt is a no.
    pub fn decide(&self, facts: &Facts) -> Decision {
        self.decide_by(facts, RAILS)
    }

    /// Decides by these laws; a test takes one away and sees that it is missed.
    pub(crate) fn decide_by(&self, facts: &Facts, laws: &[Rail]) -> Decision {
        let Some(rules) = self.assets.get(&facts.asset) else {
            let code = PolicyCode::PolicyRefused;
            let detail =
                format!("the asset `{}` is not enabled", facts.asset.chars().take(120).collect::<String>());
            let (policy, cure) =
                ("guard/asset".to_owned(), "have the asset added to the settings".to_owned());
            let finding = Finding { code, policy, detail, cure };
            return Decision::weigh(vec![(Effect::Refuse, finding)], self.hash());
        };
        let told = Assessment::of(facts, rules);
        let case = Case { facts, rules, told: &told };
        let mut findings = self.rules.evaluate(&case);
        let spoken: Vec<PolicyCode> = findings.iter().map(|(_, f)| f.code).collect();
        findings.extend(rails::broken(laws, &case).filter(|(_, f)| !spoken.contains(&f.code)));
        Decision::weigh(findings, self.hash())
    }
}

#[cfg(test)]
impl Policy {
    /// Shows what the rules are asked with; `None` for an asset that is not set.
    pub(crate) fn with_case<T>(&self, facts: &Facts, look: impl FnOnce(&Case<'_>) -> T) -> Option<T> {
        let rules = self.assets.get(&facts.asset)?;
        let told = Assessment::of(facts, rules);
        Some(look(&Case { facts, rules, told: &told }))
    }

    /// The rules of the files that can say no.
    pub(crate) fn forbids(&self) -> Vec<(String, PolicyCode)> {
        self.rules.forbids().map(|(id, code)| (id.to_owned(), code)).collect()
    }
}

fn hash_files(sorted: &[(&str, &str)]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    framed(&mut hasher, "countersign wallet-policy files v1");
    framed(&mut hasher, SCHEMA);
    for (name, text) in sorted {
        framed(&mut hasher, name);
        framed(&mut hasher, text);
    }
    hasher.finalize().into()
}

fn hash_all(files: &[u8; 32], settings: &Settings) -> [u8; 32] {
    let mut hasher = Sha256::new();
    framed(&mut hasher, "countersign wallet-policy v1");
    hasher.update(files);
    framed(&mut hasher, &settings.canonical());
    hasher.finalize().into()
}

/// Length first, so that no two lists of texts give the same bytes.
fn framed(hasher: &mut Sha256, text: &str) {
    hasher.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
    hasher.update(text.as_bytes());
}
