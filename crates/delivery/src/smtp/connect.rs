//! From a host name to a stream: look up, connect without delay, secure.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::outcome::Phase;

use super::failure::Failure;
use super::{SmtpConfig, Tls};

/// Opens a no-delay connection to the first address that answers.
pub(super) async fn open(config: &SmtpConfig) -> Result<TcpStream, Failure> {
    let addresses = resolve(config).await?;
    let share = config.timeouts.connect / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match reach(address, share).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(Failure::broken(Phase::Connect, &last))
}

/// TLS over an open connection; the certificate must carry the host's name.
pub(super) async fn secure(config: &SmtpConfig, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
    let name = ServerName::try_from(config.host.clone())
        .map_err(|_| Failure::broken(Phase::Tls, "the host is not a name a certificate can carry"))?;
    let connector = TlsConnector::from(Arc::new(client_config(config.ca_pem.as_deref())?));
    match timeout(config.timeouts.connect, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Failure::broken(Phase::Tls, &error)),
        Err(_) => Err(Failure::broken(Phase::Tls, "timed out")),
    }
}

async fn resolve(config: &SmtpConfig) -> Result<Vec<SocketAddr>, Failure> {
    let lookup = lookup_host((config.host.as_str(), config.port));
    let addresses: Vec<SocketAddr> = match timeout(config.timeouts.connect, lookup).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(Failure::broken(Phase::Resolve, &error)),
        Err(_) => return Err(Failure::broken(Phase::Resolve, "timed out")),
    };
    if addresses.is_empty() {
        return Err(Failure::broken(Phase::Resolve, "the host has no address"));
    }
    let loopback = addresses.iter().all(|a| a.ip().to_canonical().is_loopback());
    if config.tls == Tls::PlaintextLoopback && !loopback {
        return Err(Failure::broken(Phase::Resolve, "without TLS only a loopback host is allowed"));
    }
    Ok(addresses)
}

/// One address. `TCP_NODELAY`, or the last bytes of every mail wait 40 ms for
/// the receiver's delayed acknowledgement (F8).
async fn reach(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = timeout(limit, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn client_config(ca_pem: Option<&str>) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in CertificateDer::pem_slice_iter(ca_pem.unwrap_or_default().as_bytes()) {
        let certificate = certificate.map_err(|e| Failure::broken(Phase::Tls, &e))?;
        roots.add(certificate).map_err(|e| Failure::broken(Phase::Tls, &e))?;
    }
    let provider =
        CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Failure::broken(Phase::Tls, &e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_never_waits_for_a_delayed_acknowledgement() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let stream = reach(address, Duration::from_secs(5)).await.expect("accepted by the backlog");
        assert!(stream.nodelay().expect("an open socket"));
    }

    #[test]
    fn a_broken_private_authority_is_reported() {
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(client_config(Some(garbage)).is_err());
        assert!(client_config(None).is_ok());
    }
}
