//! What is declared to Juju is what the binary handles, no less and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use velero_operator::contract::{self, OptionSpec, Role};

use crate::project;

// Charmcraft does not look at the keys in these three files, and Juju overlooks those that it does not know: a misspelt key
// is lost without a word. So each key is listed here, and any other is an error.

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Metadata {
    name: String,
    #[serde(rename = "display-name")]
    _display_name: String,
    summary: String,
    #[serde(rename = "description")]
    _description: String,
    #[serde(rename = "maintainers")]
    _maintainers: Vec<String>,
    assumes: Vec<String>,
    #[serde(default)]
    requires: BTreeMap<String, Endpoint>,
    #[serde(default)]
    provides: BTreeMap<String, Endpoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    interface: String,
    limit: Option<u32>,
    #[serde(rename = "optional")]
    _optional: bool,
    #[serde(rename = "description")]
    _description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    options: BTreeMap<String, ConfigOption>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigOption {
    r#type: String,
    #[serde(default)]
    default: serde_yaml::Value,
    #[serde(rename = "description")]
    _description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Action {
    #[serde(rename = "description")]
    _description: String,
    #[serde(default)]
    params: BTreeMap<String, Parameter>,
    #[serde(default)]
    required: Vec<String>,
    additional_properties: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    r#type: String,
    #[serde(rename = "description")]
    _description: String,
}

/// Reads one of the project's files.
fn read(name: &str) -> String {
    fs::read_to_string(project().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Says which names are only on one side.
fn differences<'declared, 'handled>(
    kind: &str,
    declared: impl IntoIterator<Item = &'declared String>,
    handled: impl IntoIterator<Item = &'handled str>,
) -> Vec<String> {
    let declared: BTreeSet<_> = declared.into_iter().map(String::as_str).collect();
    let handled: BTreeSet<_> = handled.into_iter().collect();
    let unhandled = declared.difference(&handled).map(|name| format!("{kind} {name} is declared and not handled"));
    let undeclared = handled.difference(&declared).map(|name| format!("{kind} {name} is handled and not declared"));
    unhandled.chain(undeclared).collect()
}

/// Compares the text of a `config.yaml` with the options that the binary knows.
fn option_problems(config: &str) -> Vec<String> {
    let config: Config = match serde_yaml::from_str(config) {
        Ok(config) => config,
        Err(error) => return vec![format!("config.yaml: {error}")],
    };
    let handled = contract::OPTIONS.iter().map(OptionSpec::name);
    let mut problems = differences("option", config.options.keys(), handled);
    for spec in contract::OPTIONS {
        let Some(declared) = config.options.get(spec.name()) else { continue };
        let name = spec.name();
        if declared.r#type != spec.juju_type() {
            problems.push(format!("option {name} is a {} in config.yaml, not a {}", declared.r#type, spec.juju_type()));
        }
        let default = match spec {
            OptionSpec::Boolean(option) => serde_yaml::Value::from(option.default),
            OptionSpec::Text(option) => serde_yaml::Value::from(option.default),
            OptionSpec::Secret(_) => serde_yaml::Value::Null,
        };
        if declared.default != default {
            problems.push(format!("option {name} has the default {:?}, not {default:?}", declared.default));
        }
    }
    problems
}

/// Compares the text of a `metadata.yaml` with the endpoints that the binary knows.
fn relation_problems(metadata: &str) -> Vec<String> {
    let metadata: Metadata = match serde_yaml::from_str(metadata) {
        Ok(metadata) => metadata,
        Err(error) => return vec![format!("metadata.yaml: {error}")],
    };
    let mut problems = Vec::new();
    for (role, declared) in [(Role::Requires, &metadata.requires), (Role::Provides, &metadata.provides)] {
        let specs: Vec<_> = contract::RELATIONS.iter().filter(|spec| spec.role == role).collect();
        let kind = format!("under {}, endpoint", role.metadata_key());
        problems.extend(differences(&kind, declared.keys(), specs.iter().map(|spec| spec.name)));
        for spec in specs {
            let Some(declared) = declared.get(spec.name) else { continue };
            if declared.interface != spec.interface {
                let (name, expected) = (spec.name, spec.interface);
                problems.push(format!("endpoint {name} has the interface {}, not {expected}", declared.interface));
            }
            if declared.limit != spec.limit {
                let (name, expected) = (spec.name, spec.limit);
                problems.push(format!("endpoint {name} has the limit {:?}, not {expected:?}", declared.limit));
            }
        }
    }
    problems
}

/// Compares the text of an `actions.yaml` with the actions that the binary knows.
fn action_problems(actions: &str) -> Vec<String> {
    let actions: BTreeMap<String, Action> = match serde_yaml::from_str(actions) {
        Ok(actions) => actions,
        Err(error) => return vec![format!("actions.yaml: {error}")],
    };
    let mut problems = differences("action", actions.keys(), contract::ACTIONS.iter().map(|spec| spec.name));
    for spec in contract::ACTIONS {
        let Some(declared) = actions.get(spec.name) else { continue };
        let name = spec.name;
        let kind = format!("action {name}: parameter");
        problems.extend(differences(&kind, declared.params.keys(), spec.parameters.iter().map(|spec| spec.name)));
        for parameter in spec.parameters {
            if declared.required.iter().any(|required| required == parameter.name) != parameter.required {
                problems.push(format!("action {name}: is parameter {} required or not?", parameter.name));
            }
            let expected = parameter.value.juju_type();
            if let Some(declared) = declared.params.get(parameter.name)
                && declared.r#type != expected
            {
                let (parameter, declared) = (parameter.name, &declared.r#type);
                problems.push(format!("action {name}: parameter {parameter} is a {declared}, not a {expected}"));
            }
        }
        if declared.additional_properties {
            problems.push(format!("action {name} takes parameters that nobody reads"));
        }
    }
    problems
}

/// Compares the scripts in a folder with the hooks or actions that the binary knows.
fn script_problems(folder: &Path, handled: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let metadata = fs::symlink_metadata(entry.path()).unwrap();
        if !metadata.is_file() {
            problems.push(format!("script {name} is not a regular file: a packed charm has no links"));
        } else if metadata.permissions().mode() & 0o111 != 0o111 {
            problems.push(format!("script {name} is not executable"));
        }
        found.push(name);
    }
    problems.extend(differences("script", &found, handled.iter().map(String::as_str)));
    problems
}

fn hook_names() -> Vec<String> {
    contract::hook_names().collect()
}

fn action_names() -> Vec<String> {
    contract::ACTIONS.iter().map(|action| action.name.to_owned()).collect()
}

#[test]
fn options_are_handled_as_declared() {
    assert_eq!(option_problems(&read("config.yaml")), [""; 0]);
}

#[test]
fn endpoints_are_handled_as_declared() {
    assert_eq!(relation_problems(&read("metadata.yaml")), [""; 0]);
}

#[test]
fn actions_are_handled_as_declared() {
    assert_eq!(action_problems(&read("actions.yaml")), [""; 0]);
}

#[test]
fn every_hook_and_action_has_its_script() {
    assert_eq!(script_problems(&project().join("hooks"), &hook_names()), [""; 0]);
    assert_eq!(script_problems(&project().join("actions"), &action_names()), [""; 0]);
}

#[test]
fn metadata_asks_for_what_the_charm_needs() {
    let metadata: Metadata = serde_yaml::from_str(&read("metadata.yaml")).unwrap();
    assert_eq!(metadata.name, env!("CARGO_PKG_NAME"));
    assert!(metadata.summary.len() <= 78, "Charmhub recommends a summary of at most 78 characters");
    assert_eq!(metadata.assumes, ["k8s-api", "juju >= 3.6"]);
}

#[test]
fn a_difference_is_found_and_named() {
    let broken = |name: &str, from: &str, to: &str| {
        let text = read(name);
        assert!(text.contains(from), "{name} holds no {from:?}");
        text.replacen(from, to, 1)
    };
    let cases = [
        (
            option_problems(&broken("config.yaml", "  velero-image:", "  velero-picture:")),
            vec![
                "option velero-picture is declared and not handled",
                "option velero-image is handled and not declared",
            ],
        ),
        (
            option_problems(&broken("config.yaml", "type: boolean", "type: bool")),
            vec!["option use-node-agent is a bool in config.yaml, not a boolean"],
        ),
        (
            option_problems(&broken("config.yaml", "default: false", "default: \"false\"")),
            vec![r#"option use-node-agent has the default String("false"), not Bool(false)"#],
        ),
        (
            relation_problems(&broken("metadata.yaml", "  gcs-credentials:", "  gcs:")),
            vec![
                "under requires, endpoint gcs is declared and not handled",
                "under requires, endpoint gcs-credentials is handled and not declared",
            ],
        ),
        (
            relation_problems(&broken("metadata.yaml", "interface: azure_storage", "interface: azure-storage")),
            vec!["endpoint azure-storage has the interface azure-storage, not azure_storage"],
        ),
        (
            relation_problems(&broken("metadata.yaml", "    limit: 1\n", "")),
            vec!["endpoint s3-credentials has the limit None, not Some(1)"],
        ),
        (
            action_problems(&broken("actions.yaml", "run-cli:", "cli:")),
            vec!["action cli is declared and not handled", "action run-cli is handled and not declared"],
        ),
        (
            action_problems(&broken("actions.yaml", "additionalProperties: false", "additionalProperties: true")),
            vec!["action run takes parameters that nobody reads"],
        ),
        (
            action_problems(&broken("actions.yaml", "  required: [command]\n", "")),
            vec!["action run: is parameter command required or not?"],
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_misspelt_key_is_found() {
    let misspelt = |name: &str, from: &str, to: &str| read(name).replacen(from, to, 1);
    let cases = [
        (option_problems(&misspelt("config.yaml", "default:", "defualt:")), "defualt"),
        (relation_problems(&misspelt("metadata.yaml", "requires:", "require:")), "require"),
        (action_problems(&misspelt("actions.yaml", "params:", "parameters:")), "parameters"),
    ];
    for (found, key) in cases {
        let [problem] = found.as_slice() else { panic!("not one problem but {found:?}") };
        assert!(problem.contains(&format!("unknown field `{key}`")), "{problem}");
    }
}

#[test]
fn a_script_that_is_missing_superfluous_or_lame_is_found() {
    let folder = tempfile::tempdir().unwrap();
    for (name, mode) in [("install", 0o755), ("start", 0o644), ("instal", 0o755)] {
        fs::write(folder.path().join(name), "#!/bin/sh\n").unwrap();
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    std::os::unix::fs::symlink("install", folder.path().join("stop")).unwrap();
    let handled = ["install", "start", "stop", "remove"].map(str::to_owned);

    let mut found = script_problems(folder.path(), &handled);

    found.sort();
    assert_eq!(
        found,
        [
            "script instal is declared and not handled",
            "script remove is handled and not declared",
            "script start is not executable",
            "script stop is not a regular file: a packed charm has no links",
        ]
    );
}

/// A Juju that does not know `dispatch` runs the scripts, with nothing in the environment that says which one.
#[test]
fn scripts_hand_over_to_dispatch() {
    let charm = tempfile::tempdir().unwrap();
    let dispatch = charm.path().join("dispatch");
    fs::write(&dispatch, "#!/bin/sh\necho \"$JUJU_DISPATCH_PATH\"\nexit 7\n").unwrap();
    fs::set_permissions(&dispatch, fs::Permissions::from_mode(0o755)).unwrap();

    let hooks = hook_names().into_iter().map(|name| format!("hooks/{name}"));
    let actions = action_names().into_iter().map(|name| format!("actions/{name}"));
    for script in hooks.chain(actions) {
        let output = Command::new(project().join(&script))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("JUJU_CHARM_DIR", charm.path())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), script);
        assert_eq!(output.status.code(), Some(7), "{script} keeps the exit code of dispatch to itself");
    }
}
