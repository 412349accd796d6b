//! TLS 1.3 between servers: who is at the other end is decided by an Ed25519 key, and by nothing else.
//!
//! A node shows the certificate that carries its member's key (`transport/https/certificate.py`).
//! Names, dates and issuers in it are not looked at: the room says which key a member has, and TLS
//! proves (RFC 8446, section 4.4.3) that the other end has that key's private half. So:
//!
//! - who dials gives the key that must answer; any other key ends the handshake;
//! - who listens asks for a certificate always and learns its key. Whether the key is the one that the
//!   room names for that server of that run is for `listener.rs` to compare, before a byte is sent.
//!
//! TLS 1.3 is the only version compiled in. No tickets, no resumption, no early data: every session
//! has fresh keys, and bytes recorded from one mean nothing in another.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, ServerConfig, ServerConnection, SignatureScheme,
};

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const ED25519_SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
const MAX_CERTIFICATE: usize = 4_096;
/// The name in a dialled connection. It is not sent (no SNI) and not compared.
const NAME: &str = "hitoku.invalid";

/// A member's public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MemberKey([u8; 32]);

impl MemberKey {
    /// Reads it as rooms write it: `ed25519:` and base64.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix("ed25519:")?).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// The key that a certificate carries, if it is an Ed25519 key.
    fn carried(certificate: &CertificateDer<'_>) -> Option<Self> {
        if certificate.len() > MAX_CERTIFICATE {
            return None;
        }
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        let spki = parsed.subject_public_key_info();
        let key = spki.strip_prefix(&ED25519_SPKI[..])?;
        Some(Self(key.try_into().ok()?))
    }

    /// The key that the other end of a finished handshake proved to have.
    pub fn proven(connection: &Connection) -> Option<Self> {
        match connection.peer_certificates() {
            Some([certificate]) => Self::carried(certificate),
            _ => None,
        }
    }
}

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberKey")
    }
}

/// This node's certificate and private key.
pub struct Identity {
    certified: Arc<CertifiedKey>,
    provider: Arc<CryptoProvider>,
    server: Arc<ServerConfig>,
}

impl Identity {
    /// Reads both from PEM; None if they are not an Ed25519 key and a certificate that carries it.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Option<Self> {
        let provider = Arc::new(provider());
        let certificate = CertificateDer::from_pem_slice(certificate).ok()?;
        MemberKey::carried(&certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).ok()?;
        let certified = CertifiedKey::from_der(vec![certificate], key, &provider).ok()?;
        certified.keys_match().ok()?;
        let certified = Arc::new(certified);
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .ok()?
            .with_client_cert_verifier(Arc::new(AnyMember))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified.clone())));
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.max_early_data_size = 0;
        Some(Self {
            certified,
            provider,
            server: Arc::new(server),
        })
    }

    /// The dialling side; only `peer` may answer.
    pub fn dial(&self, peer: MemberKey) -> Result<Connection, Error> {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned(peer)))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(self.certified.clone())));
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        config.enable_early_data = false;
        let name = ServerName::try_from(NAME).map_err(|_| Error::General(String::new()))?;
        Ok(ClientConnection::new(Arc::new(config), name)?.into())
    }

    /// The listening side.
    pub fn answer(&self) -> Result<Connection, Error> {
        Ok(ServerConnection::new(self.server.clone())?.into())
    }
}

/// AES-128-GCM first: 128 bits are what the protocol's other parts give, and it is the fastest.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
            ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
        ],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    }
}

fn check_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if signed.scheme != SignatureScheme::ED25519 {
        return Err(PeerIncompatible::NoSignatureSchemesInCommon.into());
    }
    let algorithms = ring::default_provider().signature_verification_algorithms;
    verify_tls13_signature(message, certificate, signed, &algorithms)
}

fn refused() -> Error {
    rustls::CertificateError::ApplicationVerificationFailure.into()
}

/// Accepts one key.
#[derive(Debug)]
struct Pinned(MemberKey);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _stapled: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !others.is_empty() || MemberKey::carried(certificate) != Some(self.0) {
            return Err(refused());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// Accepts whoever has some Ed25519 key; which key it must be is compared when the run is known.
#[derive(Debug)]
struct AnyMember;

impl ClientCertVerifier for AnyMember {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if !others.is_empty() || MemberKey::carried(certificate).is_none() {
            return Err(refused());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(refused())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
