use std::fs;

use secrecy::SecretString;
use tempfile::TempDir;

use super::super::installation::{BackupLocation, LocationPlan};
use super::*;
use crate::{
    settings::Settings,
    storage::{Storage, StoreKeys},
};

fn without_storage() -> Installation {
    Installation {
        application: "velero-operator".into(),
        node_agent_is_adopted: false,
        held_back: super::super::installation::HeldBack::default(),
        image: "velero/velero:v1.18.3".into(),
        node_agent: false,
        kubelet_root: None,
        default_volumes_to_fs_backup: false,
        csi_snapshots: CsiSnapshots::None,
        image_pull_secrets: Vec::new(),
        repository_password: None,
        proxies: None,
        settings: Settings::default(),
        plugin_image: None,
        location: LocationPlan::None,
    }
}

fn with_storage() -> Installation {
    let storage = Storage {
        bucket: "cluster-backups".into(),
        prefix: Some("prod/velero".into()),
        backup_location_config: BTreeMap::from([
            ("checksumAlgorithm".into(), String::new()),
            ("tagging".into(), "a=b,c=\"d\"".into()),
        ]),
        snapshot_location_config: Some(BTreeMap::from([("region".into(), "eu-west-3".into())])),
        credentials: SecretString::from("marked-secret"),
        keys: StoreKeys::S3 { access_key: "key".into(), secret_key: "marked-secret".into() },
        certificate_authority: None,
        notes: Vec::new(),
    };
    Installation {
        node_agent: true,
        kubelet_root: Some("/var/lib/k0s/kubelet".parse().unwrap()),
        default_volumes_to_fs_backup: true,
        csi_snapshots: CsiSnapshots::None,
        image_pull_secrets: Vec::new(),
        repository_password: None,
        proxies: None,
        plugin_image: Some("velero/velero-plugin-for-aws:v1.14.3".into()),
        location: LocationPlan::Use(Box::new(BackupLocation { provider: "aws", storage, is_read_only: false })),
        ..without_storage()
    }
}

#[test]
fn without_storage_the_cli_is_told_to_make_no_location() {
    let arguments = install_arguments("backups", &without_storage()).join(" ");
    assert_eq!(
        arguments,
        "--namespace backups install --dry-run --output yaml --no-secret \
         --image velero/velero:v1.18.3 --no-default-backup-location --use-volume-snapshots=false"
    );
}

#[test]
fn with_storage_every_value_becomes_a_flag_and_the_credentials_none() {
    let arguments = install_arguments("backups", &with_storage());
    for flag in [
        "--use-node-agent",
        "--kubelet-root-dir=/var/lib/k0s/kubelet",
        "--default-volumes-to-fs-backup",
        "--plugins=velero/velero-plugin-for-aws:v1.14.3",
        "--provider=aws",
        "--bucket=cluster-backups",
        "--prefix=prod/velero",
        "--backup-location-config=checksumAlgorithm=,\"tagging=a=b,c=\"\"d\"\"\"",
        "--snapshot-location-config=region=eu-west-3",
    ] {
        assert!(arguments.iter().any(|argument| argument == flag), "{flag}");
    }
    assert!(!arguments.concat().contains("marked-secret"));
}

#[test]
fn the_data_of_snapshots_is_moved_where_there_are_snapshots_and_a_node_agent() {
    let flags = |csi_snapshots, node_agent| {
        let installation = Installation { node_agent, csi_snapshots, ..without_storage() };
        let arguments = install_arguments("backups", &installation);
        ["--features=EnableCSI", "--default-snapshot-move-data"].map(|flag| arguments.iter().any(|told| told == flag))
    };
    assert_eq!([flags(CsiSnapshots::Moved, true), flags(CsiSnapshots::None, true)], [[true; 2], [false; 2]]);
    assert_eq!([flags(CsiSnapshots::Moved, false), flags(CsiSnapshots::InPlace, true)], [[true, false]; 2]);
}

/// A stand-in for the program, for what does not depend on what the real one prints.
fn scripted(script: &str) -> (TempDir, Cli) {
    let directory = TempDir::new().unwrap();
    let program = directory.path().join("velero");
    process::tests::write_program(&program, script);
    let cli = Cli::in_charm(directory.path());
    (directory, cli)
}

const ONE_OBJECT: &str = "cat <<END\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: a}}\nEND";

#[tokio::test]
async fn a_dry_run_is_asked_for_once_as_long_as_nothing_changes() {
    let (directory, cli) = scripted(&format!("echo run >>\"${{0%/*}}/runs\"\n{ONE_OBJECT}"));
    let runs = || fs::read_to_string(directory.path().join("runs")).unwrap().lines().count();
    let first = cli.dry_run("backups", &without_storage()).await.unwrap();
    let second = cli.dry_run("backups", &without_storage()).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(runs(), 1);
    cli.dry_run("elsewhere", &without_storage()).await.unwrap();
    assert_eq!(runs(), 2);
}

#[tokio::test]
async fn a_kept_dry_run_that_is_broken_is_made_anew() {
    let (directory, cli) = scripted(ONE_OBJECT);
    let first = cli.dry_run("backups", &without_storage()).await.unwrap();
    let kept = fs::read_dir(directory.path().join(".velero-dry-runs")).unwrap().next().unwrap().unwrap().path();
    fs::write(kept, "[{\"apiVer").unwrap();
    assert_eq!(cli.dry_run("backups", &without_storage()).await.unwrap(), first);
}

#[tokio::test]
async fn the_words_of_a_cli_that_refuses_are_in_the_error() {
    let (_directory, cli) = scripted("echo 'An error occurred: --bucket is required' >&2; exit 1");
    let error = cli.dry_run("backups", &without_storage()).await.unwrap_err();
    assert_eq!(error.to_string(), "the velero CLI failed: An error occurred: --bucket is required");
}

#[tokio::test]
async fn the_version_is_asked_for_once_and_the_dry_run_stays() {
    let (directory, cli) = scripted(&format!(
        "echo run >>\"${{0%/*}}/runs\"\ncase \"$*\" in *version*) printf 'Client:\\n\\tVersion: v1.18.3\\n\\tGit commit: -\\n';; *) {ONE_OBJECT}\n;; esac"
    ));
    let runs = || fs::read_to_string(directory.path().join("runs")).unwrap().lines().count();
    cli.dry_run("backups", &without_storage()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(cli.version().await.unwrap().unwrap().to_string(), "1.18.3");
        cli.dry_run("backups", &without_storage()).await.unwrap();
    }
    assert_eq!(runs(), 2);
}

#[tokio::test]
async fn a_build_from_a_branch_is_of_no_release() {
    let (_directory, cli) = scripted("printf 'Client:\n\tVersion: main\n\tGit commit: 0123\n'");
    assert_eq!(cli.version().await.unwrap(), None);
}

#[test]
fn a_version_is_told_that_was_not_cut_off() {
    let whole = "Client:\n\tVersion: v1.18.3\n\tGit commit: -\n";
    assert_eq!(super::told_version(whole).as_deref(), Some("v1.18.3"));
    for cut in [
        "",
        "Client:\n",
        "Client:\n\tVersion: v1.1",
        "Client:\n\tVersion: v1.18.3\n",
        "Client:\n\tVersion: v1.18.3\n\tGit c",
    ] {
        assert_eq!(super::told_version(cut), None, "{cut}");
    }
}
