//! Statements reach the co-signer: verified by its own trust file, taken into its own treasury.

use super::party::{Core, Party};
use crate::desk::{SignedText, StatementReceipt};
use crate::evidence::NotProven;
use crate::evidence::statement::{VerifiedStatement, parse_statement, verify_statement};
use crate::flow::ledger::journal::JournalFault;
use crate::flow::statement::{self, Taking};
use crate::flow::writer::read_coins;
use crate::withdrawal::{Code, Finding};

impl Party {
    /// Takes one statement, or says why not; a fault of the store is neither.
    pub(super) async fn take_statement(
        &self,
        core: &mut Core,
        given: &SignedText,
    ) -> Result<Result<StatementReceipt, Finding>, JournalFault> {
        let verified = match self.hear(core, given) {
            Ok(verified) => verified,
            Err(NotProven::Refused(finding)) => return Ok(Err(finding)),
            Err(NotProven::Unreadable(invalid)) => {
                return Ok(Err(Finding::new(Code::StatementMalformed, invalid.to_string())));
            }
        };
        let unsure = statement::unsure(&core.state.treasury.coins, verified.statement());
        let stored = read_coins(&core.journal, unsure).await?;
        let mut draft = core.journal.draft(self.context.now());
        let taking = Taking {
            asset: self.context.asset,
            band: &|asset| self.context.band(asset),
            scripts: &core.state.scripts,
            stored: &stored,
            state: "taken",
        };
        let log_index = match statement::take(&mut core.state.treasury, &mut draft, &taking, &verified) {
            Ok((log_index, _)) => log_index,
            Err(finding) => return Ok(Err(finding)),
        };
        if let Err(fault) = core.journal.commit(draft).await {
            self.reload(core).await;
            return Err(fault);
        }
        Ok(Ok(StatementReceipt { number: verified.statement().number, log_index }))
    }

    fn hear(&self, core: &Core, given: &SignedText) -> Result<VerifiedStatement, NotProven> {
        let said = parse_statement(&given.text)?;
        let last = core.state.treasury.heard.last_number(&said.observer, said.body.kind());
        // It may have waited at the signer for as long as the connection was down, and those after it need it.
        let age_s_max = None;
        let (trust, now) = (&self.context.trust, self.context.now());
        verify_statement(&given.text, &given.signature, trust, now, age_s_max, |_, _| last)
    }
}
