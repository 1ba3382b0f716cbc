use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::{
    cluster::test_api::TestApi,
    proxies::{Given, Proxies},
    velero::{
        change::apply,
        fixtures::{APPLICATION, backup_in_progress, empty_cluster, installation, manifests, own},
        seen::{proxies::look, sighting::Sighting},
        wanted::HeldBack,
    },
};

const SECRET: &str = "velero-operator-proxies";

fn proxies(url: &str) -> Proxies {
    let url = SecretString::from(url);
    let given = Given { http: None, https: Some(&url), exceptions: "", api_server: "10.152.183.1" };
    Proxies::read(given).unwrap().unwrap()
}

async fn try_hook(api: &TestApi, url: Option<&str>) -> Result<Applied, ClusterError> {
    let cluster = api.cluster("velero");
    let proxies = match url.map(proxies) {
        Some(proxies) => Some(PlannedProxies { secret: look(&cluster, APPLICATION, &proxies).await?, proxies }),
        None => None,
    };
    let installation = Installation { proxies, ..installation() };
    let (holdings, sighting) = Sighting::take(&cluster, APPLICATION).await?;
    apply::apply(&cluster, &installation, &manifests(&installation), &holdings, &sighting).await
}

async fn hook(api: &TestApi, url: Option<&str>) -> Applied {
    try_hook(api, url).await.unwrap()
}

/// What the pods of a workload are given, and the revision that they are told.
fn given(api: &TestApi, kind: &str, name: &str) -> (Value, Value) {
    let template = api.object(kind, name).unwrap()["spec"]["template"].clone();
    (template["spec"]["containers"][0]["env"].clone(), template["metadata"]["annotations"][PROXIES].clone())
}

fn revision(api: &TestApi) -> Option<Value> {
    api.object("Secret", SECRET).map(|secret| secret["metadata"]["annotations"][PROXIES].clone())
}

#[tokio::test]
async fn pods_read_the_urls_from_a_secret_and_start_anew_when_one_changes() {
    let api = empty_cluster();
    hook(&api, Some("http://user:marked@proxy.internal:3128")).await;
    let first = revision(&api).unwrap();
    let variables = json!([
        {"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": SECRET, "key": "HTTPS_PROXY", "optional": true}}},
        {"name": "NO_PROXY", "value": ".cluster.local,.svc,10.152.183.1,127.0.0.1,::1,kubernetes.default.svc,localhost"},
    ]);
    for (kind, name) in [("Deployment", "velero"), ("DaemonSet", "node-agent")] {
        assert_eq!(given(&api, kind, name), (variables.clone(), first.clone()));
        assert!(!api.object(kind, name).unwrap().to_string().contains("marked"));
    }
    // base64 of the URL
    let url = "aHR0cDovL3VzZXI6bWFya2VkQHByb3h5LmludGVybmFsOjMxMjg=";
    assert_eq!(api.object("Secret", SECRET).unwrap()["data"], json!({"HTTPS_PROXY": url}));

    api.writes();
    assert_eq!(hook(&api, Some("http://user:marked@proxy.internal:3128/")).await.changed, Vec::<String>::new());
    assert_eq!(api.writes(), Vec::<String>::new());

    hook(&api, Some("http://user:other@proxy.internal:3128")).await;
    let second = revision(&api).unwrap();
    assert_ne!(first, second);
    assert_eq!(given(&api, "Deployment", "velero").1, second);
    assert_eq!(given(&api, "DaemonSet", "node-agent").1, second);
}

#[tokio::test]
async fn a_change_waits_for_a_backup_in_progress_and_so_does_the_end_of_the_secret() {
    let api = empty_cluster();
    hook(&api, Some("http://proxy.internal:3128")).await;
    let before = given(&api, "Deployment", "velero");
    let backup = backup_in_progress("nightly");
    api.put(&backup);
    for url in [Some("http://elsewhere.internal:3128"), None] {
        assert_eq!(hook(&api, url).await.postponed.len(), 1);
        assert_eq!(given(&api, "Deployment", "velero"), before);
        assert!(revision(&api).is_some());
    }
    let mut ended = backup;
    ended["status"]["phase"] = json!("Completed");
    api.put(&ended);
    let changed = hook(&api, None).await.changed;
    assert_eq!(changed, ["Secret velero-operator-proxies", "Deployment velero", "DaemonSet node-agent"]);
    assert_eq!(given(&api, "Deployment", "velero").1, Value::Null);
    assert_eq!(revision(&api), None);
    api.requests();
    hook(&api, None).await;
    assert!(api.requests().iter().all(|request| !request.contains("secrets/velero-operator-proxies")));
}

#[tokio::test]
async fn the_secret_stays_while_a_part_that_reads_it_is_held_back() {
    for (server, node_agent) in [(true, false), (false, true)] {
        let api = empty_cluster();
        hook(&api, Some("http://proxy.internal:3128")).await;
        let installation = Installation { held_back: HeldBack { server, node_agent }, ..installation() };
        let cluster = api.cluster("velero");
        let (holdings, _) = Sighting::take(&cluster, APPLICATION).await.unwrap();
        let mut applied = Applied::default();
        forget(&cluster, &installation, &holdings, &mut applied).await.unwrap();
        assert!(applied.changed.is_empty() && revision(&api).is_some(), "{server} {node_agent}");
    }
}

#[tokio::test]
async fn the_secret_goes_also_where_one_part_alone_reads_it() {
    for (kind, name) in [("Deployment", "velero"), ("DaemonSet", "node-agent")] {
        let api = empty_cluster();
        hook(&api, Some("http://proxy.internal:3128")).await;
        let cluster = api.cluster("velero");
        cluster.delete(&serde_json::from_value(own("apps/v1", kind, name)).unwrap()).await.unwrap();
        let (holdings, _) = Sighting::take(&cluster, APPLICATION).await.unwrap();
        let mut applied = Applied::default();
        forget(&cluster, &installation(), &holdings, &mut applied).await.unwrap();
        assert_eq!(applied.changed, ["Secret velero-operator-proxies"], "without {kind}");
        assert_eq!(revision(&api), None);
    }
}

#[tokio::test]
async fn killed_at_any_request_the_next_hook_reaches_the_same_end() {
    for wanted in [Some("http://other.internal:3128"), None] {
        for requests in 0.. {
            let api = empty_cluster();
            hook(&api, Some("http://proxy.internal:3128")).await;
            let ended = api.killed_after(requests, try_hook(&api, wanted)).await.is_some();
            hook(&api, wanted).await;
            let told = given(&api, "Deployment", "velero").1;
            assert_eq!(revision(&api).unwrap_or_default(), told, "killed after {requests} requests");
            assert_eq!(told.is_null(), wanted.is_none());
            if ended {
                assert!(requests > 5, "only {requests} requests");
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_somebody_else_has_made_under_the_name_stays() {
    let api = empty_cluster();
    let mut theirs = own("v1", "Secret", SECRET);
    theirs["metadata"]["labels"] = json!({});
    api.put(&theirs);
    let cluster = api.cluster("velero");
    let found = look(&cluster, APPLICATION, &proxies("http://proxy.internal:3128")).await.unwrap();
    assert_eq!(found, ProxiesSecret::OfOthers);
    assert_eq!(delete(&cluster, APPLICATION).await.unwrap(), None);
    assert!(api.object("Secret", SECRET).is_some());
    api.put(&own("v1", "Secret", SECRET));
    assert_eq!(delete(&cluster, APPLICATION).await.unwrap().unwrap(), "Secret velero-operator-proxies");
}
