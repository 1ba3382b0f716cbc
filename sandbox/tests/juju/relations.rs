//! Relations: which hooks come, and what is readable when.

use std::collections::BTreeMap;

use sandbox::juju::{DeployOptions, Scripted, Whose};

use super::harness::{EVALUATE, Fixture, map, names, unit};

fn related(script: &str) -> (Fixture, u32) {
    let fixture = Fixture::new();
    fixture.deploy(script);
    fixture.model.deploy_scripted(&Scripted::provider("store", "s3", "s3")).expect("deployed");
    let (relation, _) = fixture.model.integrate("example:store", "store").expect("integrated");
    (fixture, relation)
}

#[test]
fn a_relation_that_exists_comes_before_the_leader() {
    let fixture = Fixture::new();
    fixture.deploy("true");
    fixture.model.deploy_scripted(&Scripted::provider("store", "s3", "s3")).expect("deployed");
    fixture.model.integrate("example", "store").expect("integrated");
    let records = fixture.model.add_unit("example").expect("added");
    let expected = [
        "install",
        "store-relation-created",
        "leader-settings-changed",
        "config-changed",
        "start",
        "store-relation-joined",
        "store-relation-changed",
    ];
    assert_eq!(names(&records), expected);
}

#[test]
fn data_of_the_application_is_told_once_per_change() {
    let (fixture, relation) = related("true");
    assert_eq!(names(&fixture.write(relation, "store", &[("a", "1")])), ["store-relation-changed"]);
    assert!(fixture.write(relation, "store", &[("a", "1")]).is_empty());
    assert_eq!(names(&fixture.write(relation, "store", &[("a", "")])), ["store-relation-changed"]);
    let of_unit = Whose::Unit("store/0".parse().expect("a unit"));
    let records = fixture.model.write_databag(relation, &of_unit, &map(&[("b", "1")])).expect("written");
    assert_eq!(names(&records), ["store-relation-changed"]);
}

#[test]
fn the_remote_sees_what_the_charm_wrote_only_after_the_hook() {
    let script = r#"
        [ "$hook" = store-relation-joined ] || exit 0
        relation-set --app bucket=relation-0
        relation-set --app "padded=  x  " gone=1
        relation-set --app gone=
        printf '{"file": " kept "}' | relation-set --app --file -
        relation-set own=1
        juju-log "$(relation-get --format json --app - example)"
    "#;
    let (fixture, relation) = related(script);
    let expected = map(&[("bucket", "relation-0"), ("padded", "x"), ("file", " kept ")]);
    assert_eq!(fixture.application_bag(relation, "example"), expected);
    let own = fixture.model.databag(relation, &Whose::Unit(unit(0))).expect("a databag");
    assert_eq!(own.keys().collect::<Vec<_>>(), ["egress-subnets", "ingress-address", "own", "private-address"]);
    let said = fixture.said(&unit(0)).pop().expect("a line").1;
    assert_eq!(said, r#"store:0: {"bucket":"relation-0","file":" kept ","padded":"x"}"#);
}

#[test]
fn a_broken_relation_is_not_listed_but_its_data_is_readable() {
    let script = r#"
        juju-log "$hook ids=$(relation-ids --format json store) list=$(relation-list --format json -r 0) data=$(relation-get --format json -r store:0 --app - store)"
    "#;
    let (fixture, relation) = related(&script.replace("juju-log", "[ \"${hook#store}\" = \"$hook\" ] || juju-log"));
    fixture.write(relation, "store", &[("a", "1")]);
    fixture.model.remove_relation("example", "store").expect("removed");
    let said: Vec<String> = fixture.said(&unit(0)).into_iter().map(|(_, text)| text).collect();
    let expected = [
        r#"store:0: store-relation-created ids=["store:0"] list=[] data={}"#,
        r#"store:0: store-relation-joined ids=["store:0"] list=["store/0"] data={}"#,
        r#"store:0: store-relation-changed ids=["store:0"] list=["store/0"] data={}"#,
        r#"store:0: store-relation-changed ids=["store:0"] list=["store/0"] data={"a":"1"}"#,
        r#"store:0: store-relation-departed ids=[] list=[] data={"a":"1"}"#,
        r#"store:0: store-relation-broken ids=[] list=[] data={"a":"1"}"#,
    ];
    assert_eq!(said, expected);
    assert!(fixture.model.status().expect("a status").relations.is_empty());
}

#[test]
fn a_unit_that_goes_names_itself_as_departing() {
    let (fixture, _) = related(r#"juju-log "$hook ${JUJU_DEPARTING_UNIT-}""#);
    let records = fixture.model.remove_application("example", false).expect("removed");
    assert_eq!(names(&records), ["store-relation-departed", "store-relation-broken", "stop", "remove"]);
    let said: Vec<String> = fixture.said(&unit(0)).into_iter().map(|(_, text)| text).collect();
    assert!(said.contains(&"store:0: store-relation-departed example/0".to_owned()), "{said:?}");
}

#[test]
fn removing_the_other_side_ends_the_relation() {
    let (fixture, _) = related("true");
    let records = fixture.model.remove_application("store", false).expect("removed");
    assert_eq!(names(&records), ["store-relation-departed", "store-relation-broken"]);
    assert_eq!(fixture.model.status().expect("a status").applications.len(), 1);
}

#[test]
fn what_may_be_read_is_as_strict_as_juju() {
    let (fixture, _) = related(EVALUATE);
    let failing = |command: &str| {
        let (code, _, stderr) = fixture.evaluate(command);
        (code, stderr.trim().to_owned())
    };
    let error = |code, text: &str| (code, format!("ERROR {text}"));
    assert_eq!(
        failing("relation-get -r 99 - store/0"),
        error(2, "invalid value \"99\" for option -r: relation not found")
    );
    assert_eq!(
        failing("relation-get --relation=store - x/0"),
        error(2, "invalid value \"store\" for option --relation: invalid relation id")
    );
    assert_eq!(failing("relation-get -r 0 - stranger/0"), error(1, "permission denied"));
    assert_eq!(failing("relation-get -r 0 --app - stranger"), error(1, "permission denied"));
    assert_eq!(failing("relation-get -r 0 - store"), error(2, "expected unit name, got application name \"store\""));
    assert_eq!(failing("relation-get -r 0 --app - St_re"), error(2, "\"St_re\" is not a valid unit or application"));
    assert_eq!(failing("relation-get -r 0 -"), error(2, "no unit or application specified"));
    assert_eq!(failing("relation-get"), error(2, "no relation id specified"));
    assert_eq!(failing("relation-list"), error(2, "no relation id specified"));
    assert_eq!(failing("relation-ids"), error(2, "no endpoint name specified"));
    let (code, text) = failing("relation-get -r 0 - store/3");
    assert_eq!(code, 1);
    assert!(text.starts_with("ERROR cannot read settings for unit \"store/3\" in relation "), "{text}");
    assert!(text.ends_with("settings not found"), "{text}");
    assert_eq!(fixture.evaluate("relation-get -r0 --format=json nokey store/0").1, "null\n");
    assert_eq!(fixture.evaluate("relation-ids nothing --format json").1, "[]\n");
    assert_eq!(fixture.evaluate("relation-list -r store:0 --app --format json").1, "\"store\"\n");
}

#[test]
fn only_the_leader_writes_and_reads_the_applications_settings() {
    let fixture = Fixture::new();
    fixture.deploy_with(EVALUATE, &DeployOptions { units: 2, ..DeployOptions::default() });
    fixture.model.deploy_scripted(&Scripted::provider("store", "s3", "s3")).expect("deployed");
    fixture.model.integrate("example", "store").expect("integrated");
    let on_second = |command: &str| {
        let parameters = super::harness::parameters(&[("command", command)]);
        let result = fixture.model.run_action(&unit(1), "run", &parameters).expect("an action");
        result.results.get("stderr").and_then(|text| text.as_str()).unwrap_or_default().trim().to_owned()
    };
    assert_eq!(on_second("relation-set -r 0 --app a=1"), "ERROR cannot write relation settings");
    assert_eq!(on_second("relation-get -r 0 --app - example"), "ERROR permission denied");
    assert_eq!(on_second("relation-set -r 0 a=1"), "");
    assert_eq!(fixture.evaluate("relation-get -r 0 --app - example --format json").1, "{}\n");
}

#[test]
fn endpoints_are_checked() {
    let fixture = Fixture::new();
    fixture.deploy("true");
    for name in ["one", "two"] {
        fixture.model.deploy_scripted(&Scripted::provider(name, "s3", "s3")).expect("deployed");
    }
    fixture.model.deploy_scripted(&Scripted::provider("other", "x", "unheard-of")).expect("deployed");
    fixture.model.integrate("one", "example").expect("integrated");
    let refused = |first: &str, second: &str| {
        let error = fixture.model.integrate(first, second).expect_err("refused");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        source.unwrap_or_else(|| error.to_string())
    };
    assert_eq!(refused("example", "one"), "cannot add relation \"example:store one:s3\": relation already exists");
    assert_eq!(
        refused("example", "two"),
        "establishing a new relation for example:store would exceed its maximum relation limit of 1"
    );
    assert_eq!(refused("example", "other"), "no relations found");
    assert_eq!(refused("example:nothing", "two"), "application \"example\" has no \"nothing\" relation");
}

#[test]
fn two_charms_tell_each_other() {
    let fixture = Fixture::new();
    fixture.deploy("[ $hook = peerless-relation-joined ] && relation-set asked=1; true");
    let metadata = "name: answerer\nsummary: s\ndescription: d\nprovides: {chat: chat}\n";
    let script = r#"[ "$(relation-get asked)" = 1 ] && relation-set --app answer=yes; true"#;
    let answerer = fixture.charm_with(
        "answerer",
        metadata,
        &script.replace("[ ", "[ \"${hook%-changed}\" != \"$hook\" ] && [ -n \"${JUJU_REMOTE_UNIT-}\" ] && [ "),
    );
    fixture.model.deploy(&answerer, &DeployOptions::default()).expect("deployed");
    let (relation, _) = fixture.model.integrate("example", "answerer").expect("integrated");
    assert_eq!(
        fixture.application_bag(relation, "answerer"),
        BTreeMap::from([("answer".to_owned(), "yes".to_owned())])
    );
    fixture.model.remove_relation("example", "answerer").expect("removed");
    assert!(fixture.model.status().expect("a status").relations.is_empty());
}

#[test]
fn the_s3_integrator_answers_whoever_asks_for_a_bucket() {
    let fixture = Fixture::new();
    fixture.deploy("[ $hook = store-relation-joined ] && relation-set --app bucket=relation-0; true");
    let config = map(&[("bucket", "backups"), ("region", "eu-west-3"), ("endpoint", "http://store.example:9000")]);
    let options = DeployOptions { config, ..DeployOptions::default() };
    fixture.model.deploy_built_in("s3-integrator", &options).expect("deployed").expect("known");
    let (relation, records) = fixture.model.integrate("example", "s3-integrator").expect("integrated");
    assert_eq!(records.last().expect("a hook").name, "store-relation-changed");
    let bag = fixture.application_bag(relation, "s3-integrator");
    assert_eq!((bag["bucket"].as_str(), bag.get("access-key")), ("backups", None));
    let records = fixture.model.sync_s3_credentials("s3-integrator", "AKEXAMPLE0001", "s3cr3t").expect("synced");
    assert_eq!(names(&records), ["store-relation-changed"]);
    assert_eq!(fixture.application_bag(relation, "s3-integrator")["access-key"], "AKEXAMPLE0001");
    assert!(fixture.model.sync_s3_credentials("s3-integrator", "AKEXAMPLE0001", "s3cr3t").expect("synced").is_empty());
}
