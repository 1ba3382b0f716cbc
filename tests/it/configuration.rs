//! The options.

use crate::deployed::Deployed;

#[test]
fn an_image_that_cannot_be_pulled_blocks_soon_and_resetting_it_mends() {
    let mut deployed = Deployed::new("bad-image");
    deployed.relate_s3();
    deployed.configure("velero-image", "velero/velero:v1.18.99");
    let status = deployed.status();
    assert!(status.starts_with("blocked: cannot pull image velero/velero:v1.18.99 (ErrImagePull)"), "{status}");
    // The hook itself found out; how soon is a row of the bench.
    assert_eq!(deployed.records.last().unwrap().name, "config-changed");
    deployed.reset("velero-image");
    assert_eq!(deployed.status(), "active: ready");
}

#[test]
fn a_plugin_image_that_cannot_be_pulled_is_named_too() {
    let mut deployed = Deployed::new("bad-plugin");
    deployed.relate_s3();
    deployed.configure("velero-aws-plugin-image", "velero/velero-plugin-for-aws:v0.0.0-none");
    let status = deployed.status();
    assert!(status.starts_with("blocked: cannot pull image velero/velero-plugin-for-aws:v0.0.0-none"), "{status}");
    deployed.reset("velero-aws-plugin-image");
    assert_eq!(deployed.status(), "active: ready");
}

#[test]
fn what_is_no_image_is_told_by_its_option_and_nothing_is_written() {
    let mut deployed = Deployed::new("no-image");
    deployed.relate_s3();
    assert_eq!(deployed.status(), "active: ready");
    let before = deployed.standing();
    let empty = |option: &'static str| (option, "", format!("is empty: set an image, or juju config --reset {option}"));
    let bad = |option: &'static str, value: &'static str, why: &str| (option, value, why.to_owned());
    for (option, value, why) in [
        empty("velero-image"),
        empty("velero-aws-plugin-image"),
        empty("velero-azure-plugin-image"),
        empty("velero-gcp-plugin-image"),
        bad("velero-image", "Velero/velero:v1", "has capital letters, which names of images do not have"),
        bad("velero-image", "http://x/velero:v1.18.3", "is a URL"),
        bad("velero-image", "velero/velero:", "is no reference of an image"),
        bad("velero-aws-plugin-image", "velero/velero-plugin-for-aws@sha256:12", "is no reference of an image"),
    ] {
        deployed.configure(option, value);
        let status = deployed.status();
        assert!(status.starts_with(&format!("blocked: the option {option} {why}")), "{status}");
        assert_eq!(deployed.standing(), before, "{option}={value}");
        deployed.reset(option);
        assert_eq!(deployed.status(), "active: ready");
        assert_eq!(deployed.standing(), before, "{option}");
    }
}

#[test]
fn the_node_agent_comes_and_goes_with_its_option() {
    let mut deployed = Deployed::new("node-agent");
    deployed.relate_s3();
    deployed.configure("default-volumes-to-fs-backup", "true");
    assert_eq!(
        deployed.status(),
        "blocked: default-volumes-to-fs-backup needs the node agent: set use-node-agent=true too"
    );
    deployed.configure("use-node-agent", "true");
    assert_eq!(deployed.status(), "active: ready");
    let agent = deployed.expect("DaemonSet", "node-agent");
    assert_eq!(agent["status"]["numberAvailable"], 1);
    let arguments = &deployed.expect("Deployment", "velero")["spec"]["template"]["spec"]["containers"][0]["args"];
    assert!(arguments.to_string().contains("--default-volumes-to-fs-backup=true"), "{arguments}");
    deployed.configure("default-volumes-to-fs-backup", "false");
    deployed.configure("use-node-agent", "false");
    assert_eq!(deployed.status(), "active: ready");
    assert!(deployed.object("DaemonSet", "node-agent").is_none());
    let arguments = &deployed.expect("Deployment", "velero")["spec"]["template"]["spec"]["containers"][0]["args"];
    assert!(!arguments.to_string().contains("fs-backup"), "{arguments}");
}

#[test]
fn the_node_agent_goes_with_its_option_though_another_option_still_needs_it() {
    let mut deployed = Deployed::new("needed-agent");
    deployed.relate_s3();
    deployed.configure_all(&[("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")]);
    assert_eq!(deployed.status(), "active: ready");
    deployed.expect("DaemonSet", "node-agent");
    deployed.configure("use-node-agent", "false");
    assert_eq!(
        deployed.status(),
        "blocked: default-volumes-to-fs-backup needs the node agent: set use-node-agent=true too"
    );
    assert!(deployed.object("DaemonSet", "node-agent").is_none());
    deployed.configure("default-volumes-to-fs-backup", "false");
    assert_eq!(deployed.status(), "active: ready");
}
