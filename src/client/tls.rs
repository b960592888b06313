//! TLS of a call: the servers that a command trusts, and its own certificate.

use std::{fs::File, io::Read, path::Path};

use switcher_actors::{
    Identity, PemFault, Shown, TlsClient, TlsRemedies, TlsTrust, certificates, private_key,
    system_authorities,
};

use super::{
    arguments::{ServerAddress, TlsArguments},
    report::{CommandFailure, FailureKind},
};
use crate::tls::CertificateDer;

/// Trust in a server, unless `--ca-file` is given.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// This machine's certificate authorities.
    System,
    /// The daemon of the configuration that was read here, with this `TLSCertificateFile`. Its certificate need not name
    /// the address at which its own machine reaches it.
    Own(&'a Path),
    /// Every server, as without TLS.
    Anyone,
}

/// Client's side of TLS for this server; `None` without TLS.
pub fn tls(
    arguments: &TlsArguments,
    server: &ServerAddress,
    trust: Trust<'_>,
) -> Result<Option<TlsClient>, CommandFailure> {
    let TlsArguments { ca_file, cert_file, key_file } = arguments;
    if !server.is_https() {
        return match ca_file.is_some() || cert_file.is_some() {
            // Otherwise the request would go out unencrypted, against the caller's intent.
            true => Err(FailureKind::Usage.failure(format!(
                "--ca-file and --cert-file are for TLS, but {} is called without: give --server https://HOST:PORT",
                server.as_str()
            ))),
            false => Ok(None),
        };
    }
    let (trust, remedy) = match (ca_file, trust) {
        (Some(file), _) => (TlsTrust::Certificates(read_certificates(file)?), ADD),
        (None, Trust::System) => (TlsTrust::Certificates(system_authorities().0), GIVE),
        (None, Trust::Anyone) => (TlsTrust::Anyone, GIVE),
        (None, Trust::Own(file)) => {
            let first = read_certificates(file)?.into_iter().next();
            (first.map_or(TlsTrust::Certificates(Vec::new()), TlsTrust::Exactly), RELOAD)
        }
    };
    let identity = match (cert_file, key_file) {
        (Some(certificate), Some(key)) => Some(read_identity(certificate, key)?),
        _ => None,
    };
    let client = TlsClient::new(trust, identity, remedies(remedy));
    match client.fault() {
        Some(fault) => {
            let text = format!("--cert-file and --key-file cannot be used: {fault}");
            Err(FailureKind::NoInput.failure(text))
        }
        None => Ok(Some(client)),
    }
}

/// Remedies that trust another certificate.
const ADD: &str = "add to the file of --ca-file";
const GIVE: &str = "give --ca-file with";
const RELOAD: &str = "reload the daemon (SIGHUP), so that it shows the certificate of TLSCertificateFile; or give \
    --server https://HOST:PORT and --ca-file FILE";

fn remedies(trust: &'static str) -> TlsRemedies {
    TlsRemedies {
        address: "--server",
        trust,
        afterwards: "",
        accepts_listed_authority: true,
        without_tls: "give --server http://HOST:PORT, or the port with TLS".to_owned(),
        client_certificate: "give --cert-file and --key-file with a certificate that the daemon's TLSClientCAFile trusts"
            .to_owned(),
    }
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, CommandFailure> {
    certificates(&read(file)?).map_err(|fault| refuse(file, &fault))
}

fn read_identity(certificate: &Path, key: &Path) -> Result<Identity, CommandFailure> {
    let chain = read_certificates(certificate)?;
    Ok((chain, private_key(&read(key)?).map_err(|fault| refuse(key, &fault))?))
}

/// Longest file of certificates that is read, in bytes.
const PEM_BYTES: u64 = 16 << 20;

fn read(file: &Path) -> Result<Vec<u8>, CommandFailure> {
    let mut bytes = Vec::new();
    let opened = File::open(file).map(|file| file.take(PEM_BYTES));
    let read = opened.and_then(|mut file| file.read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| {
        let file = file.to_string_lossy();
        FailureKind::NoInput.failure(format!("file {} cannot be read: {error}", Shown(&file)))
    })
}

fn refuse(file: &Path, fault: &PemFault) -> CommandFailure {
    let file = file.to_string_lossy();
    FailureKind::NoInput.failure(format!("this is {}, {fault}", Shown(&file)))
}
