//! TLS: the certificate and its reloading; and a client's stream, plain or encrypted, before and after HTTP.

use crate::server::config::WebSettings;
use crate::server::gateway::RawStream;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// A client's TCP stream, plain or inside TLS.
pub(super) type ClientStream = Either<TcpStream, TlsStream<TcpStream>>;

/// Detaches the stream from tokio's I/O driver, so that a shard can register it with its own. Returns the OS error if that
/// fails.
pub(super) fn into_raw_stream(stream: ClientStream) -> std::io::Result<RawStream> {
    Ok(match stream {
        Either::Left(tcp) => RawStream::Plain(tcp.into_std()?),
        Either::Right(encrypted) => {
            let (tcp, tls) = encrypted.into_inner();
            RawStream::Encrypted(tcp.into_std()?, Box::new(tls))
        }
    })
}

/// Error of a certificate or its key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or is not PEM.
    #[error("{path}: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate file has no certificate in it.
    #[error("no certificate in {0}")]
    NoCertificate(PathBuf),
    /// The key is not the certificate's, or its kind is not supported.
    #[error("unusable certificate or key: {0}")]
    Invalid(#[from] rustls::Error),
}

/// TLS with a certificate and key from files, which are loaded again when they change.
#[derive(Clone)]
pub struct Tls(Arc<Certificate>);

struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

/// The loaded certificate, with the modification times of both files at that moment.
struct Current {
    config: Arc<ServerConfig>,
    modified: [Option<SystemTime>; 2],
}

impl Tls {
    /// Loads `web.tls_cert` and `web.tls_key`. Returns `None` if no certificate is configured.
    pub fn new(web: &WebSettings) -> Result<Option<Self>, TlsError> {
        if web.tls_cert.as_os_str().is_empty() {
            return Ok(None);
        }
        let (cert, key) = (web.tls_cert.clone(), web.tls_key.clone());
        let current =
            Mutex::new(Current { modified: [&cert, &key].map(|path| modified_at(path)), config: load_config(&cert, &key)? });
        Ok(Some(Self(Arc::new(Certificate { cert, key, current }))))
    }

    /// Performs the server's side of a TLS handshake.
    pub async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = self.0.current.lock().unwrap_or_else(PoisonError::into_inner).config.clone();
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Loads the files again if a modification time changed. On an error the current certificate stays in use.
    pub fn reload_if_changed(&self) {
        let Certificate { cert, key, current } = &*self.0;
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = [cert, key].map(|path| modified_at(path));
        if now == current.modified {
            return;
        }
        current.modified = now;
        match load_config(cert, key) {
            Ok(config) => {
                current.config = config;
                tracing::info!("TLS certificate reloaded");
            }
            Err(error) => tracing::error!(%error, "could not load the changed TLS certificate: the current one stays in use"),
        }
    }
}

fn modified_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|file| file.modified()).ok()
}

fn load_config(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let pem_error = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, source }
    };
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(cert).map_err(pem_error(cert))?.collect::<Result<_, _>>().map_err(pem_error(cert))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(cert.into()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(pem_error(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}
