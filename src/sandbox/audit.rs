//! Plays the auditor: fetches the whole log, computes the root from its leaves, and compares it with the head that the
//! signer signed and the co-signer cosigned. Believes nobody.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Fault;
use crate::audit::verify::verify_log;
use crate::audit::{Cosignature, Entry, Head, InclusionProof, LogKey, VerifiedCheckpoint, WitnessKey, proof};
use crate::grpc::{Client, explain};
use crate::wire::v1;
use crate::withdrawal::Seconds;

/// How long the newest entry may wait for a cosigned head.
const COSIGNED_TIME_MAX: Duration = Duration::from_secs(10);

/// The auditor, with both public keys from the trust file.
pub struct Auditor {
    client: Client,
    log: LogKey,
    witness: WitnessKey,
}

/// A log that was verified from its first entry to a head with both signatures.
pub struct VerifiedHead {
    /// The log's name.
    pub origin: String,
    /// Size and root.
    pub head: Head,
    /// Who cosigned it.
    pub witness: String,
    /// When, by the co-signer's clock.
    pub cosigned_at: Seconds,
    /// The signed note.
    pub note: String,
    /// Every entry up to the head.
    pub entries: Vec<Entry>,
}

impl Auditor {
    /// An auditor that believes these two keys and nothing else.
    pub fn new(client: Client, log: &str, witness: &str) -> Result<Self, Fault> {
        let no = |invalid| Fault::setup("a log's key in the trust file", invalid);
        Ok(Self {
            client,
            log: LogKey::parse(log).map_err(no)?,
            witness: WitnessKey::parse(witness).map_err(no)?,
        })
    }

    /// Every entry from an index on.
    pub async fn entries(&self, from: u64, until: Option<u64>) -> Result<Vec<(u64, Vec<u8>)>, Fault> {
        let ask = v1::ListEntriesRequest { start_index: from, end_index: until };
        let no = |status| Fault::call("ListEntries", &explain(&status));
        let mut stream = self.client.audit().list_entries(ask).await.map_err(no)?.into_inner();
        let mut entries = Vec::new();
        while let Some(page) = stream.message().await.map_err(no)? {
            entries.extend(page.entries.into_iter().map(|entry| (entry.index, entry.leaf)));
        }
        Ok(entries)
    }

    /// Verifies the log up to a head that covers the entry with this index.
    pub async fn verify(&self, newest: u64) -> Result<VerifiedHead, Fault> {
        let no = |what: &dyn std::fmt::Display| Fault::Log(what.to_string());
        let note = self.cosigned(newest).await?;
        let checkpoint = VerifiedCheckpoint::open(&note, &self.log).map_err(|invalid| no(&invalid))?;
        let cosignature = Cosignature::open(&note, &self.witness).map_err(|invalid| no(&invalid))?;
        let leaves = self.entries(0, Some(checkpoint.head().size)).await?;
        let entries = leaves.iter().map(|(_, leaf)| Entry::parse(leaf)).collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(|invalid| no(&invalid))?;
        let verified = verify_log(leaves, &[&checkpoint]).map_err(|fault| no(&fault))?;
        if verified.head() != cosignature.head() {
            return Err(no(&"the co-signer cosigned another head"));
        }
        Ok(VerifiedHead {
            origin: checkpoint.origin().to_owned(),
            head: *verified.head(),
            witness: cosignature.witness().to_owned(),
            cosigned_at: cosignature.at(),
            note,
            entries,
        })
    }

    /// The newest note, once it covers that entry and bears the co-signer's cosignature.
    async fn cosigned(&self, newest: u64) -> Result<String, Fault> {
        let until = Instant::now() + COSIGNED_TIME_MAX;
        loop {
            let answer = self.client.audit().get_checkpoint(v1::GetCheckpointRequest {}).await;
            let head = answer.map_err(|status| Fault::call("GetCheckpoint", &explain(&status)))?.into_inner();
            if head.tree_size > newest && Cosignature::open(&head.note, &self.witness).is_ok() {
                return Ok(head.note);
            }
            if Instant::now() > until {
                let problem = format!(
                    "no head with both signatures covers entry {newest}, only size {}",
                    head.tree_size
                );
                return Err(Fault::Log(problem));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Checks one entry's inclusion proof under a head (RFC 6962).
    pub async fn prove(&self, verified: &VerifiedHead, index: u64) -> Result<(), Fault> {
        let ask = v1::GetInclusionProofRequest { index, tree_size: verified.head.size };
        let answer = self.client.audit().get_inclusion_proof(ask).await;
        let given =
            answer.map_err(|status| Fault::call("GetInclusionProof", &explain(&status)))?.into_inner();
        let no = |invalid: &dyn std::fmt::Display| Fault::Log(format!("entry {index}: {invalid}"));
        let path = InclusionProof::from_wire(&given.hashes).map_err(|invalid| no(&invalid))?;
        let entry = usize::try_from(index).ok().and_then(|at| verified.entries.get(at));
        let leaf = entry.ok_or_else(|| no(&"is beyond the head"))?.leaf_hash();
        proof::verify_inclusion(leaf, index, &verified.head, &path).map_err(|invalid| no(&invalid))
    }
}
