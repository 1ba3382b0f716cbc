//! Whether Velero's backups can be written to a place: told by doing what Velero does, with an object of the charm's own.

use std::{
    fmt,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustls::crypto::ring;
use uuid::Uuid;

use super::{Store, StoreError};

/// What an object of the charm is called, before a part that no other one has.
const NAME: &str = "velero-operator-test-";

/// What Velero does with the objects of a backup.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// It writes them.
    Write,
    /// It finds them.
    List,
    /// It reads them.
    Read,
    /// It replaces what it knows of a backup when it has ended.
    Overwrite,
    /// It deletes those that have expired.
    Delete,
}

impl Step {
    /// Returns the word for it in a sentence on what may not be done.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::List => "list",
            Self::Read => "read",
            Self::Overwrite => "overwrite",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// What has come of each step that was tried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proof {
    /// The steps in their order.
    pub steps: Vec<(Step, Result<(), StoreError>)>,
    /// Whether the store keeps the versions before; `None` where nothing could be written.
    pub keeps_versions: Option<bool>,
}

/// What a proof means for backups.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// They can be made, and deleted.
    Works,
    /// They can be made, and not deleted.
    Keeps(StoreError),
    /// They cannot be made.
    Refused(Step, StoreError),
    /// Nothing is known: the store was not reached from here.
    Untried(StoreError),
}

/// Returns what users are told of a store that takes no backups.
pub(crate) fn takes_no_backups(step: Step, bucket: &str, error: &StoreError) -> String {
    format!("the storage does not take backups, it does not let Velero {step} in {bucket}: {error}")
}

impl Proof {
    /// Adds what has come of a step. Returns whether there is more to be found out: what was not written cannot be read.
    fn adds(&mut self, step: Step, outcome: Result<(), StoreError>) -> bool {
        let goes_on = match &outcome {
            Ok(()) => true,
            Err(error) => step != Step::Write && error.is_refusal(),
        };
        self.steps.push((step, outcome));
        goes_on
    }

    /// Returns what it means for backups.
    pub(crate) fn verdict(&self) -> Verdict {
        let failed = || self.steps.iter().filter_map(|(step, outcome)| Some((*step, outcome.as_ref().err()?)));
        let refused = failed().find(|(step, error)| *step != Step::Delete && error.is_refusal());
        if let Some((step, error)) = refused {
            return Verdict::Refused(step, error.clone());
        }
        match failed().next() {
            None => Verdict::Works,
            Some((Step::Delete, error)) if error.is_refusal() => Verdict::Keeps(error.clone()),
            Some((_, error)) => Verdict::Untried(error.clone()),
        }
    }
}

/// How fast a store takes and gives bytes, in bytes per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rates {
    pub upload: f64,
    pub download: f64,
}

impl Store {
    /// Measures how fast bytes go there and back, by an object of that size which is gone afterwards.
    pub(crate) async fn measure(&self, size: usize) -> Result<Rates, StoreError> {
        let name = format!("{NAME}{}", Uuid::new_v4());
        let mut content = vec![0; size];
        // What can be compressed would be faster.
        let random = ring::default_provider().secure_random;
        random.fill(&mut content).map_err(|_| StoreError::Unusable { reason: "no random bytes".to_owned() })?;
        let content = Bytes::from(content);
        let begun = Instant::now();
        self.write(&name, content.clone()).await?;
        let upload = begun.elapsed();
        let begun = Instant::now();
        let read = self.read(&name, size).await;
        let download = begun.elapsed();
        let deleted = self.delete(&name).await;
        if read? != content {
            return Err(StoreError::Different);
        }
        // Whoever may not delete has been told so.
        if let Err(error) = deleted.as_ref()
            && !error.is_refusal()
        {
            return Err(error.clone());
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate has fewer digits")]
        let rate = |time: Duration| size as f64 / time.as_secs_f64();
        Ok(Rates { upload: rate(upload), download: rate(download) })
    }

    /// Tries each step with an object of its own, which is gone afterwards if it may be deleted.
    pub(crate) async fn prove(&self) -> Proof {
        let name = format!("{NAME}{}", Uuid::new_v4());
        let content =
            Bytes::from_static(b"Written by the charm velero-operator to see that it can be. It may be deleted.\n");
        let mut proof = Proof::default();
        let written = self.write(&name, content.clone()).await;
        proof.keeps_versions = written.as_ref().ok().copied();
        if !proof.adds(Step::Write, written.map(drop)) {
            return proof;
        }
        self.use_what_is_there(&name, content, &mut proof).await;
        proof.adds(Step::Delete, self.delete(&name).await);
        proof
    }

    /// Tries the steps between the first and the last, until the store is not reached any more: each would wait as long for it.
    async fn use_what_is_there(&self, name: &str, content: Bytes, proof: &mut Proof) {
        // Some stores list only later what was written, which is no refusal.
        if !proof.adds(Step::List, self.lists(name).await.map(drop)) {
            return;
        }
        let read = self.read(name, content.len()).await;
        let is_same = |read: Bytes| if read == content { Ok(()) } else { Err(StoreError::Different) };
        if proof.adds(Step::Read, read.and_then(is_same)) {
            proof.adds(Step::Overwrite, self.write(name, content.clone()).await.map(drop));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(steps: &[(Step, Result<(), StoreError>)]) -> Verdict {
        Proof { steps: steps.to_vec(), keeps_versions: None }.verdict()
    }

    #[test]
    fn only_what_the_store_itself_refuses_keeps_backups_from_being_made() {
        let silent = StoreError::Silent { seconds: 10 };
        let refused = StoreError::Different;
        let fine = [Step::Write, Step::List, Step::Read, Step::Overwrite].map(|step| (step, Ok(())));
        let then = |step, error: &StoreError| [&fine[..], &[(step, Err(error.clone()))]].concat();
        assert_eq!(verdict(&[&fine[..], &[(Step::Delete, Ok(()))]].concat()), Verdict::Works);
        assert_eq!(verdict(&then(Step::Delete, &refused)), Verdict::Keeps(refused.clone()));
        assert_eq!(verdict(&then(Step::Delete, &silent)), Verdict::Untried(silent.clone()));
        assert_eq!(verdict(&[(Step::Write, Err(silent.clone()))]), Verdict::Untried(silent.clone()));
        // A later word of the store counts more than an earlier silence.
        let steps = [(Step::Write, Ok(())), (Step::List, Err(silent)), (Step::Overwrite, Err(refused.clone()))];
        assert_eq!(verdict(&steps), Verdict::Refused(Step::Overwrite, refused));
    }

    #[test]
    fn what_was_not_reached_is_not_waited_for_again() {
        let mut proof = Proof::default();
        assert!(proof.adds(Step::Write, Ok(())));
        assert!(proof.adds(Step::List, Err(StoreError::Different)));
        assert!(!proof.adds(Step::Read, Err(StoreError::Silent { seconds: 10 })));
        assert!(!Proof::default().adds(Step::Write, Err(StoreError::Different)));
    }
}
