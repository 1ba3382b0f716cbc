//! Making a Backup or a Restore.

use std::ops::ControlFlow;

use jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject};

use super::run::{Run, RunKind};
use crate::{
    cluster::{Cluster, ClusterError, Head, MetadataOnly, named},
    velero::{
        names::LOCATION,
        wanted::{
            backup::new_name,
            schedule::{TARGET_LABELS, target_of},
        },
    },
};

/// A Backup or a Restore that was made, or found.
#[derive(Clone, Debug)]
pub(crate) struct KnownRun {
    pub name: String,
    pub uid: String,
    pub run: Run,
    /// Of which application it is, if it is of one: application, endpoint, model.
    pub target: Option<[String; 3]>,
}

impl KnownRun {
    fn of(object: &DynamicObject) -> Self {
        let is_of_target = TARGET_LABELS.iter().all(|label| object.labels().contains_key(*label));
        let target = is_of_target.then(|| target_of(object.labels(), object.annotations()));
        Self { name: object.name_any(), uid: object.uid().unwrap_or_default(), run: Run::of(object), target }
    }

    /// Returns the name of the location that a backup lies in.
    pub(crate) fn location(&self) -> &str {
        match self.run.spec.storage_location.as_str() {
            "" => LOCATION,
            location => location,
        }
    }
}

/// Makes an object under a name of its own, which begins with what it is about. `maker` is who asks for it.
pub(crate) async fn make(
    cluster: &Cluster,
    kind: RunKind,
    about: &str,
    maker: &str,
    mut object: DynamicObject,
) -> Result<KnownRun, ClusterError> {
    loop {
        let name = new_name(about, &[maker, about, &Timestamp::now().as_nanosecond().to_string()]);
        object.metadata.name = Some(name.clone());
        if find(cluster, kind, &name).await?.is_none() {
            // Unlike a request to create it, this one can be repeated when its answer is lost.
            return Ok(KnownRun::of(&cluster.apply(&object).await?));
        }
    }
}

/// Returns the run of that name.
pub(crate) async fn find(cluster: &Cluster, kind: RunKind, name: &str) -> Result<Option<KnownRun>, ClusterError> {
    let types = kind.kind();
    let object = cluster.own(named(&types.api_version, &types.kind, name));
    Ok(cluster.find(&object).await?.as_ref().map(KnownRun::of))
}

/// Returns the name of the run with that uid.
pub(crate) async fn name_of(cluster: &Cluster, kind: RunKind, uid: &str) -> Result<Option<String>, ClusterError> {
    let mut found = None;
    let visit = |object: MetadataOnly| {
        let Head { name, uid: Some(seen), .. } = object.metadata else { return ControlFlow::Continue(()) };
        if seen == uid {
            found = Some(name.clone());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    cluster.walk(&cluster.here(&kind.kind()), &format!("the {}s", kind.word()), visit).await?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{cluster::test_api::TestApi, velero::wanted::restore::RestoreOrder};

    #[tokio::test]
    async fn each_has_a_name_and_is_found_by_it_and_by_its_uid() {
        let api = TestApi::new();
        api.define("v1", "Restore");
        let cluster = api.cluster("velero");
        let object = RestoreOrder::default().restore("", "velero", "nightly");
        let make = || make(&cluster, RunKind::Restore, "nightly", "velero-operator/0", object.clone());
        let (first, second) = (make().await.unwrap(), make().await.unwrap());
        // Whoever is killed leaves one as a whole, or none.
        assert_eq!(api.writes().len(), 2);
        assert!(first.name.starts_with("nightly-") && first.name != second.name, "{first:?} {second:?}");
        let found = find(&cluster, RunKind::Restore, &second.name).await.unwrap().unwrap();
        assert_eq!(found.uid, second.uid);
        let name = name_of(&cluster, RunKind::Restore, &second.uid).await.unwrap();
        assert_eq!(name.as_ref(), Some(&second.name));
        assert_eq!(name_of(&cluster, RunKind::Restore, "none").await.unwrap(), None);
        assert_eq!(api.object("Restore", &first.name).unwrap()["spec"]["backupName"], json!("nightly"));
    }

    #[test]
    fn a_backup_that_names_no_location_lies_in_the_default_one() {
        let lies = |spec: &serde_json::Value| {
            let run = serde_json::from_value(json!({"spec": spec})).unwrap();
            KnownRun { name: String::new(), uid: String::new(), run, target: None }.location().to_owned()
        };
        assert_eq!((lies(&json!({})), lies(&json!({"storageLocation": "cold"}))), ("default".into(), "cold".into()));
    }
}
