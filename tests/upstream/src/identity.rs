//! Certificates of a server with TLS: good ones, and each kind of bad one.

use std::{io, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use time::OffsetDateTime;
use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};

/// X.509 version 1, for `CN=localhost`: `openssl x509 -req -signkey` without extensions.
const VERSION_1: &str = include_str!("../fixtures/version-1.pem");

/// A certificate that is not made yet.
pub struct Draft(CertificateParams);

impl Draft {
    /// For these host names and addresses, the first of which is its commonName; within its period, no authority.
    pub fn new(names: &[&str]) -> Self {
        let owned: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(owned).unwrap_or_default();
        params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("x"));
        Self(params)
    }

    /// With `CA:TRUE`.
    #[must_use]
    pub fn authority(mut self) -> Self {
        self.0.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self
    }

    /// With a period that is over.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.0.not_after = date_time_ymd(2001, 2, 3);
        self
    }

    /// With a period that has not begun.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.0.not_before = date_time_ymd(2999, 2, 3);
        self
    }

    /// With a period that ends so many days from now.
    #[must_use]
    pub fn for_days(mut self, days: u32) -> Self {
        self.0.not_after = OffsetDateTime::now_utc() + time::Duration::days(days.into());
        self
    }

    /// Meant for clients only.
    #[must_use]
    pub fn for_clients(mut self) -> Self {
        self.0.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self
    }

    /// Meant for servers only.
    #[must_use]
    pub fn for_servers(mut self) -> Self {
        self.0.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self
    }

    /// Signed by its own key.
    pub fn self_signed(self) -> io::Result<Identity> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let made = self.0.self_signed(&key).map_err(io::Error::other)?;
        Ok(Identity { params: self.0, certificate: made.der().clone(), pem: made.pem(), key })
    }

    /// Signed by another certificate's key.
    pub fn issued_by(self, issuer: &Identity) -> io::Result<Identity> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let issuer = Issuer::from_params(&issuer.params, &issuer.key);
        let made = self.0.signed_by(&key, &issuer).map_err(io::Error::other)?;
        Ok(Identity { params: self.0, certificate: made.der().clone(), pem: made.pem(), key })
    }
}

/// A certificate and its key.
pub struct Identity {
    params: CertificateParams,
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Identity {
    /// A certificate of X.509 version 1. The key is another one, which a client does not get to see: it refuses the
    /// certificate first.
    pub fn version_1() -> io::Result<Self> {
        let certificate = CertificateDer::from_pem_slice(VERSION_1.as_bytes());
        let key = KeyPair::generate().map_err(io::Error::other)?;
        Ok(Self {
            params: CertificateParams::default(),
            certificate: certificate.map_err(io::Error::other)?,
            pem: VERSION_1.to_owned(),
            key,
        })
    }

    /// The certificate of another one, which needs a key that is not there.
    #[must_use]
    pub fn with_certificate_of(self, other: &Self) -> Self {
        let (certificate, pem) = (other.certificate.clone(), other.pem.clone());
        Self { certificate, pem, ..self }
    }

    /// The certificate, in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its key, in PEM (PKCS #8).
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A server's side of TLS. It checks nothing of the certificate.
    pub(crate) fn server_config(&self) -> io::Result<ServerConfig> {
        let provider = ring::default_provider();
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).map_err(io::Error::other)?;
        let key = provider.key_provider.load_private_key(key).map_err(io::Error::other)?;
        let certified = CertifiedKey::new(vec![self.certificate.clone()], key);
        let builder = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let resolver = Arc::new(SingleCertAndKey::from(certified));
        Ok(builder.with_no_client_auth().with_cert_resolver(resolver))
    }
}
