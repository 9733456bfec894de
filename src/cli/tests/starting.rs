//! What the enclave's process reads before it serves anybody.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::*;
use crate::cli::config::verifyvasp::TravelRule;
use crate::cli::config::{SignerSettings, load};
use crate::cli::run::assemble::{self, Known};
use crate::enclave::verifyvasp::Adapter;
use crate::enclave::{Enclave, EnclaveFault, NoCustomers};
use crate::evidence::Trust;

pub(super) const ADAPTER: &str = r#"
        [verifyvasp]
        database = "e.db"
        data_key = { file = "e.key" }
        server = { url = "http://127.0.0.1:1", network_name = "Bitcoin" }
"#;

/// The same deployment with an adapter in place of the enclave.
pub(super) fn with_adapter(desk: &Desk, signer: &Path) -> PathBuf {
    let text = std::fs::read_to_string(signer).unwrap();
    let (head, _) = text.split_once("[enclave]").unwrap();
    desk.write("adapter.toml", &format!("{head}{ADAPTER}"))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

async fn start(settings: &SignerSettings, version: u64, trust: &Trust) -> Result<(), EnclaveFault> {
    match &settings.travel_rule {
        TravelRule::Own(own) => {
            let known = Known::of(version, (trust.vasp_id(), trust.vasp_name()), trust.vasps());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let settings = assemble::enclave_settings(own, &known).await.unwrap();
            let started = Enclave::start(settings, Arc::new(NoCustomers), listener).await;
            let answers = tokio::net::TcpStream::connect(address).await.is_ok();
            assert_eq!(answers, started.is_ok(), "who is refused has served nobody");
            started?.stop().await;
        }
        TravelRule::VerifyVasp(own) => {
            let settings = assemble::adapter(own, trust).unwrap();
            let settings = crate::enclave::verifyvasp::AdapterSettings {
                directory_version: version.max(settings.directory_version),
                ..settings
            };
            Adapter::start(settings).await?.stop().await;
        }
    }
    Ok(())
}

#[test]
fn no_enclave_serves_anybody_with_an_older_trust_file_than_the_one_before() {
    for adapter in [false, true] {
        let desk = Desk::new();
        let path = deployment(&desk);
        let path = if adapter { with_adapter(&desk, &path) } else { path };
        let settings = config::signer(&path).unwrap();
        let trust = load::trust(&settings.party.trust).unwrap();
        block_on(async {
            start(&settings, trust.version(), &trust).await.unwrap();
            start(&settings, trust.version() + 1, &trust).await.unwrap();
            let no = Problem::from(start(&settings, trust.version(), &trust).await.unwrap_err());
            assert_eq!((no.code, no.field.as_deref()), (Some(Code::ConfigInvalid), Some("trust.file")), "{no}");
            start(&settings, trust.version() + 1, &trust).await.unwrap();
        });
    }
}
