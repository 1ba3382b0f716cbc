//! Whose a place is: a mark beside the backups, so that no two Veleros write into one place and delete each other's backups.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};

/// What the mark is called.
const MARK: &str = "velero-operator-owner.json";
/// How long its reading may take. Until then nothing is changed, and a store that is silent is told of only after that.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who writes into a place.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Owner {
    /// The uid of the cluster's namespace `kube-system`, which goes and comes with the cluster.
    pub cluster: String,
    /// The model, which is also the name of its namespace.
    pub model: String,
    /// The application, as people know it. Another one in the same model takes over what is there.
    pub application: String,
}

impl Owner {
    /// Whether it is the same Velero: there is one in a namespace.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (&self.cluster, &self.model) == (&other.cluster, &other.model)
    }

    /// Returns who it is, told to `reader`.
    pub(crate) fn told_to(&self, reader: &Self) -> String {
        let place = if self.cluster == reader.cluster { "" } else { " of another cluster" };
        format!("{} in model {}{place}", self.application, self.model)
    }
}

impl Store {
    /// Returns whose the place is, if somebody has marked it.
    ///
    /// # Errors
    ///
    /// When that cannot be read.
    pub(crate) async fn owner(&self) -> Result<Option<Owner>, StoreError> {
        match self.read_within(PATIENCE, MARK).await {
            Ok(mark) => serde_json::from_slice(&mark).map(Some).map_err(|_| StoreError::Different),
            Err(StoreError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Marks the place.
    ///
    /// # Errors
    ///
    /// When that cannot be written.
    pub(crate) async fn claim(&self, owner: &Owner) -> Result<(), StoreError> {
        let mark = serde_json::to_vec(owner).map_err(|error| StoreError::Unusable { reason: error.to_string() })?;
        self.write(MARK, Bytes::from(mark)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(cluster: &str, model: &str, application: &str) -> Owner {
        Owner { cluster: cluster.to_owned(), model: model.to_owned(), application: application.to_owned() }
    }

    #[test]
    fn another_application_of_the_same_model_comes_after_the_first() {
        let reader = owner("0a", "backups", "velero");
        assert!(reader.is(&owner("0a", "backups", "velero-operator")));
        assert!(!reader.is(&owner("0a", "other", "velero")) && !reader.is(&owner("1b", "backups", "velero")));
        assert_eq!(owner("0a", "other", "velero").told_to(&reader), "velero in model other");
        assert_eq!(owner("1b", "backups", "velero").told_to(&reader), "velero in model backups of another cluster");
    }
}
