//! Units that do not lead.

use super::*;

#[tokio::test]
async fn a_unit_that_does_not_lead_writes_nothing_to_the_cluster_and_says_what_the_leader_waits_for() {
    let api = installed().await;
    let unit = Unit::of(&Model { leader: false, ..LEADER }, &api);
    unit.hook().await.unwrap();
    assert_eq!(unit.written(), "active\n--\nready, standing by for the leader\n");
    let cluster = api.cluster("velero");
    let service = serde_json::from_value(own("v1", "Service", "velero-metrics")).unwrap();
    cluster.delete(&service).await.unwrap();
    api.requests();
    unit.hook().await.unwrap();
    assert_eq!(api.writes(), Vec::<String>::new());
    assert!(unit.written().ends_with("waiting\n--\nfor the leader, which waits to apply Service velero-metrics\n"));
}

#[tokio::test]
async fn a_new_unit_does_not_wait_for_what_it_cannot_know_yet() {
    let api = installed().await;
    let cluster = api.cluster("velero");
    cluster.delete(&serde_json::from_value(own("apps/v1", "Deployment", "velero")).unwrap()).await.unwrap();
    let mut unit = Unit::of(&Model { leader: false, ..LEADER }, &api);
    unit.environment.dispatch = Dispatch::Hook("install".to_owned());
    api.requests();
    unit.hook().await.unwrap();
    assert!(unit.written().starts_with("waiting\n"), "{}", unit.written());
    assert!(!api.requests().iter().any(|request| request.contains("watch=true")));
}

#[tokio::test]
async fn a_unit_that_stands_by_waits_for_the_leader_to_bring_new_keys() {
    let api = installed().await;
    let other_keys = Model { secret_key: "another", ..LEADER };
    let mut unit = Unit::of(&Model { leader: false, ..other_keys }, &api);
    unit.environment.dispatch = Dispatch::Hook("install".to_owned());
    api.requests();
    unit.hook().await.unwrap();
    assert_eq!(unit.written(), "waiting\n--\nfor the leader, which waits to apply Secret cloud-credentials\n");
    assert_eq!(api.writes(), Vec::<String>::new());

    unit.environment.dispatch = Dispatch::Hook("secret-changed".to_owned());
    let leader = Unit::of(&other_keys, &api);
    // It has sighted the Secret, and looks at it again where it waits.
    let looks = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let look = std::sync::Arc::clone(&looks);
    api.when(move |call| {
        if call.key.name == "cloud-credentials" {
            look.add_permits(1);
        }
    });
    let brings = async {
        let looked = tokio::time::timeout(Duration::from_secs(30), looks.acquire_many(2)).await;
        looked.expect("the unit waits for the leader").unwrap().forget();
        assert!(!unit.written().contains("active"), "{}", unit.written());
        leader.hook().await
    };
    let (brought, stood_by) = join!(brings, unit.hook());
    brought.unwrap();
    stood_by.unwrap();
    assert!(unit.written().ends_with("active\n--\nready, standing by for the leader\n"), "{}", unit.written());
}

#[tokio::test]
async fn a_unit_that_stands_by_waits_for_the_leader_to_write_policies_for_volumes() {
    const POLICIES: &str = "velero-operator-resource-policy";
    const WAITING: &str =
        "waiting\n--\nfor the leader, which waits to apply ConfigMap velero-operator-resource-policy\n";
    let api = installed().await;
    let skipping = "version: v1\nvolumePolicies: [{conditions: {capacity: '100Gi,'}, action: {type: skip}}]\n";
    let with_policies = Model { resource_policy: skipping, ..LEADER };
    let unit = Unit::of(&Model { leader: false, ..with_policies }, &api);
    // The watch begins once the unit has sighted that there is no ConfigMap.
    let watches = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let watch = std::sync::Arc::clone(&watches);
    api.when(move |call| {
        if call.verb == Verb::Watch && call.key.plural == "configmaps" {
            watch.add_permits(1);
        }
    });
    let mut leader = Unit::of(&with_policies, &api);
    let writes = async {
        let begun = tokio::time::timeout(Duration::from_secs(30), watches.acquire()).await;
        begun.expect("the unit waits for the leader").unwrap().forget();
        assert!(!unit.written().contains("active"), "{}", unit.written());
        leader.hook().await
    };
    let (written, stood_by) = join!(writes, unit.hook());
    written.unwrap();
    stood_by.unwrap();
    assert_eq!(unit.written(), "active\n--\nready, standing by for the leader\n");

    // One key more, and Velero would read none. The leader's next hook takes it away, though no application is related.
    let mut edited = api.object("ConfigMap", POLICIES).unwrap();
    edited["data"]["more"] = json!("text");
    api.put(&edited);
    let mut new = Unit::of(&Model { leader: false, ..with_policies }, &api);
    new.environment.dispatch = Dispatch::Hook("install".to_owned());
    new.hook().await.unwrap();
    assert_eq!(new.written(), WAITING);
    leader.environment.dispatch = Dispatch::Hook("update-status".to_owned());
    leader.hook().await.unwrap();
    assert_eq!(api.object("ConfigMap", POLICIES).unwrap()["data"], json!({"resource-policy.yaml": skipping}));
    new.hook().await.unwrap();
    assert!(new.written().ends_with("active\n--\nready, standing by for the leader\n"), "{}", new.written());
}

#[tokio::test]
async fn a_unit_that_does_not_lead_asks_for_no_spec() {
    let api = empty_cluster();
    Unit::of(&RELATED, &api).hook().await.unwrap();
    api.requests();
    let unit = Unit::of(&Model { leader: false, ..RELATED }, &api);
    unit.hook().await.unwrap();
    assert!(!unit.juju.calls("relation-ids").contains("velero-backups"));
    assert_eq!((api.writes(), schedules(&api).len()), (Vec::new(), 1));
    assert_eq!(unit.written(), "active\n--\nready, standing by for the leader\n");
}
