//! A log's head as signed text: origin, size, root (C2SP tlog-checkpoint in a C2SP signed note). Holds no private key.

use data_encoding::BASE64;
use signed_note::Note;

use super::hash::{Head, NodeHash};
use super::key::{LogKey, Only, Placed};

/// Longest signed checkpoint with all its cosignatures, in bytes.
pub const NOTE_LEN_MAX: usize = 65_536;

/// Signs a message with a key this room never sees; gives the 64 bytes of an Ed25519 signature.
pub type Sign<'a> = &'a dyn Fn(&[u8]) -> [u8; 64];

/// Why a text is no checkpoint of the log asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointInvalid {
    /// Longer than [`NOTE_LEN_MAX`].
    #[error("the note is longer than {NOTE_LEN_MAX} bytes")]
    TooLong,
    /// Not a signed note, or not in its one spelling.
    #[error("the text is no signed note (C2SP signed-note)")]
    NotANote,
    /// The log's key did not sign it.
    #[error("the log's key did not sign this note")]
    Unsigned,
    /// The body is not exactly origin, size and root.
    #[error("the note's body is not origin, size and root (C2SP tlog-checkpoint without extension lines)")]
    Body,
    /// Signed by the log's key but for another origin.
    #[error("the checkpoint's origin is not the name of the log's key")]
    Origin,
    /// Size 0 with a root that is not the empty tree's.
    #[error("a tree without leaves has another root")]
    EmptyRoot,
}

/// A head with the origin of its log: what gets signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    head: Head,
}

impl Checkpoint {
    /// A head of the log that signs with this key; the key's name is the origin.
    pub fn new(key: &LogKey, head: Head) -> Self {
        Self { origin: key.name().to_owned(), head }
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Size and root.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The note text: three lines, each with its newline.
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.head.size, BASE64.encode(&self.head.root.0))
    }

    /// Signs the head, checks the signature with the public key, and gives the note that [`VerifiedCheckpoint::open`] accepts.
    pub fn sign(&self, key: &LogKey, sign: Sign<'_>) -> Result<VerifiedCheckpoint, CheckpointInvalid> {
        let body = self.body();
        let mut note = Note::new(body.as_bytes(), &[]).map_err(|_| CheckpointInvalid::NotANote)?;
        let placed = Placed { key, signature: sign(body.as_bytes()).to_vec() };
        note.add_sigs(&[&placed]).map_err(|_| CheckpointInvalid::NotANote)?;
        VerifiedCheckpoint::open(&text_of(&note)?, key)
    }

    /// Reads a note's body; nothing but the three lines in their one spelling is accepted.
    pub(super) fn parse_body(body: &[u8]) -> Result<Self, CheckpointInvalid> {
        let read = tlog_tiles::Checkpoint::from_bytes(body).map_err(|_| CheckpointInvalid::Body)?;
        let head = Head { size: read.size(), root: NodeHash(read.hash().0) };
        let parsed = Self { origin: read.origin().to_owned(), head };
        if parsed.body().as_bytes() != body {
            return Err(CheckpointInvalid::Body);
        }
        if head.size == 0 && head != Head::EMPTY {
            return Err(CheckpointInvalid::EmptyRoot);
        }
        Ok(parsed)
    }
}

/// A checkpoint that its log's key has signed. Made only by [`VerifiedCheckpoint::open`].
#[derive(Debug)]
pub struct VerifiedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
}

impl VerifiedCheckpoint {
    /// Opens a signed note with the log's key. Signatures by other keys are kept and not judged.
    pub fn open(text: &str, key: &LogKey) -> Result<Self, CheckpointInvalid> {
        let note = read_note(text)?;
        note.verify(&Only(key)).map_err(|_| CheckpointInvalid::Unsigned)?;
        let checkpoint = Checkpoint::parse_body(note.text())?;
        if checkpoint.origin != key.name() {
            return Err(CheckpointInvalid::Origin);
        }
        Ok(Self { checkpoint, note: text.to_owned() })
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        self.checkpoint.origin()
    }

    /// Size and root.
    pub const fn head(&self) -> &Head {
        self.checkpoint.head()
    }

    pub(super) const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// What was signed, without signatures.
    pub fn body(&self) -> String {
        self.checkpoint.body()
    }

    /// The whole note with its signature lines.
    pub fn note(&self) -> &str {
        &self.note
    }
}

/// Reads a note of bounded length that is in its one spelling.
pub(super) fn read_note(text: &str) -> Result<Note, CheckpointInvalid> {
    if text.len() > NOTE_LEN_MAX {
        return Err(CheckpointInvalid::TooLong);
    }
    let note = Note::from_bytes(text.as_bytes()).map_err(|_| CheckpointInvalid::NotANote)?;
    if note.to_bytes() == text.as_bytes() { Ok(note) } else { Err(CheckpointInvalid::NotANote) }
}

pub(super) fn text_of(note: &Note) -> Result<String, CheckpointInvalid> {
    String::from_utf8(note.to_bytes()).map_err(|_| CheckpointInvalid::NotANote)
}

impl signed_note::Verifier for LogKey {
    fn name(&self) -> &str {
        self.name()
    }

    fn key_id(&self) -> u32 {
        self.id()
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.holds(message, signature)
    }
}
