//! One coordinator's own authority: it makes the coordinator's certificate and its workers', and nobody else believes it.
//!
//! Certificates do not expire. A worker's is let in because the coordinator's list names it, and is struck off there; the
//! coordinator's is believed because it comes with an authority whose fingerprint every token names.

use std::fmt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SignatureAlgorithm,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::token::Token;
use crate::{Error, file};

/// The name of every coordinator in its certificate. Its address may change and be any: what tells it from others is who signed.
pub(crate) const SERVER_NAME: &str = "coordinator.gramwise";
const AUTHORITY: &str = "authority.pem";
const AUTHORITY_KEY: &str = "authority.key";
const SERVER: &str = "coordinator.pem";
const SERVER_KEY: &str = "coordinator.key";

/// The SHA-256 of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub(crate) [u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(sha256(certificate))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

/// The authority and the coordinator's own certificate, from a folder.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    server: (String, String),
    /// What tokens name.
    pub fingerprint: Fingerprint,
}

impl Authority {
    /// Is there one in a folder?
    pub fn exists(folder: &Path) -> bool {
        folder.join(AUTHORITY).exists()
    }

    /// Makes one in a folder, or reads what is there.
    pub fn init(folder: &Path) -> Result<Self, Error> {
        if !Self::exists(folder) {
            file::folder(folder)?;
            let key = KeyPair::generate()?;
            let certificate = authority_params().self_signed(&key)?.pem();
            let issuer = Issuer::new(authority_params(), &key);
            let server_key = KeyPair::generate()?;
            let server =
                params(SERVER_NAME, ExtendedKeyUsagePurpose::ServerAuth, vec![SERVER_NAME.to_owned()])?
                    .signed_by(&server_key, &issuer)?
                    .pem();
            // Last the file by which it is known to be there.
            file::write(&folder.join(SERVER_KEY), &server_key.serialize_pem())?;
            file::write(&folder.join(SERVER), &server)?;
            file::write(&folder.join(AUTHORITY_KEY), &key.serialize_pem())?;
            file::write(&folder.join(AUTHORITY), &certificate)?;
        }
        Self::open(folder)
    }

    /// Reads one from a folder.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let read = |name: &str| -> Result<(PathBuf, String), Error> {
            let path = folder.join(name);
            match file::read(&path)? {
                Some(text) => Ok((path, text)),
                None => Err(Error::Content {
                    path,
                    found: "no such file".to_owned(),
                    expected: "a part of the authority",
                }),
            }
        };
        let (path, certificate) = read(AUTHORITY)?;
        let der = der_of(&path, &certificate)?;
        let (path, key) = read(AUTHORITY_KEY)?;
        let key = KeyPair::from_pem(&key).map_err(|error| Error::Content {
            path,
            found: error.to_string(),
            expected: "a private key in PEM",
        })?;
        let (path, server) = read(SERVER)?;
        der_of(&path, &server)?;
        let (_, server_key) = read(SERVER_KEY)?;
        Ok(Self {
            issuer: Issuer::new(authority_params(), key),
            fingerprint: Fingerprint::of(&der),
            // The authority comes with it: whoever knows its fingerprint needs no file.
            server: (format!("{server}{certificate}"), server_key),
            certificate,
        })
    }

    /// What a server shows, and what it asks its workers for.
    pub fn server(&self) -> tonic::transport::ServerTlsConfig {
        let (chain, key) = &self.server;
        tonic::transport::ServerTlsConfig::new()
            .identity(tonic::transport::Identity::from_pem(chain, key))
            .client_ca_root(tonic::transport::Certificate::from_pem(&self.certificate))
            .client_auth_optional(true)
    }

    /// A worker's certificate in PEM, for its public key, with its fingerprint.
    pub fn certify(&self, name: &str, public_key: &[u8]) -> Result<(String, Fingerprint), Error> {
        let certificate = params(name, ExtendedKeyUsagePurpose::ClientAuth, Vec::new())?
            .signed_by(&PublicKey(public_key.to_vec()), &self.issuer)?;
        Ok((certificate.pem(), Fingerprint::of(certificate.der())))
    }
}

/// What a worker is known by once it has joined.
#[derive(Clone, PartialEq, Eq)]
pub struct WorkerIdentity {
    /// Its name.
    pub name: String,
    /// The authority of its coordinator.
    pub authority: Fingerprint,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl fmt::Debug for WorkerIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WorkerIdentity({}, ..)", self.name)
    }
}

/// A worker's key before it has a certificate for it.
#[derive(Debug)]
pub struct WorkerKey(KeyPair);

impl WorkerKey {
    /// A new one.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self(KeyPair::generate()?))
    }

    /// What the authority signs.
    pub fn public(&self) -> &[u8] {
        self.0.public_key_raw()
    }

    /// With the certificate that came back.
    pub fn certified(self, name: String, certificate: String, authority: Fingerprint) -> WorkerIdentity {
        WorkerIdentity { name, authority, certificate, key: self.0.serialize_pem() }
    }
}

impl WorkerIdentity {
    /// The one that a host got by a token for a coordinator's authority; `None` if there is none, or the token names no authority. Hosts
    /// may share the folder. One that the coordinator revoked stays, so that the same token does not let it in again as another.
    pub fn kept(folder: &Path, by: &Token, host: &str) -> Result<Option<Self>, Error> {
        let Some(authority) = by.authority else { return Ok(None) };
        let path = Self::path(folder, authority, by, host);
        let Some(text) = file::read(&path)? else { return Ok(None) };
        let wrong = || Error::Content {
            path: path.clone(),
            found: "something else".to_owned(),
            expected: "a worker's name, key and certificate",
        };
        let (name, rest) = text.split_once('\n').ok_or_else(wrong)?;
        let begin = rest.find("-----BEGIN CERTIFICATE").ok_or_else(wrong)?;
        let (key, certificate) = rest.split_at(begin);
        der_of(&path, certificate)?;
        let own = |text: &str| text.to_owned();
        Ok(Some(Self { name: own(name), authority, certificate: own(certificate), key: own(key) }))
    }

    /// Keeps it in a folder, as that of a host that joined by a token.
    pub fn keep(&self, folder: &Path, by: &Token, host: &str) -> Result<(), Error> {
        file::folder(folder)?;
        let text = format!("{}\n{}{}", self.name, self.key, self.certificate);
        file::write(&Self::path(folder, self.authority, by, host), &text)
    }

    fn path(folder: &Path, authority: Fingerprint, by: &Token, host: &str) -> PathBuf {
        let of_host = Fingerprint::of(host.as_bytes());
        folder.join(format!("{}-{}-{}.pem", hex(&authority.0[..8]), by.id, hex(&of_host.0[..8])))
    }
}

/// A P-256 key that somebody else holds.
struct PublicKey(Vec<u8>);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "gramwise authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn params(
    name: &str,
    purpose: ExtendedKeyUsagePurpose,
    names: Vec<String>,
) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![purpose];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn der_of(path: &Path, pem: &str) -> Result<CertificateDer<'static>, Error> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| Error::Content {
        path: path.to_owned(),
        found: error.to_string(),
        expected: "a certificate in PEM",
    })
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    if text.len() != 2 * N || !text.as_bytes().iter().all(is_hex) {
        return None;
    }
    let mut bytes = [0u8; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}
