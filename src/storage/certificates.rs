//! Certificate chains in the forms in which integrators send them.

use base64::{Engine, prelude::BASE64_STANDARD};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;

use super::StorageError;

/// JSON text may hold JSON text once more; deeper is no form that anybody sends.
const DEEPEST: usize = 3;

/// How long a line of PEM is.
const LINE: usize = 64;

/// Reads the chain of `key` into one PEM bundle, which is written anew: Velero reads it by Go's parser, which skips blocks without a word
/// that others read, such as one without padding.
///
/// The interface document says a JSON list of base64 texts, the integrators send a JSON list of PEM texts, and both occur
/// as bare text or wrapped in JSON once more.
///
/// # Errors
///
/// When a part of it is no certificate in PEM.
pub(super) fn pem_bundle(key: &'static str, text: &str) -> Result<String, StorageError> {
    let mut bundle = String::new();
    collect(text, DEEPEST, &mut bundle).filter(|()| !bundle.is_empty()).ok_or_else(|| {
        StorageError::invalid(
            key,
            "is not a list of certificates in PEM: set the whole chain, each from BEGIN to END CERTIFICATE",
        )
    })?;
    Ok(bundle)
}

fn collect(text: &str, depth: usize, bundle: &mut String) -> Option<()> {
    let text = text.trim();
    let depth = depth.checked_sub(1)?;
    if text.contains("-----BEGIN") && !text.starts_with(['[', '"']) {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().ok()?;
        // A block that is cut off is skipped by the parser, and would be missing from the chain without a word.
        let is_whole = certificates.len() == text.matches("-----BEGIN").count();
        if !is_whole || certificates.is_empty() || certificates.iter().any(|certificate| certificate.is_empty()) {
            return None;
        }
        for certificate in &certificates {
            push(certificate, bundle);
        }
        return Some(());
    }
    match serde_json::from_str(text) {
        Ok(Value::Array(entries)) => entries.iter().try_for_each(|entry| collect(entry.as_str()?, depth, bundle)),
        Ok(Value::String(inner)) => collect(&inner, depth, bundle),
        Ok(_) => None,
        Err(_) => {
            let decoded = BASE64_STANDARD.decode(text.split_whitespace().collect::<String>()).ok()?;
            collect(std::str::from_utf8(&decoded).ok()?, depth, bundle)
        }
    }
}

fn push(certificate: &[u8], bundle: &mut String) {
    bundle.push_str("-----BEGIN CERTIFICATE-----\n");
    let encoded = BASE64_STANDARD.encode(certificate);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(LINE));
        bundle.push_str(line);
        bundle.push('\n');
        rest = behind;
    }
    bundle.push_str("-----END CERTIFICATE-----\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\ncm9vdC1jYS1mb3ItdGVzdHM=\n-----END CERTIFICATE-----";

    fn read(text: &str) -> Result<String, StorageError> {
        pem_bundle("tls-ca-chain", text)
    }

    #[test]
    fn every_form_that_integrators_send_gives_the_same_bundle() {
        let encoded = BASE64_STANDARD.encode(PEM);
        let list = serde_json::json!([PEM]).to_string();
        for text in [
            list.clone(),
            serde_json::json!([encoded]).to_string(),
            serde_json::json!(list).to_string(),
            PEM.to_owned(),
            encoded,
        ] {
            assert_eq!(read(&text).unwrap(), format!("{PEM}\n"), "{text}");
        }
        assert_eq!(read(&serde_json::json!([PEM, PEM]).to_string()).unwrap(), format!("{PEM}\n{PEM}\n"));
    }

    #[test]
    fn what_go_would_skip_is_written_so_that_it_does_not() {
        for text in [
            // Without padding, between other lines, and in one line with the end.
            "-----BEGIN CERTIFICATE-----\ncm9vdC1jYS1mb3ItdGVzdHM\n-----END CERTIFICATE-----",
            "subject=/CN=root\n-----BEGIN CERTIFICATE-----\r\ncm9vdC1jYS1m\r\nb3ItdGVzdHM=\r\n-----END CERTIFICATE-----\nmore",
        ] {
            assert_eq!(read(text).unwrap(), format!("{PEM}\n"), "{text}");
        }
        let long = "cm9v".repeat(30);
        let text = format!("-----BEGIN CERTIFICATE-----\n{long}\n-----END CERTIFICATE-----");
        let lines: Vec<_> = read(&text).unwrap().lines().map(str::len).collect();
        assert_eq!(lines, [27, 64, 56, 25]);
    }

    #[test]
    fn a_broken_chain_is_refused_and_not_repeated() {
        let cut = &PEM[..PEM.len() - 10];
        for text in [
            "[]",
            "null",
            "no certificate",
            cut,
            &format!("{PEM}\n{cut}"),
            &format!("{PEM}\n{}", &PEM[..40]),
            &serde_json::json!([PEM, 5]).to_string(),
            "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().starts_with("tls-ca-chain is not a list"), "{text}");
        }
    }
}
