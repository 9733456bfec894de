//! Owns opening what the relay brings: the envelope, and the sender's signature inside it. Nothing here believes the relay.

use data_encoding::BASE64;
use ed25519_dalek::Signer;

use crate::enclave::EnclaveFault;
use crate::enclave::ivms::Text;
use crate::enclave::room::{Room, entropy};
use crate::enclave::wire::Parcel;
use crate::enclave::wire::key::{KeyType, SignedKey};
use crate::enclave::wire::letter::{
    SealedRequest, binding, check_signature, identifier, is_uuid, request_text,
};
use crate::enclave::wire::seal::{self, Direction, Envelope, PublicKey, Suite, pad};
use crate::withdrawal::VaspId;
use zeroize::Zeroizing;

/// Why a parcel gets no answer now.
pub(in crate::enclave) enum Trouble {
    /// Never will.
    Refused(&'static str),
    /// Something broke here; it may be brought again.
    Fault(EnclaveFault),
}

impl<E: Into<EnclaveFault>> From<E> for Trouble {
    fn from(fault: E) -> Self {
        Self::Fault(fault.into())
    }
}

/// A parcel that was opened, with its sender's signature verified.
pub(in crate::enclave) struct Letter {
    pub(in crate::enclave) from: VaspId,
    pub(in crate::enclave) key_type: KeyType,
    pub(in crate::enclave) asked: Text,
    reply_key: SignedKey,
}

impl Letter {
    /// Opens a parcel that should go this way.
    pub(in crate::enclave) async fn open(
        room: &Room,
        parcel: &Parcel,
        direction: Direction,
    ) -> Result<Self, Trouble> {
        let no = Trouble::Refused;
        let from = VaspId::parse(&parcel.from).map_err(|_| no("vasp_unknown"))?;
        let identity = room.peers.get(&from).ok_or(no("vasp_unknown"))?;
        let key_type = KeyType::parse(&parcel.key_type).ok_or(no("malformed"))?;
        if parcel.to != room.vasp.to_string() || !is_uuid(&parcel.uuid) {
            return Err(no("malformed"));
        }
        let own = room.db.own_key_named(&parcel.envelope.key_id).await?.ok_or(no("key_unknown"))?;
        let binding = binding(direction, &parcel.uuid, from, room.vasp, key_type);
        let plain = own.open(binding, &parcel.envelope).map_err(|_| no("unreadable"))?;
        let request: SealedRequest = serde_json::from_slice(&plain).map_err(|_| no("unreadable"))?;
        let suite = Suite::parse(&parcel.envelope.suite).ok_or(no("unreadable"))?;
        let text = request_text(binding, suite, request.asked.as_str(), &request.reply_key);
        check_signature(identity, &text, &request.signature).ok_or(no("signature_invalid"))?;
        Ok(Self { from, key_type, asked: request.asked, reply_key: request.reply_key })
    }

    /// The key to which the reply goes, if it is the sender's for this destination and uuid.
    pub(in crate::enclave) fn reply_to(
        &self,
        room: &Room,
        destination: &str,
        uuid: &str,
    ) -> Result<PublicKey, Trouble> {
        let identity = room.peers.get(&self.from).ok_or(Trouble::Refused("vasp_unknown"))?;
        let purpose = identifier(self.key_type, self.from, destination, uuid);
        let key = self.reply_key.verify(
            identity,
            self.from,
            (self.key_type, &purpose),
            &room.limits.suites,
            (room.now)(),
        );
        key.map_err(|_| Trouble::Refused("reply_key_invalid"))
    }
}

/// Seals something asked or told, under the own signature, with a key of one's own for the reply.
pub(in crate::enclave) async fn sealed_letter(
    room: &Room,
    (to, key): (VaspId, &PublicKey),
    (direction, key_type): (Direction, KeyType),
    (uuid, destination): (&str, &str),
    asked: Text,
) -> Result<Result<Envelope, seal::SealFault>, EnclaveFault> {
    let ours = identifier(key_type, room.vasp, destination, uuid);
    let reply_key = room.own_key(key.suite(), (key_type, &ours), room.vasp).await?;
    let reply_key = room.signed_key((key_type, &ours), &reply_key.public);
    let binding = binding(direction, uuid, room.vasp, to, key_type);
    let signature =
        room.identity.sign(&request_text(binding, key.suite(), asked.as_str(), &reply_key)).to_bytes();
    let request = SealedRequest { asked, reply_key, signature: BASE64.encode(&signature) };
    let plain = serde_json::to_string(&request).map_err(|e| EnclaveFault::Config(e.to_string()))?;
    Ok(seal::seal(key, binding, pad(Zeroizing::new(plain)).as_bytes(), entropy()?))
}

/// What of a parcel may be logged whoever wrote it: its uuid if it is one, and its sender's id if that is a peer's.
pub(in crate::enclave) fn known<'a>(room: &Room, parcel: &'a Parcel) -> (Option<&'a str>, Option<u64>) {
    let uuid = Some(parcel.uuid.as_str()).filter(|uuid| is_uuid(uuid));
    let from = VaspId::parse(&parcel.from).ok().filter(|from| room.peers.contains_key(from));
    (uuid, from.map(|from| from.0))
}
