//! L15 with real processes: each party is frozen over its own listener while its database hangs, its queue is full and the
//! other party is away; and how soon the last signature has left (`how_soon_nothing_leaves_any_more`, by hand).

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign::desk::*;
use countersign::evidence::{Addressee, FreezeText, NAMESPACE_FREEZE, sign_ssh};
use countersign::grpc::Client;
use countersign::pki;
use countersign::wire::v1;
use countersign::withdrawal::*;

use super::processes::*;
use super::world::*;

/// Holds a party's database as another process would that never lets go.
pub struct Hang(sqlx::SqliteConnection);

impl Hang {
    pub async fn hold(cast: &Cast, party: Role) -> Self {
        use sqlx::{Connection, Executor};
        let path = cast.folder().join(format!("{}.db", party.as_str()));
        let url = format!("sqlite:{}", path.display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        loop {
            match connection.execute("BEGIN IMMEDIATE").await {
                Ok(_) => return Self(connection),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    pub async fn let_go(mut self) {
        use sqlx::Executor;
        self.0.execute("ROLLBACK").await.unwrap();
    }
}

fn brake(cast: &Cast, party: Role) -> Client {
    let (authorities, identity) = tls_of(cast.folder(), Role::Operator);
    let tls = pki::client_config(&authorities, identity).unwrap();
    Client::with_tls(cast.brake_at(party), tls, party).unwrap()
}

fn order(cast: &Cast, number: u8) -> v1::FreezeRequest {
    let text = FreezeText {
        freeze: FreezeId::of_bytes([number; 16]),
        party: Addressee::Both,
        operator: "kim".into(),
        at: cast.now(),
        reason: "a drill".into(),
    };
    let text = text.render();
    let signature = sign_ssh(&ssh_private(KIM), NAMESPACE_FREEZE, &text).unwrap();
    v1::FreezeRequest { text, signature }
}

async fn freeze(cast: &Cast, party: Role, number: u8) -> v1::FreezeInForce {
    let answer = brake(cast, party).freezes().freeze(order(cast, number)).await;
    answer.unwrap().into_inner().freeze.unwrap()
}

async fn standing(cast: &Cast, party: Role) -> v1::FreezeState {
    brake(cast, party).freezes().get_freeze(v1::GetFreezeRequest {}).await.unwrap().into_inner()
}

/// Asks for one more withdrawal, and gives what is said of it.
async fn asked(cast: &Cast, id: &str) -> Outcome {
    let told = cast.exchange().withdrawals().create_withdrawal(wire(&cast.payout(id))).await.unwrap();
    WithdrawalView::try_from(told.into_inner()).unwrap().outcome
}

fn is_frozen(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Held(findings) if findings.iter().any(|f| f.code == Code::Frozen))
}

async fn noted(cast: &Cast, party: Role) {
    while standing(cast, party).await.freeze.unwrap().log_index.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_the_signer_is_frozen_with_its_database_hung_its_queue_full_and_the_cosigner_away() {
    let mut cast = Cast::new().await;
    cast.ask_until_released(&cast.payout("before")).await;
    cast.kill(Victim::Cosigner);
    let hang = Hang::hold(&cast, Role::Signer).await;
    // more calls than the signer takes on: each waits for the database
    let full = Arc::new(tokio::sync::Notify::new());
    let flood: Vec<_> = (0..1_100)
        .map(|number| {
            let ask = wire(&cast.payout(&format!("flood-{number}")));
            let (mut client, full) = (cast.exchange().withdrawals(), full.clone());
            tokio::spawn(async move {
                if let Err(status) = client.create_withdrawal(ask).await
                    && status.code() == tonic::Code::ResourceExhausted
                {
                    full.notify_one();
                }
            })
        })
        .collect();
    full.notified().await;
    let frozen = freeze(&cast, Role::Signer, 1).await;
    assert_eq!(frozen.log_index, None, "the database hangs, and the freeze stands all the same");
    flood.into_iter().for_each(|call| call.abort());
    // killed before its log could know of it: the marker alone tells the next start
    cast.kill(Victim::Signer);
    hang.let_go().await;
    cast.start_what_is_down().await;
    assert_eq!(standing(&cast, Role::Signer).await.freeze.unwrap().freeze, frozen.freeze);
    assert!(is_frozen(&asked(&cast, "after").await));
    noted(&cast, Role::Signer).await;
    assert!(standing(&cast, Role::Cosigner).await.freeze.is_none(), "the other party was not asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_the_cosigner_is_frozen_with_its_database_hung_and_the_signer_away() {
    let mut cast = Cast::new().await;
    cast.ask_until_released(&cast.payout("before")).await;
    let signed = cast.signed().await.len();
    cast.kill(Victim::Signer);
    let hang = Hang::hold(&cast, Role::Cosigner).await;
    let frozen = freeze(&cast, Role::Cosigner, 1).await;
    assert_eq!(frozen.log_index, None);
    cast.kill(Victim::Cosigner);
    hang.let_go().await;
    cast.start_what_is_down().await;
    assert_eq!(standing(&cast, Role::Cosigner).await.freeze.unwrap().freeze, frozen.freeze);
    noted(&cast, Role::Cosigner).await;
    // the signer goes on and gets nothing signed
    assert!(is_frozen(&asked(&cast, "after").await));
    assert_eq!(cast.signed().await.len(), signed);
}

#[tokio::test(flavor = "multi_thread")]
async fn l15_nobody_but_an_operator_reaches_the_brake_and_nobody_at_all_through_the_other_listener() {
    let cast = Cast::new().await;
    let stranger = |role: Role| {
        let (authorities, identity) = tls_of(cast.folder(), role);
        let tls = pki::client_config(&authorities, identity).unwrap();
        Client::with_tls(cast.brake_at(Role::Cosigner), tls, Role::Cosigner).unwrap()
    };
    for role in [Role::Signer, Role::Exchange, Role::Observer] {
        let no = stranger(role).freezes().freeze(order(&cast, 1)).await.unwrap_err();
        assert_eq!(no.code(), tonic::Code::PermissionDenied, "{role}");
    }
    let (authorities, identity) = tls_of(cast.folder(), Role::Operator);
    let tls = pki::client_config(&authorities, identity).unwrap();
    let main = Client::with_tls(cast.signer_at(), tls, Role::Signer).unwrap();
    let no = main.freezes().freeze(order(&cast, 1)).await.unwrap_err();
    assert_eq!(no.code(), tonic::Code::Unimplemented);
}

/// How long after the call the last signature was seen at the wire, at each party by itself, while its database hangs and
/// the other party becomes unreachable. Figures, no judgement: docs/benchmarks.md has the command.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, run by hand"]
async fn how_soon_nothing_leaves_any_more() {
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    for party in [Role::Signer, Role::Cosigner] {
        let (mut last, mut answered) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let (seen, answer) = measured(party, round).await;
            println!("{party} round {round}: last {} us, answer {} us", seen.as_micros(), answer.as_micros());
            last.push(seen);
            answered.push(answer);
        }
        for (what, mut times) in [("last signature at the wire", last), ("answer to the call", answered)] {
            times.sort();
            let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_micros();
            let (p50, p90, p99) = (at(50), at(90), at(99));
            let most = times[times.len() - 1].as_micros();
            println!(
                "{party} {what}: rounds {rounds}, p50 {p50} us, p90 {p90} us, p99 {p99} us, max {most} us"
            );
        }
    }
}

async fn measured(party: Role, round: usize) -> (Duration, Duration) {
    let cast = Cast::new().await;
    let seen: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let load: Vec<_> = (0..16)
        .map(|caller| {
            let (mut client, seen) = (cast.exchange().withdrawals(), seen.clone());
            let orders: Vec<_> =
                (0..40).map(|n| wire(&cast.payout(&format!("{round}-{caller}-{n}")))).collect();
            tokio::spawn(async move {
                for order in orders {
                    let answer = match client.create_withdrawal(order).await {
                        Ok(answer) => answer,
                        // Frozen, its database hangs: that is what is measured.
                        Err(_) => continue,
                    };
                    if !answer.into_inner().raw_transaction.is_empty() {
                        seen.lock().unwrap().push(Instant::now());
                    }
                }
            })
        })
        .collect();
    // the load is under way
    while seen.lock().unwrap().len() < 8 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (brake, order) = (brake(&cast, party), order(&cast, 1));
    // connected, as an operator's console would be
    brake.clone().freezes().get_freeze(v1::GetFreezeRequest {}).await.unwrap();
    let hang = Hang::hold(&cast, party).await;
    let called = Instant::now();
    if party == Role::Signer {
        cast.cut();
    }
    brake.freezes().freeze(order).await.unwrap();
    let answered = called.elapsed();
    tokio::time::sleep(Duration::from_millis(500)).await;
    hang.let_go().await;
    // what hung and is written now must not leave either
    tokio::time::sleep(Duration::from_millis(500)).await;
    load.into_iter().for_each(|call| call.abort());
    cast.kill(Victim::Both);
    let times = if party == Role::Signer { seen.lock().unwrap().clone() } else { cast.cosigned_at() };
    let last = times.into_iter().filter_map(|at| at.checked_duration_since(called)).max();
    (last.unwrap_or_default(), answered)
}
