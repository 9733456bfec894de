//! Owns the co-signer's own way to an enclave server (law L4): one question about one verification, with credentials of its own. It
//! orders nothing, reports nothing, keeps nothing, and sees no person.

use uuid::Uuid;

use super::server::{Miss, Server, Settings};
use crate::evidence::RouteAnswer;

/// A way to ask what an enclave server knows of a verification.
pub struct Route(Server);

impl Route {
    /// A route with these settings, which are the co-signer's alone.
    pub fn new(settings: Settings) -> Self {
        Self(Server::new(settings))
    }

    /// Asks about one verification, once.
    pub async fn ask(&self, uuid: Uuid) -> Result<RouteAnswer, Miss> {
        self.0.said(uuid).await
    }
}
