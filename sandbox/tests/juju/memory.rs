//! What the tools answer after a write in the same hook: what Juju keeps for the whole hook, what it reads anew, and what it
//! shows of writes that are kept back. And what they answer after others have changed something: a verb waits until the hook has
//! ended, for it holds the model's lock, so that such a change is made by [`Model::change_during_next_run`].
//!
//! [`Model::change_during_next_run`]: sandbox::juju::Model::change_during_next_run

use sandbox::juju::{DeployOptions, ModelState, Scripted, SecretUri};

use super::harness::{EVALUATE, Fixture, map};

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.deploy(EVALUATE);
    fixture
}

fn related() -> Fixture {
    let fixture = fixture();
    fixture.model.deploy_scripted(&Scripted::provider("store", "s3", "s3")).expect("deployed");
    fixture.model.integrate("example:store", "store").expect("integrated");
    fixture
}

/// The tool call before which something changes: the first is that of the harness, the second the first of a test's commands.
const BETWEEN: usize = 3;

/// What the commands print where others change the model between the first two of their tool calls.
#[track_caller]
fn prints_across(
    fixture: &Fixture,
    change: impl FnOnce(&mut ModelState) + Send + 'static,
    command: &str,
    stdout: &str,
) {
    fixture.model.change_during_next_run(BETWEEN, change);
    prints(fixture, command, stdout);
}

#[track_caller]
fn prints(fixture: &Fixture, command: &str, stdout: &str) {
    let (code, out, err) = fixture.evaluate(command);
    assert_eq!((code, out.as_str(), err.as_str()), (0, stdout, ""), "{command}");
}

#[test]
fn status_get_tells_for_the_whole_hook_what_it_told_first() {
    let fixture = fixture();
    prints(&fixture, "status-set active before", "");
    let commands = "status-get; status-set blocked now; status-get; status-set waiting later; status-get --include-data --format json";
    prints(&fixture, commands, "active\nactive\n{\"message\":\"before\",\"status\":\"active\",\"status-data\":{}}\n");
    prints(&fixture, "status-get", "waiting\n");
}

#[test]
fn status_get_asked_for_the_first_time_knows_what_was_set_before() {
    let fixture = fixture();
    prints(&fixture, "status-set blocked now; status-get; status-set active later; status-get", "blocked\nblocked\n");
}

#[test]
fn the_status_of_the_application_and_the_goal_state_are_read_anew() {
    let fixture = fixture();
    let message = r#"sed 's/.*"message":"\([a-z]*\)","status":"[a-z]*","status-data":{},"units".*/\1/'"#;
    let application = format!("status-get --application --format json | {message}");
    let commands = format!(
        "status-set --application active one; {application}; status-set --application active two; {application}"
    );
    prints(&fixture, &commands, "one\ntwo\n");
    let own = r#"goal-state --format json | sed 's/.*"example\/0":{[^}]*"status":"\([a-z]*\)".*/\1/'"#;
    prints(&fixture, &format!("status-set active x; {own}; status-set blocked x; {own}"), "active\nblocked\n");
}

#[test]
fn state_shows_what_was_written_and_deleted() {
    let fixture = fixture();
    prints(&fixture, "state-set a=1 b=2; state-get a; state-delete a; state-get --format json", "1\n{\"b\":\"2\"}\n");
}

#[test]
fn own_settings_show_what_was_written_and_deleted() {
    let fixture = related();
    for (flag, whose) in [("--app", "example"), ("", "example/0")] {
        let commands = format!(
            "relation-set -r 0 {flag} key=one; relation-get -r 0 {flag} key {whose}; \
             relation-set -r 0 {flag} key=; relation-get -r 0 {flag} --format json key {whose}"
        );
        prints(&fixture, &commands, "one\nnull\n");
    }
}

#[test]
fn ports_that_this_hook_opens_are_not_open_yet() {
    let fixture = fixture();
    prints(&fixture, "open-port 80; opened-ports", "");
    prints(&fixture, "opened-ports; close-port 80; opened-ports", "80/tcp\n80/tcp\n");
}

#[test]
fn a_secret_of_ones_own_shows_its_new_content_only_to_who_asks_for_the_newest() {
    let fixture = fixture();
    let uri = fixture.evaluate("secret-add --label mine abc=one").1;
    let uri = uri.trim();
    let read = |flags: &str| format!("secret-get {uri} abc {flags}");
    let commands = format!("secret-set {uri} abc=two; {}; {}; {}", read(""), read("--peek"), read("--refresh"));
    prints(&fixture, &commands, "one\ntwo\ntwo\n");
    prints(&fixture, &read("--refresh"), "two\n");
}

#[test]
fn a_secret_that_this_hook_adds_is_readable_and_one_that_it_removes_is_not_listed() {
    let fixture = fixture();
    prints(&fixture, "uri=$(secret-add abc=one); secret-get $uri abc", "one\n");
    let uri = fixture.evaluate("secret-ids").1;
    let uri = uri.trim();
    prints(&fixture, &format!("secret-remove {uri}; secret-ids --format json"), "null\n");
}

#[test]
fn what_is_said_of_a_secret_shows_at_once_and_its_revision_does_not() {
    let fixture = fixture();
    let uri = fixture.evaluate("secret-add --label mine abc=one").1;
    let id = uri.trim().parse::<SecretUri>().expect("a URI").id;
    let commands = format!("secret-set {id} --label other abc=two; secret-info-get {id} --format json");
    let (code, stdout, stderr) = fixture.evaluate(&commands);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("\"label\":\"other\"") && stdout.contains("\"revision\":1"), "{stdout}");
    let (_, stdout, _) = fixture.evaluate(&format!("secret-info-get {id} --format json"));
    assert!(stdout.contains("\"revision\":2"), "{stdout}");
}

#[test]
fn the_configuration_is_for_the_whole_hook_what_it_was_when_first_asked_for() {
    let fixture = fixture();
    let set = |level: u32| {
        move |state: &mut ModelState| {
            state.applications.get_mut("example").expect("there").settings.insert("level".to_owned(), level.into());
        }
    };
    let whole = "config-get --format json | sed 's/.*\"level\":\\([0-9]*\\).*/\\1/'";
    prints_across(&fixture, set(7), &format!("config-get level; config-get level; {whole}"), "3\n3\n3\n");
    prints(&fixture, "config-get level", "7\n");
    // What is asked for later is not older.
    prints_across(&fixture, set(8), "is-leader; config-get level", "True\n8\n");
}

#[test]
fn a_lost_lead_shows_at_once_and_does_not_come_back_in_the_same_hook() {
    let fixture = Fixture::new();
    fixture.deploy_with(EVALUATE, &DeployOptions { units: 2, ..DeployOptions::default() });
    let lead = |unit: u32| {
        move |state: &mut ModelState| state.applications.get_mut("example").expect("there").leader = Some(unit)
    };
    fixture.model.change_during_next_run(BETWEEN + 1, lead(0));
    prints_across(&fixture, lead(1), "is-leader; is-leader; is-leader", "True\nFalse\nFalse\n");
    prints(&fixture, "is-leader", "True\n");
    // Before a unit was told that it does not lead, it may come to.
    fixture.model.change_during_next_run(1, lead(1));
    prints_across(&fixture, lead(0), "config-get level; is-leader", "3\nTrue\n");
}

#[test]
fn the_relations_are_for_the_whole_hook_those_that_it_began_with() {
    let fixture = fixture();
    for (name, units) in [("store", 0), ("other", 1)] {
        let scripted = Scripted { units, ..Scripted::provider(name, "s3", "s3") };
        fixture.model.deploy_scripted(&scripted).expect("deployed");
    }
    fixture.model.integrate("example:store", "store").expect("integrated");
    let change = |state: &mut ModelState| {
        let former = state.relations.get_mut(&0).expect("there");
        let mut another = former.clone();
        former.dying = true;
        another.id = 1;
        another.side_mut("store").expect("there").application = "other".to_owned();
        state.relations.insert(1, another);
    };
    prints_across(
        &fixture,
        change,
        "is-leader; relation-ids store; relation-list -r 0 --app",
        "True\nstore:0\nstore\n",
    );
    prints(&fixture, "relation-ids store", "store:1\n");
}

#[test]
fn the_members_of_a_relation_are_for_the_whole_hook_those_that_it_began_with() {
    let fixture = related();
    let change = |state: &mut ModelState| {
        let side = state.relations.get_mut(&0).and_then(|relation| relation.side_mut("store")).expect("there");
        let former = side.units.get_mut(&0).expect("there");
        let another = former.clone();
        former.present = false;
        side.units.insert(1, another);
    };
    prints_across(&fixture, change, "is-leader; relation-list -r 0", "True\nstore/0\n");
    prints(&fixture, "relation-list -r 0", "store/1\n");
}

#[test]
fn settings_of_the_other_side_are_for_the_whole_hook_what_they_were_when_first_asked_for() {
    for (flag, whose) in [("--app", "store"), ("", "store/0")] {
        let fixture = related();
        let set = |value: &'static str| {
            move |state: &mut ModelState| {
                let side = state.relations.get_mut(&0).and_then(|relation| relation.side_mut("store")).expect("there");
                let bag = if flag.is_empty() { &mut side.units.get_mut(&0).expect("there").bag } else { &mut side.bag };
                bag.apply(&map(&[("key", value)]));
            }
        };
        let read = format!("relation-get -r 0 {flag} key {whose}");
        prints_across(&fixture, set("one"), &format!("is-leader; {read}"), "True\none\n");
        let whole = format!("relation-get -r 0 {flag} --format json - {whose} | grep -c one");
        prints_across(&fixture, set("two"), &format!("{read}; {read}; {whole}"), "one\none\n1\n");
        prints(&fixture, &read, "two\n");
    }
}

#[test]
fn what_this_hook_writes_is_merged_into_own_settings_as_they_were_when_first_asked_for() {
    let fixture = related();
    let change = |state: &mut ModelState| {
        let side = state.relations.get_mut(&0).and_then(|relation| relation.side_mut("example")).expect("there");
        side.bag.apply(&map(&[("late", "of the former leader")]));
    };
    let read = "relation-get -r 0 --app --format json - example";
    prints_across(
        &fixture,
        change,
        &format!("{read}; relation-set -r 0 --app key=one; {read}"),
        "{}\n{\"key\":\"one\"}\n",
    );
    prints(&fixture, read, "{\"key\":\"one\",\"late\":\"of the former leader\"}\n");
}
