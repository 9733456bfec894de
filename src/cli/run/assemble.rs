//! Puts a party together from its settings: keys, beliefs, the line to the other party, the travel rule.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustls::RootCertStore;
use tokio::net::TcpListener;

use super::keystore_of;
use crate::bitcoin::KeySlot;
use crate::cli::config::SignerSettings;
use crate::cli::config::load::{self, Beliefs};
use crate::cli::config::settings::{EnclaveSettings, PartyPlaces};
use crate::cli::instance::{Instance, Witnessing};
use crate::cli::keyfile;
use crate::cli::problem::Problem;
use crate::cosigner::{RemoteCosigner, RemoteLimits};
use crate::desk::Role;
use crate::enclave::wire::tls::Identity;
use crate::enclave::{self, DataKey, Door, Enclave, NoCustomers, RelayPin};
use crate::evidence::Trust;
use crate::flow::context::{Context, PartySettings, machine_clock};
use crate::flow::cosign::desk::CosignerParts;
use crate::flow::signer::SignerParts;
use crate::keys::KeyRole;
use crate::pki::{self, PemFiles};
use crate::wire::channel::ChannelOrder;
use crate::withdrawal::Asset;

/// The signer's keys, checked against what it believes.
pub fn signer_keys(party: &PartyPlaces, beliefs: &Beliefs) -> Result<Instance, Problem> {
    let (_, instance) = keystore_of(party, KeyRole::Signer)?;
    instance.check_slot(&beliefs.hot, KeySlot::A)?;
    instance.check_log(&beliefs.trust)?;
    Ok(instance)
}

/// The signer's parts.
pub fn signer(
    settings: &SignerSettings,
    beliefs: Beliefs,
    keys: Instance,
    enclave: Arc<dyn Door>,
) -> Result<SignerParts, Problem> {
    let files = &settings.cosigner_tls;
    let authorities = pki::read_certificates(&files.authority)?;
    let identity = pki::read_identity(&files.certificate, &files.key)?;
    let order = ChannelOrder {
        address: settings.cosigner.clone(),
        tls: pki::client_config(&authorities, identity)?,
        server_role: Role::Cosigner,
    };
    let remote = RemoteCosigner::new(&order, RemoteLimits::default());
    let cure = "write host:port, the host as it stands in the co-signer's certificate";
    let remote = remote.map_err(|fault| Problem::config("cosigner.address", fault.to_string(), cure))?;
    let own = PartySettings {
        create_wait: settings.create_wait,
        retry: settings.retry,
        open_max: settings.open_max,
        ..party_settings(&settings.party, &beliefs)
    };
    Ok(SignerParts {
        store: load::store_url(&settings.party.store)?,
        context: Arc::new(context(&settings.party, beliefs, own)),
        secret: keys.store,
        log_key: keys.log_key,
        identity: keys.log_identity,
        hot_key: keys.hot_key,
        cosigner: Arc::new(remote),
        enclave,
    })
}

/// The co-signer's parts, its keys checked against what it believes.
pub fn cosigner(party: &PartyPlaces, beliefs: Beliefs) -> Result<CosignerParts, Problem> {
    let (keystore, instance) = keystore_of(party, KeyRole::Cosigner)?;
    let witnessing = Witnessing::of(&keystore, &party.origin)?;
    drop(keystore);
    instance.check_slot(&beliefs.hot, KeySlot::B)?;
    witnessing.check(&beliefs.trust)?;
    let own = party_settings(party, &beliefs);
    Ok(CosignerParts {
        store: load::store_url(&party.store)?,
        context: Arc::new(context(party, beliefs, own)),
        secret: instance.store,
        log_key: instance.log_key,
        log_identity: instance.log_identity,
        witness_key: witnessing.key,
        witness_identity: witnessing.identity,
        attestation: witnessing.attestation,
        hot_key: instance.hot_key,
    })
}

fn party_settings(party: &PartyPlaces, beliefs: &Beliefs) -> PartySettings {
    let bounds = &party.bounds;
    PartySettings {
        request_age_s_max: bounds.request_age_s_max,
        statement_age_s_max: bounds.statement_age_s_max,
        clearance_age_s_max: beliefs.policy.settings().ages.clearance_s,
        approval_age_s_max: bounds.approval_age_s_max,
        hold_s_max: bounds.hold_s_max,
        transit_s_max: bounds.transit_s_max,
        depth_min: bounds.depth_min,
        queue_max: bounds.queue_max,
        ..PartySettings::default()
    }
}

fn context(party: &PartyPlaces, beliefs: Beliefs, settings: PartySettings) -> Context {
    Context {
        asset: Asset::Bitcoin(party.network),
        wallet: beliefs.hot,
        cold: beliefs.cold,
        trust: beliefs.trust,
        policy: beliefs.policy,
        other_policy: RwLock::new(None),
        settings,
        clock: machine_clock(),
    }
}

/// What the enclave runs on. Only its own process asks: this reads its keys.
pub fn enclave_settings(settings: &EnclaveSettings, trust: &Trust) -> Result<enclave::Settings, Problem> {
    let identity = load::hex_key("enclave.identity_key", &settings.identity_key)?;
    let data_key = load::hex_key("enclave.data_key", &settings.data_key)?;
    let active = trust.vasps().filter(|vasp| vasp.active);
    Ok(enclave::Settings {
        vasp: trust.vasp_id(),
        identity: keyfile::signing_key(&identity),
        data_key: DataKey::new(data_key.expose()),
        database: settings.database.clone(),
        directory: active.map(|vasp| (vasp.id, vasp.identity_key.to_bytes())).collect(),
        relay: RelayPin { url: settings.relay_url.clone(), key: settings.relay_key },
        roots: roots(&settings.tls)?,
        tls: server_identity(&settings.tls)?,
        endpoint: settings.public_endpoint.clone(),
        limits: enclave::Limits {
            answer_wait: settings.answer_wait.max(Duration::from_millis(1)),
            expiry_s: settings.expiry_s,
            waiting_max: settings.waiting_max,
            at_once_max: settings.at_once_max,
            ..enclave::Limits::default()
        },
        now: machine_clock(),
    })
}

/// Starts the travel rule on a listener of its own.
pub async fn enclave(settings: enclave::Settings, listener: TcpListener) -> Result<Enclave, Problem> {
    // Asked about our own customers, it knows none: that side belongs to the exchange's own system.
    Ok(Enclave::start(settings, Arc::new(NoCustomers), listener).await?)
}

/// The certificate of a listener that asks for none.
pub fn server_identity(files: &PemFiles) -> Result<Identity, Problem> {
    let identity = pki::read_identity(&files.certificate, &files.key)?;
    Ok(Identity { chain: identity.chain, key: identity.key })
}

/// The roots that the other side's certificate must lead to.
pub fn roots(files: &PemFiles) -> Result<RootCertStore, Problem> {
    let mut roots = RootCertStore::empty();
    for authority in pki::read_certificates(&files.authority)? {
        roots
            .add(authority)
            .map_err(|error| Problem::config("tls.ca", error.to_string(), "name a CA's certificate"))?;
    }
    Ok(roots)
}
