//! References of container images, as the nodes' container runtimes read them.

use std::collections::BTreeSet;

use container_image_dist_ref::ImgRef;

/// The tag that a reference without one stands for. What it names changes.
const LATEST: &str = "latest";

/// Returns why a text is no reference of an image, as the end of a sentence that begins with the option's name.
///
/// # Errors
///
/// When it is none.
pub(crate) fn check_image(text: &str) -> Result<(), &'static str> {
    if text.contains("://") {
        return Err("is a URL: leave out what stands before ://");
    }
    if is_hash(text, 64) {
        return Err("is the id of an image: set it as REGISTRY/NAME:TAG");
    }
    ImgRef::new(text).map_err(|_| "is no reference of an image: set it as REGISTRY/NAME:TAG")?;
    if text.split_once('@').is_some_and(|(_, digest)| !is_digest(digest)) {
        return Err("has a digest that is none: set it as REGISTRY/NAME@sha256:DIGITS, with all 64 digits");
    }
    // A part with capitals is read as a registry, which has a dot or a port unless it is this machine.
    let registry = text.split_once('/').map_or("", |(first, _)| first);
    if !registry.contains(['.', ':']) && registry.chars().any(char::is_uppercase) {
        return Err("has capital letters, which names of images do not have");
    }
    Ok(())
}

/// Whether container runtimes know the algorithm of a digest, and it has all of its digits.
fn is_digest(text: &str) -> bool {
    let digits = |name: &str| text.strip_prefix(name)?.strip_prefix(':');
    [("sha256", 64), ("sha384", 96), ("sha512", 128)]
        .iter()
        .any(|(name, length)| digits(name).is_some_and(|digits| is_hash(digits, *length)))
}

fn is_hash(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the names of Secrets that stand in a list with commas, each once, or the first text that is none.
///
/// # Errors
///
/// When one is no name that Kubernetes gives.
pub(crate) fn pull_secrets(text: &str) -> Result<Vec<String>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: BTreeSet<_> = names.map(str::to_owned).collect();
    let fits = |name: &String| {
        let is_part = |part: &str| {
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(fits)
        };
        name.len() <= 253 && name.split('.').all(is_part)
    };
    match names.iter().find(|name| !fits(name)) {
        Some(other) => Err(format!("{other:?} is no name of a Secret")),
        None => Ok(names.into_iter().collect()),
    }
}

/// Returns the pull policy of an image: `IfNotPresent` for a fixed tag or a digest, so that a restart of the backup server needs
/// no registry. The CLI does not tell a registry's port from a tag.
pub(crate) fn pull_policy(text: &str) -> &'static str {
    let is_fixed =
        ImgRef::new(text).is_ok_and(|image| image.digest().is_some() || image.tag().is_some_and(|tag| tag != LATEST));
    if is_fixed { "IfNotPresent" } else { "Always" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789012345678901234567890123456789012345678901234567890123";

    #[test]
    fn what_is_no_reference_is_told_before_anything_is_rolled_out() {
        for text in [
            "Velero/velero:v1",
            "http://x/velero:v1.18.3",
            "velero/velero:",
            "velero/velero@sha256:12",
            "velero/velero@sia615:a",
            &format!("velero/velero@md5:{}", "0".repeat(32)),
            "velero/velero:v1 ",
            // To the container runtime it would be an id, and no name.
            &"0f".repeat(32),
            "",
        ] {
            assert!(check_image(text).is_err(), "{text}");
        }
        for text in [
            "velero",
            "velero/velero:v1.18.3",
            "localhost/velero:v1",
            "registry.internal:5000/team/velero:v1.18.3",
            &format!("velero/velero@{DIGEST}"),
            &format!("registry.internal:5000/velero/velero:v1.18.3@{DIGEST}"),
        ] {
            assert_eq!(check_image(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn secrets_are_named_with_commas_between() {
        assert_eq!(pull_secrets(" b.c ,a, b.c,"), Ok(vec!["a".to_owned(), "b.c".to_owned()]));
        assert_eq!(pull_secrets("a-1"), Ok(vec!["a-1".to_owned()]));
        assert_eq!(pull_secrets(" "), Ok(Vec::new()));
        for text in ["A", "a b", "a/b", "-a", "a-", "a..b", "a;b", &"a".repeat(254)] {
            assert_eq!(pull_secrets(text), Err(format!("{text:?} is no name of a Secret")));
        }
    }

    #[test]
    fn only_what_may_change_is_pulled_each_time() {
        for fixed in [
            "velero/velero:v1.18.3".to_owned(),
            "registry.internal:5000/velero:v1".to_owned(),
            format!("velero@{DIGEST}"),
            format!("registry.internal:5000/velero:latest@{DIGEST}"),
        ] {
            assert_eq!(pull_policy(&fixed), "IfNotPresent", "{fixed}");
        }
        for moving in ["velero", "velero:latest", "registry.internal:5000/velero"] {
            assert_eq!(pull_policy(moving), "Always", "{moving}");
        }
    }
}
