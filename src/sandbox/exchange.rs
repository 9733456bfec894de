//! Plays the exchange: deposit addresses, signed requests with their payloads, and the stream of what becomes of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::cases::CaseRequest;
use super::papers::REQUEST_KEY;
use super::{ASSET, Fault, ORGANISATION, ROBOT_VASP, now};
use crate::bitcoin::{Branch, WalletDescriptor};
use crate::desk::{DeskError, WithdrawalView};
use crate::evidence::{Signed, ed25519, sign_request, verify_attestation};
use crate::grpc::{Client, explain};
use crate::wire::status::desk_error;
use crate::wire::v1;
use crate::withdrawal::{
    Code, CustomerRef, Invalid, Kind, Organisation, RequestId, WithdrawalId, WithdrawalRequest,
};

/// How long something may take that should happen by itself.
const WAIT: Duration = Duration::from_secs(30);

/// The exchange's withdrawal service.
pub struct Exchange {
    client: Client,
    key: SigningKey,
    sent: BTreeMap<String, (Signed, Vec<u8>)>,
    watch: Watch,
}

/// What the service answered to a request.
pub enum Answered {
    /// A withdrawal as it stands.
    View(Box<WithdrawalView>),
    /// No, with a code: this request became no withdrawal.
    Refused(Code, String),
    /// Nobody can ask this; nothing was written.
    Invalid(Code, String),
}

impl Exchange {
    /// Opens the stream of changes first, so that none is missed.
    pub async fn open(client: Client, key: SigningKey) -> Result<Self, Fault> {
        let watch = Watch::open(&client).await?;
        Ok(Self { client, key, sent: BTreeMap::new(), watch })
    }

    /// What has become of withdrawals.
    pub const fn watch(&self) -> &Watch {
        &self.watch
    }

    /// A customer's deposit address, believed only with the co-signer's attestation and only where the exchange's own copy
    /// of the descriptor gives the same one (law L19).
    pub async fn address(
        &self,
        customer_ref: &str,
        wallet: &WalletDescriptor,
        attestation_key: &ed25519_dalek::VerifyingKey,
    ) -> Result<String, Fault> {
        let order = v1::CreateAddressRequest {
            organisation: ORGANISATION.into(),
            asset: ASSET.to_string(),
            customer_ref: customer_ref.into(),
        };
        let answer = self.client.addresses().create_address(order).await;
        let given = answer.map_err(|status| Fault::call("CreateAddress", &explain(&status)))?.into_inner();
        let no = |problem: &str| Fault::call("CreateAddress", &format!("{}: {problem}", given.address));
        let signed = given.attestation.as_ref().ok_or_else(|| no("has no attestation"))?;
        let verified = verify_attestation(&signed.text, &signed.signature, attestation_key)
            .map_err(|not| no(&not.to_string()))?;
        let said = verified.attestation();
        let own = wallet.address(Branch::Deposit, given.index).map_err(|invalid| no(&invalid.to_string()))?;
        let same = own == given.address
            && said.address == own
            && said.customer_ref.as_str() == customer_ref
            && (said.branch, said.index) == (0, given.index)
            && said.wallet == wallet.fingerprint();
        if same { Ok(own) } else { Err(no("is not what the descriptor and the attestation say")) }
    }

    /// Signs a request and asks for it; the same request id with other contents is signed and asked for just the same.
    pub async fn ask(&mut self, request: &CaseRequest) -> Result<Answered, Fault> {
        let signed =
            sign_request(&words(request)?, ed25519(&self.key)).map_err(|no| Fault::Cases(no.to_string()))?;
        let payload = request.ivms101.to_string().into_bytes();
        self.sent.entry(request.request_id.clone()).or_insert_with(|| (signed.clone(), payload.clone()));
        self.send(signed, payload).await
    }

    /// Sends the very bytes of an earlier request again.
    pub async fn repeat(&self, request_id: &str) -> Result<Answered, Fault> {
        let sent = self.sent.get(request_id).cloned();
        let (signed, payload) =
            sent.ok_or_else(|| Fault::Cases(format!("`{request_id}` is repeated before it was asked")))?;
        self.send(signed, payload).await
    }

    async fn send(&self, signed: Signed, payload: Vec<u8>) -> Result<Answered, Fault> {
        let request = v1::SignedText {
            text: signed.text,
            key_id: REQUEST_KEY.into(),
            signature: signed.signature.to_vec(),
        };
        let order = v1::CreateWithdrawalRequest { request: Some(request), ivms101_payload: payload };
        match self.client.withdrawals().create_withdrawal(order).await {
            Ok(answer) => Ok(Answered::View(Box::new(view(answer.into_inner())?))),
            Err(status) => match desk_error(&status, Code::Internal) {
                DeskError::Refused(finding) => Ok(Answered::Refused(finding.code, finding.detail)),
                DeskError::Fault { code, detail, .. } if code.kind() == Kind::Invalid => {
                    Ok(Answered::Invalid(code, detail))
                }
                DeskError::Invalid(_) | DeskError::Fault { .. } => {
                    Err(Fault::call("CreateWithdrawal", &explain(&status)))
                }
            },
        }
    }
}

/// The id that every party computes.
pub fn id_of(request_id: &str) -> Result<WithdrawalId, Fault> {
    let no = |invalid: Invalid| Fault::Cases(invalid.to_string());
    let organisation = Organisation::parse(ORGANISATION).map_err(no)?;
    Ok(WithdrawalId::of(&organisation, &RequestId::parse(request_id).map_err(no)?))
}

fn words(request: &CaseRequest) -> Result<WithdrawalRequest, Fault> {
    let no = |invalid: Invalid| Fault::Cases(format!("`{}`: {invalid}", request.request_id));
    Ok(WithdrawalRequest {
        organisation: Organisation::parse(ORGANISATION).map_err(no)?,
        request_id: RequestId::parse(&request.request_id).map_err(no)?,
        customer_ref: CustomerRef::parse(&request.customer_ref).map_err(no)?,
        asset: request.asset,
        destination: request.destination.clone(),
        amount: request.amount,
        fee_max: request.fee_max,
        beneficiary_vasp: ROBOT_VASP,
        asked_at: now(),
    })
}

fn view(wire: v1::Withdrawal) -> Result<WithdrawalView, Fault> {
    WithdrawalView::try_from(wire)
        .map_err(|invalid| Fault::call("a withdrawal from the wire", &invalid.to_string()))
}

/// Every change of a withdrawal, as the service streams it.
pub struct Watch {
    seen: Arc<Mutex<Vec<WithdrawalView>>>,
    news: Arc<Notify>,
}

impl Watch {
    async fn open(client: &Client) -> Result<Self, Fault> {
        let filter = v1::WithdrawalFilter { organisation: ORGANISATION.into(), ..Default::default() };
        let ask = v1::WatchWithdrawalsRequest { from_log_index: None, filter: Some(filter) };
        let opened = client.withdrawals().watch_withdrawals(ask).await;
        let mut stream =
            opened.map_err(|status| Fault::call("WatchWithdrawals", &explain(&status)))?.into_inner();
        let watch = Self { seen: Arc::default(), news: Arc::default() };
        let (seen, news) = (watch.seen.clone(), watch.news.clone());
        tokio::spawn(async move {
            while let Ok(Some(change)) = stream.message().await {
                let Some(Ok(view)) = change.withdrawal.map(WithdrawalView::try_from) else { continue };
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(view);
                news.notify_waiters();
            }
        });
        Ok(watch)
    }

    /// The changes of one withdrawal so far.
    pub fn of(&self, id: WithdrawalId) -> Vec<WithdrawalView> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|view| view.id == id).cloned().collect()
    }

    /// Waits for a change of one withdrawal.
    pub async fn until(
        &self,
        id: WithdrawalId,
        what: &str,
        is: impl Fn(&WithdrawalView) -> bool,
    ) -> Result<WithdrawalView, Fault> {
        let waiting = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if let Some(view) = self.of(id).into_iter().find(&is) {
                    return view;
                }
                news.await;
            }
        };
        let waited = timeout(WAIT, waiting).await;
        waited.map_err(|_| {
            let last = self.of(id).pop().map(|view| format!("{:?}", view.outcome)).unwrap_or_default();
            Fault::call(
                "WatchWithdrawals",
                &format!("{id} was not {what} within {} s: {last}", WAIT.as_secs()),
            )
        })
    }
}
