//! How a signer or co-signer is, and the enclave within a signer.

use clap::Args;
use serde_json::json;
use tonic::Code as Grpc;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::connect::ConnectArgs;
use crate::cli::answer::{Answer, Facts};
use crate::cli::problem::{Exit, Problem};
use crate::grpc::ENCLAVE_HEALTH;

/// What `health` takes.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// How to reach the service.
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Shows the health; the answer is no where something does not serve.
pub async fn run(args: &HealthArgs) -> Result<Answer, Problem> {
    let session = args.connect.open()?;
    let mut client = HealthClient::new(session.client.channel());
    let mut words = Vec::new();
    for (name, service) in [("service", ""), ("travel rule", ENCLAVE_HEALTH)] {
        let asked = HealthCheckRequest { service: service.to_owned() };
        match client.check(session.request(asked)).await {
            Ok(answer) => words.push((name, answer.into_inner().status())),
            // A co-signer has no enclave.
            Err(status) if status.code() == Grpc::NotFound => {}
            Err(status) => return Err(status.into()),
        }
    }
    let word = |status: ServingStatus| status.as_str_name();
    let text = words.iter().fold(Facts::new(), |text, (name, status)| text.line(*name, word(*status))).text();
    let of = |wanted: &str| words.iter().find(|(name, _)| *name == wanted).map(|(_, status)| word(*status));
    let json = json!({ "service": of("service"), "travel_rule": of("travel rule") });
    let is_well = words.iter().all(|(_, status)| *status == ServingStatus::Serving);
    Ok(Answer { exit: if is_well { Exit::Ok } else { Exit::No }, json, text })
}
