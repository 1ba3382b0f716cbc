//! The Backup that is made by hand of what an application has declared.

use kube::api::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::json;

use super::{
    label_value::{hashed_name, short_hash},
    manifests::remove_nulls,
    schedule::ScheduleSettings,
};
use crate::{
    backups::{BackupSpec, LONGEST_LABEL, SpecId, Target, Ttl},
    velero::names::velero_kind,
};

/// What is to be backed up once.
#[derive(Clone, Debug)]
pub(crate) struct OneBackup<'a> {
    pub id: SpecId,
    pub target: &'a Target,
    pub spec: &'a BackupSpec,
    /// How long it is kept; `None` for the server's own default.
    pub ttl: Option<&'a Ttl>,
}

impl ScheduleSettings<'_> {
    /// Returns the Backup that a Schedule of the spec would make, without a name.
    pub(crate) fn backup(&self, order: &OneBackup<'_>) -> DynamicObject {
        let (labels, annotations) = self.marks(order.id, order.target);
        let mut data = json!({"spec": self.template(order.spec, order.ttl, &labels)});
        remove_nulls(&mut data);
        DynamicObject {
            types: Some(backup_kind()),
            metadata: ObjectMeta {
                namespace: Some(self.namespace.to_owned()),
                labels: Some(labels),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            data,
        }
    }
}

/// Returns the kind of Backups.
pub(crate) fn backup_kind() -> TypeMeta {
    velero_kind("v1", "Backup")
}

/// Returns a name for a Backup or a Restore: `about`, and what tells it from others of that. Velero takes names for values of labels.
pub(crate) fn new_name(about: &str, unlike: &[&str]) -> String {
    hashed_name(about, &short_hash(unlike), LONGEST_LABEL)
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;

    use super::*;
    use crate::backups::{Cron, ScheduledBackup};

    #[test]
    fn a_backup_by_hand_is_what_a_schedule_would_make() {
        let settings = ScheduleSettings {
            application: "velero-operator",
            namespace: "backups",
            default_volumes_to_fs_backup: true,
            has_snapshot_location: false,
            policies: None,
        };
        let id = SpecId { relation: 11, position: 0 };
        let target = Target { application: "ledger".into(), endpoint: "a".repeat(70), model: Some("apps".into()) };
        let spec = BackupSpec { include_namespaces: Some(vec!["apps".into()]), ..BackupSpec::default() };
        let ttl = Ttl::parse("72h").unwrap();
        let backup = settings.backup(&OneBackup { id, target: &target, spec: &spec, ttl: Some(&ttl) });
        let cron = Cron::parse("@daily").unwrap();
        let scheduled = ScheduledBackup { cron, ttl: Some(ttl.clone()), spec: spec.clone() };
        let schedule = settings.schedule(id, &target, &scheduled);
        let template = &schedule.data["spec"]["template"];
        assert_eq!(backup.data["spec"], *template);
        assert_eq!(json!(backup.labels()), template["metadata"]["labels"]);
        for (key, text) in backup.annotations() {
            assert_eq!(schedule.annotations()[key], *text);
        }
        assert_eq!(backup.annotations()["velero-operator/endpoint"], target.endpoint);
        assert_eq!(backup.namespace().as_deref(), Some("backups"));
    }

    #[test]
    fn a_name_can_be_the_value_of_a_label_and_tells_what_it_is_about() {
        let name = new_name("Ledger-velero_backups", &["1"]);
        assert!(
            name.starts_with("ledger-velero-backups-") && name != new_name("Ledger-velero_backups", &["2"]),
            "{name}"
        );
        assert_eq!(new_name(&"a".repeat(100), &["1"]).len(), 63);
    }
}
