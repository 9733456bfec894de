//! Certificates and keys in files: PEM, keys readable by their owner only, nothing ever overwritten.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::{Authority, Identity, Issued, PkiFault};

/// Where a party's own certificate, its key and the CA's certificate are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemFiles {
    /// The CA's certificate.
    pub authority: PathBuf,
    /// The party's certificate.
    pub certificate: PathBuf,
    /// The party's key.
    pub key: PathBuf,
}

impl PemFiles {
    /// The usual names in one folder: `ca.pem`, `<name>.pem`, `<name>.key`.
    pub fn in_folder(folder: &Path, name: &str) -> Self {
        Self {
            authority: folder.join("ca.pem"),
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        }
    }

    /// Writes an issued certificate and its key. Refuses to overwrite either.
    pub fn write(&self, issued: &Issued) -> Result<(), PkiFault> {
        write_new(&self.key, issued.key_pem.as_bytes(), 0o600)?;
        write_new(&self.certificate, issued.certificate_pem.as_bytes(), 0o644)
    }
}

/// Writes the CA's certificate and its key. Refuses to overwrite either.
pub fn write_authority(authority: &Authority, certificate: &Path, key: &Path) -> Result<(), PkiFault> {
    write_new(key, authority.danger_key_pem().as_bytes(), 0o600)?;
    write_new(certificate, authority.certificate_pem().as_bytes(), 0o644)
}

/// Takes up an authority from its files.
pub fn load_authority(certificate: &Path, key: &Path) -> Result<Authority, PkiFault> {
    let certificate = fs::read_to_string(certificate).map_err(|source| file_fault(certificate, source))?;
    Authority::from_pem(&certificate, &String::from_utf8_lossy(&read_secret(key)?))
}

/// Reads every certificate of a PEM file; none is an error.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PkiFault> {
    let text = fs::read(path).map_err(|source| file_fault(path, source))?;
    let no = || PkiFault::Pem { path: path.display().to_string(), what: "certificate" };
    let list = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>().map_err(|_| no())?;
    if list.is_empty() { Err(no()) } else { Ok(list) }
}

/// Reads a certificate chain and its key. A key that others can read is refused.
pub fn read_identity(certificate: &Path, key: &Path) -> Result<Identity, PkiFault> {
    let chain = read_certificates(certificate)?;
    let no = || PkiFault::Pem { path: key.display().to_string(), what: "private key" };
    let key = PrivateKeyDer::from_pem_slice(&read_secret(key)?).map_err(|_| no())?;
    Ok(Identity { chain, key })
}

fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, PkiFault> {
    let mode = fs::metadata(path).map_err(|source| file_fault(path, source))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(PkiFault::KeyOpen(path.display().to_string()));
    }
    fs::read(path).map(Zeroizing::new).map_err(|source| file_fault(path, source))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiFault> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| file_fault(path, source))
}

fn file_fault(path: &Path, source: io::Error) -> PkiFault {
    PkiFault::File { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::desk::Role;
    use crate::pki::{LeafOrder, Validity};
    use crate::withdrawal::Seconds;

    #[test]
    fn keys_are_written_for_their_owner_only_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let validity = Validity { not_before: Seconds(1_000), not_after: Seconds(4_000_000_000) };
        let authority = Authority::create("test", validity).unwrap();
        let (ca, ca_key) = (folder.path().join("ca.pem"), folder.path().join("ca.key"));
        write_authority(&authority, &ca, &ca_key).unwrap();
        let files = PemFiles::in_folder(folder.path(), "exchange");
        let order = LeafOrder { role: Role::Exchange, name: "x".into(), hosts: vec![], validity };
        files.write(&load_authority(&ca, &ca_key).unwrap().issue(&order).unwrap()).unwrap();
        for key in [&files.key, &ca_key] {
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(read_identity(&files.certificate, &files.key).unwrap().chain.len(), 1);
        assert!(matches!(files.write(&authority.issue(&order).unwrap()), Err(PkiFault::File { .. })));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open.key");
        write_new(&path, b"x", 0o644).unwrap();
        assert!(matches!(read_secret(&path), Err(PkiFault::KeyOpen(_))));
    }

    #[test]
    fn a_file_without_a_certificate_says_which_file_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.pem");
        write_new(&path, b"nothing\n", 0o644).unwrap();
        let fault = read_certificates(&path).unwrap_err().to_string();
        assert!(fault.contains("empty.pem") && fault.contains("certificate"), "{fault}");
    }
}
