use crate::amount::{Krw, Seconds};
use crate::threshold::*;

const MILLION: Krw = Krw(1_000_000);

fn read(steps: &str) -> Thresholds {
    toml::from_str(&format!("own = \"KR\"\nsteps = [{steps}]")).unwrap()
}

fn at(text: &str) -> Seconds {
    Seconds(u64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_second()).unwrap())
}

#[test]
fn korea_asks_for_names_from_a_million_won_on_and_from_the_first_won_after_2027_02_19() {
    let korea = Thresholds::default();
    assert_eq!(korea.validate(), Ok(()));
    for way in Direction::ALL {
        let floor = |time| korea.floor(way, None, at(time));
        assert_eq!(floor("2022-03-24T23:59:59+09:00"), Krw(0), "no law is no permission");
        assert_eq!(floor("2022-03-25T00:00:00+09:00"), MILLION);
        assert_eq!(floor("2027-02-18T23:59:59+09:00"), MILLION);
        assert_eq!(floor("2027-02-19T00:00:00+09:00"), Krw(0));
    }
    assert_eq!(
        korea,
        read(
            r#"{ jurisdiction = "KR", from = "2022-03-25T00:00:00+09:00", floor_krw = "1000000" },
               { jurisdiction = "KR", from = "2027-02-19T00:00:00+09:00", floor_krw = "0" }"#
        )
    );
}

#[test]
fn the_lower_of_both_laws_counts_in_its_direction() {
    let table = read(
        r#"{ jurisdiction = "KR", from = "2022-03-25T00:00:00+09:00", floor_krw = "1000000" },
           { jurisdiction = "JP", from = "2023-06-01T00:00:00+09:00", floor_krw = "0", direction = "outgoing" },
           { jurisdiction = "JP", from = "2023-06-01T00:00:00+09:00", floor_krw = "2000000", direction = "incoming" },
           { jurisdiction = "SG", from = "2020-01-28T00:00:00+08:00", floor_krw = "1500000" }"#,
    );
    assert_eq!(table.validate(), Ok(()));
    let now = at("2026-01-01T00:00:00Z");
    assert_eq!(table.floor(Direction::Outgoing, Some("JP"), now), Krw(0));
    assert_eq!(table.floor(Direction::Incoming, Some("JP"), now), MILLION);
    assert_eq!(table.floor(Direction::Outgoing, Some("SG"), now), MILLION);
    assert_eq!(table.floor(Direction::Outgoing, Some("US"), now), MILLION, "nobody wrote that law down");
    assert_eq!(
        table.floor(Direction::Outgoing, Some("JP"), at("2023-01-01T00:00:00Z")),
        Krw(0),
        "not begun: strict"
    );
}

#[test]
fn a_table_that_cannot_be_meant_is_named() {
    let kr = r#"{ jurisdiction = "KR", from = "2022-03-25T00:00:00+09:00", floor_krw = "1" }"#;
    assert!(matches!(read("").validate(), Err(ThresholdError::NoStep(_))));
    assert!(matches!(read(&kr.replace("KR", "JP")).validate(), Err(ThresholdError::NoStep(_))));
    assert!(matches!(read(&kr.replace("KR", "kr")).validate(), Err(ThresholdError::Jurisdiction(_))));
    assert!(matches!(read(&format!("{kr}, {kr}")).validate(), Err(ThresholdError::Twice { .. })));
    let one_way = kr.replace(" }", ", direction = \"incoming\" }");
    assert!(matches!(read(&format!("{kr}, {one_way}")).validate(), Err(ThresholdError::Twice { .. })));
    for (from, to) in [
        ("2022-03-25T00:00:00+09:00", "2022-03-25"),
        ("2022-03-25T00:00:00+09:00", "1922-03-25T00:00:00+09:00"),
        ("\"1\"", "1"),
        ("\"1\"", "\"-1\""),
        ("floor_krw", "floor"),
    ] {
        let text = format!("own = \"KR\"\nsteps = [{}]", kr.replace(from, to));
        assert!(toml::from_str::<Thresholds>(&text).is_err(), "{to}");
    }
}
