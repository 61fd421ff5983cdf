//! A connection's stream as it arrives, plain or encrypted, and as it leaves HTTP.

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

pub type ClientStream = Either<TcpStream, TlsStream<TcpStream>>;

/// Out of this runtime, for a shard's own.
pub fn into_raw_stream(stream: ClientStream) -> std::io::Result<RawStream> {
    Ok(match stream {
        Either::Left(tcp) => RawStream::Plain(tcp.into_std()?),
        Either::Right(encrypted) => {
            let (tcp, tls) = encrypted.into_inner();
            RawStream::Encrypted(tcp.into_std()?, Box::new(tls))
        }
    })
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {source}")]
    Pem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{0} holds no certificate")]
    NoCertificate(PathBuf),
    #[error("certificate and key do not belong together, or are of no kind that is known: {0}")]
    Invalid(#[from] rustls::Error),
}

/// TLS with the certificate of two files, which are read again when they change.
#[derive(Clone)]
pub struct Tls(Arc<Certificate>);

struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    modified: [Option<SystemTime>; 2],
}

impl Tls {
    /// `None`: no certificate is configured.
    pub fn new(web: &WebSettings) -> Result<Option<Self>, TlsError> {
        if web.tls_cert.as_os_str().is_empty() {
            return Ok(None);
        }
        let (cert, key) = (web.tls_cert.clone(), web.tls_key.clone());
        let current =
            Mutex::new(Current { modified: [&cert, &key].map(|path| modified_at(path)), config: load_config(&cert, &key)? });
        Ok(Some(Self(Arc::new(Certificate { cert, key, current }))))
    }

    pub async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = self.0.current.lock().unwrap_or_else(PoisonError::into_inner).config.clone();
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Reads the files again if they are others than before. What cannot be used changes nothing.
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
                tracing::info!("the certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the new certificate cannot be used: the old one stays"),
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
