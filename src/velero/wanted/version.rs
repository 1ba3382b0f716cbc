//! Which release of Velero something is, and which parts must match.

use std::fmt;

/// A release of Velero. Written as Juju shows versions: `1.18.3`, without the `v` of Velero's tags.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Version(semver::Version);

impl Version {
    /// Reads a version as Velero and its tags write it, `v1.18.3`. Builds from a branch say something else, such as `main`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        semver::Version::parse(text.strip_prefix('v').unwrap_or(text)).ok().map(Self)
    }

    /// Returns what the tag of an image says, if it is a version.
    pub(crate) fn of_image(image: &str) -> Option<Self> {
        // The part before the last slash may hold a colon too: a registry's port.
        let name = image.rsplit('/').next()?;
        let name = name.split('@').next()?;
        Self::parse(name.split_once(':')?.1)
    }

    /// Whether both are of one minor release. Within it, CLI, definitions and server understand each other.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        (self.0.major, self.0.minor) == (other.0.major, other.0.minor)
    }

    /// Returns the minor release: `1.18`.
    pub(crate) fn minor_release(&self) -> String {
        format!("{}.{}", self.0.major, self.0.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_image(image: &str) -> Option<String> {
        Version::of_image(image).map(|version| version.to_string())
    }

    #[test]
    fn the_tag_of_an_image_tells_its_version() {
        for image in
            ["velero/velero:v1.18.3", "velero:1.18.3", "registry.internal:5000/velero/velero:v1.18.3@sha256:00"]
        {
            assert_eq!(of_image(image).as_deref(), Some("1.18.3"), "{image}");
        }
        assert_eq!(of_image("velero:v1.18.3-rc.1").as_deref(), Some("1.18.3-rc.1"));
        let untold =
            ["velero/velero", "velero:latest", "velero:24.04", "registry.internal:5000/velero", "velero@sha256:00"];
        for image in untold {
            assert_eq!(of_image(image), None, "{image}");
        }
    }

    #[test]
    fn releases_are_ordered_as_numbers_and_not_as_text() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("v1.9.7") < version("v1.18.3"));
        assert!(version("v1.18.0-rc.1") < version("v1.18.0"));
    }

    #[test]
    fn releases_of_one_minor_agree() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("v1.18.3").agrees_with(&version("1.18.0")));
        assert!(!version("v1.18.3").agrees_with(&version("v1.17.3")));
        assert!(!version("v1.18.3").agrees_with(&version("v2.18.3")));
        assert_eq!(Version::parse("main"), None);
    }
}
