//! A certificate authority of our own, and what it signs: for the cluster's API server and for servers that speak TLS.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a certificate for {name}")]
pub struct CertificateError {
    name: String,
    #[source]
    source: rcgen::Error,
}

/// A certificate and its private key, both as PEM.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// The private key (PKCS #8).
    pub key: String,
}

/// A certificate authority that lives as long as this value: its key is written nowhere.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority with a new key.
    ///
    /// # Errors
    /// When the name is not one that a certificate can carry.
    pub fn new(name: &str) -> Result<Self, CertificateError> {
        let failed = |source| CertificateError { name: name.to_owned(), source };
        let mut params = subject(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// The authority's own certificate, as PEM: what others trust.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a server that is reached under `names` and `addresses`.
    ///
    /// # Errors
    /// When a name is not one that a certificate can carry.
    pub fn server(&self, name: &str, names: &[&str], addresses: &[IpAddr]) -> Result<Certified, CertificateError> {
        let mut params = subject(name, None);
        for dns in names {
            let dns = (*dns).try_into().map_err(|source| CertificateError { name: (*dns).to_owned(), source })?;
            params.subject_alt_names.push(SanType::DnsName(dns));
        }
        params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(name, params)
    }

    /// A certificate by which a client proves to be `user`, of `group` where it is in one.
    ///
    /// # Errors
    /// When a name is not one that a certificate can carry.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<Certified, CertificateError> {
        let mut params = subject(user, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(user, params)
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> Result<Certified, CertificateError> {
        let failed = |source| CertificateError { name: name.to_owned(), source };
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?.pem();
        Ok(Certified { certificate, key: key.serialize_pem() })
    }
}

/// A pair of keys to sign with and to check signatures with, both as PEM.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    /// The private key (PKCS #8).
    pub private: String,
    /// The public key.
    pub public: String,
}

impl SigningKeys {
    /// A new pair for `name`.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(name: &str) -> Result<Self, CertificateError> {
        let keys = KeyPair::generate().map_err(|source| CertificateError { name: name.to_owned(), source })?;
        Ok(Self { private: keys.serialize_pem(), public: keys.public_key_pem() })
    }
}

fn subject(user: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_pem() {
        let authority = Authority::new("test").unwrap();
        let server = authority.server("server", &["localhost"], &[[127, 0, 0, 1].into()]).unwrap();
        assert!(authority.certificate().starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(server.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(server.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn a_name_that_no_certificate_can_carry_is_named() {
        let error = Authority::new("test").unwrap().server("server", &["höst"], &[]).unwrap_err();
        assert_eq!(error.to_string(), "cannot make a certificate for höst");
    }
}
