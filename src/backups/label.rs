//! What Kubernetes takes for the key and the value of a label.

/// The longest value of a label, and the longest name of its key.
pub(crate) const LONGEST_LABEL: usize = 63;
/// The longest domain before the name of a key.
const LONGEST_DOMAIN: usize = 253;

/// Whether a text can be the value of a label.
pub(crate) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

/// Whether a text can be the key of a label: a name, or a domain and a name.
pub(crate) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        None => is_name(text),
        Some((domain, name)) => {
            domain.len() <= LONGEST_DOMAIN && domain.split('.').all(is_part_of_domain) && is_name(name)
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let is_letter = |character: char| character.is_ascii_alphanumeric();
    text.len() <= LONGEST_LABEL
        && text.chars().all(is_allowed)
        && text.starts_with(is_letter)
        && text.ends_with(is_letter)
}

fn is_part_of_domain(text: &str) -> bool {
    let is_letter = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    text.chars().all(|character| is_letter(character) || character == '-')
        && text.starts_with(is_letter)
        && text.ends_with(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_told_from_other_texts() {
        for (text, is_key, is_value) in [
            ("", false, true),
            ("tier", true, true),
            ("app.kubernetes.io/name", true, false),
            ("Tier_1.a", true, true),
            ("-a", false, false),
            ("a-", false, false),
            ("a/b/c", false, false),
            ("A.io/name", false, false),
            ("a..b/name", false, false),
            ("/name", false, false),
            ("a/", false, false),
            ("two words", false, false),
            (&"a".repeat(63), true, true),
            (&"a".repeat(64), false, false),
        ] {
            assert_eq!((is_label_key(text), is_label_value(text)), (is_key, is_value), "{text}");
        }
    }
}
