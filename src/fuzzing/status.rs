//! Messages of statuses, and lines of others.

use super::{
    Oracle, assert_printable,
    given::{BETWEEN, assert_hidden},
};
use crate::{
    status::{self, Status},
    text::{harmless, shorten},
    velero::lasting,
};

/// How many characters a message has at most: four hundred, and one that says that there were more.
const LONGEST: usize = 401;
/// Less than that has no room for the note of what is left out.
const LEAST: usize = 64;

/// What becomes of a message, with remarks behind it.
pub(super) fn status(data: &[u8], _: &mut Oracle<'_>) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split(BETWEEN).map(str::to_owned);
    let message = parts.next().unwrap_or_default();
    let remarks: Vec<_> = parts.collect();
    let of_each = [Status::Active, Status::Waiting, Status::Blocked].map(|status| status(message.clone()));
    for status in of_each.clone() {
        assert_message(&status);
        assert_message(&status.clone().with_remarks(&remarks));
        assert_message(&status.clone().standing_by());
        let of_other = status.clone().standing_by();
        assert!(!matches!(of_other, Status::Blocked(_)));
        // What is written is read again as the same, and not written anew.
        assert_eq!(Status::Active(status.message()).message(), status.message());
    }
    assert_eq!(status::worst(of_each.clone()).as_ref(), of_each.last());
    let lasting = lasting(&message);
    assert!(lasting.len() <= message.len());
    let shown = harmless(&text);
    assert!(!shown.replace('\t', "").contains(char::is_control));
    assert_eq!(harmless(&shown), shown);
    for most in [LEAST, LEAST + text.len() / 2, text.len()].into_iter().filter(|most| *most >= LEAST) {
        let short = shorten(&text, most);
        assert!(short.len() <= most && (short == text) == (text.len() <= most), "{} of {most}", short.len());
    }
}

/// A message is one line, bounded, and has no credential.
pub(super) fn assert_message(status: &Status) {
    let message = status.message();
    assert_printable(&message);
    assert_hidden(&message);
    assert!(message.chars().count() <= LONGEST, "{} characters", message.chars().count());
    assert_eq!(message.trim(), message);
}
