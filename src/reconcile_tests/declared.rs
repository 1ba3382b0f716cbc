//! What other applications declare.

use super::*;

#[tokio::test]
async fn a_related_application_is_backed_up_as_it_declares_until_it_is_related_no_more() {
    let api = empty_cluster();
    let unit = Unit::of(&RELATED, &api);
    unit.hook().await.unwrap();
    let [schedule] = &schedules(&api)[..] else { panic!("{:?}", schedules(&api)) };
    let spec = api.object("Schedule", schedule).unwrap()["spec"].clone();
    assert_eq!((&spec["schedule"], &spec["template"]["includedNamespaces"]), (&json!("@daily"), &json!(["ledger"])));
    assert!(unit.juju.calls("status-set").ends_with(READY));
    let (before, said) = (api.versions(), unit.written());
    api.requests();
    unit.hook().await.unwrap();
    assert_eq!((api.writes(), api.versions(), unit.written()), (Vec::new(), before, said));
    Unit::of(&LEADER, &api).hook().await.unwrap();
    assert_eq!(schedules(&api), Vec::<String>::new());
}

#[tokio::test]
async fn between_changes_the_schedules_are_not_looked_at_where_no_application_is_related() {
    let api = installed().await;
    let mut unit = Unit::of(&LEADER, &api);
    unit.hook().await.unwrap();
    Unit::of(&RELATED, &api).hook().await.unwrap();
    unit.environment.dispatch = Dispatch::Hook("update-status".to_owned());
    api.requests();
    unit.hook().await.unwrap();
    assert_eq!(schedules(&api).len(), 1);
    assert!(!api.requests().iter().any(|request| request.contains("/schedules")));
}

#[tokio::test]
async fn a_bad_spec_is_named_and_keeps_the_last_good_schedule() {
    let api = empty_cluster();
    Unit::of(&RELATED, &api).hook().await.unwrap();
    let [schedule] = &schedules(&api)[..] else { panic!("{:?}", schedules(&api)) };
    let before = api.object("Schedule", schedule);
    let unit = Unit::of(&Model { spec: Some(r#"{"ttl":"30d","schedule":"@daily"}"#), ..LEADER }, &api);
    unit.hook().await.unwrap();
    let told = "blocked\n--\nthe backup spec of ledger, relation 8: ttl \"30d\" is no duration that Velero reads: ";
    assert!(unit.written().contains(told), "{}", unit.written());
    assert_eq!(api.object("Schedule", schedule), before);
    // What keeps all from being backed up is said first.
    lose_the_bucket(&api);
    unit.hook().await.unwrap();
    let said = unit.written();
    assert!(said.trim_end().ends_with("blocked\n--\nstorage is not usable: NoSuchBucket"), "{said}");
}
