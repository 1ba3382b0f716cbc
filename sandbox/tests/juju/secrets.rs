//! Secrets, read and owned.

use sandbox::juju::{Scripted, SecretUri, Series};

use super::harness::{EVALUATE, Fixture, map, names, unit};

fn granted() -> (Fixture, u32, SecretUri) {
    let fixture = Fixture::new();
    let log = r#"juju-log "$hook ${JUJU_SECRET_ID-} ${JUJU_SECRET_LABEL-}""#;
    fixture.deploy(&format!("[ $hook = run ] || {log}\n{EVALUATE}"));
    fixture.model.deploy_scripted(&Scripted::provider("store", "s3", "s3")).expect("deployed");
    let (relation, _) = fixture.model.integrate("example", "store").expect("integrated");
    let uri = fixture.model.add_secret("store", None, &map(&[("access-key", "one")])).expect("added");
    (fixture, relation, uri)
}

#[test]
fn a_secret_is_readable_once_granted_and_while_related() {
    let (fixture, relation, uri) = granted();
    let denied = || fixture.evaluate(&format!("secret-get {uri} --format json"));
    assert_eq!((denied().0, denied().2.as_str()), (1, "ERROR permission denied\n"));
    fixture.model.grant_secret(&uri, relation).expect("granted");
    let (code, stdout, _) = fixture.evaluate(&format!("secret-get {uri} --format json"));
    assert_eq!((code, stdout.as_str()), (0, "{\"access-key\":\"one\"}\n"));
    assert_eq!(fixture.evaluate(&format!("secret-get {uri} access-key")).1, "one\n");
    assert_eq!(fixture.evaluate(&format!("secret-get {uri} 'access-key#base64'")).1, "b25l\n");
    fixture.model.remove_relation("example", "store").expect("removed");
    assert_eq!(denied().2, "ERROR permission denied\n");
}

#[test]
fn a_reader_stays_on_its_revision_until_it_refreshes() {
    let (fixture, relation, uri) = granted();
    fixture.model.grant_secret(&uri, relation).expect("granted");
    assert!(
        fixture.model.update_secret(&uri, &map(&[("access-key", "two")])).expect("updated").is_empty(),
        "never read"
    );
    let read = |flags: &str| fixture.evaluate(&format!("secret-get {flags} {uri} access-key")).1;
    assert_eq!(read("--label keys"), "two\n");
    let records = fixture.model.update_secret(&uri, &map(&[("access-key", "three")])).expect("updated");
    assert_eq!(names(&records), ["secret-changed"]);
    assert_eq!(fixture.said(&unit(0)).pop().expect("a line").1, format!("secret-changed {uri} keys"));
    assert_eq!(read(""), "two\n");
    assert_eq!(read("--peek"), "three\n");
    assert_eq!(read(""), "two\n");
    assert_eq!(fixture.evaluate("secret-get --label keys --refresh --format json").1, "{\"access-key\":\"three\"}\n");
    assert_eq!(read(""), "three\n");
    assert!(
        fixture.model.update_secret(&uri, &map(&[("access-key", "three")])).expect("updated").is_empty(),
        "the same"
    );
}

#[test]
fn a_pinned_revision_stays_although_the_hook_fails() {
    let (fixture, relation, uri) = granted();
    fixture.model.grant_secret(&uri, relation).expect("granted");
    fixture.evaluate(&format!("secret-get {uri}"));
    fixture.model.update_secret(&uri, &map(&[("access-key", "two")])).expect("updated");
    fixture.evaluate(&format!("secret-get {uri} --refresh; exit 1"));
    assert_eq!(fixture.evaluate(&format!("secret-get {uri} access-key")).1, "two\n");
}

#[test]
fn wrong_questions_are_refused_as_juju_does() {
    let (fixture, relation, uri) = granted();
    fixture.model.grant_secret(&uri, relation).expect("granted");
    let refused = |arguments: &str| {
        let (code, _, stderr) = fixture.evaluate(&format!("secret-get {arguments}"));
        (code, stderr.trim().to_owned())
    };
    let missing = "secret:d5k2n8fq9mvc7a3t1he0";
    assert_eq!(refused(missing), (1, "ERROR secret \"secret:d5k2n8fq9mvc7a3t1he0\" not found".to_owned()));
    assert_eq!(refused("secret:abc"), (2, "ERROR secret URI \"secret:abc\" not valid".to_owned()));
    assert_eq!(refused("--label nothing"), (1, "ERROR consumer label \"nothing\" not found".to_owned()));
    assert_eq!(refused(&format!("{uri} --peek --refresh")).0, 2);
    assert_eq!(refused(&format!("{uri} --format smart")).0, 2);
    assert_eq!(refused("").0, 2);
    assert_eq!(fixture.evaluate(&format!("secret-info-get {uri}")).2, format!("ERROR secret {:?} not found\n", uri.id));
    assert_eq!(fixture.evaluate("secret-ids --format json").1, "null\n");
}

#[test]
fn a_charm_may_own_secrets() {
    let (fixture, _, foreign) = granted();
    let (code, uri, stderr) =
        fixture.evaluate("printf three > /tmp/secret-of-a-test; secret-add --label mine abc=one def#file=/tmp/secret-of-a-test; rm /tmp/secret-of-a-test");
    assert_eq!((code, stderr.as_str()), (0, ""));
    let uri = uri.trim();
    assert!(uri.parse::<SecretUri>().is_ok(), "{uri}");
    assert_eq!(fixture.evaluate(&format!("secret-get {uri} def")).1, "three\n");
    fixture.evaluate(&format!("secret-set {uri} abc=two def=x"));
    let info = fixture.evaluate(&format!("secret-info-get {uri} --format json")).1;
    assert!(info.contains("\"revision\":2") && info.contains("\"label\":\"mine\""), "{info}");
    fixture.evaluate(&format!("secret-grant {uri} -r 0"));
    let id = uri.parse::<SecretUri>().expect("a URI").id;
    let state = fixture.model.state().expect("a state");
    assert_eq!(state.secrets[&id].grants[0].application, "store");
    assert_eq!(fixture.evaluate("secret-add ab=one").0, 2);
    let (code, _, stderr) = fixture.evaluate("secret-add --label mine abc=one");
    assert_eq!(
        (code, stderr.as_str()),
        (1, "ERROR secret label \"mine\" for application \"example\" already exists\n")
    );
    fixture.evaluate(&format!("secret-remove {uri}"));
    assert!(!fixture.model.state().expect("a state").secrets.contains_key(&id));
    // Writing to a foreign secret is answered well and fails at the end.
    let parameters = super::harness::parameters(&[("command", &format!("secret-set {foreign} abc=x"))]);
    let result = fixture.model.run_action(&unit(0), "run", &parameters).expect("an action");
    assert_eq!(
        (result.results["return-code"].as_i64(), result.message.as_str()),
        (Some(0), "committing requested changes failed")
    );
}

#[test]
fn what_is_not_found_is_said_in_the_words_of_the_series() {
    for (series, label) in [
        (Series::Juju36, "ERROR consumer label \"nothing\" not found\n"),
        (Series::Juju40, "ERROR secret URI for consumer label \"nothing\" not found\n"),
    ] {
        let fixture = Fixture::new();
        fixture.model.of_series(series).expect("set");
        fixture.deploy(EVALUATE);
        let says = |arguments: &str| fixture.evaluate(&format!("secret-get {arguments}")).2;
        assert_eq!(says("--label nothing"), label);
        let (uuid, id) = ("6b0e3c52-7d1f-4a86-9c35-e2a41f80d7b9", "d5k2n8fq9mvc7a3t1he0");
        assert_eq!(says(id), format!("ERROR secret \"secret:{id}\" not found\n"));
        assert_eq!(
            says(&format!("secret://{uuid}/{id}")),
            format!("ERROR secret \"secret://{uuid}/{id}\" not found\n")
        );
    }
}
