//! The order of hooks over the life of applications and units.

use sandbox::juju::{DeployOptions, StatusValue};

use super::harness::{Fixture, names, unit};

const TRUE: &str = "true";

#[test]
fn a_new_unit_runs_the_hooks_of_its_deployment() {
    let fixture = Fixture::new();
    let records = fixture.deploy(TRUE);
    assert_eq!(names(&records), ["install", "leader-elected", "config-changed", "start"]);
    assert!(records.iter().all(|record| record.success() && record.outcome.peak_memory > 0), "{records:?}");
    let status = fixture.model.status().expect("a status");
    let example = &status.applications["example"].units["example/0"];
    assert_eq!(example.workload_status.value, StatusValue::Unknown);
    assert!(example.leader);
}

#[test]
fn only_one_unit_leads_and_another_follows_when_it_goes() {
    let fixture = Fixture::new();
    let script = r#"juju-log "$hook leader=$(is-leader --format json)""#;
    let records = fixture.deploy_with(script, &DeployOptions { units: 2, ..DeployOptions::default() });
    let of = |number| {
        records.iter().filter(|each| each.unit == unit(number)).map(|each| each.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of(0), ["install", "leader-elected", "config-changed", "start"]);
    assert_eq!(of(1), ["install", "leader-settings-changed", "config-changed", "start"]);
    let records = fixture.model.remove_unit(&unit(0)).expect("removed");
    let ran: Vec<String> = records.iter().map(|each| format!("{} {}", each.unit, each.name)).collect();
    assert_eq!(ran, ["example/0 stop", "example/0 remove", "example/1 leader-elected"]);
    let said = fixture.said(&unit(0));
    assert_eq!(said.last().expect("a line").1, "remove leader=false");
}

#[test]
fn leadership_moves_when_the_lease_runs_out_and_may_come_back() {
    let fixture = Fixture::new();
    fixture.deploy(r#"juju-log "$hook leader=$(is-leader --format json)""#);
    fixture.model.add_unit("example").expect("added");
    for (new, old) in [(1, 0), (0, 1)] {
        fixture.model.elect(&unit(new)).expect("elected");
        assert_eq!(fixture.said(&unit(new)).last().expect("a line").1, "leader-elected leader=true");
        assert_eq!(fixture.said(&unit(old)).last().expect("a line").1, "leader-settings-changed leader=false");
    }
}

#[test]
fn a_leader_that_goes_may_keep_its_lease() {
    let fixture = Fixture::new();
    fixture.deploy(r#"juju-log "$hook leader=$(is-leader --format json)""#);
    fixture.model.dying_leader_keeps_lease(true).expect("set");
    fixture.model.remove_application("example", false).expect("removed");
    assert_eq!(fixture.said(&unit(0)).last().expect("a line").1, "remove leader=true");
}

#[test]
fn configuration_is_told_only_when_it_differs() {
    let fixture = Fixture::new();
    fixture.deploy(r#"juju-log "level $(config-get level)""#);
    let records = fixture.model.configure("example", "level", "4").expect("configured");
    assert_eq!(names(&records), ["config-changed"]);
    assert_eq!(fixture.said(&unit(0)).last().expect("a line").1, "level 4");
    assert!(fixture.model.configure("example", "level", "4").expect("configured").is_empty());
    assert_eq!(names(&fixture.model.reset("example", &["level"]).expect("reset")), ["config-changed"]);
    assert_eq!(names(&fixture.model.trust("example", true).expect("trusted")), ["config-changed"]);
    assert!(fixture.model.configure("example", "verbose", "perhaps").is_err());
    let error = fixture.model.configure("example", "nothing", "1").expect_err("refused").to_string();
    assert!(error.starts_with("unknown option \"nothing\""), "{error}");
}

#[test]
fn a_refresh_replaces_the_pod() {
    let fixture = Fixture::new();
    fixture.deploy("touch written; juju-log old");
    let new = fixture.charm("example", r#"[ -e written ] && juju-log kept; juju-log "new $hook""#);
    let records = fixture.model.refresh("example", &new).expect("refreshed");
    assert_eq!(names(&records), ["stop", "upgrade-charm", "config-changed", "start"]);
    let said: Vec<String> = fixture.said(&unit(0)).into_iter().map(|(_, text)| text).collect();
    assert_eq!(said[said.len() - 4..], ["old", "new upgrade-charm", "new config-changed", "new start"]);
    let records = fixture.model.replace_pod(&unit(0)).expect("replaced");
    assert_eq!(names(&records), ["upgrade-charm", "config-changed", "start"]);
}

#[test]
fn a_removed_application_leaves_nothing() {
    let fixture = Fixture::new();
    fixture.deploy_with(TRUE, &DeployOptions { trust: true, units: 2, ..DeployOptions::default() });
    let records = fixture.model.remove_application("example", false).expect("removed");
    assert_eq!(names(&records), ["stop", "remove", "stop", "remove"]);
    assert!(fixture.model.status().expect("a status").applications.is_empty());
    let calls = fixture.cloud.calls.lock().expect("no panic").clone();
    let expected = ["create demo", "demo/example trust=true", "demo/example units=2", "demo/example units=0"];
    assert_eq!(calls[..4], expected);
    assert_eq!(calls[4..], ["remove demo/example"]);
    assert!(!fixture.model.directory().join("agents/unit-example-0").exists());
}

#[test]
fn scaling_down_takes_the_highest_numbers() {
    let fixture = Fixture::new();
    fixture.deploy(TRUE);
    fixture.model.add_units("example", 2).expect("added");
    fixture.model.remove_units("example", 2).expect("removed");
    let status = fixture.model.status().expect("a status");
    assert_eq!(status.applications["example"].units.keys().collect::<Vec<_>>(), ["example/0"]);
    let error = fixture.model.remove_units("example", 5).expect_err("refused").to_string();
    assert_eq!(error, "cannot remove 5 units of application \"example\": it has 1");
}

#[test]
fn what_does_not_exist_is_refused_with_what_does() {
    let fixture = Fixture::new();
    fixture.deploy(TRUE);
    let error = fixture.model.trust("exampel", true).expect_err("refused").to_string();
    assert_eq!(error, "application \"exampel\" not found in model \"demo\": it has example");
    let error = fixture.model.remove_unit(&unit(7)).expect_err("refused").to_string();
    assert_eq!(error, "unit \"example/7\" not found: \"example\" has example/0");
    let again = fixture.model.deploy(&fixture.charm("example", TRUE), &DeployOptions::default());
    assert_eq!(
        again.expect_err("refused").to_string(),
        "cannot add application \"example\": application already exists"
    );
}

#[test]
fn update_status_runs_when_asked_for() {
    let fixture = Fixture::new();
    fixture.deploy("status-set active Ready");
    let records = fixture.model.update_status().expect("run");
    assert_eq!(names(&records), ["update-status"]);
    assert_eq!(records[0].tools.len(), 1);
    assert_eq!(records[0].tools[0].arguments, ["active", "Ready"]);
}

#[test]
fn models_of_several_threads_do_not_meet() {
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let fixture = Fixture::new();
                fixture.deploy("state-set seen=$hook; juju-log \"$(state-get seen)\"");
                assert_eq!(fixture.said(&unit(0)).len(), 4);
            });
        }
    });
}
