#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod attacks;
mod coins;
mod custody;
mod descriptors;
mod destinations;
mod end_to_end;
mod messages;
mod psbts;
mod refills;
mod scene;
mod selections;
mod world;
