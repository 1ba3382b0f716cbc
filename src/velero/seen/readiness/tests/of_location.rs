//! What is told of the location, and of a store that does not answer.

use super::*;

#[test]
fn an_unusable_location_is_told_in_the_servers_words_without_what_changes_each_time() {
    let message = "operation error S3: ListObjectsV2, https response error StatusCode: 404, RequestID: 17F0, HostID: ab+/=, \
                   NoSuchBucket";
    let status = json!({"phase": "Unavailable", "lastValidationTime": STARTED, "message": message});
    let observed = Observed { location: Some(location_of(&status)), ..all_well() };
    assert_eq!(
        only(&observed),
        "blocked: storage is not usable: operation error S3: ListObjectsV2, https response error StatusCode: 404, NoSuchBucket"
    );
}

#[test]
fn what_was_found_out_before_the_server_started_or_not_at_all_is_not_believed() {
    for status in [
        json!({}),
        json!({"phase": "Available"}),
        json!({"lastValidationTime": STARTED}),
        json!({"phase": "Available", "lastValidationTime": "2026-01-31T10:20:29Z"}),
        json!({"phase": "Unavailable", "lastValidationTime": "2026-01-31T10:20:29Z"}),
        json!({"phase": "Available", "lastValidationTime": STARTED, "message": TO_BE_VALIDATED}),
    ] {
        let location = Some(location_of(&status));
        let observed = Observed { location, at: time("2026-01-31T10:20:40Z"), ..all_well() };
        assert_eq!(only(&observed), "waiting: for BackupStorageLocation default to be validated", "{status}");
    }
    assert!(only(&Observed { location: None, ..all_well() }).contains("to be made"));
    assert!(only(&observed(Vec::new())).contains("to be validated"));
}

#[test]
fn a_store_that_does_not_answer_is_told_of_once_the_server_has_had_the_time_to_ask_it() {
    let silent = "blocked: storage does not answer: Velero got no answer from http://10.0.0.5:9000 so far, check that it runs and \
                  can be reached from the cluster";
    let mut observed = Observed { location: Some(changed("2026-01-31T10:50:00Z")), ..all_well() };
    assert_eq!(only(&observed), silent);
    assert!(settled(&observed));
    observed.location = Some(changed("2026-01-31T10:50:01Z"));
    assert_eq!(only(&observed), "waiting: for BackupStorageLocation default to be validated");
    assert!(!settled(&observed));
    assert_eq!(assess(&expected(), &observed)[0].turns_at(), Some(time("2026-01-31T10:50:31Z")));
    // A server that has started since begins with it.
    observed.location = Some(changed("2026-01-31T10:00:00Z"));
    observed.at = time("2026-01-31T10:20:59Z");
    assert!(only(&observed).starts_with("waiting"));
    observed.at = time("2026-01-31T10:21:00Z");
    assert_eq!(only(&observed), silent);
    // It has answered, and that is still to be confirmed.
    let mut answered = freshness::unconfirmed(&changed("2026-01-31T10:40:00Z"), "0a");
    answered.data["status"] = json!({"phase": "Available", "lastValidationTime": "2026-01-31T10:50:00Z"});
    assert!(only(&Observed { location: Some(answered.clone()), ..all_well() }).starts_with("waiting"));
    // A server that has started since has never known the location otherwise.
    answered.metadata.managed_fields = changed("2026-01-31T10:20:29Z").metadata.managed_fields;
    assert_eq!(told(&Observed { location: Some(answered), ..all_well() }), [] as [&str; 0]);
}

#[test]
fn a_store_that_has_fallen_silent_since_it_was_validated_is_told_of() {
    let validated = |at: &str, spec: &Value| {
        let mut location = location_of(&json!({"phase": "Available", "lastValidationTime": at}));
        location.data["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        Observed { location: Some(location), ..all_well() }
    };
    assert!(only(&validated("2026-01-31T10:45:30Z", &json!({}))).starts_with("blocked: storage does not answer: "));
    assert_eq!(told(&validated("2026-01-31T10:45:31Z", &json!({}))), [] as [&str; 0]);
    // Somebody has asked for fewer validations.
    let rarely = json!({"validationFrequency": "1h"});
    assert_eq!(told(&validated("2026-01-31T10:25:00Z", &rarely)), [] as [&str; 0]);
}

#[test]
fn more_that_is_known_of_a_silence_is_told() {
    let told = |trouble: Trouble| trouble.status(&OPTIONS).to_string();
    let (store, lookup) = ("http://store.invalid".to_owned(), Some("no such name".to_owned()));
    assert_eq!(
        told(Trouble::StorageSilent { store, lookup }),
        "blocked: storage does not answer: the name of http://store.invalid cannot be found: no such name"
    );
    assert_eq!(
        told(Trouble::StuckServer {
            store: "http://10.0.0.5:9000".into(),
            restart: "to restart Velero until backup nightly has ended".into()
        }),
        "waiting: to restart Velero until backup nightly has ended: it got no answer from http://10.0.0.5:9000 so far, or still \
         waits for the storage before it"
    );
}

#[test]
fn a_server_that_has_not_looked_at_a_change_is_due_to_be_restarted() {
    let due = |location| due_restart(&Observed { location: Some(location), ..all_well() }).is_some();
    assert!(due(changed("2026-01-31T10:50:00Z")));
    assert!(!due(changed("2026-01-31T10:50:01Z")), "it still has time");
    assert!(due(changed("2026-01-31T10:20:00Z")), "it was started after the change, and is silent for half an hour");
    let mut validated = changed("2026-01-31T10:50:00Z");
    validated.data["status"]["lastValidationTime"] = json!("2026-01-31T10:50:02Z");
    assert!(!due(validated));
    let nothing_runs = Observed { location: Some(changed("2026-01-31T10:50:00Z")), ..observed(Vec::new()) };
    assert_eq!(due_restart(&nothing_runs), None);
}

#[test]
fn a_store_stays_silent_through_the_restart_of_the_server_until_something_is_heard() {
    let restarted = |location: DynamicObject| {
        let mut observed = Observed { location: Some(location), at: time("2026-01-31T10:20:32Z"), ..all_well() };
        let mut server = observed.server.take().unwrap();
        let restart = Restart::due(None, time("2026-01-31T10:20:00Z"), time("2026-01-31T10:10:00Z"), observed.at);
        let note: Deployment = parse(restart.unwrap().note());
        server.metadata.annotations.as_mut().unwrap().extend(note.metadata.annotations.unwrap());
        Observed { server: Some(server), ..observed }
    };
    let silent = restarted(changed("2026-01-31T10:20:00Z"));
    assert!(only(&silent).starts_with("blocked: storage does not answer"), "{}", only(&silent));
    assert_eq!(due_restart(&silent), None);
    assert_eq!(assess_restarted(&expected(), &silent), [Trouble::NotValidated { silent_from: None }]);
    // What comes later is another matter.
    assert!(only(&restarted(changed("2026-01-31T10:20:31Z"))).starts_with("waiting"));
    let mut answered = freshness::unconfirmed(&changed("2026-01-31T10:20:00Z"), "0a");
    answered.data["status"] = json!({"phase": "Available", "lastValidationTime": "2026-01-31T10:20:31Z"});
    assert_eq!(told(&restarted(answered)), [] as [&str; 0]);
}

#[test]
fn a_location_is_unanswered_that_nobody_has_looked_at_for_a_while() {
    let unanswered = |location: &DynamicObject| is_unanswered(location, time(NOW));
    let mut location = changed("2026-01-31T10:50:00Z");
    assert!(unanswered(&location));
    assert!(!unanswered(&changed("2026-01-31T10:50:01Z")));
    location.data["status"]["lastValidationTime"] = json!("2026-01-31T10:40:00Z");
    assert!(!unanswered(&location), "somebody has looked at it");
    assert!(!unanswered(&location_of(&json!({}))), "when it was changed is not known");
}

#[test]
fn what_was_heard_after_a_restart_ends_the_silence_for_servers_to_come() {
    let mut server = all_well().server.unwrap();
    let change = time("2026-01-31T10:00:00Z");
    let restart = Restart::due(None, change, time("2026-01-31T10:10:00Z"), time("2026-01-31T10:20:00Z")).unwrap();
    let note: Deployment = parse(restart.note());
    server.metadata.annotations.as_mut().unwrap().extend(note.metadata.annotations.unwrap());
    // The former server had an answer; the next one has just started.
    let mut heard = changed("2026-01-31T10:00:00Z");
    heard.data["status"] = json!({"phase": "Available", "lastValidationTime": "2026-01-31T10:20:29Z"});
    let observed =
        Observed { server: Some(server), location: Some(heard), at: time("2026-01-31T10:20:32Z"), ..all_well() };
    assert_eq!(only(&observed), "waiting: for BackupStorageLocation default to be validated");
}

#[test]
fn a_later_silence_of_the_same_location_is_counted_anew() {
    let restarted = |number: u32, since: &str, at: &str| {
        let mut server = all_well().server.unwrap();
        let note = ("velero-operator/restart".to_owned(), format!("{number} since {since}"));
        server.metadata.annotations.as_mut().unwrap().extend([note]);
        let mut location = changed("2026-01-31T10:00:00Z");
        location.data["status"] = json!({"phase": "Available", "lastValidationTime": "2026-01-31T10:40:00Z"});
        Observed { server: Some(server), location: Some(location), at: time(at), ..all_well() }
    };
    // Four restarts were made before the store was back, of which the last server heard for 20 minutes.
    let again = due_restart(&restarted(4, "2026-01-31T10:00:00Z", NOW)).expect("a restart");
    assert_eq!(again.note()["metadata"]["annotations"]["velero-operator/restart"], "1 since 2026-01-31T10:40:00Z");
    // The next server finds the store as silent as before.
    let mut next = restarted(1, "2026-01-31T10:40:00Z", "2026-01-31T10:55:30Z");
    next.pods = vec![pod(&json!({"state": {"running": {"startedAt": "2026-01-31T10:50:31Z"}}}))];
    assert_eq!(due_restart(&next), None, "the pause is not over");
    next.at = time("2026-01-31T10:55:31Z");
    let further = due_restart(&next).expect("another restart");
    assert_eq!(further.note()["metadata"]["annotations"]["velero-operator/restart"], "2 since 2026-01-31T10:40:00Z");
}
