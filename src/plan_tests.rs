use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::{
    backups::SchedulePlan,
    cluster::named,
    contract::{OPTIONS, OptionSpec},
    juju::{Databag, ModelId, ModelProxies, RelationId},
    snapshot::Relation,
    velero::{Claim, CsiSnapshots, Held, ProxiesSecret, SnapshotClasses},
};

#[path = "plan_tests/backups.rs"]
mod backups;
#[path = "plan_tests/others.rs"]
mod others;
#[path = "plan_tests/settings.rs"]
mod settings;

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
        own: Databag::default(),
        secret: None,
    };
    (endpoint, relation)
}

fn snapshot(settings: &[(&str, Value)], relations: Vec<(&'static str, Relation)>) -> Snapshot {
    Snapshot {
        application: "velero-operator".into(),
        unit: "velero-operator/0".into(),
        model: ModelId::default(),
        proxies: ModelProxies::default(),
        address: None,
        repository_password: OptionSecret::Unset,
        retention: None,
        leader: true,
        periodic: false,
        unsettled: false,
        config: config(settings),
        relations: relations.into_iter().map(|(endpoint, relation)| (endpoint, vec![relation])).collect(),
    }
}

fn release(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn facts() -> Facts {
    Facts { cli: Some(release("v1.18.3")), ..Facts::default() }
}

fn plan(snapshot: &Snapshot) -> Plan {
    super::plan(snapshot, &facts())
}

/// What is to be installed, as far as it may be.
fn installation(plan: &Plan) -> &Installation {
    plan.installation.as_ref().unwrap()
}

fn holdings(claim: &Claim, kinds: &[(&str, &str)]) -> Holdings {
    let held = kinds.iter().map(|(kind, name)| {
        let mut object = named("v1", kind, name);
        object.metadata.namespace = (*kind != "ClusterRoleBinding").then(|| "model".to_owned());
        Held { object, claim: claim.clone() }
    });
    held.collect()
}

const S3: &[(&str, &str)] = &[("bucket", "backups"), ("access-key", "a"), ("secret-key", "s")];

#[test]
fn without_storage_velero_is_installed_and_the_user_told_what_to_integrate() {
    let plan = plan(&snapshot(&[], vec![]));
    assert_eq!(installation(&plan).image, "velero/velero:v1.18.3");
    assert_eq!(installation(&plan).plugin_image, None);
    assert!(matches!(installation(&plan).location, LocationPlan::None));
    let [Status::Blocked(message)] = plan.obstacles.as_slice() else { panic!("{:?}", plan.obstacles) };
    assert!(message.contains("juju integrate velero-operator:s3-credentials s3-integrator"), "{message}");
}

#[test]
fn with_storage_nothing_is_in_the_way() {
    let plan = plan(&snapshot(&[("use-node-agent", json!(true))], vec![relation("s3-credentials", S3)]));
    assert_eq!(plan.obstacles, []);
    assert!(installation(&plan).node_agent);
    assert_eq!(installation(&plan).plugin_image.as_deref(), Some("velero/velero-plugin-for-aws:v1.14.3"));
    assert_eq!(installation(&plan).backup_location().unwrap().provider, "aws");
}

#[test]
fn incomplete_storage_is_waited_for_and_what_runs_is_kept() {
    let plan = plan(&snapshot(&[], vec![relation("s3-credentials", &S3[..1])]));
    assert!(matches!(installation(&plan).location, LocationPlan::Keep { provider: Some("aws") }));
    assert_eq!(
        plan.obstacles,
        [Status::Waiting(
            "for s3-credentials to be complete: access-key, secret-key missing; configure s3-integrator".into()
        )]
    );
    assert!(installation(&plan).plugin_image.is_some());
}

#[test]
fn a_secret_that_is_not_granted_is_said_to_be_that() {
    let withheld = relation("s3-credentials", &[S3[0], ("secret-extra", "secret:d5k2n8fq9mvc7a3t1he0")]);
    let plan = plan(&snapshot(&[], vec![withheld]));
    assert_eq!(
        plan.obstacles,
        [Status::Waiting("for the secret of s3-credentials: it is not granted to this application".into())]
    );
}

#[test]
fn invalid_storage_needs_a_person_and_names_the_key() {
    let mut fields = S3.to_vec();
    fields[0] = ("bucket", "no/no");
    let plan = plan(&snapshot(&[], vec![relation("s3-credentials", &fields)]));
    assert!(matches!(installation(&plan).location, LocationPlan::Keep { provider: Some("aws") }));
    let [Status::Blocked(message)] = plan.obstacles.as_slice() else { panic!("{:?}", plan.obstacles) };
    assert!(message.starts_with("s3-credentials: bucket is \"no/no\""), "{message}");
}

#[test]
fn what_a_companion_lacks_is_said_of_the_companion() {
    let storage = [("container", "backups"), ("storage-account", "stbackups01"), ("secret-key", "a2V5")];
    let obstacles = |principal: &[(&str, &str)]| {
        let relations = vec![relation("azure-storage", &storage), relation("azure-service-principal", principal)];
        plan(&snapshot(&[], relations)).obstacles
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
fn two_storages_are_both_named_and_what_runs_is_kept() {
    let storage = vec![relation("s3-credentials", S3), relation("azure-storage", &[])];
    let plan = plan(&snapshot(&[], storage));
    assert_eq!(
        plan.obstacles,
        [Status::Blocked(
            "more than one storage is integrated, remove all but one of s3-credentials, azure-storage".into()
        )]
    );
    assert!(matches!(installation(&plan).location, LocationPlan::Keep { provider: None }));
    // Which plugin the server needs is not known.
    assert!(installation(&plan).held_back.server);
}

#[test]
fn an_empty_image_is_named_by_its_option_and_only_what_would_run_it_is_held_back() {
    for option in OPTIONS {
        let OptionSpec::Text(option) = option else {
            continue;
        };
        if !option.name.ends_with("-image") {
            continue;
        }
        let plan = plan(&snapshot(&[(option.name, json!(" "))], vec![relation("s3-credentials", S3)]));
        assert_eq!(
            plan.obstacles,
            [Status::Blocked(format!(
                "the option {0} is empty: set an image, or juju config --reset {0}",
                option.name
            ))]
        );
        let held_back = installation(&plan).held_back;
        assert_eq!(held_back.server, ["velero-image", "velero-aws-plugin-image"].contains(&option.name), "{option:?}");
        assert_eq!(held_back.node_agent, option.name == "velero-image");
        // New credentials reach the cluster all the same, for which the CLI has to know a plugin.
        assert!(matches!(installation(&plan).location, LocationPlan::Use(_)), "{option:?}");
        assert_eq!(installation(&plan).plugin_image.as_deref(), Some("velero/velero-plugin-for-aws:v1.14.3"));
    }
}

#[test]
fn an_option_that_is_no_image_is_named_before_anything_is_rolled_out() {
    for text in ["Velero/velero:v1", "http://x/velero:v1.18.3", "velero/velero:", "velero/velero@sha256:12"] {
        for (option, server, node_agent) in [
            ("velero-image", true, true),
            ("velero-aws-plugin-image", true, false),
            // Nothing runs it: it is told, and holds nothing back.
            ("velero-gcp-plugin-image", false, false),
        ] {
            let plan = plan(&snapshot(&[(option, json!(text))], vec![relation("s3-credentials", S3)]));
            let [Status::Blocked(obstacle)] = plan.obstacles.as_slice() else { panic!("{:?}", plan.obstacles) };
            assert!(obstacle.starts_with(&format!("the option {option} ")), "{obstacle}");
            let held_back = installation(&plan).held_back;
            assert_eq!((held_back.server, held_back.node_agent), (server, node_agent), "{option} {text}");
            assert!(matches!(installation(&plan).location, LocationPlan::Use(_)), "{option} {text}");
        }
    }
}

#[test]
fn new_keys_go_on_beside_an_option_that_is_wrong() {
    let plan = plan(&snapshot(&[("kubelet-root-dir", json!("var/lib"))], vec![relation("s3-credentials", S3)]));
    let [Status::Blocked(obstacle)] = plan.obstacles.as_slice() else { panic!("{:?}", plan.obstacles) };
    assert!(obstacle.starts_with("the option kubelet-root-dir "), "{obstacle}");
    assert!(matches!(installation(&plan).location, LocationPlan::Use(_)));
    let held_back = installation(&plan).held_back;
    assert_eq!((held_back.server, held_back.node_agent), (false, true));
}

#[test]
fn a_removed_storage_goes_whatever_else_is_wrong() {
    let plan = plan(&snapshot(&[("velero-image", json!(""))], vec![]));
    assert!(matches!(installation(&plan).location, LocationPlan::None));
    let [Status::Blocked(image), Status::Blocked(storage)] = plan.obstacles.as_slice() else {
        panic!("{:?}", plan.obstacles)
    };
    assert!(image.contains("velero-image") && storage.starts_with("no storage"), "{image} {storage}");
}

#[test]
fn the_directory_of_the_kubelets_is_taken_as_a_clean_path_or_refused_by_name() {
    let plan_with =
        |value: &str| plan(&snapshot(&[("kubelet-root-dir", json!(value))], vec![relation("s3-credentials", S3)]));
    let root = |value: &str| {
        let plan = plan_with(value);
        assert_eq!(plan.obstacles, [], "{value}");
        installation(&plan).kubelet_root.as_ref().map(ToString::to_string)
    };
    assert_eq!(root(" "), None);
    assert_eq!(root("/data//kubelet/ ").as_deref(), Some("/data/kubelet"));
    let refused = plan_with("data/kubelet");
    assert_eq!(
        refused.obstacles,
        [Status::Blocked(
            "the option kubelet-root-dir is no absolute path: juju config --reset kubelet-root-dir".into()
        )]
    );
    assert_eq!(installation(&refused).held_back, HeldBack { server: false, node_agent: true });
}

#[test]
fn files_of_volumes_need_the_node_agent_which_goes_all_the_same_when_it_is_not_wanted() {
    let plan = plan(&snapshot(&[("default-volumes-to-fs-backup", json!(true))], vec![relation("s3-credentials", S3)]));
    assert_eq!(
        plan.obstacles,
        [Status::Blocked("default-volumes-to-fs-backup needs the node agent: set use-node-agent=true too".into())]
    );
    assert!(!installation(&plan).node_agent && !installation(&plan).held_back.node_agent);
}

#[test]
fn data_of_snapshots_needs_snapshots_and_the_node_agent() {
    let told = |settings: &[(&str, Value)]| {
        let plan = plan(&snapshot(settings, vec![relation("s3-credentials", S3)]));
        plan.obstacles.iter().map(Status::message).collect::<Vec<_>>()
    };
    let (csi, moves, agent) = ("use-csi-snapshots", "default-snapshot-move-data", "use-node-agent");
    let snapshots = "default-snapshot-move-data needs snapshots: set use-csi-snapshots=true too";
    let nodes = "default-snapshot-move-data needs the node agent: set use-node-agent=true too";
    assert_eq!(told(&[(moves, json!(true))]), [snapshots, nodes]);
    assert_eq!(told(&[(moves, json!(true)), (csi, json!(true))]), [nodes]);
    assert_eq!(told(&[(moves, json!(true)), (csi, json!(true)), (agent, json!(true))]), Vec::<String>::new());
}

#[test]
fn what_keeps_options_from_their_effect_is_told_and_holds_nothing_up() {
    let settings = [("use-csi-snapshots", json!(true)), ("image-pull-secrets", json!("b, a"))];
    let snapshot = snapshot(&settings, vec![relation("s3-credentials", S3)]);
    let needs = super::needs(&snapshot);
    assert!(needs.snapshot_classes && needs.pull_secrets == ["a", "b"]);
    let facts = Facts {
        snapshot_classes: Some(SnapshotClasses::Undefined),
        missing_pull_secrets: vec!["a".into(), "b".into()],
        ..facts()
    };
    let plan = super::plan(&snapshot, &facts);
    assert!(
        installation(&plan).csi_snapshots == CsiSnapshots::InPlace
            && installation(&plan).image_pull_secrets == ["a", "b"]
    );
    let remarks = [
        "use-csi-snapshots=true makes no snapshots: the cluster has no VolumeSnapshots: install their definitions and controller",
        "image-pull-secrets names the Secrets a, b, which are not there",
    ];
    assert_eq!((plan.remarks.as_slice(), plan.obstacles.is_empty()), (&remarks.map(str::to_owned)[..], true));
}

#[test]
fn a_name_that_no_secret_has_keeps_the_pods_as_they_are() {
    let plan = plan(&snapshot(&[("image-pull-secrets", json!("my secret"))], vec![relation("s3-credentials", S3)]));
    let message = "the option image-pull-secrets: \"my secret\" is no name of a Secret; or juju config --reset image-pull-secrets";
    assert_eq!(plan.obstacles, [Status::Blocked(message.into())]);
    assert_eq!(installation(&plan).held_back, HeldBack { server: true, node_agent: true });
}

#[test]
fn nodes_with_different_directories_keep_their_agent_as_it_is() {
    let known = CurrentRoot::Known("/var/lib/kubelet".parse().unwrap());
    for (current, wanted, held_back) in
        [(known, true, false), (CurrentRoot::Unknown, true, true), (CurrentRoot::NoAgent, false, false)]
    {
        let found = FoundRoot::Several { roots: SeveralRoots::default(), current };
        let facts = Facts { kubelet_root: Some(found), ..facts() };
        let snapshot = snapshot(&[("use-node-agent", json!(true))], vec![relation("s3-credentials", S3)]);
        let plan = super::plan(&snapshot, &facts);
        let installation = installation(&plan);
        assert_eq!((installation.node_agent, installation.held_back.node_agent), (wanted, held_back));
        assert_eq!(plan.obstacles.len(), 1);
    }
    // Where none is wanted, that is nobody's trouble.
    let found = FoundRoot::Several { roots: SeveralRoots::default(), current: CurrentRoot::Unknown };
    let facts = Facts { kubelet_root: Some(found), ..facts() };
    let plan = super::plan(&snapshot(&[], vec![relation("s3-credentials", S3)]), &facts);
    assert_eq!((plan.obstacles.len(), installation(&plan).held_back.node_agent), (0, false));
}

#[test]
fn the_image_of_the_plugin_is_chosen_by_the_option_of_the_only_storage() {
    let chosen_by = |relations| image_options(&snapshot(&[], relations)).plugin;
    assert_eq!(chosen_by(vec![]), None);
    assert_eq!(chosen_by(vec![relation("s3-credentials", S3)]), Some("velero-aws-plugin-image"));
    assert_eq!(chosen_by(vec![relation("gcs-credentials", &[])]), Some("velero-gcp-plugin-image"));
    assert_eq!(chosen_by(vec![relation("s3-credentials", S3), relation("gcs-credentials", &[])]), None);
}

#[test]
fn a_server_of_another_minor_release_than_the_cli_is_refused_by_its_tag() {
    let with_image = |image: &str| snapshot(&[("velero-image", json!(image))], vec![relation("s3-credentials", S3)]);
    let older = plan(&with_image("velero/velero:v1.17.2"));
    assert_eq!(
        older.obstacles,
        [Status::Blocked(
            "velero-image velero/velero:v1.17.2 is Velero 1.17.2, this charm needs 1.18: \
             set velero-image to an image of 1.18, or juju config --reset velero-image"
                .into()
        )]
    );
    assert_eq!(installation(&older).held_back, HeldBack { server: true, node_agent: true });
    assert_eq!(plan(&with_image("velero/velero:v1.18.0")).obstacles, []);
    // Such a server is asked when it runs.
    assert_eq!(plan(&with_image("velero/velero:nightly")).obstacles, []);
    // A CLI that was built from a branch has no release that anything could differ from.
    assert_eq!(super::plan(&with_image("velero/velero:v1.17.2"), &Facts::default()).obstacles, []);
}

#[test]
fn newer_definitions_of_the_cluster_ask_for_a_newer_charm() {
    let mismatch = |text: &str| definitions_mismatch("velero-operator", &release(text), &release("v1.18.3"));
    let Some(Status::Blocked(message)) = mismatch("v1.19.0") else { panic!("not blocked") };
    assert!(message.contains("juju refresh velero-operator to a charm for Velero 1.19"), "{message}");
    assert_eq!(mismatch("v1.18.9"), None);
}

#[test]
fn the_password_of_repositories_is_the_field_of_a_granted_secret() {
    let of = |secret: OptionSecret| {
        let snapshot = Snapshot { repository_password: secret, ..snapshot(&[], vec![relation("s3-credentials", S3)]) };
        let plan = plan(&snapshot);
        (
            installation(&plan).repository_password.clone().map(|password| password.expose_secret().to_owned()),
            plan.obstacles,
        )
    };
    let content = |fields: &[(&str, &str)]| {
        let fields = fields.iter().map(|(field, value)| ((*field).to_owned(), SecretString::from(*value)));
        OptionSecret::Content(fields.collect::<BTreeMap<_, _>>().into())
    };
    assert_eq!(of(OptionSecret::Unset), (None, vec![]));
    assert_eq!(of(content(&[("password", "s3cr3t")])), (Some("s3cr3t".to_owned()), vec![]));
    for bad in [content(&[("passwort", "s3cr3t")]), content(&[("password", "")])] {
        let told =
            "the secret of the option repository-password has no field password: juju update-secret SECRET password=…";
        assert_eq!(of(bad), (None, vec![Status::Blocked(told.into())]));
    }
    let told = "the secret of the option repository-password is not granted to velero-operator, or is gone: \
                juju grant-secret SECRET velero-operator";
    assert_eq!(of(OptionSecret::OutOfReach), (None, vec![Status::Blocked(told.into())]));
}

#[test]
fn proxies_of_the_model_come_with_the_secret_that_holds_them() {
    let of = |https: &str, secret: Option<ProxiesSecret>| {
        let proxies = ModelProxies { https: Some(https.into()), ..ModelProxies::default() };
        let snapshot = Snapshot { proxies, ..snapshot(&[], vec![relation("s3-credentials", S3)]) };
        (super::plan(&snapshot, &Facts { proxies: secret, ..facts() }), super::needs(&snapshot).proxies.is_some())
    };
    let (plan, is_looked_for) = of("http://proxy.internal:3128", Some(ProxiesSecret::Current("first".into())));
    assert!(is_looked_for && plan.obstacles.is_empty());
    assert_eq!(installation(&plan).proxies.as_ref().unwrap().revision(), "first");
    let (plan, is_looked_for) = of("", None);
    assert!(!is_looked_for && plan.obstacles.is_empty() && installation(&plan).proxies.is_none());

    let both = HeldBack { server: true, node_agent: true };
    let (plan, _) = of("ftp://user:marked@proxy.internal", None);
    let message =
        "the model's juju-https-proxy is no URL of a proxy: juju model-config juju-https-proxy=http://HOST:PORT";
    assert_eq!((plan.obstacles[0].message(), installation(&plan).held_back), (message.into(), both));
    let (plan, _) = of("http://proxy.internal:3128", Some(ProxiesSecret::OfOthers));
    let message =
        "somebody else has made the Secret velero-operator-proxies that is to hold the model's proxies: delete it";
    assert_eq!((plan.obstacles[0].message(), installation(&plan).held_back), (message.into(), both));
}
