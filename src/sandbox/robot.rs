//! Plays the counterparty VASP: a second enclave of its own keys, reached only through the relay, with invented customers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::cases::Holders;
use super::configs::Listeners;
use super::folder::{Folder, fresh};
use super::papers::Keys;
use super::seeds::Seeds;
use super::{Fault, ROBOT_VASP, evm, now};
use crate::enclave::wire::tls::Identity;
use crate::enclave::{DataKey, Enclave, Limits, RelayPin, Settings};
use crate::pki::{read_certificates, read_identity};
use crate::relay::robot::{Customer, Robot};

const REGISTERED_TIME_MAX: Duration = Duration::from_secs(20);

/// Starts it and waits until the relay knows where it is.
pub async fn start(
    folder: &Folder,
    (listeners, keys, seeds): (&Listeners, &Keys, &Seeds),
    customers: Robot,
) -> Result<Enclave, Fault> {
    let no = |fault: &dyn std::fmt::Display| Fault::setup("the counterparty VASP", fault);
    folder.folder("robot")?;
    let database = folder.at("robot/enclave.db");
    Enclave::create_database(&database).await.map_err(|fault| no(&fault))?;
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(&folder.at("travel/ca.pem")).map_err(|fault| no(&fault))? {
        roots.add(certificate).map_err(|fault| no(&fault))?;
    }
    let own = read_identity(&folder.at("travel/robot.pem"), &folder.at("travel/robot.key"));
    let own = own.map_err(|fault| no(&fault))?;
    let settings = Settings {
        vasp: ROBOT_VASP,
        identity: keys.robot.clone(),
        data_key: DataKey::new(&fresh()?),
        database,
        directory: BTreeMap::from([Keys::own_vasp(seeds)?]),
        directory_version: 1,
        relay: RelayPin {
            url: format!("https://{}", listeners.relay),
            key: keys.relay.verifying_key().to_bytes(),
        },
        roots,
        tls: Identity { chain: own.chain, key: own.key },
        endpoint: format!("https://{}", listeners.robot),
        vasps: Default::default(),
        screener: None,
        limits: Limits { assets: evm::coins()?, ..Limits::default() },
        now: Arc::new(now),
    };
    let listener =
        TcpListener::bind(listeners.robot).await.map_err(|source| Fault::file(listeners.robot, source))?;
    let enclave =
        Enclave::start(settings, Arc::new(customers), listener).await.map_err(|fault| no(&fault))?;
    let until = Instant::now() + REGISTERED_TIME_MAX;
    while !enclave.health().await.registered {
        if Instant::now() > until {
            return Err(no(&"the relay does not take its endpoint"));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(enclave)
}

/// The three personas of the network's test VASP, and one with a Korean name.
pub fn customers(holders: &Holders) -> Robot {
    let own: Vec<&str> = [Some(&holders.kim_minsu), holders.kim_minsu_evm.as_ref()]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let kim = Customer::person("KIM", "MINSU", &own).with_local_name("김", "민수");
    Robot::personas(&holders.robbins_taylor, &holders.cook_ethan, &holders.garrit_studio).with(kim)
}
