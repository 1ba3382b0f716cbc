//! The hooks that a storm goes through: how a cluster and a model come to where they begin, and what is then done.

/// The application.
pub(super) const APPLICATION: &str = "velero-operator";

/// One thing that a user, Juju or somebody else does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Another Velero is there, in a namespace of its own, with a backup.
    Neighbour,
    /// The charm is deployed, and trusted.
    Deploy,
    /// An application at the other side of an endpoint: endpoint, interface.
    Relate(&'static str, &'static str),
    /// It says where the bucket is, and how to use it.
    PublishBucket,
    /// It says other keys of the same bucket.
    PublishOtherKeys,
    /// It says another folder of the same bucket.
    PublishOtherPath,
    /// It says this: endpoint, and keys with values.
    Publish(&'static str, &'static [(&'static str, &'static str)]),
    /// An integrator that a user deploys, with its options, and the secret that the user gives it: its name, and the key in it.
    Integrate(&'static str, &'static [(&'static str, &'static str)], SecretKey),
    /// The integrator of S3 that a user deploys, which keeps the keys in a secret.
    IntegrateS3,
    /// The user gives it other keys of the same bucket.
    RenewS3,
    /// The user gives an integrator another key.
    Renew(&'static str, SecretKey),
    /// An integrator's relation is removed.
    Part(&'static str),
    /// An application that wants the charm's metrics or dashboards: endpoint, interface.
    RelateRequirer(&'static str, &'static str),
    /// The relation at that endpoint is removed.
    RemoveRelation(&'static str),
    /// An option gets a value.
    Configure(&'static str, &'static str),
    /// The user gives the charm a password for the repositories with the files of volumes.
    GivePassword,
    /// The namespace has a Secret for a registry.
    PullSecret,
    /// The cluster holds a completed backup.
    BackedUp,
    /// Juju's hook every five minutes.
    UpdateStatus,
    /// The charm is refreshed to a revision that is the same.
    Refresh,
    /// A second unit, which does not lead.
    AddUnit,
    /// The second unit is removed.
    RemoveUnit,
    /// It says where another bucket is, which the unit does not reach.
    PublishFarBucket,
    /// It says other keys of that bucket, which the store refuses.
    PublishRefusedKeys,
    /// The unit's pod is replaced.
    ReplacePod,
    /// The application is removed.
    Remove,
    /// An action, with its only parameter.
    Act(&'static str, &'static str, &'static str),
}

/// What a user's secret has under `secret-key`.
#[derive(Clone, Copy, Debug)]
pub(super) enum SecretKey {
    /// This text.
    Text(&'static str),
    /// The key file of a service account of Google's, by the account's name.
    Google(&'static str),
    /// Of a service principal of Microsoft's, this secret under the names that these have.
    Principal(&'static str),
}

/// A way to some hooks, and they.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What is done before.
    pub before: &'static [Step],
    /// What is done while something goes wrong.
    pub then: &'static [Step],
}

const S3: Step = Step::Relate("s3-credentials", "s3");
const BACKUPS: Step = Step::Relate("velero-backups", "velero_backup_config");
const DECLARATION: Step = Step::Publish(
    "velero-backups",
    &[
        ("app", "ledger"),
        ("relation_name", "backups"),
        ("model", "apps"),
        ("spec", r#"{"include_namespaces": ["ledger"], "schedule": "0 3 * * *", "ttl": "72h"}"#),
    ],
);

/// It leaves to the charm when it is backed up, and for how long that is kept.
const BARE_DECLARATION: Step = Step::Publish(
    "velero-backups",
    &[
        ("app", "ledger"),
        ("relation_name", "backups"),
        ("model", "apps"),
        ("spec", r#"{"include_namespaces": ["ledger"]}"#),
    ],
);

/// The newer interface for the same, with two of them.
const TARGETS: Step = Step::Publish(
    "k8s-backup-target",
    &[(
        "backup_targets",
        r#"[{"app": "ledger", "relation_name": "backups", "model": "apps", "spec": {"include_namespaces": ["ledger"], "ttl": "72h"}},
            {"app": "ledger", "relation_name": "archive", "model": "apps", "spec": {"include_namespaces": ["archive"]}}]"#,
    )],
);

/// The password that a user gives.
pub(super) const PASSWORD: &str = "storm-password-of-repositories";

/// Keys of an account of Azure's.
pub(super) const AZURE_KEYS: [&str; 2] = ["c3Rvcm0tZmlyc3QtYXp1cmUta2V5", "c3Rvcm0tb3RoZXItYXp1cmUta2V5"];

/// The store is one that only Velero's pods reach, as it were: nobody listens there.
const AZURE: Step = Step::Integrate(
    "azure-storage-integrator",
    &[
        ("container", "storm"),
        ("storage-account", "storm"),
        ("connection-protocol", "http"),
        ("endpoint", "http://127.0.0.1:9/storm"),
    ],
    SecretKey::Text(AZURE_KEYS[0]),
);

/// Secrets of a service principal.
pub(super) const PRINCIPAL_SECRETS: [&str; 2] = ["storm~first.principal_secret", "storm~other.principal_secret"];

const PRINCIPAL: Step = Step::Integrate(
    "azure-auth-integrator",
    &[("subscription-id", PRINCIPAL_ID), ("tenant-id", PRINCIPAL_ID)],
    SecretKey::Principal(PRINCIPAL_SECRETS[0]),
);

/// What its subscription, its tenant and itself are known by.
pub(super) const PRINCIPAL_ID: &str = "83838383-8383-4383-8383-838383838383";

const GOOGLE: Step = Step::Integrate("gcs-integrator", &[("bucket", "storm")], SecretKey::Google("first"));

/// The scenario of a drill.
const DRILL: &str = "verify-backup";

const fn scenario(name: &'static str, before: &'static [Step], then: &'static [Step]) -> Scenario {
    Scenario { name, before, then }
}

/// The option is set while storage is related.
const fn option(name: &'static str, then: &'static [Step]) -> Scenario {
    scenario(name, READY, then)
}

const READY: &[Step] = &[Step::Neighbour, Step::Deploy, Step::PullSecret, S3, Step::PublishBucket, Step::BackedUp];

/// What is done once there is storage with a backup in it.
macro_rules! backed_up {
    ($($step:expr),*) => {
        &[Step::Neighbour, Step::Deploy, S3, Step::PublishBucket, Step::BackedUp, $($step),*]
    };
}

const NODE_AGENT: Step = Step::Configure("use-node-agent", "true");

const WITH_NODE_AGENT: &[Step] = backed_up![NODE_AGENT];

const WITH_TWO_UNITS: &[Step] = backed_up![Step::AddUnit];

const WITH_SNAPSHOTS: &[Step] = backed_up![NODE_AGENT, Step::Configure("use-csi-snapshots", "true")];

const DECLARED: &[Step] = backed_up![BACKUPS, DECLARATION];

const DECLARED_BARELY: &[Step] = backed_up![BACKUPS, BARE_DECLARATION, Step::Configure("default-schedule", "@daily")];

const DECLARED_WITH_NODE_AGENT: &[Step] = backed_up![NODE_AGENT, BACKUPS, DECLARATION];

const WITH_AZURE: &[Step] = &[Step::Neighbour, Step::Deploy, AZURE, Step::BackedUp];

const WITH_PRINCIPAL: &[Step] = &[Step::Neighbour, Step::Deploy, AZURE, PRINCIPAL, Step::BackedUp];

const WITH_GOOGLE: &[Step] = &[Step::Neighbour, Step::Deploy, GOOGLE, Step::BackedUp];

const POLICY: &str = "version: v1\nvolumePolicies:\n- conditions: {capacity: \"0,1Gi\"}\n  action: {type: skip}\n";

/// All of them, in the order in which a user meets them.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("deploy", &[Step::Neighbour], &[Step::Deploy]),
    scenario("relate-s3", &[Step::Neighbour, Step::Deploy], &[S3, Step::PublishBucket]),
    scenario("integrate-s3", &[Step::Neighbour, Step::Deploy], &[Step::IntegrateS3]),
    scenario("renew-s3", &[Step::Neighbour, Step::Deploy, Step::IntegrateS3, Step::BackedUp], &[Step::RenewS3]),
    scenario("update-status", READY, &[Step::UpdateStatus]),
    scenario("other-keys", READY, &[Step::PublishOtherKeys]),
    scenario("other-path", READY, &[Step::PublishOtherPath]),
    option("node-agent-on", &[NODE_AGENT]),
    scenario("node-agent-off", WITH_NODE_AGENT, &[Step::Configure("use-node-agent", "false")]),
    scenario(
        "default-volumes-to-fs-backup",
        WITH_NODE_AGENT,
        &[Step::Configure("default-volumes-to-fs-backup", "true")],
    ),
    scenario("kubelet-root-dir", WITH_NODE_AGENT, &[Step::Configure("kubelet-root-dir", "/var/snap/kubelet")]),
    scenario("node-agent-settings", WITH_NODE_AGENT, &[Step::Configure("node-agent", "load-concurrency: {global: 2}")]),
    option("snapshots", &[Step::Configure("use-csi-snapshots", "true")]),
    scenario("move-data", WITH_SNAPSHOTS, &[Step::Configure("default-snapshot-move-data", "true")]),
    option("repository", &[Step::Configure("repository", "cache-limit: 2Gi")]),
    option("repository-password", &[Step::GivePassword]),
    option("velero-image", &[Step::Configure("velero-image", "velero/velero:v1.18.1")]),
    option("plugin-image", &[Step::Configure("velero-aws-plugin-image", "velero/velero-plugin-for-aws:v1.13.0")]),
    option("server-settings", &[Step::Configure("server", "log-level: debug")]),
    option("pull-secrets", &[Step::Configure("image-pull-secrets", "registry")]),
    option("storage-mode", &[Step::Configure("storage-mode", "recovery")]),
    option("relate-backups", &[BACKUPS, DECLARATION]),
    scenario("end-backups", DECLARED, &[Step::RemoveRelation("velero-backups")]),
    option("relate-targets", &[Step::Relate("k8s-backup-target", "k8s_backup_target"), TARGETS]),
    scenario("default-schedule", DECLARED_BARELY, &[Step::Configure("default-schedule", "@weekly")]),
    scenario("default-ttl", DECLARED_BARELY, &[Step::Configure("default-ttl", "96h")]),
    scenario("resource-policy", DECLARED, &[Step::Configure("resource-policy", POLICY)]),
    scenario("retention", DECLARED, &[Step::Configure("retention", "7 daily")]),
    scenario("drill-schedule", DECLARED, &[Step::Configure("drill-schedule", "@weekly")]),
    scenario("add-pods", DECLARED_WITH_NODE_AGENT, &[Step::Configure("add-pods-to-backups", "true")]),
    option("relate-metrics", &[Step::RelateRequirer("metrics-endpoint", "prometheus_scrape")]),
    option("relate-dashboards", &[Step::RelateRequirer("grafana-dashboard", "grafana_dashboard")]),
    option("add-unit", &[Step::AddUnit]),
    scenario("two-units", WITH_TWO_UNITS, &[NODE_AGENT]),
    scenario("remove-unit", WITH_TWO_UNITS, &[Step::RemoveUnit]),
    scenario(
        "refused-keys",
        &[Step::Neighbour, Step::Deploy, S3, Step::PublishFarBucket, Step::BackedUp],
        &[Step::PublishRefusedKeys],
    ),
    scenario("relate-azure", &[Step::Neighbour, Step::Deploy], &[AZURE]),
    scenario("renew-azure", WITH_AZURE, &[Step::Renew("azure-storage-integrator", SecretKey::Text(AZURE_KEYS[1]))]),
    scenario(
        "azure-plugin-image",
        WITH_AZURE,
        &[Step::Configure("velero-azure-plugin-image", "velero/velero-plugin-for-microsoft-azure:v1.13.0")],
    ),
    scenario("end-azure", WITH_AZURE, &[Step::Part("azure-storage-integrator")]),
    scenario("relate-principal", WITH_AZURE, &[PRINCIPAL]),
    scenario(
        "renew-principal",
        WITH_PRINCIPAL,
        &[Step::Renew("azure-auth-integrator", SecretKey::Principal(PRINCIPAL_SECRETS[1]))],
    ),
    scenario("end-principal", WITH_PRINCIPAL, &[Step::Part("azure-auth-integrator")]),
    scenario("relate-gcs", &[Step::Neighbour, Step::Deploy], &[GOOGLE]),
    scenario("renew-gcs", WITH_GOOGLE, &[Step::Renew("gcs-integrator", SecretKey::Google("second"))]),
    scenario(
        "gcp-plugin-image",
        WITH_GOOGLE,
        &[Step::Configure("velero-gcp-plugin-image", "velero/velero-plugin-for-gcp:v1.13.0")],
    ),
    scenario("end-gcs", WITH_GOOGLE, &[Step::Part("gcs-integrator")]),
    scenario("upgrade-charm", READY, &[Step::Refresh]),
    scenario("replace-pod", READY, &[Step::ReplacePod]),
    scenario("end-s3", READY, &[Step::RemoveRelation("s3-credentials")]),
    scenario("create-backup", READY, &[Step::Act("run", "command", "backup create storm")]),
    scenario("back-up-application", DECLARED, &[Step::Act("create-backup", "target", "ledger:backups")]),
    option(DRILL, &[Step::Act("verify-backup", "backup", "nightly")]),
    option("restore", &[Step::Act("restore", "backup", "nightly")]),
    scenario("list-backups", DECLARED, &[Step::Act("list-backups", "app", "ledger")]),
    scenario("show-retention", DECLARED, &[Step::Act("show-retention", "retention", "7 daily")]),
    option("run-cli", &[Step::Act("run-cli", "command", "backup get")]),
    option("test-storage", &[Step::Act("test-storage", "size", "1")]),
    scenario("remove", READY, &[Step::Remove]),
    scenario("remove-the-last", &[Step::Deploy, S3, Step::PublishBucket, Step::BackedUp], &[Step::Remove]),
];

impl Scenario {
    /// Whether it is a drill, of which what is left is taken away once it counts as abandoned.
    pub(super) fn is_drill(&self) -> bool {
        self.name == DRILL
    }
}

/// Returns the scenario of that name.
///
/// # Errors
/// When there is none: which there are.
pub(super) fn named(name: &str) -> Result<&'static Scenario, String> {
    let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
    found.ok_or_else(|| {
        let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        format!("there is no scenario {name:?}, but {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scenario_is_found_by_its_own_name() {
        for scenario in SCENARIOS {
            assert_eq!(SCENARIOS.iter().filter(|other| other.name == scenario.name).count(), 1, "{}", scenario.name);
            assert!(named(scenario.name).is_ok() && !scenario.then.is_empty());
        }
        assert!(named("nothing").is_err_and(|error| error.contains("relate-s3")));
    }
}
