//! Whatever request a hook is killed at, the next one reaches the same end.

use super::*;

/// What the cluster has in the end, but for the version of the Secret that the location was validated with.
fn end(api: &TestApi) -> Vec<Value> {
    let mut objects = api.contents();
    for object in &mut objects {
        if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove("velero-operator/validated-for");
        }
    }
    objects
}

/// Has a hook of the leader killed at each of its requests, and then another one run undisturbed.
async fn assert_ends_alike_wherever_it_is_killed(before: Option<&Model>, model: &Model, least: usize) {
    let anywhere = empty_cluster();
    let (mut former, mut unit) = (before.map(|before| Unit::of(before, &anywhere)), Unit::of(model, &anywhere));
    let former_snapshot = match &former {
        Some(former) => Some(former.snapshot().await),
        None => None,
    };
    let snapshot = unit.snapshot().await;
    let mut undisturbed = None;
    for requests in [usize::MAX].into_iter().chain(0..) {
        unit.api = empty_cluster();
        if let Some((former, snapshot)) = former.as_mut().zip(former_snapshot.as_ref()) {
            former.api = unit.api.clone();
            former.hook_by(snapshot).await;
        }
        let ended = unit.api.killed_after(requests, unit.hook_by(&snapshot)).await.is_some();
        if undisturbed.is_none() {
            undisturbed = Some(end(&unit.api));
            continue;
        }
        a_minute_passes(&unit.api);
        unit.hook_by(&snapshot).await;
        assert_eq!(Some(end(&unit.api)), undisturbed, "killed after {requests} requests");
        assert!(unit.juju.calls("status-set").ends_with(READY), "killed after {requests} requests");
        if ended {
            assert!(requests > least, "only {requests} requests");
            return;
        }
    }
}

#[tokio::test]
async fn killed_at_any_request_of_an_installation_the_next_hook_reaches_the_same_end() {
    assert_ends_alike_wherever_it_is_killed(None, &LEADER, 40).await;
}

#[tokio::test]
async fn killed_at_any_request_of_a_move_to_another_bucket_the_next_hook_reaches_the_same_end() {
    let others = Model { bucket: "others", ..LEADER };
    assert_ends_alike_wherever_it_is_killed(Some(&LEADER), &others, 30).await;
}

#[tokio::test]
async fn killed_at_any_request_of_a_change_of_a_spec_the_next_hook_reaches_the_same_end() {
    let other = Model { spec: Some(r#"{"include_namespaces":["mail"],"schedule":"@weekly"}"#), ..LEADER };
    assert_ends_alike_wherever_it_is_killed(Some(&RELATED), &other, 10).await;
}
