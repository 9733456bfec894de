//! Puts a party together from its settings: keys, beliefs, the line to the other party, the travel rule.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rustls::RootCertStore;

use super::custodian::{Shown, key_b};
use super::keystore_of;
use super::outward::Outward;
use crate::bitcoin::KeySlot;
use crate::cli::config::load::{self, Beliefs};
use crate::cli::config::secrets::DataKeySource;
use crate::cli::config::settings::PartyPlaces;
use crate::cli::config::travel_rule::{EnclaveSettings, ScreeningSettings};
use crate::cli::config::verifyvasp::{AdapterSettings, ServerSettings, of_adapter};
use crate::cli::config::{CosignerSettings, SignerSettings};
use crate::cli::instance::{Instance, Witnessing};
use crate::cli::keyfile;
use crate::cli::problem::Problem;
use crate::cosigner::{RemoteCosigner, RemoteLimits};
use crate::desk::Role;
use crate::enclave::exchange::client::{SHORT_TIME, USER_TIME};
use crate::enclave::exchange::data_key::{self, DataKeyFault};
use crate::enclave::exchange::{Auth, Line, LineFault};
use crate::enclave::screen::{ListFault, Lists, Screener, check_folder};
use crate::enclave::verifyvasp::{self, Route};
use crate::enclave::wire::tls::Identity;
use crate::enclave::{self, DataKey, Door, RelayPin, VaspFacts};
use crate::evidence::Trust;
use crate::evidence::trust::Vasp;
use crate::flow::context::{Context, PartySettings, machine_clock};
use crate::flow::cosign::KeyB;
use crate::flow::cosign::desk::CosignerParts;
use crate::flow::rail::Keys;
use crate::flow::signer::SignerParts;
use crate::freeze::Brake;
use crate::keys::KeyRole;
use crate::pki::{self, PemFiles};
use crate::wire::channel::ChannelOrder;
use crate::withdrawal::{Asset, VaspId};

/// How much longer than the line itself the enclave waits for it.
const LINE_GRACE: Duration = Duration::from_millis(500);

/// The signer's keys, checked against what it believes.
pub fn signer_keys(party: &PartyPlaces, beliefs: &Beliefs) -> Result<Instance, Problem> {
    let (_, instance) = keystore_of(party, KeyRole::Signer)?;
    instance.check_slot(&beliefs.hot, KeySlot::A)?;
    instance.check_seats(&beliefs.safes, KeyRole::Signer)?;
    instance.check_log(&beliefs.trust)?;
    Ok(instance)
}

/// The signer's parts.
pub fn signer(
    settings: &SignerSettings,
    (beliefs, brake): (Beliefs, Arc<Brake>),
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
        context: Arc::new(context(&settings.party, (beliefs, brake), own)),
        secret: keys.store,
        log_key: keys.log_key,
        identity: keys.log_identity,
        keys: Keys { hot: keys.hot_key, seat: keys.seat },
        cosigner: Arc::new(remote),
        enclave,
    })
}

/// The co-signer's parts, its keys checked against what it believes; and what a custodian's own calls must not show.
pub fn cosigner(
    settings: &CosignerSettings,
    (beliefs, brake): (Beliefs, Arc<Brake>),
) -> Result<(CosignerParts, Shown), Problem> {
    let party = &settings.party;
    let route = settings.route.as_ref().map(server_of).transpose()?;
    let (keystore, instance) = keystore_of(party, KeyRole::Cosigner)?;
    let witnessing = Witnessing::of(&keystore, &party.origin)?;
    drop(keystore);
    witnessing.check(&beliefs.trust)?;
    instance.check_seats(&beliefs.safes, KeyRole::Cosigner)?;
    let (hot_key, shown) = match &settings.custodian {
        None => {
            instance.check_slot(&beliefs.hot, KeySlot::B)?;
            (KeyB::Own(instance.hot_key), Shown::default())
        }
        Some(custodian) => {
            instance.check_no_slot(&beliefs.hot)?;
            key_b(custodian, witnessing.custody)?
        }
    };
    let own = party_settings(party, &beliefs);
    let parts = CosignerParts {
        store: load::store_url(&party.store)?,
        context: Arc::new(context(party, (beliefs, brake), own)),
        secret: instance.store,
        log_key: instance.log_key,
        log_identity: instance.log_identity,
        witness_key: witnessing.key,
        witness_identity: witnessing.identity,
        attestation: witnessing.attestation,
        hot_key,
        seat: instance.seat,
        route: route.map(|route| Arc::new(Route::new(route))),
    };
    Ok((parts, shown))
}

/// An enclave server, as one party reaches it: opens its token and its certificates.
pub fn server_of(server: &ServerSettings) -> Result<verifyvasp::Settings, Problem> {
    let roots = server.authority.as_deref().map(|path| roots_of("verifyvasp.server.ca", path)).transpose()?;
    let field = "verifyvasp.server.token";
    let auth = server.token.as_ref().map(|token| {
        let auth = Auth::new(&token.read(field)?, server.token_header.as_deref());
        let cure = "write a token of visible ASCII characters without blanks";
        auth.map_err(|no| Problem::config(field, no.to_string(), cure))
    });
    let line = Line::new(roots.unwrap_or_else(RootCertStore::empty), auth.transpose()?, server.allow.clone());
    let cure = "correct the enclave server's settings";
    let line = line.map_err(|fault| Problem::config("verifyvasp.server", fault.to_string(), cure))?;
    let (url, names) = (server.url.clone(), server.names.clone());
    Ok(verifyvasp::Settings { url, line, names, time: server.call_time })
}

/// The adapter's data key with those before it.
pub fn adapter_key(settings: &AdapterSettings) -> Result<DataKey, Problem> {
    let hex = |field, place| Ok::<_, Problem>(DataKey::new(load::hex_key(field, place)?.expose()));
    let data_key = hex("verifyvasp.data_key", &settings.data_key)?;
    let mut before = None;
    // From the oldest on: each key brings those before it along.
    for place in settings.old_data_keys.iter().rev() {
        let key = hex("verifyvasp.old_data_keys", place)?;
        before = Some(match before {
            Some(older) => key.after(older),
            None => key,
        });
    }
    Ok(match before {
        Some(before) => data_key.after(before),
        None => data_key,
    })
}

/// What the adapter runs on. Only the enclave's own process asks: this reads its keys.
pub fn adapter(settings: &AdapterSettings, trust: &Trust) -> Result<verifyvasp::AdapterSettings, Problem> {
    let data_key = adapter_key(settings)?;
    let unsigned = trust.vasps().filter(|vasp| vasp.active && vasp.identity_key.is_none());
    Ok(verifyvasp::AdapterSettings {
        vasp: trust.vasp_id(),
        directory: unsigned.map(|vasp| vasp.id).collect(),
        directory_version: trust.version(),
        server: server_of(&settings.server)?,
        database: settings.database.clone(),
        data_key,
        key_type: settings.key_type,
        screener: screener(settings.screening.as_ref()).map_err(of_adapter)?,
        answer_wait: settings.answer_wait,
        expiry_s: settings.expiry_s,
        refresh: verifyvasp::REFRESH,
        kept_s: settings.retention_days.map(|days| u64::from(days) * 86_400),
        now: machine_clock(),
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

fn context(party: &PartyPlaces, (beliefs, brake): (Beliefs, Arc<Brake>), settings: PartySettings) -> Context {
    Context {
        asset: Asset::Bitcoin(party.network),
        wallet: beliefs.hot,
        cold: beliefs.cold,
        safes: beliefs.safes,
        trust: beliefs.trust,
        policy: beliefs.policy,
        policies: RwLock::default(),
        brake,
        settings,
        clock: machine_clock(),
    }
}

/// Who is who in the travel-rule network.
pub struct Known {
    own: VaspId,
    version: u64,
    keys: BTreeMap<VaspId, [u8; 32]>,
    /// Their names.
    pub names: BTreeMap<VaspId, String>,
    /// What records say of each of them, and of us.
    facts: BTreeMap<VaspId, VaspFacts>,
}

impl Known {
    /// What a directory of this version says: the own id, and those of the others that are active.
    pub fn of<'a>(
        version: u64,
        (own, own_name): (VaspId, &str),
        vasps: impl Iterator<Item = &'a Vasp>,
    ) -> Self {
        let (mut keys, mut names) = (BTreeMap::new(), BTreeMap::new());
        let ours = VaspFacts { name: own_name.to_owned(), country: None };
        let mut facts = BTreeMap::from([(own, ours)]);
        for vasp in vasps.filter(|vasp| vasp.active) {
            keys.extend(vasp.identity_key.map(|key| (vasp.id, key.to_bytes())));
            names.insert(vasp.id, vasp.name.clone());
            facts.insert(vasp.id, VaspFacts { name: vasp.name.clone(), country: vasp.jurisdiction.clone() });
        }
        Self { own, version, keys, names, facts }
    }
}

/// What the enclave runs on. Only its own process asks: this reads its keys.
pub async fn enclave_settings(
    settings: &EnclaveSettings,
    known: &Known,
    outward: Option<&Outward>,
) -> Result<enclave::Settings, Problem> {
    let identity = load::hex_key("enclave.identity_key", &settings.identity_key)?;
    let data_key = data_key_chain(settings, outward.map(Outward::line)).await?;
    Ok(enclave::Settings {
        vasp: known.own,
        identity: keyfile::signing_key(&identity),
        data_key,
        database: settings.database.clone(),
        directory: known.keys.clone(),
        directory_version: known.version,
        vasps: known.facts.clone(),
        relay: RelayPin { url: settings.relay_url.clone(), key: settings.relay_key },
        roots: roots(&settings.tls)?,
        tls: server_identity(&settings.tls)?,
        endpoint: settings.public_endpoint.clone(),
        screener: screener(settings.screening.as_ref())?,
        limits: limits(settings),
        now: machine_clock(),
    })
}

fn limits(settings: &EnclaveSettings) -> enclave::Limits {
    let listener = settings.exchange.as_ref().and_then(|exchange| exchange.listener.as_ref());
    let limits = enclave::Limits::default();
    enclave::Limits {
        key_ttl_s: settings.key_ttl.as_secs(),
        answer_wait: settings.answer_wait.max(Duration::from_millis(1)),
        try_time: limits.try_time.saturating_add(settings.answer_wait),
        expiry_s: settings.expiry_s,
        waiting_max: settings.waiting_max,
        at_once_max: settings.at_once_max,
        // The line to the backend keeps the documented times; it answers ERROR before the enclave gives up on it.
        user_time: USER_TIME + LINE_GRACE,
        account_time: SHORT_TIME + LINE_GRACE,
        assets: settings.assets.clone(),
        kept_s: settings.retention_days.map(|days| u64::from(days) * 86_400),
        relay_allow: settings.relay_allow.clone(),
        keepalive: listener.map_or(limits.keepalive, |listener| listener.keepalive),
        ..limits
    }
}

/// The sanctions lists, where there are any.
pub fn screener(screening: Option<&ScreeningSettings>) -> Result<Option<Arc<dyn Screener>>, Problem> {
    let Some(screening) = screening else { return Ok(None) };
    let problem = |fault: ListFault| {
        let cure = match fault {
            ListFault::Strange(..) => {
                "give the lists a folder of their own, with plain files that the enclave's user can read: no links, no folders"
            }
            _ => "put the list there, with one address or one name on each line",
        };
        Problem::config("enclave.screening", fault.to_string(), cure)
    };
    check_folder(&screening.folder).map_err(problem)?;
    let lists = Lists::open(&screening.addresses, &screening.names).map_err(problem)?;
    Ok(Some(Arc::new(lists)))
}

/// The data key with those before it.
pub async fn data_key_chain(settings: &EnclaveSettings, line: Option<&Line>) -> Result<DataKey, Problem> {
    let mut before = None;
    // From the oldest on: each key brings those before it along.
    for source in settings.old_data_keys.iter().rev() {
        let fields = ("enclave.old_data_keys", "enclave.old_encryption_keys");
        let key = data_key(source, line, fields).await?;
        before = Some(match before {
            Some(older) => key.after(older),
            None => key,
        });
    }
    let data_key = data_key(&settings.data_key, line, ("enclave.data_key", "enclave.encryption_key")).await?;
    Ok(match before {
        Some(before) => data_key.after(before),
        None => data_key,
    })
}

async fn data_key(
    source: &DataKeySource,
    line: Option<&Line>,
    (hex, field): (&str, &str),
) -> Result<DataKey, Problem> {
    match source {
        DataKeySource::Hex(place) => load::hex_key(hex, place).map(|key| DataKey::new(key.expose())),
        DataKeySource::Plain(secret) => data_key::plain(&secret.read(field)?).map_err(no_data_key),
        DataKeySource::Wrapped(secret, place) => {
            let line = line.ok_or_else(|| no_data_key(LineFault::Setup.into()))?;
            data_key::unwrapped(line, place, &secret.read(field)?).await.map_err(no_data_key)
        }
    }
}

/// Why there is no data key, and what to set.
pub fn no_data_key(fault: DataKeyFault) -> Problem {
    let (field, cure) = match fault {
        DataKeyFault::Input | DataKeyFault::NotBase64 | DataKeyFault::Length(_) => (
            "enclave.encryption_key",
            "set it (VEGA_ENCRYPTION_KEY_BASE64) to base64 of 32 random bytes, or set decrypt_url (VEGA_DECRYPT_API_ENDPOINT) to \
             the service that turns it into them",
        ),
        DataKeyFault::Service(_)
        | DataKeyFault::NoOutput
        | DataKeyFault::OutputNotBase64
        | DataKeyFault::OutputLength(_) => (
            "enclave.decrypt_url",
            "set it (VEGA_DECRYPT_API_ENDPOINT) to a service that answers {\"outputKey\": base64 of 32 bytes} to \
             {\"inputKey\": …}; it gets the same token as every other call",
        ),
    };
    Problem::config(field, fault.to_string(), cure)
}

/// The certificate of a listener that asks for none.
pub fn server_identity(files: &PemFiles) -> Result<Identity, Problem> {
    let identity = pki::read_identity(&files.certificate, &files.key)?;
    Ok(Identity { chain: identity.chain, key: identity.key })
}

/// The roots that the other side's certificate must lead to.
pub fn roots(files: &PemFiles) -> Result<RootCertStore, Problem> {
    roots_of("tls.ca", &files.authority)
}

pub(super) fn roots_of(field: &str, path: &Path) -> Result<RootCertStore, Problem> {
    let mut roots = RootCertStore::empty();
    for authority in pki::read_certificates(path)? {
        roots
            .add(authority)
            .map_err(|error| Problem::config(field, error.to_string(), "name a CA's certificate"))?;
    }
    Ok(roots)
}
