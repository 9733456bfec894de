//! What the tests of orders and reports stand on: backends that write down what they are told, and orders to give.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use serde_json::Value;
use zeroize::Zeroizing;

use super::*;
use crate::enclave::{AccountOrder, AssetInfo, CallbackKind, KeyType, Outcome, Record, Transfer, UserOrder};

/// Asset and codes of a question.
type Asked = (Option<AssetInfo>, Vec<String>);

/// The robot's backend, or one of nobody's, that writes down its callbacks.
#[derive(Clone)]
pub(super) struct Lived {
    pub(super) robot: Robot,
    pub(super) heard: Arc<Mutex<Vec<(CallbackKind, Value)>>>,
    /// Whether it takes no callback now.
    pub(super) deaf: Arc<AtomicBool>,
    /// What it says of transfers.
    pub(super) transfer: Arc<Mutex<Option<Transfer>>>,
    /// What it says of single ones, by their uuid.
    pub(super) transfers: Arc<Mutex<BTreeMap<String, Transfer>>>,
    pub(super) asked: Arc<Mutex<Vec<Asked>>>,
}

impl Lived {
    pub(super) fn new(robot: Robot) -> Self {
        Self {
            robot,
            heard: Arc::default(),
            deaf: Arc::default(),
            transfer: Arc::default(),
            transfers: Arc::default(),
            asked: Arc::default(),
        }
    }

    pub(super) fn nobody() -> Self {
        Self::new(Robot::default())
    }

    pub(super) fn holding() -> Self {
        let korean = Customer::person("KIM", "MINSU", &[KOREAN]).with_local_name("김", "민수");
        Self::new(Robot::personas(CHECKED, UNCHECKED, COMPANY).with(korean))
    }

    pub(super) fn heard(&self) -> Vec<(CallbackKind, Value)> {
        self.heard.lock().unwrap().clone()
    }

    pub(super) fn says(&self, transfer: Option<Transfer>) {
        *self.transfer.lock().unwrap() = transfer;
    }

    /// Waits until it has heard that many things.
    pub(super) async fn hears(&self, count: usize) -> Vec<(CallbackKind, Value)> {
        for _ in 0..200 {
            if self.heard().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let heard = self.heard();
        assert_eq!(heard.len(), count, "{heard:?}");
        heard
    }
}

impl Backend for Lived {
    fn verify_account<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict> {
        self.robot.verify_account(question)
    }

    fn verify_user<'a>(&'a self, question: &'a Question<'a>) -> Working<'a, Verdict> {
        self.asked.lock().unwrap().push((question.asset_info.cloned(), question.required.to_vec()));
        self.robot.verify_user(question)
    }

    fn transaction_status<'a>(&'a self, uuid: &'a str) -> Working<'a, Option<Transfer>> {
        Box::pin(async move {
            let one = self.transfers.lock().unwrap().get(uuid).cloned();
            one.or_else(|| self.transfer.lock().unwrap().clone())
        })
    }

    fn callback<'a>(&'a self, kind: CallbackKind, data: &'a str) -> Working<'a, bool> {
        Box::pin(async move {
            if self.deaf.load(Ordering::SeqCst) {
                return false;
            }
            self.heard.lock().unwrap().push((kind, serde_json::from_str(data).unwrap()));
            true
        })
    }
}

/// Both enclaves of a world with their backends.
pub(super) struct Two {
    pub(super) exchange: Enclave,
    pub(super) robot: Enclave,
    pub(super) ours: Lived,
    pub(super) theirs: Lived,
}

impl World {
    pub(super) async fn lived(&self, vasp: VaspId, backend: &Lived) -> Enclave {
        let address = if vasp == ROBOT { self.robot_address } else { free().await };
        let mut settings = self.settings(vasp, address);
        settings.limits.tell_pause_s_max = 1;
        self.start(settings, Arc::new(backend.clone()), address).await
    }

    pub(super) async fn two(&self) -> Two {
        let (ours, theirs) = (Lived::nobody(), Lived::holding());
        let exchange = self.lived(EXCHANGE, &ours).await;
        let robot = self.lived(ROBOT, &theirs).await;
        for enclave in [&exchange, &robot] {
            registered(enclave).await;
        }
        Two { exchange, robot, ours, theirs }
    }
}

pub(super) async fn registered(enclave: &Enclave) {
    while !enclave.health().await.registered {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) fn asset_info() -> AssetInfo {
    AssetInfo {
        symbol: "BTC".into(),
        network: Some("regtest".into()),
        amount: "0.0015".into(),
        is_exceeding_threshold: true,
        trade_price: "1500000.5".into(),
        trade_currency: "KRW".into(),
        trade_iso_datetime: "2026-01-02T03:04:05Z".into(),
    }
}

pub(super) fn order(address: &str, persons: &str) -> UserOrder {
    UserOrder {
        key_type: KeyType::PerVasp,
        beneficiary_vasp: ROBOT,
        asset_info: asset_info(),
        required: vec!["ACCOUNT_NUMBER".into(), "NATURAL_PERSON_NAME".into()],
        payload: Zeroizing::new(payload(persons, address)),
    }
}

pub(super) fn account_order(address: &str) -> AccountOrder {
    let payload = format!("{{\"beneficiary\":{{\"accountNumber\":[\"{address}\"]}}}}");
    AccountOrder {
        key_type: KeyType::PerVasp,
        beneficiary_vasp: ROBOT,
        symbol: "BTC".into(),
        network: Some("regtest".into()),
        payload: Zeroizing::new(payload.into_bytes()),
    }
}

/// Waits until a verification has its result.
pub(super) async fn settled(enclave: &Enclave, uuid: &str) -> Record {
    for _ in 0..200 {
        let record = enclave.verification(uuid).await.unwrap().unwrap();
        if record.result != Outcome::Wait {
            return record;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{uuid} has no result");
}

/// Orders a verification that is verified.
pub(super) async fn verified(two: &Two) -> String {
    let uuid = two.exchange.order_user(order(CHECKED, &natural("Robbins", "Taylor"))).await.unwrap().uuid;
    assert_eq!(settled(&two.exchange, &uuid).await.result, Outcome::Verified);
    uuid
}

pub(super) fn result(record: &Record) -> (Outcome, &str, &str) {
    (
        record.result,
        record.reason.as_deref().unwrap_or_default(),
        record.message.as_deref().unwrap_or_default(),
    )
}
