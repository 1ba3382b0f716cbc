//! Settings of the server, the node agent and repositories.

use super::*;

#[test]
fn settings_that_cannot_be_used_hold_back_the_part_that_they_are_for() {
    for (option, text, why, server, node_agent) in [
        ("server", "log-level: loud", "log-level: unknown variant `loud`", true, false),
        (
            "node-agent",
            "resources: {limits: {cpu: much}}",
            "resources.limits.cpu: \"much\" is no quantity",
            false,
            true,
        ),
        ("repository", "cache-limit: -1", "cache-limit: \"-1\" is no quantity", true, false),
    ] {
        let plan = plan(&snapshot(&[(option, json!(text))], vec![relation("s3-credentials", S3)]));
        let [Status::Blocked(message)] = plan.obstacles.as_slice() else { panic!("{:?}", plan.obstacles) };
        assert!(message.starts_with(&format!("the option {option}: {why}")), "{message}");
        assert!(message.ends_with(&format!("; or juju config --reset {option}")), "{message}");
        let held_back = installation(&plan).held_back;
        assert_eq!((held_back.server, held_back.node_agent), (server, node_agent), "{option}");
    }
}

#[test]
fn a_config_map_of_somebody_else_is_not_written() {
    let options = [
        ("use-node-agent", json!(true)),
        ("node-agent", json!("load-concurrency: {global: 2}")),
        ("repository", json!("maintenance: {keep-latest: 1}")),
    ];
    let snapshot = snapshot(&options, vec![relation("s3-credentials", S3)]);
    for (claim, name, server, node_agent) in [
        (Claim::Own, "velero-operator-node-agent", false, false),
        (Claim::Unclaimed, "velero-operator-node-agent", false, true),
        (Claim::Others("Helm".to_owned()), "velero-operator-repository", true, false),
        (Claim::Unclaimed, "velero-operator-else", false, false),
    ] {
        let facts = Facts { holdings: holdings(&claim, &[("ConfigMap", name)]), ..facts() };
        let plan = crate::plan::plan(&snapshot, &facts);
        let held_back = installation(&plan).held_back;
        assert_eq!((held_back.server, held_back.node_agent), (server, node_agent), "{name} {claim:?}");
        let told = format!("somebody else has made the ConfigMap {name} that");
        assert_eq!(plan.obstacles.iter().any(|status| status.message().starts_with(&told)), server || node_agent);
        let settings = &installation(&plan).settings;
        assert_eq!(settings.node_agent.configuration().is_none(), node_agent);
        assert_eq!(settings.repository.maintenance().is_none(), server);
    }
}

#[test]
fn what_is_said_of_how_velero_runs_is_planned() {
    let options = [("server", json!("\nlog-level: debug\nconcurrent-backups: 2\n"))];
    let plan = plan(&snapshot(&options, vec![relation("s3-credentials", S3)]));
    assert_eq!(plan.obstacles, []);
    let flags: Vec<_> = installation(&plan).settings.server.flags().collect();
    assert_eq!(flags, [("log-level", "debug".to_owned()), ("concurrent-backups", "2".to_owned())]);
}
