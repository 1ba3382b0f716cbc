use serde_json::json;

use super::*;

fn root(path: &str) -> KubeletRoot {
    path.parse().unwrap()
}

fn node(name: &str, labels: &[(&str, &str)], told: Option<&str>) -> NodeFacts {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    NodeFacts { name: name.to_owned(), labels, told: told.map(root) }
}

const MICROK8S: &[(&str, &str)] = &[("kubernetes.io/os", "linux"), ("microk8s.io/cluster", "true")];

fn agent(path: &str, ready: i32, probed: bool) -> DaemonSet {
    let mut container = json!({"name": "node-agent"});
    if probed {
        container["readinessProbe"] = json!({"httpGet": {"port": 8085}});
    }
    serde_json::from_value(json!({
        "metadata": {"name": "node-agent", "generation": 1},
        "spec": {"selector": {}, "template": {"spec": {
            "containers": [container],
            "volumes": [{"name": "host-pods", "hostPath": {"path": path}}]}}},
        "status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "currentNumberScheduled": 2, "numberReady": ready,
            "updatedNumberScheduled": 2, "numberAvailable": ready, "numberMisscheduled": 0},
    }))
    .unwrap()
}

#[test]
fn a_distribution_is_known_by_its_label_and_all_others_have_the_default() {
    let found = |nodes: &[NodeFacts]| choose(None, nodes);
    assert_eq!(found(&[]), FoundRoot::Common(root("/var/lib/kubelet")));
    assert_eq!(found(&[node("a", &[], None)]), FoundRoot::Common(root("/var/lib/kubelet")));
    let microk8s = [node("a", MICROK8S, None), node("b", MICROK8S, None)];
    assert_eq!(found(&microk8s), FoundRoot::Common(root("/var/snap/microk8s/common/var/lib/kubelet")));
    let k0s = [node("a", &[("node.k0sproject.io/role", "worker")], None)];
    assert_eq!(found(&k0s), FoundRoot::Common(root("/var/lib/k0s/kubelet")));
}

#[test]
fn what_a_kubelet_tells_counts_more_than_a_label() {
    let nodes = [node("a", MICROK8S, Some("/data/kubelet")), node("b", &[], Some("/data/kubelet"))];
    assert_eq!(choose(None, &nodes), FoundRoot::Common(root("/data/kubelet")));
}

#[test]
fn nodes_that_differ_are_named_and_what_is_in_use_is_kept() {
    let mut nodes = vec![node("odd", MICROK8S, None)];
    nodes.extend(["a", "b", "c", "d"].map(|name| node(name, &[], None)));
    let found = choose(Some(&agent("/var/lib/kubelet/pods", 1, true)), &nodes);
    let FoundRoot::Several { roots, current } = found else { panic!("{found:?}") };
    assert_eq!(current, CurrentRoot::Known(root("/var/lib/kubelet")));
    assert_eq!(
        roots.to_string(),
        "the nodes' kubelets keep their files in different directories, /var/lib/kubelet on a, b, c and 1 more; \
         /var/snap/microk8s/common/var/lib/kubelet on odd"
    );
}

#[test]
fn a_node_of_which_nothing_is_known_says_nothing_where_another_has_told() {
    let told = |name| node(name, &[], Some("/data/kubelet"));
    let mut nodes: Vec<_> = (0..32).map(|number| told(if number % 2 == 0 { "even" } else { "odd" })).collect();
    nodes.push(node("not-asked", &[], None));
    assert_eq!(choose(None, &nodes), FoundRoot::Common(root("/data/kubelet")));
    // The label of a distribution is a word of its own.
    nodes.push(node("labelled", MICROK8S, None));
    let FoundRoot::Several { roots, .. } = choose(None, &nodes) else { panic!("{nodes:?}") };
    assert!(roots.to_string().ends_with("; /var/snap/microk8s/common/var/lib/kubelet on labelled"), "{roots}");
}

#[test]
fn an_agent_whose_directory_is_not_understood_is_told_apart_from_none() {
    let nodes = [node("a", &[], Some("/data/kubelet")), node("b", &[], Some("/var/lib/kubelet"))];
    let current = |agent: Option<&DaemonSet>| match choose(agent, &nodes) {
        FoundRoot::Several { current, .. } => current,
        FoundRoot::Common(root) => panic!("{root}"),
    };
    assert_eq!(current(None), CurrentRoot::NoAgent);
    assert_eq!(current(Some(&agent("/data/kubelet/pods", 1, true))), CurrentRoot::Known(root("/data/kubelet")));
    assert_eq!(current(Some(&agent("/data/kubelet/pods/", 1, true))), CurrentRoot::Known(root("/data/kubelet")));
    assert_eq!(current(Some(&agent("/somewhere/else", 1, true))), CurrentRoot::Unknown);
}

#[test]
fn an_agent_proves_its_directory_only_when_it_is_ready_everywhere_and_ready_means_that_it_has_looked() {
    assert_eq!(proven(&agent("/data/kubelet/pods", 2, true)), Some(root("/data/kubelet")));
    assert_eq!(proven(&agent("/data/kubelet/pods", 1, true)), None);
    assert_eq!(proven(&agent("/data/kubelet/pods", 2, false)), None);
}
