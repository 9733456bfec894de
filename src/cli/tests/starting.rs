//! What the enclave's process reads before it serves anybody.

use tokio::net::TcpListener;

use super::*;
use crate::cli::config::verifyvasp::TravelRule;
use crate::cli::config::{SignerSettings, load};
use crate::cli::run::assemble::{self, Known};
use crate::cli::run::standalone::prepare;
use crate::enclave::verifyvasp::Adapter;
use crate::enclave::{Enclave, EnclaveFault};
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

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

pub(super) async fn start(
    settings: &SignerSettings,
    version: u64,
    trust: &Trust,
) -> Result<(), EnclaveFault> {
    match &settings.travel_rule {
        TravelRule::Own(own) => {
            let known = Known::of(version, (trust.vasp_id(), trust.vasp_name()), trust.vasps());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let parts = prepare(own, known).await.unwrap();
            let started = Enclave::start(parts.settings, parts.backend, listener).await;
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
            assert_eq!(
                (no.code, no.field.as_deref()),
                (Some(Code::ConfigInvalid), Some("trust.file")),
                "{no}"
            );
            start(&settings, trust.version() + 1, &trust).await.unwrap();
        });
    }
}

/// A secret that is gone once it was read, and the number it is read by.
pub(super) fn piped(secret: &str) -> (std::io::PipeReader, i32) {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(secret.as_bytes()).unwrap();
    let number = reader.as_raw_fd();
    (reader, number)
}

/// The same enclave without a signer; the backend's token comes from there.
pub(super) fn alone(desk: &Desk, signer: &Path, name: &str, token: &str) -> PathBuf {
    let text = std::fs::read_to_string(signer).unwrap();
    let (head, tail) = text.split_once("[enclave]").unwrap();
    let (_, trust) = head.split_once("[trust]").unwrap();
    if !desk.path("own-token").exists() {
        desk.write("own-token", &"o".repeat(32));
    }
    let backend = "http://127.0.0.1:1";
    let exchange = format!(
        r#"
        [enclave.exchange]
        verify_user_url = "{backend}/user"
        verify_account_url = "{backend}/account"
        transaction_url = "{backend}/transaction"
        token = {token}
        listener = {{ listen = "127.0.0.1:0", token = {{ file = "own-token" }} }}
        "#
    );
    desk.write(name, &format!("memory_lock = false\n[trust]{trust}[enclave]{tail}{exchange}"))
}

#[test]
fn a_new_data_key_is_named_from_the_root_for_the_configuration_has_a_folder_of_its_own() {
    let desk = Desk::new();
    let path = deployment(&desk);
    alone(&desk, &path, "alone.toml", "{ file = \"own-token\" }");
    let here = std::env::current_dir().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let relative = format!("{up}{}", desk.path("new.key").strip_prefix("/").unwrap().display());
    let made = desk.play(&format!("enclave rekey --config @alone.toml --generate {relative}")).unwrap();
    let named = Path::new(made.json["made"].as_str().unwrap());
    assert!(named.is_absolute() && named.is_file() && desk.path("new.key").is_file(), "{named:?}");
    assert!(made.text.contains(&format!("{{ file = \"{}\" }}", named.display())), "{}", made.text);
}

#[test]
fn a_backends_token_that_can_be_read_only_once_starts_the_lone_enclave_and_passes_the_check() {
    let desk = Desk::new();
    let path = deployment(&desk);
    let (_pipe, number) = piped("the-backends-token");
    let token = format!("{{ descriptor = {number} }}");
    let settings = config::enclave(Some(&alone(&desk, &path, "alone.toml", &token)), None).unwrap();
    let directory = load::directory(&settings.trust).unwrap();
    let known = (directory.vasp_id(), directory.vasp_name());
    let known = Known::of(directory.version(), known, directory.vasps());
    let parts = block_on(async { prepare(&settings.enclave, known).await.map(|parts| parts.desk.is_some()) });
    assert!(parts.unwrap(), "the private listener stands");

    let (_pipe, number) = piped("the-backends-token");
    let token = format!("{{ descriptor = {number} }}");
    let settings = config::enclave(Some(&alone(&desk, &path, "again.toml", &token)), None).unwrap();
    let answer = config::check::enclave(&settings);
    assert!(failed(&answer).is_empty(), "{}", answer.text);
    // The other direction's token is still another one.
    let same = alone(&desk, &path, "same.toml", "{ file = \"own-token\" }");
    let answer = config::check::enclave(&config::enclave(Some(&same), None).unwrap());
    assert_eq!(failed(&answer), ["enclave.exchange.listener.token"], "{}", answer.text);
}
