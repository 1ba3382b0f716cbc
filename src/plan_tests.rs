use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::{
    contract::{OPTIONS, OptionSpec},
    juju::{Databag, RelationId},
    snapshot::Relation,
};

fn config(settings: &[(&str, Value)]) -> ConfigValues {
    let mut values: BTreeMap<&str, Value> =
        OPTIONS.iter().map(|option| (option.name(), option.default_value())).collect();
    values.extend(settings.iter().cloned());
    values.into_iter().collect()
}

fn relation(endpoint: &'static str, fields: &[(&str, &str)]) -> (&'static str, Relation) {
    let relation = Relation {
        id: RelationId::new(format!("{endpoint}:7")),
        remote: None,
        theirs: fields.iter().copied().collect(),
        ours: Databag::default(),
        secret: None,
    };
    (endpoint, relation)
}

fn snapshot(settings: &[(&str, Value)], relations: Vec<(&'static str, Relation)>) -> Snapshot {
    Snapshot {
        application: "velero-operator".into(),
        leader: true,
        periodic: false,
        config: config(settings),
        relations: relations.into_iter().map(|(endpoint, relation)| (endpoint, vec![relation])).collect(),
    }
}

fn release(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn plan(snapshot: &Snapshot) -> Result<Plan, Status> {
    super::plan(snapshot, &[], Some(&release("v1.18.3")))
}

const S3: &[(&str, &str)] = &[("bucket", "backups"), ("access-key", "a"), ("secret-key", "s")];

#[test]
fn without_storage_velero_is_installed_and_the_user_told_what_to_integrate() {
    let plan = plan(&snapshot(&[], vec![])).unwrap();
    assert_eq!(plan.installation.image, "velero/velero:v1.18.3");
    assert_eq!(plan.installation.plugin_image, None);
    assert!(matches!(plan.installation.location, LocationPlan::None));
    let [Status::Blocked(message)] = plan.obstacles.as_slice() else { panic!("{:?}", plan.obstacles) };
    assert!(message.contains("juju integrate velero-operator:s3-credentials s3-integrator"), "{message}");
}

#[test]
fn with_storage_nothing_is_in_the_way() {
    let plan = plan(&snapshot(&[("use-node-agent", json!(true))], vec![relation("s3-credentials", S3)])).unwrap();
    assert_eq!(plan.obstacles, []);
    assert!(plan.installation.node_agent);
    assert_eq!(plan.installation.plugin_image.as_deref(), Some("velero/velero-plugin-for-aws:v1.14.3"));
    assert_eq!(plan.installation.backup_location().unwrap().provider, "aws");
}

#[test]
fn incomplete_storage_is_waited_for_and_what_runs_is_kept() {
    let plan = plan(&snapshot(&[], vec![relation("s3-credentials", &S3[..1])])).unwrap();
    assert!(matches!(plan.installation.location, LocationPlan::Keep { provider: "aws" }));
    assert_eq!(
        plan.obstacles,
        [Status::Waiting(
            "for s3-credentials to be complete: access-key, secret-key missing; configure s3-integrator".into()
        )]
    );
    assert!(plan.installation.plugin_image.is_some());
}

#[test]
fn a_secret_that_is_not_granted_is_said_to_be_that() {
    let withheld = relation("s3-credentials", &[S3[0], ("secret-extra", "secret:d5k2n8fq9mvc7a3t1he0")]);
    let plan = plan(&snapshot(&[], vec![withheld])).unwrap();
    assert_eq!(
        plan.obstacles,
        [Status::Waiting("for the secret of s3-credentials: it is not granted to this application".into())]
    );
}

#[test]
fn invalid_storage_needs_a_person_and_names_the_key() {
    let mut fields = S3.to_vec();
    fields[0] = ("bucket", "no/no");
    let plan = plan(&snapshot(&[], vec![relation("s3-credentials", &fields)])).unwrap();
    assert!(matches!(plan.installation.location, LocationPlan::Keep { provider: "aws" }));
    let [Status::Blocked(message)] = plan.obstacles.as_slice() else { panic!("{:?}", plan.obstacles) };
    assert!(message.starts_with("s3-credentials: bucket is \"no/no\""), "{message}");
}

#[test]
fn what_a_companion_lacks_is_said_of_the_companion() {
    let storage = [("container", "backups"), ("storage-account", "stbackups01"), ("secret-key", "a2V5")];
    let obstacles = |principal: &[(&str, &str)]| {
        let relations = vec![relation("azure-storage", &storage), relation("azure-service-principal", principal)];
        plan(&snapshot(&[], relations)).unwrap().obstacles
    };
    let tenant = ("tenant-id", "t");
    assert_eq!(
        obstacles(&[tenant]),
        [Status::Waiting(
            "for azure-service-principal to be complete: subscription-id, client-id, client-secret missing; \
             configure azure-auth-integrator"
                .into()
        )]
    );
    assert_eq!(
        obstacles(&[tenant, ("secret-extra", "secret:d5k2n8fq9mvc7a3t1he0")]),
        [Status::Waiting("for the secret of azure-service-principal: it is not granted to this application".into())]
    );
    let all = [tenant, ("subscription-id", "s"), ("client-id", "c"), ("client-secret", "a\nb")];
    let [Status::Blocked(message)] = &obstacles(&all)[..] else { panic!("not blocked") };
    assert!(message.starts_with("azure-service-principal: client-secret "), "{message}");
}

#[test]
fn two_storages_are_both_named_and_nothing_is_planned() {
    let storage = vec![relation("s3-credentials", S3), relation("azure-storage", &[])];
    assert_eq!(
        plan(&snapshot(&[], storage)).unwrap_err(),
        Status::Blocked(
            "more than one storage is integrated, remove all but one of s3-credentials, azure-storage".into()
        )
    );
}

#[test]
fn an_empty_image_is_named_by_its_option() {
    for option in OPTIONS {
        let OptionSpec::Text(option) = option else {
            continue;
        };
        if !option.name.ends_with("-image") {
            continue;
        }
        let error = plan(&snapshot(&[(option.name, json!(" "))], vec![])).unwrap_err();
        assert_eq!(
            error,
            Status::Blocked(format!("the option {0} is empty: set an image, or juju config --reset {0}", option.name))
        );
    }
}

#[test]
fn the_directory_of_the_kubelets_is_taken_as_a_clean_path_or_refused_by_name() {
    let root = |value: &str| {
        let plan = plan(&snapshot(&[("kubelet-root-dir", json!(value))], vec![]));
        plan.map(|plan| plan.installation.kubelet_root.map(|root| root.to_string()))
    };
    assert_eq!(root(" "), Ok(None));
    assert_eq!(root("/data//kubelet/ "), Ok(Some("/data/kubelet".into())));
    assert_eq!(
        root("data/kubelet"),
        Err(Status::Blocked(
            "the option kubelet-root-dir is no absolute path: juju config --reset kubelet-root-dir".into()
        ))
    );
}

#[test]
fn files_of_volumes_need_the_node_agent() {
    let error = plan(&snapshot(&[("default-volumes-to-fs-backup", json!(true))], vec![])).unwrap_err();
    assert_eq!(
        error,
        Status::Blocked("default-volumes-to-fs-backup needs the node agent: set use-node-agent=true too".into())
    );
}

#[test]
fn a_server_of_another_minor_release_than_the_cli_is_refused_by_its_tag() {
    let with_image = |image: &str| snapshot(&[("velero-image", json!(image))], vec![]);
    assert_eq!(
        plan(&with_image("velero/velero:v1.17.2")).unwrap_err(),
        Status::Blocked(
            "velero-image velero/velero:v1.17.2 is Velero 1.17.2, this charm needs 1.18: \
             set velero-image to an image of 1.18, or juju config --reset velero-image"
                .into()
        )
    );
    assert!(plan(&with_image("velero/velero:v1.18.0")).is_ok());
    // Such a server is asked when it runs.
    assert!(plan(&with_image("velero/velero:nightly")).is_ok());
    // A CLI that was built from a branch has no release that anything could differ from.
    assert!(super::plan(&with_image("velero/velero:v1.17.2"), &[], None).is_ok());
}

#[test]
fn newer_definitions_of_the_cluster_ask_for_a_newer_charm() {
    let mismatch = |text: &str| definitions_mismatch("velero-operator", &release(text), &release("v1.18.3"));
    let Some(Status::Blocked(message)) = mismatch("v1.19.0") else { panic!("not blocked") };
    assert!(message.contains("juju refresh velero-operator to a charm for Velero 1.19"), "{message}");
    assert_eq!(mismatch("v1.18.9"), None);
}
