//! The kinds of objects that decide whether the data of volumes is in a backup.

/// A kind of objects, by the names that Velero takes for it: of one, of many, and in short.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ResourceKind {
    names: [&'static str; 3],
}

impl ResourceKind {
    pub(crate) const CLAIMS: Self = Self { names: ["persistentvolumeclaims", "persistentvolumeclaim", "pvc"] };
    pub(crate) const VOLUMES: Self = Self { names: ["persistentvolumes", "persistentvolume", "pv"] };
    pub(crate) const PODS: Self = Self { names: ["pods", "pod", "po"] };

    /// Returns the usual name.
    pub(crate) fn name(self) -> &'static str {
        self.names[0]
    }

    /// Whether a list of resources names the kind, or all kinds.
    pub(crate) fn is_among(self, resources: &[String]) -> bool {
        resources.iter().any(|name| name == "*" || self.names.contains(&name.to_lowercase().as_str()))
    }
}
