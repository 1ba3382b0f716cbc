//! The end of units: in which order their relations end, what is forgotten, how long their pods let them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sandbox::juju::{DeployOptions, EndingOrder, HookRecord, Progress, Scripted, Series};

use super::harness::{Fixture, METADATA, names, unit};

/// An application `example` of that many units with the relations `store:0` and `peerless:1`.
fn related(script: &str, units: u32) -> Fixture {
    let fixture = Fixture::new();
    relate(&fixture, script, units);
    fixture
}

fn relate(fixture: &Fixture, script: &str, units: u32) {
    fixture.deploy_with(script, &DeployOptions { units, ..DeployOptions::default() });
    for (name, endpoint, interface) in [("store", "s3", "s3"), ("talker", "chat", "chat")] {
        fixture.model.deploy_scripted(&Scripted::provider(name, endpoint, interface)).expect("deployed");
        fixture.model.integrate("example", name).expect("integrated");
    }
}

fn last(fixture: &Fixture, count: usize) -> Vec<String> {
    let said: Vec<String> = fixture.said(&unit(0)).into_iter().map(|(_, text)| text).collect();
    said[said.len() - count..].to_vec()
}

const LISTS: &str = r#"juju-log "$hook $(relation-ids --format json store)$(relation-ids --format json peerless)""#;

#[test]
fn the_relations_of_a_unit_that_goes_end_newest_first_and_are_forgotten_one_by_one() {
    let fixture = related(LISTS, 1);
    fixture.model.remove_unit(&unit(0)).expect("removed");
    let expected = [
        r#"peerless:1: peerless-relation-departed ["store:0"]["peerless:1"]"#,
        r#"peerless:1: peerless-relation-broken ["store:0"]["peerless:1"]"#,
        r#"store:0: store-relation-departed ["store:0"][]"#,
        r#"store:0: store-relation-broken ["store:0"][]"#,
        "stop [][]",
        "remove [][]",
    ];
    assert_eq!(last(&fixture, 6), expected);
}

#[test]
fn relations_that_are_removed_with_their_application_are_not_listed_once_nobody_is_left() {
    let fixture = related(LISTS, 1);
    fixture.model.remove_application("example", false).expect("removed");
    let expected = [
        r#"peerless:1: peerless-relation-departed ["store:0"][]"#,
        r#"peerless:1: peerless-relation-broken ["store:0"][]"#,
        "store:0: store-relation-departed [][]",
        "store:0: store-relation-broken [][]",
    ];
    assert_eq!(last(&fixture, 6)[..4], expected);
}

#[test]
fn a_forgotten_relation_is_not_found() {
    let script = r"[ $hook = stop ] && relation-get -r peerless:1 --app - talker; relation-list -r 1; true";
    let fixture = related(&format!("[ $hook = stop ] || exit 0\n{script}"), 1);
    let records = fixture.model.remove_unit(&unit(0)).expect("removed");
    let stop = records.iter().find(|record| record.name == "stop").expect("the hook");
    let expected = "ERROR invalid value \"peerless:1\" for option -r: relation not found\n\
                    ERROR invalid value \"1\" for option -r: relation not found\n";
    assert_eq!(stop.stderr, expected);
}

#[test]
fn the_goal_state_is_of_the_application_and_lists_what_one_unit_has_forgotten() {
    let fixture = related("[ $hook = stop ] && goal-state --format json; true", 2);
    let records = fixture.model.remove_unit(&unit(0)).expect("removed");
    let stop = records.iter().find(|record| record.name == "stop").expect("the hook");
    let goal: serde_json::Value = serde_json::from_str(&stop.stdout).expect("JSON");
    assert_eq!(goal["relations"]["store"]["store"]["status"], "joined");
    assert_eq!(goal["relations"]["peerless"]["talker"]["status"], "joined");
    assert_eq!(
        (&goal["units"]["example/0"]["status"], &goal["units"]["example/1"]["status"]),
        (&"dying".into(), &"unknown".into())
    );
}

#[test]
fn the_order_can_be_another() {
    let fixture = related("true", 1);
    fixture.model.relations_end(EndingOrder::OldestFirst).expect("set");
    let records = fixture.model.remove_unit(&unit(0)).expect("removed");
    let expected = [
        "store-relation-departed",
        "store-relation-broken",
        "peerless-relation-departed",
        "peerless-relation-broken",
        "stop",
        "remove",
    ];
    assert_eq!(names(&records), expected);
}

#[test]
fn relations_may_end_in_a_mixture_of_their_hooks() {
    let fixture = related("true", 1);
    fixture.model.relations_end(EndingOrder::Mixed(MIXING)).expect("set");
    let records = fixture.model.remove_unit(&unit(0)).expect("removed");
    let ran = names(&records);
    assert_eq!(ran[4..], ["stop", "remove"]);
    assert!(ran[..2].iter().all(|name| name.ends_with("-departed")), "{ran:?}");
    assert!(ran[2..4].iter().all(|name| name.ends_with("-broken")), "{ran:?}");
}

/// A number by which two relations of one member each are both departed before either is broken.
const MIXING: u64 = 1;

#[test]
fn peers_depart_and_never_break() {
    let fixture = Fixture::new();
    let metadata = format!("{METADATA}peers:\n  circle: {{interface: circle}}\n");
    let charm = fixture.charm_with("example", &metadata, "true");
    fixture.model.deploy(&charm, &DeployOptions { units: 2, ..DeployOptions::default() }).expect("deployed");
    let records = fixture.model.remove_unit(&unit(1)).expect("removed");
    let of = |number| records.iter().filter(|each| each.unit == unit(number)).cloned().collect::<Vec<_>>();
    assert_eq!(names(&of(1)), ["circle-relation-departed", "stop", "remove"]);
    assert_eq!(names(&of(0)), ["circle-relation-departed"]);
}

#[test]
fn a_unit_that_is_being_installed_is_in_no_relation_yet_and_in_all_after_it() {
    let fixture = related(LISTS, 1);
    fixture.model.add_unit("example").expect("added");
    let said: Vec<String> = fixture.said(&unit(1)).into_iter().map(|(_, text)| text).collect();
    assert_eq!(said[0], "install [][]");
    assert_eq!(said[1], r#"store:0: store-relation-created ["store:0"]["peerless:1"]"#);
}

#[test]
fn a_unit_that_never_started_is_not_stopped() {
    let fixture = Fixture::new();
    fixture.model.automatically_retry_hooks(false).expect("set");
    fixture.deploy("[ $hook = config-changed ] && exit 1; true");
    fixture.model.remove_application("example", false).expect("removed");
    assert_eq!(names(&fixture.model.resolved(&unit(0), false).expect("resolved")), ["remove"]);
}

#[test]
fn the_last_hooks_of_a_unit_may_take_their_time_since_its_pod_ends_after_them() {
    let fixture = related("[ $hook = stop ] && sleep 0.2; true", 1);
    fixture.model.pod_grace(Duration::from_millis(1)).expect("set");
    let seen = scaled_at_each_hook(&fixture, |model| model.remove_unit(&unit(0)).expect("removed"));
    assert_eq!(seen.last().expect("a hook"), &("remove".to_owned(), "demo/example units=1".to_owned()));
    let calls = fixture.cloud.calls.lock().expect("no panic").clone();
    assert_eq!(calls.last().expect("a call"), "demo/example units=0");
}

#[test]
fn a_pod_that_is_told_to_end_is_killed_after_its_time_with_what_its_unit_had_left_to_do() {
    let fixture = related("[ $hook = store-relation-broken ] && sleep 60; true", 2);
    fixture.model.pod_grace(Duration::from_secs(2)).expect("set");
    fixture.model.pods_end_with_removal(true).expect("set");
    let records = fixture.model.remove_unit(&unit(0)).expect("removed");
    let going: Vec<HookRecord> = records.iter().filter(|each| each.unit == unit(0)).cloned().collect();
    let killed = going.last().expect("a hook");
    assert_eq!((killed.name.as_str(), killed.failure.as_deref()), ("store-relation-broken", Some("signal: killed")));
    assert!(records.iter().any(|each| each.unit == unit(1) && each.name == "leader-elected"), "{:?}", names(&records));
    let status = fixture.model.status().expect("a status");
    assert_eq!(status.applications["example"].units.keys().collect::<Vec<_>>(), ["example/1"]);
}

#[test]
fn an_application_whose_pods_are_killed_is_gone_with_its_relations() {
    let fixture = related("[ $hook = stop ] && sleep 60; true", 2);
    fixture.model.pod_grace(Duration::from_secs(2)).expect("set");
    fixture.model.pods_end_with_removal(true).expect("set");
    let seen = scaled_at_each_hook(&fixture, |model| model.remove_application("example", false).expect("removed"));
    assert!(seen.iter().all(|(_, scaled)| scaled == "demo/example units=0"), "{seen:?}");
    assert!(seen.iter().all(|(hook, _)| hook != "remove"), "{seen:?}");
    let status = fixture.model.status().expect("a status");
    assert!(!status.applications.contains_key("example") && status.relations.is_empty(), "{status:?}");
}

#[test]
fn a_hook_that_fails_is_run_again_while_its_pod_has_time() {
    let fixture = Fixture::new();
    fixture.deploy("[ $hook = stop ] && ! [ -e again ] && touch again && exit 1; true");
    fixture.model.pods_end_with_removal(true).expect("set");
    let records = fixture.model.remove_unit(&unit(0)).expect("removed");
    assert_eq!(names(&records), ["stop", "stop", "remove"]);
}

#[test]
fn a_hook_that_fails_each_time_ends_with_its_pod() {
    let fixture = Fixture::new();
    fixture.deploy("[ $hook != stop ]");
    fixture.model.pods_end_with_removal(true).expect("set");
    let records = fixture.model.remove_unit(&unit(0)).expect("removed");
    assert!(records.len() > 1 && names(&records).iter().all(|name| *name == "stop"), "{:?}", names(&records));
    assert!(fixture.model.status().expect("a status").applications["example"].units.is_empty());
}

#[test]
fn a_pod_that_is_replaced_does_not_wait_for_its_stop() {
    let fixture = Fixture::new();
    fixture.deploy("true");
    fixture
        .model
        .refresh("example", &fixture.charm("example", "[ $hook = stop ] && sleep 60; true"))
        .expect("refreshed");
    fixture.model.pod_grace(Duration::from_millis(300)).expect("set");
    let records = fixture.model.refresh("example", &fixture.charm("example", "true")).expect("refreshed");
    assert_eq!(names(&records), ["stop", "upgrade-charm", "config-changed", "start"]);
    assert_eq!(records[0].failure.as_deref(), Some("signal: killed"));
}

/// Each hook that a verb runs, with what the cluster was told last when the hook began.
fn scaled_at_each_hook(
    fixture: &Fixture,
    verb: impl FnOnce(&sandbox::juju::Model) -> Vec<HookRecord>,
) -> Vec<(String, String)> {
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let (told, cloud) = (seen.clone(), fixture.cloud.clone());
    let model = fixture.model.clone().with_progress(move |progress| {
        if let Progress::Started { execution, .. } = progress {
            let last = cloud.calls.lock().expect("no panic").last().cloned().unwrap_or_default();
            told.lock().expect("no panic").push((execution.name(), last));
        }
    });
    verb(&model);
    drop(model);
    seen.lock().expect("no panic").clone()
}

const TOOLS: &str = r#"
[ $hook = stop ] || exit 0
echo "$JUJU_VERSION $JUJU_UNIT_NAME ${JUJU_SLA-none}"
for tool in "is-leader" "status-set active x" "status-get" "config-get" "goal-state" "state-get" "secret-get secret:d5k2n8fq9mvc7a3t1he0" \
    "relation-ids --format json store" "juju-log here"; do
    said=$($tool 2>&1); echo "$tool: $said $?"
done
"#;

#[test]
fn on_juju_4_a_unit_without_relations_is_dead_at_once_and_stops_without_the_controller() {
    let fixture = Fixture::new();
    fixture.model.of_series(Series::Juju40).expect("set");
    fixture.deploy(TOOLS);
    let mut records = Vec::new();
    let seen = scaled_at_each_hook(&fixture, |model| {
        records = model.remove_application("example", false).expect("removed");
        records.clone()
    });
    assert_eq!(seen, [("stop".to_owned(), "demo/example units=0".to_owned())]);
    let expected = "4.0.12 example/0 none\n\
        is-leader: ERROR leadership status unknown: connection is shut down 1\n\
        status-set active x: ERROR connection is shut down 1\n\
        status-get: ERROR finding workload status: connection is shut down 1\n\
        config-get: ERROR connection is shut down 1\n\
        goal-state: ERROR connection is shut down 1\n\
        state-get: ERROR loading unit state from database: connection is shut down 1\n\
        secret-get secret:d5k2n8fq9mvc7a3t1he0: ERROR connection is shut down 1\n\
        relation-ids --format json store: [] 0\n\
        juju-log here:  0\n";
    assert_eq!(records[0].stdout, expected);
    assert!(fixture.model.status().expect("a status").applications.is_empty());
}

#[test]
fn on_juju_4_one_of_several_dead_units_is_not_in_the_goal_state_of_the_others() {
    let fixture = Fixture::new();
    fixture.model.of_series(Series::Juju40).expect("set");
    let script = "[ $hook = leader-elected ] && goal-state --format json; true";
    let records = fixture.deploy_with(script, &DeployOptions { units: 2, ..DeployOptions::default() });
    assert!(names(&records).iter().all(|name| *name != "leader-settings-changed"), "{:?}", names(&records));
    let records = fixture.model.remove_unit(&unit(0)).expect("removed");
    let of: Vec<String> = records.iter().map(|each| format!("{} {}", each.unit, each.name)).collect();
    assert_eq!(of, ["example/0 stop", "example/1 leader-elected"]);
    assert!(!records[1].stdout.contains("example/0"), "{}", records[1].stdout);
}

#[test]
fn on_juju_4_a_dead_unit_goes_whatever_its_stop_says_or_takes() {
    for script in ["[ $hook != stop ]", "[ $hook = stop ] && sleep 60; true"] {
        let fixture = Fixture::new();
        fixture.model.of_series(Series::Juju40).expect("set");
        fixture.model.pod_grace(Duration::from_secs(1)).expect("set");
        fixture.deploy(script);
        let records = fixture.model.remove_application("example", false).expect("removed");
        assert_eq!(names(&records), ["stop"], "{script}");
        assert!(!records[0].success() && fixture.model.status().expect("a status").applications.is_empty(), "{script}");
    }
}

#[test]
fn on_juju_4_a_unit_with_relations_has_all_its_last_hooks() {
    let fixture = Fixture::new();
    fixture.model.of_series(Series::Juju40).expect("set");
    relate(&fixture, "[ $hook = remove ] && is-leader; true", 1);
    let records = fixture.model.remove_application("example", false).expect("removed");
    assert_eq!(names(&records)[4..], ["stop", "remove"]);
    assert!(records.iter().all(HookRecord::success), "{records:?}");
}

#[test]
fn the_process_has_the_name_of_its_pod() {
    let fixture = Fixture::new();
    let records = fixture.deploy("[ $hook = install ] && uname -n; true");
    assert_eq!(records[0].stdout, "example-0\n");
}
