//! What the tools answer after a write in the same hook: what Juju keeps for the whole hook, what it reads anew, and what it
//! shows of writes that are kept back.

use sandbox::juju::{Scripted, SecretUri};

use super::harness::{EVALUATE, Fixture};

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
