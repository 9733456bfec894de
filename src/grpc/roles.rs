//! Which role may call what. This table is the only place; what is not in it nobody may call.

use crate::desk::Role::{self, Auditor, Cosigner, Exchange, Executor, Observer, Operator, Signer};

/// How a method answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One question, one answer: counts as a call while it is at work.
    Call,
    /// Answers one by one: counts as a stream while it is open.
    Stream,
}

/// One method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// The path of its HTTP/2 request.
    pub path: &'static str,
    /// How it answers.
    pub shape: Shape,
    /// Who may call it.
    pub roles: &'static [Role],
}

const fn call(path: &'static str, roles: &'static [Role]) -> Method {
    Method { path, shape: Shape::Call, roles }
}

const fn stream(path: &'static str, roles: &'static [Role]) -> Method {
    Method { path, shape: Shape::Stream, roles }
}

const READERS: &[Role] = &[Exchange, Operator, Auditor];
const LOG_READERS: &[Role] = &[Auditor, Operator];
const EVERYONE: &[Role] = &[Exchange, Observer, Operator, Auditor, Executor, Signer, Cosigner];

/// Every method that somebody may call.
pub const METHODS: &[Method] = &[
    call("/countersign.v1.WithdrawalService/CreateWithdrawal", &[Exchange]),
    call("/countersign.v1.WithdrawalService/PrepareWithdrawal", &[Exchange]),
    call("/countersign.v1.WithdrawalService/GetWithdrawal", READERS),
    call("/countersign.v1.WithdrawalService/ListWithdrawals", READERS),
    stream("/countersign.v1.WithdrawalService/WatchWithdrawals", READERS),
    call("/countersign.v1.WithdrawalService/CancelWithdrawal", &[Exchange]),
    call("/countersign.v1.AddressService/CreateAddress", &[Exchange]),
    stream("/countersign.v1.AddressService/BatchCreateAddresses", &[Exchange]),
    call("/countersign.v1.WalletService/CreateWalletChallenge", &[Exchange]),
    call("/countersign.v1.WalletService/CreateWalletRegistration", &[Exchange]),
    call("/countersign.v1.WalletService/GetWalletRegistration", READERS),
    call("/countersign.v1.WalletService/ListWalletRegistrations", READERS),
    call("/countersign.v1.WalletService/DeleteWalletRegistration", &[Exchange]),
    call("/countersign.v1.ApprovalService/ListApprovals", &[Operator]),
    call("/countersign.v1.ApprovalService/ApproveWithdrawal", &[Operator]),
    call("/countersign.v1.ApprovalService/RejectWithdrawal", &[Operator]),
    call("/countersign.v1.StatementService/SubmitStatement", &[Observer]),
    call("/countersign.v1.StatementService/CountDepositAddresses", &[Observer]),
    call("/countersign.v1.PositionService/GetPosition", &[Operator, Auditor, Observer]),
    call("/countersign.v1.PositionService/GetDailyStatement", &[Operator, Auditor]),
    call("/countersign.v1.RefillService/CreateRefill", &[Operator]),
    call("/countersign.v1.RefillService/ListRefills", LOG_READERS),
    call("/countersign.v1.RefillService/GetRefill", LOG_READERS),
    call("/countersign.v1.RefillService/ExportRefill", &[Operator]),
    call("/countersign.v1.RefillService/ImportRefill", &[Operator]),
    call("/countersign.v1.RefillService/CancelRefill", &[Operator]),
    call("/countersign.v1.ReleaseService/ListSafeReleases", &[Executor, Operator, Auditor]),
    stream("/countersign.v1.AuditService/ListEntries", LOG_READERS),
    call("/countersign.v1.AuditService/GetCheckpoint", LOG_READERS),
    call("/countersign.v1.AuditService/GetInclusionProof", LOG_READERS),
    call("/countersign.v1.AuditService/GetConsistencyProof", LOG_READERS),
    call("/countersign.v1.CosignerService/GetCosignerStatus", &[Signer]),
    call("/countersign.v1.CosignerService/SubmitStatements", &[Signer]),
    call("/countersign.v1.CosignerService/AttestAddresses", &[Signer]),
    call("/countersign.v1.CosignerService/AttestRefill", &[Signer]),
    call("/countersign.v1.CosignerService/IssueWalletChallenge", &[Signer]),
    call("/countersign.v1.CosignerService/RegisterWallet", &[Signer]),
    call("/countersign.v1.CosignerService/RemoveWallet", &[Signer]),
    call("/countersign.v1.CosignerService/VoidWithdrawal", &[Signer]),
    call("/countersign.v1.CosignerService/Countersign", &[Signer]),
    call("/countersign.v1.CosignerService/RecallReservations", &[Signer]),
    call("/countersign.v1.FreezeService/GetFreeze", LOG_READERS),
    call("/countersign.v1.FreezeService/Freeze", &[Operator]),
    call("/countersign.v1.FreezeService/Resume", &[Operator]),
    call(HEALTH_CHECK, EVERYONE),
    stream("/grpc.health.v1.Health/Watch", EVERYONE),
    stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", EVERYONE),
];

/// The health check, which is answered even while the service drains.
pub const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";

/// The method with this path.
pub fn method(path: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.path == path)
}

impl Method {
    /// Whether this role may call it.
    pub fn allows(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::wire::FILE_DESCRIPTOR_SET;

    fn described() -> Vec<(String, bool)> {
        let sets = [
            FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        ];
        let mut found = Vec::new();
        for set in sets {
            for file in FileDescriptorSet::decode(set).unwrap().file {
                for service in &file.service {
                    for method in &service.method {
                        let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                        found.push((path, method.server_streaming() || method.client_streaming()));
                    }
                }
            }
        }
        found
    }

    #[test]
    fn every_method_of_the_protos_is_in_the_table_and_nothing_else() {
        let described = described();
        assert!(described.len() >= 25);
        for (path, streams) in &described {
            let method = method(path).unwrap_or_else(|| unreachable!("{path} has no row"));
            assert_eq!(method.shape == Shape::Stream, *streams, "{path}");
            assert!(!method.roles.is_empty(), "{path}");
        }
        let paths: BTreeSet<&str> = METHODS.iter().map(|method| method.path).collect();
        assert_eq!(paths.len(), METHODS.len(), "a row stands twice");
        assert_eq!(paths, described.iter().map(|(path, _)| path.as_str()).collect());
    }

    #[test]
    fn only_the_exchange_asks_only_the_operator_approves_only_the_signer_has_things_signed() {
        for method in METHODS {
            let only = |role: Role| assert_eq!(method.roles, [role], "{}", method.path);
            match method.path.rsplit('/').next().unwrap() {
                "CreateWithdrawal" | "PrepareWithdrawal" | "CancelWithdrawal" | "CreateAddress" => {
                    only(Exchange)
                }
                "CreateWalletChallenge" | "CreateWalletRegistration" | "DeleteWalletRegistration" => {
                    only(Exchange)
                }
                "ApproveWithdrawal" | "RejectWithdrawal" | "Freeze" | "Resume" => only(Operator),
                "CreateRefill" | "ExportRefill" | "ImportRefill" | "CancelRefill" => only(Operator),
                "SubmitStatement" | "CountDepositAddresses" => only(Observer),
                _ if method.path.contains(".CosignerService/") => only(Signer),
                _ => (),
            }
        }
    }

    #[test]
    fn an_auditor_can_change_nothing() {
        for method in METHODS.iter().filter(|method| method.allows(Auditor)) {
            let verb = method.path.rsplit('/').next().unwrap();
            let reads =
                ["Get", "List", "Watch", "Check", "ServerReflection"].iter().any(|r| verb.starts_with(r));
            assert!(reads, "{}", method.path);
        }
    }

    #[test]
    fn an_executor_can_read_what_was_released_and_nothing_else() {
        let allowed = METHODS.iter().filter(|method| method.allows(Executor)).map(|method| method.path);
        let own: Vec<&str> = allowed.filter(|path| path.starts_with("/countersign.")).collect();
        assert_eq!(own, ["/countersign.v1.ReleaseService/ListSafeReleases"]);
    }

    #[test]
    fn a_method_that_does_not_exist_is_nobodys() {
        assert_eq!(method("/countersign.v1.WithdrawalService/DeleteWithdrawal"), None);
        assert_eq!(method(""), None);
    }
}
