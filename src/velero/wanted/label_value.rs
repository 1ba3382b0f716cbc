//! Texts of others as values of labels, and in names of objects.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::backups::{LONGEST_LABEL, is_label_value};

/// How many digits of a hash tell texts apart.
const HASH_DIGITS: usize = 8;

/// Returns a text as a label can hold it: itself, or what of it may stand there with a hash of the whole behind it.
pub(crate) fn label_value(text: &str) -> Cow<'_, str> {
    if is_label_value(text) {
        return Cow::Borrowed(text);
    }
    let is_letter = |character: char| character.is_ascii_alphanumeric();
    let is_allowed = |character: char| is_letter(character) || matches!(character, '-' | '_' | '.');
    let allowed: String = text.chars().map(|character| if is_allowed(character) { character } else { '-' }).collect();
    let begin = allowed.trim_start_matches(|character| !is_letter(character));
    let begin = &begin[..begin.len().min(LONGEST_LABEL - HASH_DIGITS - 1)];
    let hash = short_hash(&[text]);
    Cow::Owned(if begin.is_empty() { hash } else { format!("{begin}-{hash}") })
}

/// Returns a few letters and digits that tell texts apart.
pub(crate) fn short_hash(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text);
        hash.update([0]);
    }
    let mut digits = HEXLOWER.encode(&hash.finalize());
    digits.truncate(HASH_DIGITS);
    digits
}

/// Returns a name for an object, of at most `longest` letters: what of a text may stand in it, and a hash behind it.
pub(crate) fn hashed_name(text: &str, hash: &str, longest: usize) -> String {
    let is_allowed = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let lower = text.to_lowercase();
    let stem: String = lower.chars().map(|character| if is_allowed(character) { character } else { '-' }).collect();
    let stem = &stem[..stem.len().min(longest - hash.len() - 1)];
    format!("{}-{hash}", stem.trim_matches('-')).trim_start_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_as_it_is() {
        for text in ["", "ledger", "velero_backups", "A.b-c", &"a".repeat(63)] {
            assert_eq!(label_value(text), text);
        }
    }

    #[test]
    fn what_does_not_fit_is_told_apart_by_a_hash() {
        let mut values = std::collections::BTreeSet::new();
        for text in [&"a".repeat(64), &"a".repeat(65), "-a", "a-", "owner/model", "owner model", "é", "-", "_"] {
            let value = label_value(text).into_owned();
            assert!(value.len() <= LONGEST_LABEL && label_value(&value) == value, "{text}: {value}");
            assert!(values.insert(value), "{text}");
        }
        assert!(label_value("owner/model").starts_with("owner-model-"));
    }
}
