//! A drill that is to be conducted: what is asked for, who listens, and what Velero is told to restore.

use std::{collections::BTreeMap, time::Duration};

use kube::api::DynamicObject;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    book::DrillsSince,
    kinds::{modifiers, resources},
    marks::{DRILL, own_labels},
    scratch::Whose,
};
use crate::{
    cluster::{Cluster, named},
    velero::{
        runs::{follow::Audience, make::KnownRun},
        wanted::restore::RestoreOrder,
    },
};

/// A drill that is to be conducted.
#[derive(Clone, Debug)]
pub(crate) struct DrillOrder {
    pub application: String,
    /// The unit that conducts it.
    pub conductor: String,
    /// Whose backup it is, if that is known: application, endpoint, model. What it shows is remembered then.
    pub target: Option<[String; 3]>,
    pub backup: KnownRun,
    /// Whether the scratch namespaces stay until the next drill.
    pub keep: bool,
    /// How long all of it may take.
    pub timeout: Duration,
    /// Whether it is also seen that pods become ready again.
    pub waits_for_pods: bool,
}

impl DrillOrder {
    /// How long a drill may take where nothing is said.
    pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_hours(2);
}

/// By what drills are conducted again and again.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct DrillOrders {
    pub since: DrillsSince,
    /// How long one may take.
    pub timeout: Duration,
    /// Whether it is also seen that pods become ready again.
    pub waits_for_pods: bool,
}

/// Takes what is told of a drill.
pub(crate) trait DrillAudience: Audience {
    /// Takes what the drill goes on with.
    fn hears(&mut self, step: &str) -> impl Future<Output = ()>;
}

/// Returns the ConfigMap with the rules by which a drill's objects are changed, and the Restore that goes by them.
pub(super) fn objects(
    cluster: &Cluster,
    order: &DrillOrder,
    whose: Whose<'_>,
    mapping: &BTreeMap<String, String>,
) -> [DynamicObject; 2] {
    let labels = own_labels(whose.application, Some((DRILL, whose.id)));
    let name = format!("velero-operator-drill-{}", whose.id);
    let mut rules = cluster.own(named("v1", "ConfigMap", &name));
    rules.metadata.labels = Some(labels.clone());
    rules.data = json!({"data": {"rules.yaml": modifiers().to_string()}});
    let restored = RestoreOrder {
        include_namespaces: mapping.keys().cloned().collect(),
        include_resources: resources(),
        namespace_mapping: mapping.clone(),
        ..RestoreOrder::default()
    };
    let mut restore = restored.restore("", cluster.namespace(), &order.backup.name);
    restore.metadata.labels = Some(labels);
    restore.data["spec"]["includeClusterResources"] = false.into();
    restore.data["spec"]["resourceModifier"] = json!({"kind": "ConfigMap", "name": name});
    [rules, restore]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::test_api::TestApi, velero::Run};

    #[tokio::test]
    async fn a_drill_restores_into_its_own_namespaces_by_its_own_rules() {
        let cluster = TestApi::new().cluster("velero");
        let backup = KnownRun { name: "nightly".to_owned(), uid: "0a1b".to_owned(), run: Run::default(), target: None };
        let order = DrillOrder {
            application: "velero-operator".to_owned(),
            conductor: "velero-operator/0".to_owned(),
            target: None,
            backup,
            keep: false,
            timeout: DrillOrder::DEFAULT_TIMEOUT,
            waits_for_pods: false,
        };
        let mapping = [("shop".to_owned(), "drill-shop-1".to_owned())].into();
        let whose = Whose { application: "velero-operator", id: "1" };
        let [rules, restore] = objects(&cluster, &order, whose, &mapping);
        let spec = &restore.data["spec"];
        assert_eq!(spec["backupName"], "nightly");
        assert_eq!(spec["includedNamespaces"], json!(["shop"]));
        assert_eq!(spec["includedResources"], json!(resources()));
        assert_eq!(spec["namespaceMapping"], json!({"shop": "drill-shop-1"}));
        assert_eq!(spec["includeClusterResources"], false);
        assert_eq!(spec["resourceModifier"], json!({"kind": "ConfigMap", "name": "velero-operator-drill-1"}));
        assert_eq!(rules.metadata.name.as_deref(), Some("velero-operator-drill-1"));
        assert_eq!(rules.data["data"]["rules.yaml"], modifiers().to_string());
    }
}
