//! What lies in the store, and what the store says.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::{
    Oracle, assert_printable,
    given::{PLANTED, assert_hidden},
};
use crate::{store::Refusal, velero::Archive};

/// A code and a message, what stands between them, and no more of either than is told.
const LONGEST: usize = 402;

/// The archive of a backup: what is cut off is damaged, and what is told of objects is told of those that are in it.
pub(super) fn archive(data: &[u8], _: &mut Oracle<'_>) {
    check_archive(data);
    let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
    compressed.write_all(data).unwrap();
    let compressed = compressed.finish().unwrap();
    check_archive(&compressed);
    assert!(Archive::read(&compressed[..compressed.len() - 1]).is_err());
}

fn check_archive(compressed: &[u8]) {
    let Ok(archive) = Archive::read(compressed) else { return };
    assert!(archive.count() > 0);
    let is_there = |kind: &str, name: &str| archive.objects.get(kind).is_some_and(|names| names.contains(name));
    assert!(archive.owned.iter().all(|(kind, name)| is_there(kind, name)), "{archive:?}");
    assert!(archive.ready_pods.iter().all(|name| is_there("v1/Pod", name)), "{archive:?}");
    assert!(archive.ready_pods.len() <= archive.pods);
}

/// What a store says when it refuses: a line of its code and its message, with nothing of what else is in the answer.
pub(super) fn refusal(data: &[u8], _: &mut Oracle<'_>) {
    check_refusal(data);
    let text = String::from_utf8_lossy(data);
    // Stores repeat what was signed, in XML.
    let is_xml = text.trim_start_matches('\u{feff}').trim_start().starts_with('<');
    if let Some((begin, end)) = text.split_once('>').filter(|_| is_xml) {
        let refusal = check_refusal(format!("{begin}><StringToSign>{PLANTED}</StringToSign>{end}").as_bytes());
        assert_hidden(&refusal);
    }
}

fn check_refusal(body: &[u8]) -> String {
    let refusal = Refusal::read(403, body).to_string();
    assert_printable(&refusal);
    assert!(!refusal.is_empty() && refusal.chars().count() <= LONGEST, "{refusal:?}");
    refusal
}
