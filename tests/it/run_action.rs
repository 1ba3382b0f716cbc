//! The action `run`.

use sandbox::juju::ActionStatus;
use serde_json::{Map, Value};

use crate::deployed::Deployed;

#[test]
fn commands_run_with_their_lines_in_the_log_and_all_of_them_in_the_results() {
    let mut deployed = Deployed::new("run");
    let bucket = deployed.relate_s3();
    let result = deployed.run("backup create nightly --include-namespaces default --wait");
    assert_eq!(result.status, ActionStatus::Completed, "{result:?}");
    let output = result.results["output"].as_str().unwrap();
    assert!(output.contains("Backup request \"nightly\" submitted successfully."), "{output}");
    assert!(output.contains("Backup completed with status: Completed"), "{output}");
    assert!(!output.contains('\u{1b}'), "colours: {output:?}");
    let log: Vec<_> = result.log.iter().map(|(_, line)| line.as_str()).collect();
    assert!(log.join("\n").contains("Backup request \"nightly\" submitted successfully."), "{log:?}");
    // Lines come while the command runs, and not all at its end.
    assert!(result.log.len() > 1, "{log:?}");
    let keys = deployed.world.s3().bucket(&bucket).unwrap().keys().unwrap();
    assert!(keys.iter().any(|key| key == "backups/nightly/velero-backup.json"), "{keys:?}");
    assert!(deployed.run_well("velero backup get -o json").contains("\"name\": \"nightly\""));
    assert!(deployed.run_well("backup logs nightly").contains("level=info"));
    assert!(deployed.run_well("backup describe nightly --details").contains("Phase:"));
    assert!(deployed.run_well("restore create again --from-backup nightly --wait").contains("Completed"));
    assert!(deployed.run_well("schedule create daily --schedule '0 3 * * *'").contains("created successfully"));
    assert!(deployed.run_well("backup delete nightly --confirm").contains("submitted successfully"));
}

#[test]
fn the_older_name_of_the_action_works_too() {
    let deployed = Deployed::new("run-cli");
    let parameters = Map::from_iter([("command".to_owned(), Value::from("schedule get"))]);
    let result = deployed.model.run_action(&Deployed::unit(), "run-cli", &parameters).unwrap();
    assert_eq!(result.status, ActionStatus::Completed, "{result:?}");
    assert_eq!(result.results["status"], "success");
}

#[test]
fn a_failing_command_fails_the_action_with_the_words_of_the_cli() {
    let deployed = Deployed::new("run-fails");
    for (command, words) in [
        ("backup describe none-such", "backups.velero.io \"none-such\" not found"),
        ("backup get --selector '!'", "velero: "),
        ("restore create --from-backup none-such", "none-such"),
        ("backup create without-storage --wait", "Backup completed with status: FailedValidation"),
    ] {
        let result = deployed.run(command);
        assert_eq!(result.status, ActionStatus::Failed, "{command}");
        assert!(result.message.contains(words), "{command}: {}", result.message);
        assert!(!result.message.contains("exit status"), "{}", result.message);
        assert!(!result.results.contains_key("status"), "{:?}", result.results);
    }
}

#[test]
fn a_line_that_no_argument_takes_is_cut_and_the_rest_comes() {
    let deployed = Deployed::new("run-long");
    let annotation = "x".repeat(100_000);
    deployed.run_well(&format!("backup create long --annotations first=1,long={annotation}"));
    let output = deployed.run_well("backup get long -o yaml");
    assert!(output.starts_with("apiVersion: velero.io/v1\n"), "{}", &output[..100]);
    assert!(output.contains("bytes are left out here"), "{}", output.len());
    // What comes last in the document.
    assert!(output.contains("\nstatus:"), "{}", &output[output.len() - 100..]);
}

#[test]
fn what_is_not_allowed_never_reaches_the_cli() {
    let deployed = Deployed::new("run-refused");
    for (command, words) in [
        ("install", "allowed are backup ("),
        ("backup get -n kube-system", "the flag -n is not allowed"),
        ("backup get --namespace=kube-system", "the flag --namespace is not allowed"),
        ("backup get --kubeconfig /etc/passwd", "the flag --kubeconfig is not allowed"),
        ("backup get --log_file=x", "the flag --log_file is not allowed"),
        ("backup get --logtostderr=false -v=9", "the flag --logtostderr is not allowed"),
        ("backup get --selector -- -v=10", "the flag -v is not allowed"),
        ("backup get --frobnicate", "and its own are --selector (-l), --output (-o),"),
        ("backup create x --lables a=b", "did you mean --labels?"),
        ("backup logs nightly --cacert /etc/passwd", "the flag --cacert is not allowed here"),
        ("backup download nightly -o x", "backup download is not allowed"),
        ("backup delete nightly", "add --confirm"),
        ("backup create 'x", "quote"),
    ] {
        let result = deployed.run(command);
        assert_eq!(result.status, ActionStatus::Failed, "{command}");
        assert!(result.message.contains(words), "{command}: {}", result.message);
        assert!(!result.results.contains_key("output"), "{command}: {:?}", result.results);
    }
}

#[test]
fn without_trust_the_failure_says_how_to_give_it() {
    let options = sandbox::juju::DeployOptions::default();
    let deployed = Deployed::with(crate::world::shared(), "run-untrusted", &options);
    let result = deployed.run("backup get");
    assert!(result.message.contains("juju trust velero-operator --scope=cluster"), "{}", result.message);
}
