//! The client's side of TLS: which authorities are trusted (those in `--ca-file`, or else those of the system, or in
//! `SSL_CERT_FILE` and `SSL_CERT_DIR`), the handshake, and what to do about a refused certificate. Does not know HTTP.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::cli::{Failure, input};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TlsFlags {
    /// A PEM file with the certificates of the authorities to trust over https [default: those of the system, or in SSL_CERT_FILE]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
}

impl TlsFlags {
    pub(super) fn config(&self) -> Result<Option<Arc<ClientConfig>>, Failure> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let wrong = |reason: &str| Failure::wrong(format_args!("--ca-file: {path} {reason}"));
        let text = input::read(path)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.or(Err(wrong("is not a valid PEM file: write the certificates to it again")))?;
            roots.add(certificate).or(Err(wrong("contains a damaged certificate: write it again, in PEM")))?;
        }
        if roots.is_empty() {
            return Err(wrong("contains no certificate: it must be in PEM, with -----BEGIN CERTIFICATE-----"));
        }
        config(roots).map(Some).map_err(Failure::wrong)
    }
}

/// The configuration that trusts the system's authorities. Reading them takes time.
pub(super) fn system_config() -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(io::Error::other(
            "this machine has no certificates of authorities: install ca-certificates, or set SSL_CERT_FILE or --ca-file",
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

/// Makes the handshake on `stream`, and checks the certificate of `host`.
pub(super) async fn connect(config: Arc<ClientConfig>, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(explained)
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
            "no authority that is trusted here signed the server's certificate: pass the certificate of its authority with --ca-file"
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
