//! The client's side of TLS: which authorities are trusted (those of a PEM file, or else those of the system, or in `SSL_CERT_FILE`
//! and `SSL_CERT_DIR`), the handshake, and what to do about a refused certificate. Does not know HTTP, nor where the file is.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The authorities that are trusted. By default those of the system, which are read when they are first needed; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust(Arc<Authorities>);

#[derive(Debug, Default)]
struct Authorities {
    config: OnceCell<Arc<ClientConfig>>,
    /// The SHA-256 of their PEM; `None` for those of the system.
    pem: Option<[u8; 32]>,
}

impl Trust {
    /// Only the authorities whose certificates are in `pem`.
    pub(crate) fn only(pem: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.or(Err(TrustError::NotPem))?).or(Err(TrustError::Damaged))?;
        }
        if roots.is_empty() {
            return Err(TrustError::Empty);
        }
        let config = OnceCell::new_with(Some(config(roots).map_err(TrustError::Unsupported)?));
        Ok(Self(Arc::new(Authorities { config, pem: Some(Sha256::digest(pem).into()) })))
    }

    /// Makes the handshake on `stream`, and checks the certificate of `host`.
    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let read = || async { spawn_blocking(system_config).await.map_err(io::Error::other)? };
        let config = self.0.config.get_or_try_init(read).await?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(explained)
    }
}

/// Equal if the same authorities are trusted.
impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.0.pem == other.0.pem
    }
}

impl Eq for Trust {}

/// Why a file's authorities cannot be trusted. The text follows the file's name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TrustError {
    #[error("is not a valid PEM file: write the certificates to it again")]
    NotPem,
    #[error("contains a damaged certificate: write it again, in PEM")]
    Damaged,
    #[error("contains no certificate: it must be in PEM, with -----BEGIN CERTIFICATE-----")]
    Empty,
    #[error("cannot be used: {0}")]
    Unsupported(#[source] io::Error),
}

/// The configuration that trusts the system's authorities. Reading them takes time.
fn system_config() -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(io::Error::other(
            "this machine has no certificates of authorities: install ca-certificates, or set SSL_CERT_FILE, --ca-file or ca_file",
        ));
    }
    config(roots)
}

fn config(roots: RootCertStore) -> io::Result<Arc<ClientConfig>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// `error` with what to do about it, if that is known.
fn explained(error: io::Error) -> io::Error {
    let advice = error.get_ref().and_then(|inner| advice(inner.downcast_ref()?));
    match advice {
        Some(advice) => io::Error::new(error.kind(), format!("{advice} ({error})")),
        None => error,
    }
}

fn advice(error: &rustls::Error) -> Option<&'static str> {
    use CertificateError as Refused;
    let refused = match error {
        rustls::Error::InvalidCertificate(refused) => refused,
        rustls::Error::InvalidMessage(_) => {
            return Some("the server does not speak TLS on this port: use http:// or another port");
        }
        _ => return None,
    };
    Some(match refused {
        Refused::UnknownIssuer | Refused::BadSignature => {
            "no authority that is trusted here signed the server's certificate: name a file with the certificate of its authority, with --ca-file for a command, or as ca_file in a policy or relay file"
        }
        Refused::Expired | Refused::ExpiredContext { .. } => {
            "the server's certificate has expired: renew it there, or set this machine's clock if that is wrong"
        }
        Refused::NotValidYet | Refused::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: set this machine's clock if it is wrong, or wait"
        }
        Refused::NotValidForName | Refused::NotValidForNameContext { .. } => {
            "the server's certificate is for another name: use a name in the URL that is in its subjectAltName, or make one for this name"
        }
        Refused::InvalidPurpose | Refused::InvalidPurposeContext { .. } => {
            "the server's certificate is not meant for servers: make one with serverAuth in its extendedKeyUsage"
        }
        Refused::Revoked => "the server's certificate was revoked: give the server another one",
        // The names are those of the checker in rustls.
        Refused::Other(other) => match format!("{other:?}") {
            name if name.contains("CaUsedAsEndEntity") => {
                "the server's certificate is that of an authority (CA:TRUE): make one for the server with basicConstraints CA:FALSE, and sign it with the authority's key"
            }
            name if name.contains("EndEntityUsedAsCa") => {
                "the server's certificate was signed with a certificate that is not an authority's: make that one again with basicConstraints CA:TRUE"
            }
            name if name.contains("UnsupportedCertVersion") => {
                "the server's certificate is not of X.509 version 3: make it again with a subjectAltName, which needs that version"
            }
            _ => {
                "the server's certificate cannot be used: make it again, of X.509 version 3 and with its host name in the subjectAltName"
            }
        },
        _ => "the server's certificate cannot be used: make it again, with an RSA or ECDSA key and SHA-256",
    })
}
