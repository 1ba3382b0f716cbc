//! The password that files of volumes are encrypted with, from a secret of the user's.

use sandbox::juju::SecretUri;
use serde_json::json;

use crate::{
    actions::log_of,
    deployed::{APPLICATION, Deployed},
    workload::{Chosen, Workload},
};

const PASSWORD: &str = "a-password-that-nobody-else-has";

/// The charm with a node agent, and a secret with the password that it may not read yet.
fn with_secret(name: &str) -> (Deployed, SecretUri) {
    let mut deployed = Deployed::new(name);
    deployed.configure_all(&[("use-node-agent", "true"), ("default-volumes-to-fs-backup", "true")]);
    let secret = deployed.model.add_user_secret("repository", &content(PASSWORD)).unwrap();
    (deployed, secret)
}

fn content(password: &str) -> std::collections::BTreeMap<String, String> {
    [("password".to_owned(), password.to_owned())].into()
}

/// The password in the cluster.
fn live(deployed: &Deployed) -> String {
    deployed.until("Secret", "velero-repo-credentials", |secret| secret.is_some());
    let secret = deployed.expect("Secret", "velero-repo-credentials");
    let data = secret["data"]["repository-password"].as_str().unwrap();
    String::from_utf8(base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data).unwrap()).unwrap()
}

#[test]
fn volumes_are_encrypted_with_the_users_password_and_read_with_it_alone() {
    let (mut first, secret) = with_secret("password-first");
    assert_eq!(live(&first), "static-passw0rd");
    let remark = "files of volumes will be encrypted with Velero's own password, which everybody knows";
    let table = first.act("list-backups", &json!({})).results["table"].to_string();
    assert!(table.contains(remark), "{table}");
    let bucket = first.relate_s3();
    first.configure("repository-password", &secret.to_string());
    let told = "blocked: the secret of the option repository-password is not granted to velero-operator, or is gone";
    assert!(first.status().starts_with(told), "{}", first.status());
    let records = first.model.grant_user_secret("repository", APPLICATION).unwrap();
    first.after(records);
    first.update_status();
    assert_eq!((first.status().as_str(), live(&first).as_str()), ("active: ready", PASSWORD));
    let table = first.act("list-backups", &json!({})).results["table"].to_string();
    assert!(!table.contains("encrypted"), "{table}");
    let workload = Workload::new(first.world, "password-workload", Chosen::ByDefault);
    let digest = workload.write();
    first.run_well("backup create kept --include-namespaces password-workload --wait");

    // From here on it stays.
    let records = first.model.update_user_secret("repository", &content("another")).unwrap();
    first.after(records);
    let told = "blocked: repository-password is not the password that files of volumes are encrypted with";
    assert!(first.status().starts_with(told), "{}", first.status());
    assert_eq!(live(&first), PASSWORD);
    first.reset("repository-password");
    assert_eq!((first.status().as_str(), live(&first).as_str()), ("active: ready", PASSWORD));
    let hooks = serde_json::to_string(&first.records).unwrap();
    assert!(!hooks.contains(PASSWORD));
    first.model.remove_application(APPLICATION, false).unwrap();
    assert_eq!(live(&first), PASSWORD);
    // Nobody may take it for its own.
    let labels = &first.expect("Secret", "velero-repo-credentials")["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/instance"], json!(null), "{labels}");

    // Another Velero on the same bucket reads nothing without it, and all with it.
    let (mut second, secret) = with_secret("password-second");
    second.configure("storage-mode", "recovery").relate_bucket(&bucket);
    second.until_phase("Backup", "kept", "Completed");
    workload.lose();
    let restore = |deployed: &Deployed| deployed.act("restore", &json!({"backup": "kept"}));
    let failed = restore(&second);
    assert!(failed.message.contains("PartiallyFailed"), "{failed:?}");
    workload.lose();
    let records = second.model.grant_user_secret("repository", APPLICATION).unwrap();
    second.after(records);
    second.configure("repository-password", &secret.to_string());
    second.assert_becomes_active();
    assert_eq!(live(&second), PASSWORD);
    let restored = restore(&second);
    assert_eq!(restored.message, "", "{restored:?}\n{}", log_of(&restored));
    workload.runs();
    assert_eq!(workload.digest(), digest);
}
