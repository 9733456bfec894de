//! Finished Safe transactions on the wire and at the desk.

use super::field::{required, time, time_to_wire};
use super::v1;
use crate::desk::{SafeRelease, SafeReleases};
use crate::withdrawal::{Invalid, SafePlace, evm_address};

impl From<SafePlace> for v1::SafePlace {
    fn from(place: SafePlace) -> Self {
        Self { chain: place.chain.to_string(), safe: evm_address::spell(place.safe), nonce: place.nonce }
    }
}

impl TryFrom<v1::SafePlace> for SafePlace {
    type Error = Invalid;

    fn try_from(wire: v1::SafePlace) -> Result<Self, Invalid> {
        Self::new(&wire.chain, &wire.safe, wire.nonce)
    }
}

impl From<SafeRelease> for v1::SafeRelease {
    fn from(release: SafeRelease) -> Self {
        Self {
            place: Some(release.place.into()),
            safe_tx_hash: release.hash,
            data: release.data,
            log_index: release.log_index,
            release_time: Some(time_to_wire(release.released_at)),
        }
    }
}

impl TryFrom<v1::SafeRelease> for SafeRelease {
    type Error = Invalid;

    fn try_from(wire: v1::SafeRelease) -> Result<Self, Invalid> {
        Ok(Self {
            place: required(wire.place, "place")?.try_into()?,
            hash: wire.safe_tx_hash,
            data: wire.data,
            log_index: wire.log_index,
            released_at: time(wire.release_time, "release_time")?,
        })
    }
}

impl From<SafeReleases> for v1::ListSafeReleasesResponse {
    fn from(releases: SafeReleases) -> Self {
        Self {
            releases: releases.items.into_iter().map(Into::into).collect(),
            next_page_token: releases.next,
        }
    }
}

impl TryFrom<v1::ListSafeReleasesResponse> for SafeReleases {
    type Error = Invalid;

    fn try_from(wire: v1::ListSafeReleasesResponse) -> Result<Self, Invalid> {
        let items = wire.releases.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Self { items, next: wire.next_page_token })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::withdrawal::{Code, Seconds};

    #[test]
    fn releases_come_back_from_the_wire_as_they_were_and_a_place_is_read_strictly() {
        let place = SafePlace::parse("eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed/5").unwrap();
        let release = SafeRelease {
            place,
            hash: format!("0x{}", "ab".repeat(32)),
            data: vec![1, 2],
            log_index: 7,
            released_at: Seconds(1_700_000_000),
        };
        let page = SafeReleases { items: vec![release], next: "token".into() };
        let wire = v1::ListSafeReleasesResponse::from(page.clone());
        assert_eq!(SafeReleases::try_from(wire.clone()), Ok(page));
        let mut lower = wire;
        let place = lower.releases.first_mut().unwrap().place.as_mut().unwrap();
        place.safe = place.safe.to_lowercase();
        let no = SafeReleases::try_from(lower).unwrap_err();
        assert_eq!((no.code, no.field), (Code::FieldMalformed, "safe"));
    }
}
