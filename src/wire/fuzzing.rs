//! Owns the law of the wire: what a message says is written as a message that says the same, and a refused one names its field.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use prost::Message;

use super::{cosign, status, v1, withdrawals};
use crate::desk::{
    AddressOrder, AddressView, ApprovalGiven, ApprovalOrder, AssetPosition, AttestationOrder, AuditEntry,
    Cancellation, ChallengeOrder, ChallengeView, CheckpointView, CosignItem, CosignOrder, CosignOutcome,
    CosignPayment, CosignStatus, DailyStatement, PendingApproval, PositionView, Prevout, ProofView,
    RefillAttestOrder, RefillOrder, RefillView, RejectionOrder, SafeReleases, SignedText, StatementReceipt,
    SweepInTransit, TotalPosition, VoidOrder, Voided, WalletEvidence, WalletView, WithdrawalOrder,
    WithdrawalPick, WithdrawalView,
};
use crate::withdrawal::fuzzing::told;
use crate::withdrawal::{Code, Invalid};

/// Reads a message, and says how it is refused.
fn read<W: Message + Default, D: TryFrom<W, Error = Invalid>>(bytes: &[u8]) {
    if let Ok(wire) = W::decode(bytes)
        && let Err(no) = D::try_from(wire)
    {
        told(&no);
    }
}

/// Reads a message and writes it again until nothing changes: the second writing is the first.
fn trip<W, D>(bytes: &[u8])
where
    W: Message + Default + PartialEq + From<D>,
    D: TryFrom<W>,
    D::Error: std::fmt::Debug,
{
    let Ok(wire) = W::decode(bytes) else { return };
    let Ok(said) = D::try_from(wire) else { return };
    let written = W::from(said);
    let bytes = written.encode_to_vec();
    let said = D::try_from(W::decode(bytes.as_slice()).unwrap()).expect("what is written can be read");
    let again = W::from(said);
    assert!(again == written, "another message is written of what was read");
}

type Reader = fn(&[u8]);

const READERS: &[Reader] = &[
    |b| {
        (
            read::<v1::CreateWithdrawalRequest, WithdrawalOrder>(b),
            read::<v1::PrepareWithdrawalRequest, WithdrawalOrder>(b),
        )
            .0
    },
    |b| {
        (
            read::<v1::ListSafeReleasesResponse, SafeReleases>(b),
            trip::<v1::ListSafeReleasesResponse, SafeReleases>(b),
        )
            .0
    },
    read::<v1::GetWithdrawalRequest, WithdrawalPick>,
    read::<v1::ApproveWithdrawalRequest, ApprovalOrder>,
    read::<v1::RejectWithdrawalRequest, RejectionOrder>,
    |b| {
        (read::<v1::CreateAddressRequest, AddressOrder>(b), trip::<v1::CreateAddressRequest, AddressOrder>(b))
            .0
    },
    trip::<v1::Address, AddressView>,
    trip::<v1::Approval, PendingApproval>,
    trip::<v1::ApprovalGiven, ApprovalGiven>,
    trip::<v1::LogEntry, AuditEntry>,
    trip::<v1::Checkpoint, CheckpointView>,
    trip::<v1::Proof, ProofView>,
    |b| (read::<v1::CosignerStatus, CosignStatus>(b), trip::<v1::CosignerStatus, CosignStatus>(b)).0,
    |b| {
        (read::<v1::AddressToAttest, AttestationOrder>(b), trip::<v1::AddressToAttest, AttestationOrder>(b)).0
    },
    |b| (read::<v1::CountersignRequest, CosignOrder>(b), trip::<v1::CountersignRequest, CosignOrder>(b)).0,
    |b| (read::<v1::CountersignItem, CosignItem>(b), trip::<v1::CountersignItem, CosignItem>(b)).0,
    |b| {
        (read::<v1::CountersignPayment, CosignPayment>(b), trip::<v1::CountersignPayment, CosignPayment>(b)).0
    },
    |b| {
        (read::<v1::CountersignResponse, CosignOutcome>(b), trip::<v1::CountersignResponse, CosignOutcome>(b))
            .0
    },
    |b| (read::<v1::SignedText, SignedText>(b), trip::<v1::SignedText, SignedText>(b)).0,
    trip::<v1::SubmitStatementResponse, StatementReceipt>,
    trip::<v1::Position, PositionView>,
    trip::<v1::AssetPosition, AssetPosition>,
    trip::<v1::SweepInTransit, SweepInTransit>,
    |b| {
        (
            read::<v1::CreateWalletChallengeRequest, ChallengeOrder>(b),
            trip::<v1::CreateWalletChallengeRequest, ChallengeOrder>(b),
        )
            .0
    },
    trip::<v1::WalletChallenge, ChallengeView>,
    |b| {
        (
            read::<v1::CreateWalletRegistrationRequest, WalletEvidence>(b),
            trip::<v1::CreateWalletRegistrationRequest, WalletEvidence>(b),
        )
            .0
    },
    trip::<v1::WalletRegistration, WalletView>,
    trip::<v1::Prevout, Prevout>,
    trip::<v1::Withdrawal, WithdrawalView>,
    filter,
    answer,
    |b| (read::<v1::CreateRefillRequest, RefillOrder>(b), trip::<v1::CreateRefillRequest, RefillOrder>(b)).0,
    trip::<v1::Refill, RefillView>,
    |b| {
        (
            read::<v1::AttestRefillRequest, RefillAttestOrder>(b),
            trip::<v1::AttestRefillRequest, RefillAttestOrder>(b),
        )
            .0
    },
    |b| (read::<v1::VoidWithdrawalRequest, VoidOrder>(b), trip::<v1::VoidWithdrawalRequest, VoidOrder>(b)).0,
    trip::<v1::VoidWithdrawalResponse, Voided>,
    trip::<v1::CancelWithdrawalResponse, Cancellation>,
    trip::<v1::DailyStatement, DailyStatement>,
    trip::<v1::TotalPosition, TotalPosition>,
    recalled,
];

/// A message of the kind that the first byte names.
pub(crate) fn message(data: &[u8]) {
    if let Some((kind, bytes)) = data.split_first()
        && let Some(reader) = READERS.get(usize::from(*kind))
    {
        reader(bytes);
    }
}

fn filter(bytes: &[u8]) {
    let Ok(wire) = v1::WithdrawalFilter::decode(bytes) else { return };
    match withdrawals::filter(Some(wire)) {
        Err(no) => told(&no),
        Ok(filter) => {
            let written = withdrawals::filter_to_wire(filter);
            let again = withdrawals::filter_to_wire(withdrawals::filter(Some(written.clone())).unwrap());
            assert_eq!(again, written);
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(id) = withdrawals::id_of_name(text)
    {
        assert_eq!(withdrawals::name(id), text);
    }
}

fn recalled(bytes: &[u8]) {
    let Ok(wire) = v1::RecalledReservation::decode(bytes) else { return };
    if let Ok((reservation, state)) = cosign::recalled(wire) {
        let written = cosign::recalled_to_wire(reservation, state);
        let (reservation, state) = cosign::recalled(written.clone()).unwrap();
        assert_eq!(cosign::recalled_to_wire(reservation, state), written);
    }
}

/// What another process answers instead of an answer.
fn answer(bytes: &[u8]) {
    let details = bytes.to_vec().into();
    let answer = tonic::Status::with_details(tonic::Code::InvalidArgument, "no", details);
    let _ = status::desk_error(&answer, Code::Internal);
    let _ = status::stable_code(&answer);
}

pub(crate) fn message_seeds() -> Vec<Vec<u8>> {
    let signed = v1::SignedText { text: "a: b\n".into(), key_id: "2026-a".into(), signature: vec![7; 64] };
    let mut all: Vec<Vec<u8>> = (0..READERS.len()).map(|n| vec![u8::try_from(n).unwrap()]).collect();
    all.push(
        [
            vec![0],
            v1::CreateWithdrawalRequest { request: Some(signed.clone()), ivms101_payload: b"{}".to_vec() }
                .encode_to_vec(),
        ]
        .concat(),
    );
    // A signed text in every field that may be one, under every kind.
    for n in 0..READERS.len() {
        let body = signed.encode_to_vec();
        let len = u8::try_from(body.len()).unwrap();
        let nested: Vec<u8> =
            (1..6u8).flat_map(|field| [vec![field << 3 | 2, len], body.clone()].concat()).collect();
        all.push([vec![u8::try_from(n).unwrap()], body].concat());
        all.push([vec![u8::try_from(n).unwrap()], nested].concat());
    }
    all
}
