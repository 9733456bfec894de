//! What an enclave server says of a verification that nobody signs, as text (laws L3–L5): the lines of an answer, and by which
//! route it was heard. It clears nothing by itself: see [`super::reported`].

use super::answer::{VerificationAnswer, read_lines, write_lines};
use super::canonical::{Form, Reader, Writer, same};
use super::field;
use crate::withdrawal::Invalid;

/// The form of a report.
pub static REPORT: Form = Form::new(
    "countersign verification-report v1",
    &[
        "uuid",
        "kind",
        "originating_vasp",
        "beneficiary_vasp",
        "asset",
        "network",
        "destination",
        "amount",
        "commitment",
        "result",
        "reason",
        "answered_at",
        "request_digest",
        "route",
    ],
);

/// One report. It holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationReport {
    /// What was said. The commitment is to the beneficiary as it was asked about, since the answer's stays in the enclave server.
    pub said: VerificationAnswer,
    /// The address of the enclave server that said it.
    pub route: String,
}

/// The canonical text of a report.
pub fn render_report(report: &VerificationReport) -> String {
    write_lines(Writer::new(&REPORT), &report.said).line("route", &report.route).finish()
}

/// Reads the canonical text of a report; every other spelling is refused.
pub fn parse_report(text: &str) -> Result<VerificationReport, Invalid> {
    let mut reader = Reader::open(text, &REPORT)?;
    let said = read_lines(&mut reader)?;
    let route = field::graphic("route", reader.take("route")?)?;
    reader.close()?;
    let report = VerificationReport { said, route };
    same(text, &render_report(&report))?;
    Ok(report)
}
