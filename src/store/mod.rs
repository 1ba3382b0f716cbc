//! The object store as the charm itself uses it, to find out by use whether Velero's backups can be written to it.
//!
//! Velero validates a location by listing it. Keys that may list and not write pass for good until the first backup fails.

mod detour;
mod error;
mod open;
mod owner;
mod proof;
mod refusal;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use tokio::time::timeout;

pub(crate) use error::StoreError;
pub(crate) use owner::Owner;
pub(crate) use proof::{Proof, Rates, Step, Verdict, takes_no_backups};
#[cfg(any(test, fuzzing))]
pub(crate) use refusal::Refusal;

pub(crate) use self::wire::Heard;
use self::wire::Wire;

/// How long one operation may take, but for the bytes that it moves.
const PATIENCE: Duration = Duration::from_secs(10);
/// The slowest that bytes may move, in bytes per second.
const SLOWEST: usize = 100_000;

/// The folder of a place in which objects of the charm are. Velero has a folder for each backup there and looks at nothing else, while it
/// calls a place unusable that has other folders beside it.
const FOLDER: &str = "backups";

/// A place in an object store, with the credentials for it.
#[derive(Debug)]
pub(crate) struct Store {
    objects: Box<dyn ObjectStore>,
    folder: Path,
    wire: Wire,
}

impl Store {
    /// Writes an object. Returns whether the store keeps the version before.
    async fn write(&self, name: &str, content: Bytes) -> Result<bool, StoreError> {
        let patience = patience(content.len());
        let written = self.within(patience, self.objects.put(&self.path(name), PutPayload::from(content))).await?;
        Ok(written.version.is_some())
    }

    async fn read(&self, name: &str, size: usize) -> Result<Bytes, StoreError> {
        self.read_within(patience(size), name).await
    }

    async fn read_within(&self, patience: Duration, name: &str) -> Result<Bytes, StoreError> {
        let path = self.path(name);
        self.within(patience, async { self.objects.get(&path).await?.bytes().await }).await
    }

    /// Whether an object of that name is listed.
    async fn lists(&self, name: &str) -> Result<bool, StoreError> {
        let path = self.path(name);
        // What stands right before it, so that the first page begins with it.
        let before = self.folder.clone().join(&name[..name.len() - 1]);
        let first = self.within(PATIENCE, async {
            self.objects.list_with_offset(Some(&self.folder), &before).next().await.transpose()
        });
        Ok(first.await?.is_some_and(|object| object.location == path))
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        self.within(PATIENCE, self.objects.delete(&path)).await
    }

    /// Returns what the store has told beside its answers.
    pub(crate) fn heard(&self) -> Heard {
        self.wire.heard()
    }

    fn path(&self, name: &str) -> Path {
        self.folder.clone().join(name)
    }

    async fn within<T>(
        &self,
        patience: Duration,
        operation: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        self.wire.forget_refusal();
        match timeout(patience, operation).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(StoreError::of(&error, self.wire.refusal())),
            Err(_) => Err(StoreError::Silent { seconds: patience.as_secs() }),
        }
    }
}

fn patience(size: usize) -> Duration {
    PATIENCE + Duration::from_secs((size / SLOWEST) as u64)
}
