//! Single words of options: directories, images and versions.

use super::{Oracle, assert_printable};
use crate::velero::{KubeletRoot, Version, check_image, pull_policy, pull_secrets};

/// A directory of a kubelet is what Go makes of the path.
pub(super) fn kubelet_root(data: &[u8], oracle: &mut Oracle<'_>) {
    let text = String::from_utf8_lossy(data);
    let Ok(root) = text.parse::<KubeletRoot>() else { return };
    let written = root.to_string();
    assert_printable(&written);
    assert_eq!(written.parse(), Ok(root));
    if let Some(read) = oracle.ask("path", &text) {
        let expected = [("path", written.as_str()), ("absolute", "true")];
        assert_eq!(read, Ok(expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into()));
    }
}

/// A reference of an image is one for kubelet and containerd too, with the same tag; names of Secrets and versions are written as
/// they are read.
pub(super) fn image(data: &[u8], oracle: &mut Oracle<'_>) {
    let text = String::from_utf8_lossy(data);
    let text = text.trim();
    if check_image(text).is_ok() {
        assert_printable(text);
        if let Some(read) = oracle.ask("image", text) {
            let read = read.unwrap();
            let (tag, policy) = (read.get("tag").map(String::as_str), pull_policy(text));
            assert_eq!(policy, if tag == Some("latest") { "Always" } else { "IfNotPresent" }, "{text}");
            if let Some(tag) = tag {
                assert_eq!(Version::of_image(text), Version::parse(tag), "{text}");
            }
        }
    }
    for version in [Version::of_image(text), Version::parse(text)].into_iter().flatten() {
        assert_printable(&version.to_string());
        assert_eq!(Version::parse(&version.to_string()).as_ref(), Some(&version));
        assert_eq!(Version::parse(&format!("v{version}")).as_ref(), Some(&version));
        assert!(version.agrees_with(&version) && version.to_string().starts_with(&version.minor_release()));
    }
    if let Ok(names) = pull_secrets(text) {
        assert_eq!(pull_secrets(&names.join(",")), Ok(names));
    }
}
