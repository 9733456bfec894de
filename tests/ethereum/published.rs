//! Contracts as they are published, put on a chain by the canonical factory.

use std::path::Path;

use alloy_primitives::Bytes;
use countersign::ethereum::pins::Release;
use serde_json::Value;

use super::chain::{Chain, packages};

/// The package that a release is published in.
pub fn package(release: &Release) -> &'static str {
    if release.version == "1.4.1" { "safe-contracts" } else { "safe-smart-account" }
}

/// The creation code of a contract as it is published.
pub fn published(release: &Release, contract: &str) -> Bytes {
    let folder = packages().unwrap().join("node_modules/@safe-global").join(package(release));
    let file = find(&folder.join("build/artifacts/contracts"), &format!("{contract}.json")).unwrap();
    let artifact: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    artifact["bytecode"].as_str().unwrap().parse().unwrap()
}

fn find(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let direct = entries.iter().find(|path| path.is_file() && path.file_name().is_some_and(|it| it == name));
    direct.cloned().or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name)))
}

/// Deploys everything of a release that is pinned.
pub async fn deploy(chain: &Chain, release: &'static Release) {
    for contract in
        ["Safe", "SafeL2", "SafeProxyFactory", "MultiSendCallOnly", "CompatibilityFallbackHandler"]
    {
        chain.deploy(&published(release, contract)).await;
    }
}
