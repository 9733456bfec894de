//! What passes a line, and what ends one.

use super::*;
use crate::enclave::wall::frame;
use crate::enclave::wall::words::Told;
use proptest::prelude::*;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn what_the_door_says_passes_the_wall_unchanged() {
    let door = parrot();
    let looked = door.look(look("nothing", None)).await.unwrap();
    assert_eq!(looked, Looked { fingerprint: None, answer: None });
    let looked = door.look(look("known text\nof two lines\n", Some(&[7; 40]))).await.unwrap();
    assert_eq!(looked.fingerprint, Some([40; 32]));
    let signed = Word::Signed { text: "text\nof two lines\n".into(), signature: [9; 64] };
    assert_eq!(looked.answer, Some(signed));
    let looked = door.look(look("reported text\nof two lines\n", None)).await.unwrap();
    assert_eq!(looked.answer, Some(Word::Reported("text\nof two lines\n".into())), "never a signature");
    let EnclaveFault::Invalid(no) = door.look(look("malformed", Some(b"x"))).await.unwrap_err() else {
        panic!()
    };
    assert_eq!((no.code, no.field, no.problem.as_str()), (Code::IvmsMalformed, "payload", "`a.b` is wrong"));
    assert_eq!(no.cure, crate::enclave::ivms::CURE);

    let health = door.health().await.unwrap();
    assert_eq!(health, Health { database: true, relay: false, registered: true, waiting: 5 });

    let answered = door.verify(ask("yes")).await.unwrap();
    let as_asked = VerifyReply::Answered { answer_text: format!("{:?}", ask("yes")), signature: [8; 64] };
    assert_eq!(answered, as_asked);
    assert_eq!(door.verify(ask("pending")).await.unwrap(), VerifyReply::Pending);
    assert_eq!(door.verify(ask("expired")).await.unwrap(), VerifyReply::Expired);
    assert_eq!(door.verify(ask("listed")).await.unwrap(), VerifyReply::Listed);
    let reported = VerifyReply::Reported { report_text: format!("{:?}", Some(Krw(u128::MAX))) };
    assert_eq!(door.verify(ask("reported")).await.unwrap(), reported);
    assert!(matches!(door.verify(ask("unvalued")).await, Err(EnclaveFault::Unvalued)));
    assert!(matches!(door.verify(ask("conflict")).await, Err(EnclaveFault::Conflict)));
    assert!(matches!(door.verify(ask("unknown")).await, Err(EnclaveFault::VaspUnknown(VaspId(7)))));
    assert!(matches!(door.verify(ask("full")).await, Err(EnclaveFault::QueueFull(7))));
    let broken = door.verify(ask("broken")).await.unwrap_err();
    assert_eq!((broken.code(), broken.may_have_happened()), (Code::EnclaveUnavailable, false));
}

#[tokio::test]
async fn what_is_to_be_told_passes_the_wall_and_each_has_its_own_answer() {
    let door = parrot();
    let tx = Tell::Tx { tx_hash: "ab".into(), vout: 7, replaces: vec!["cd".into()] };
    let told = door
        .tell(vec![
            error("unknown", ErrorReason::NotAllowed),
            TellAsk { request_digest: "paid".into(), tell: tx },
            error("state", ErrorReason::NotAllowed),
            error("cancelled", ErrorReason::UserCanceled),
            error("forbidden", ErrorReason::NotAllowed),
            error("failed", ErrorReason::UndefinedError),
        ])
        .await
        .unwrap();
    let codes: Vec<_> = told.into_iter().map(|told| told.err().map(|fault| fault.code())).collect();
    assert_eq!(codes, [Some(Code::NotFound), None, Some(Code::VerificationState), None, None, None]);
    assert!(door.tell(Vec::new()).await.unwrap().is_empty());
    let broken = door.tell(vec![error("broken", ErrorReason::NotAllowed)]).await;
    assert_eq!(code(broken), Code::EnclaveUnavailable);
}

#[tokio::test]
async fn more_reports_than_the_bound_do_not_pass_the_wall_and_break_nothing() {
    let door = parrot();
    let many = |count| vec![error("failed", ErrorReason::UndefinedError); count];
    assert_eq!(code(door.tell(many(TELL_MAX + 1)).await), Code::QueueFull);
    assert_eq!(door.tell(many(TELL_MAX)).await.unwrap().len(), TELL_MAX);
}

#[tokio::test]
async fn an_answer_to_fewer_reports_than_were_told_is_none() {
    let told = parrot().tell(vec![error("short", ErrorReason::NotAllowed)]).await;
    assert_eq!(code(told), Code::EnclaveUnavailable);
}

#[tokio::test]
async fn a_slow_question_holds_up_no_other_and_none_gets_anothers_answer() {
    let door = Arc::new(parrot());
    let slow = tokio::spawn({
        let door = door.clone();
        async move { door.look(look("slow", None)).await.unwrap() }
    });
    let asking = (0..2_000).map(|n| {
        let door = door.clone();
        tokio::spawn(async move {
            let (digest, payload) = (format!("known {n}"), vec![1; n % 251]);
            let looked =
                door.look(look(&digest, Some(&payload).filter(|p| !p.is_empty()).map(Vec::as_slice)));
            let looked = looked.await.unwrap();
            let Some(Word::Signed { text, .. }) = looked.answer else { panic!("no answer") };
            assert_eq!(text, n.to_string());
            assert_eq!(looked.fingerprint.map_or(0, |print| usize::from(print[0])), n % 251);
        })
    });
    for one in asking.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    assert!(!slow.is_finished());
    door.look(look("go", None)).await.unwrap();
    slow.await.unwrap();
}

#[tokio::test]
async fn what_is_too_long_does_not_pass_and_breaks_nothing() {
    let door = parrot();
    let payload = vec![b' '; crate::enclave::ivms::PAYLOAD_LEN_MAX + 1];
    assert_eq!(code(door.look(look("big", Some(&payload))).await), Code::FieldTooLong);
    let long = VerifyAsk { request_text: "x".repeat(frame::FRAME_LEN_MAX), ..ask("yes") };
    assert_eq!(code(door.verify(long).await), Code::EnclaveUnavailable);
    assert!(door.look(look("big", Some(&payload[1..]))).await.is_ok());
}

/// Each is said by a process that has gone mad; none may be believed.
fn nonsense() -> Vec<Vec<u8>> {
    let laid = |id, told: &Told, body: &[u8]| frame::lay_out(id, told, body).unwrap().to_vec();
    let raw = |id: u64, head: &[u8]| {
        let mut frame = u32::try_from(12 + head.len()).unwrap().to_be_bytes().to_vec();
        frame.extend(id.to_be_bytes());
        frame.extend(u32::try_from(head.len()).unwrap().to_be_bytes());
        frame.extend(head);
        frame
    };
    let mut long_head = raw(1, b"{}");
    long_head[15] = 200;
    vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 64],
        vec![0, 0, 0, 3, 1, 2, 3],
        u32::try_from(frame::FRAME_LEN_MAX + 1).unwrap().to_be_bytes().to_vec(),
        long_head,
        raw(1, b"not json"),
        raw(1, br#"{"open_the_vault":{}}"#),
        raw(1, br#"{"pending":{"name":"Robbins"}}"#),
        raw(1, br#"{"looked":{"fingerprint":"zz","answer":null}}"#),
        raw(1, br#"{"looked":{"fingerprint":null,"answer":{"text":"t","signature":"00"}}}"#),
        laid(77, &Told::Pending {}, b""),
        laid(1, &Told::Pending {}, b"a body"),
        laid(1, &Told::Pending {}, b""),
        laid(1, &Told::Reported { each: vec![Told::Done {}] }, b""),
        laid(1, &Told::Ready { address: SocketAddr::from(ADDRESS) }, b""),
        raw(1, br#"{"fault":{"code":"NO_SUCH_CODE","text":"t","may_have_happened":false}}"#),
    ]
}

#[tokio::test]
async fn nonsense_from_the_enclaves_process_ends_the_line_and_is_no_answer() {
    for said in nonsense() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let line = Line::open(ours).unwrap().0;
        let door = Outside::over(line.clone());
        let asking = tokio::spawn(async move { door.look(look("x", None)).await });
        // once it was asked
        while line.calls_waiting() < 2 {
            tokio::task::yield_now().await;
        }
        theirs.write_all(&said).unwrap();
        line.ended().await;
        assert_eq!(
            code(asking.await.unwrap()),
            Code::EnclaveUnavailable,
            "{:?}",
            String::from_utf8_lossy(&said)
        );
        drop(theirs);
    }
}

#[tokio::test]
async fn nonsense_from_the_signer_ends_the_enclaves_half() {
    let said = nonsense().into_iter().take(8).chain([frame_of(br#"{"verify":{"surplus":1}}"#)]);
    for said in said {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let serving = tokio::spawn(Inside::over(theirs).serve(Arc::new(Parrot), SocketAddr::from(ADDRESS)));
        ours.write_all(&said).unwrap();
        // cut off in the middle of a frame, where that is the nonsense
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(5), serving).await.unwrap().unwrap();
        assert!(ended.is_err(), "{:?}", String::from_utf8_lossy(&said));
    }
}

fn frame_of(head: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(12 + head.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(1u64.to_be_bytes());
    frame.extend(u32::try_from(head.len()).unwrap().to_be_bytes());
    frame.extend(head);
    frame
}

#[tokio::test]
async fn a_closed_line_ends_the_enclaves_half_in_peace() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let serving = tokio::spawn(Inside::over(theirs).serve(Arc::new(Parrot), SocketAddr::from(ADDRESS)));
    let (line, hello) = Line::open(ours).unwrap();
    assert_eq!(hello.await.unwrap().into_start().unwrap(), SocketAddr::from(ADDRESS));
    line.end();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_process_says_of_a_fault_is_one_bounded_line() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let door = Outside::over(Line::open(ours).unwrap().0);
    let text = format!("\u{1b}[31m{}\nx", "y".repeat(5_000));
    let told = Told::Fault { code: "INTERNAL".into(), text, may_have_happened: true };
    theirs.write_all(&frame::lay_out(1, &told, b"").unwrap()).unwrap();
    let fault = door.look(look("x", None)).await.unwrap_err().to_string();
    assert!(fault.chars().count() <= 500 && !fault.contains(['\n', '\u{1b}']), "{fault:?}");
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic_or_take_more_than_the_bound(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut left = bytes.as_slice();
            while let Ok(Some(frame)) = frame::read(&mut left).await {
                let _ = frame.head::<Told>();
                assert!(frame.body().len() <= frame::FRAME_LEN_MAX);
            }
            let _ = left.read(&mut [0; 1]).await;
        });
    }
}
