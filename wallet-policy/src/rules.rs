//! Owns the Cedar rules: reads the files strictly, evaluates them, and turns every doubt into a no.
//!
//! Cedar by itself *skips* a rule that fails to evaluate, so that a `forbid` which overflows would no longer forbid.
//! Here any evaluation error refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use cedar_policy::{
    ActionConstraint, Authorizer, Decision as CedarDecision, Effect as CedarEffect, Entities, Entity,
    EntityId, EntityTypeName, EntityUid, Policy as CedarPolicy, PolicyId, PolicySet, Request, Schema,
    ValidationMode, Validator,
};
use sha2::{Digest, Sha256};

use crate::code::{Effect, PolicyCode};
use crate::context::context;
use crate::decision::Finding;
use crate::facts::Kind;
use crate::policy::PolicyError;
use crate::rails::{self, Case};

/// The words the rules may use; compiled in.
pub(crate) const SCHEMA: &str = include_str!("../policies/schema.cedarschema");

const ANNOTATIONS: [&str; 5] = ["id", "effect", "code", "cure", "note"];

/// What a `forbid` says when it holds.
#[derive(Debug)]
struct Says {
    code: PolicyCode,
    cure: String,
}

/// The rules, ready for asking.
#[derive(Debug)]
pub(crate) struct Rules {
    authorizer: Authorizer,
    /// The rules that can apply to each kind: those with another action in their head never do.
    sets: BTreeMap<Kind, (EntityUid, PolicySet)>,
    says: BTreeMap<String, Says>,
    entities: Entities,
    organisation: EntityTypeName,
    resources: BTreeMap<String, (EntityUid, EntityUid)>,
    digests: (BTreeSet<String>, BTreeSet<String>),
}

impl Rules {
    /// Reads and checks the files for these assets.
    pub(crate) fn load<'a>(
        files: &[(&str, &str)],
        assets: impl Iterator<Item = &'a String>,
    ) -> Result<Self, PolicyError> {
        let schema = schema()?;
        let (policies, says) = read(files)?;
        let set = PolicySet::from_policies(policies.iter().cloned()).map_err(fault)?;
        validate(schema, &set)?;
        let mut sets = BTreeMap::new();
        for kind in Kind::ALL {
            let action = uid("Action", kind.as_str())?;
            let applying = policies.iter().filter(|p| can_apply(p, &action)).cloned();
            let set = PolicySet::from_policies(applying).map_err(fault)?;
            sets.insert(kind, (action, set));
        }
        let resources = assets.map(|a| Ok((a.clone(), (uid("Asset", a)?, uid("Wallet", a)?))));
        let resources = resources.collect::<Result<BTreeMap<_, _>, PolicyError>>()?;
        let organisation = EntityTypeName::from_str("Organisation").map_err(fault)?;
        let entities = entities(&resources)?;
        let digests = digests(&policies)?;
        Ok(Self { authorizer: Authorizer::new(), sets, says, entities, organisation, resources, digests })
    }

    /// The hashes of the rules that permit and of those that forbid.
    pub(crate) fn digests(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        self.digests.clone()
    }

    /// What the rules say. Nothing said is a release as far as they go.
    pub(crate) fn evaluate(&self, case: &Case<'_>) -> Vec<(Effect, Finding)> {
        match self.ask(case) {
            Ok(findings) => findings,
            Err(problem) => vec![own_finding(PolicyCode::PolicyFault, "policy", problem)],
        }
    }

    fn ask(&self, case: &Case<'_>) -> Result<Vec<(Effect, Finding)>, String> {
        let facts = case.facts;
        let (action, set) = self.sets.get(&facts.kind).ok_or("no rules for this kind")?;
        let (asset, wallet) = self.resources.get(&facts.asset).ok_or("no such asset")?;
        let resource = if facts.kind == Kind::Withdraw { asset } else { wallet };
        let id = EntityId::new(&facts.organisation);
        let principal = EntityUid::from_type_name_and_id(self.organisation.clone(), id);
        let context = context(case)?;
        // without the schema: a test checks that this context fits it, and a misfit would be an evaluation error
        let request = Request::new(principal, action.clone(), resource.clone(), context, None);
        let request = request.map_err(|error| error.to_string())?;
        let response = self.authorizer.is_authorized(&request, set, &self.entities);
        let errors = response.diagnostics().errors();
        let mut findings: Vec<_> =
            errors.map(|e| own_finding(PolicyCode::PolicyFault, "policy", e.to_string())).collect();
        if response.decision() == CedarDecision::Deny {
            let said = response.diagnostics().reason().map(|id| self.finding(id, case));
            let before = findings.len();
            findings.extend(said);
            if findings.len() == before {
                let detail = "no rule permits it".to_owned();
                findings.push(own_finding(PolicyCode::PolicyRefused, "default-deny", detail));
            }
        }
        Ok(findings)
    }

    fn finding(&self, id: &PolicyId, case: &Case<'_>) -> (Effect, Finding) {
        let id: &str = id.as_ref();
        let Some(says) = self.says.get(id) else {
            return own_finding(PolicyCode::PolicyFault, id, "the rule has no meaning".to_owned());
        };
        let detail = rails::detail(says.code, case).unwrap_or_else(|| format!("rule `{id}` says no"));
        let finding = Finding { code: says.code, policy: id.to_owned(), detail, cure: says.cure.clone() };
        (says.code.effect(), finding)
    }

    /// The ids of the rules in the files that can say no, in order.
    #[cfg(test)]
    pub(crate) fn forbids(&self) -> impl Iterator<Item = (&str, PolicyCode)> {
        self.says.iter().map(|(id, says)| (id.as_str(), says.code))
    }
}

fn own_finding(code: PolicyCode, policy: &str, detail: String) -> (Effect, Finding) {
    (code.effect(), Finding { code, policy: policy.to_owned(), detail, cure: code.cure().to_owned() })
}

pub(crate) fn schema() -> Result<Schema, PolicyError> {
    let (schema, mut warnings) = Schema::from_cedarschema_str(SCHEMA).map_err(fault)?;
    match warnings.next() {
        Some(warning) => Err(PolicyError::Invalid(format!("schema: {warning}"))),
        None => Ok(schema),
    }
}

/// Reads every file and gives each rule the id it states.
fn read(files: &[(&str, &str)]) -> Result<(Vec<CedarPolicy>, BTreeMap<String, Says>), PolicyError> {
    let (mut policies, mut says, mut seen) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (file, text) in files {
        let unreadable = |problem: String| PolicyError::Unreadable { file: (*file).to_owned(), problem };
        let set = PolicySet::from_str(text).map_err(|error| unreadable(parse_problem(&error)))?;
        if set.templates().next().is_some() {
            return Err(unreadable("has a template; write rules without slots".to_owned()));
        }
        for policy in set.policies() {
            let (id, meaning) = meaning(file, policy)?;
            if let Some(first) = seen.insert(id.clone(), (*file).to_owned()) {
                return Err(PolicyError::DuplicateId { id, first, second: (*file).to_owned() });
            }
            policies.push(policy.new_id(PolicyId::new(&id)));
            says.extend(meaning.map(|meaning| (id, meaning)));
        }
    }
    Ok((policies, says))
}

/// Hashes each rule as Cedar understood it, annotations included: neither its file, blanks nor comments count.
fn digests(policies: &[CedarPolicy]) -> Result<(BTreeSet<String>, BTreeSet<String>), PolicyError> {
    let (mut permits, mut forbids) = (BTreeSet::new(), BTreeSet::new());
    for policy in policies {
        let rule = policy.to_json().map_err(fault)?.to_string();
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(rule));
        match policy.effect() {
            CedarEffect::Permit => permits.insert(digest),
            CedarEffect::Forbid => forbids.insert(digest),
        };
    }
    Ok((permits, forbids))
}

fn parse_problem(errors: &cedar_policy::ParseErrors) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The id of a rule, and for a `forbid` what it says. One without `@effect` refuses.
fn meaning(file: &str, policy: &CedarPolicy) -> Result<(String, Option<Says>), PolicyError> {
    let annotation = |key: &str| policy.annotation(key).map(str::to_owned);
    let id =
        annotation("id").filter(|id| is_id(id)).ok_or_else(|| PolicyError::NoId { file: file.to_owned() })?;
    let wrong = |problem: String| PolicyError::Annotation { id: id.clone(), problem };
    if let Some((key, _)) = policy.annotations().find(|(key, _)| !ANNOTATIONS.contains(key)) {
        return Err(wrong(format!("@{key} is not known; write @id, @effect, @code, @cure or @note")));
    }
    if policy.effect() == CedarEffect::Permit {
        let extra = ["effect", "code", "cure"].into_iter().find(|key| policy.annotation(key).is_some());
        return match extra {
            Some(key) => Err(wrong(format!("@{key} stands on a permit; it belongs on a forbid"))),
            None => Ok((id, None)),
        };
    }
    let effect = match annotation("effect") {
        None => Effect::Refuse,
        Some(text) => Effect::parse(&text)
            .ok_or_else(|| wrong(format!("@effect(\"{text}\") is not known; write refuse or hold")))?,
    };
    let code = match (annotation("code"), effect) {
        (Some(text), _) => PolicyCode::parse(&text)
            .ok_or_else(|| wrong(format!("@code(\"{text}\") is not a code of the policy")))?,
        (None, Effect::Refuse) => PolicyCode::PolicyRefused,
        (None, Effect::Hold) => PolicyCode::PolicyHeld,
    };
    if code.effect() != effect {
        return Err(wrong(format!(
            "{code} is a code that does not {}; choose another code",
            effect.as_str()
        )));
    }
    let cure = annotation("cure").filter(|cure| !cure.is_empty()).unwrap_or_else(|| code.cure().to_owned());
    Ok((id, Some(Says { code, cure })))
}

fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

fn validate(schema: Schema, set: &PolicySet) -> Result<(), PolicyError> {
    let result = Validator::new(schema).validate(set, ValidationMode::Strict);
    if result.validation_passed_without_warnings() {
        return Ok(());
    }
    let errors = result.validation_errors().map(ToString::to_string);
    let mut problems: Vec<String> =
        errors.chain(result.validation_warnings().map(ToString::to_string)).collect();
    problems.sort();
    Err(PolicyError::Invalid(problems.join("; ")))
}

/// Whether the head of the rule lets it apply to that action. The schema has no groups of actions.
fn can_apply(policy: &CedarPolicy, action: &EntityUid) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(one) => one == *action,
        ActionConstraint::In(some) => some.contains(action),
    }
}

fn uid(of: &str, id: &str) -> Result<EntityUid, PolicyError> {
    let of = EntityTypeName::from_str(of).map_err(fault)?;
    Ok(EntityUid::from_type_name_and_id(of, EntityId::new(id)))
}

/// Each asset, and its wallet inside it.
fn entities(resources: &BTreeMap<String, (EntityUid, EntityUid)>) -> Result<Entities, PolicyError> {
    let mut all = Vec::new();
    for (asset, wallet) in resources.values() {
        all.push(Entity::new_no_attrs(asset.clone(), [].into()));
        all.push(Entity::new_no_attrs(wallet.clone(), [asset.clone()].into()));
    }
    Entities::from_entities(all, None).map_err(fault)
}

fn fault(error: impl std::fmt::Display) -> PolicyError {
    PolicyError::Invalid(error.to_string())
}
