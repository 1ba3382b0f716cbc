//! The command line for people: what the program is, and what it would do.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, CommandFactory, Parser, Subcommand};
use serde_json::Value;
use thiserror::Error;

use crate::{
    contract::{OPTIONS, OptionSpec},
    error_chain::ErrorChain,
    integrations,
    juju::{ConfigValues, Databag, ModelId, ModelProxies, RelationId},
    observer::{self, Assignment},
    plan,
    snapshot::{OptionSecret, Relation, Snapshot},
    status::Status,
    velero::{Cli, CliError, Facts, HeldBack, Manifests, to_yaml},
};

/// A Juju charm that runs Velero, which backs up and restores Kubernetes.
///
/// Juju runs this program without arguments, once for each hook or action. To use it, deploy the charm with
/// `juju deploy velero-operator --trust`.
#[derive(Debug, Parser)]
#[command(version, name = "velero-operator", verbatim_doc_comment)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the manifests that the charm would apply, as YAML, without touching a cluster
    ///
    /// The credentials are left out of what is printed.
    Plan(PlanArguments),
    /// Watch for a unit, between its hooks
    #[command(hide = true)]
    Observe(ObserveArguments),
}

#[derive(Args, Debug)]
struct ObserveArguments {
    /// The unit's name
    #[arg(long)]
    unit: String,
    /// The directory of the unit's charm
    #[arg(long, value_name = "FOLDER")]
    charm_directory: PathBuf,
    /// The program by which Juju is asked to run a hook
    #[arg(long, value_name = "FILE")]
    juju_exec: PathBuf,
}

#[derive(Args, Debug)]
struct PlanArguments {
    /// Namespace that Velero would be in: on Kubernetes, the name of the model
    #[arg(long, default_value = "velero")]
    namespace: String,
    /// Set an option of the charm; may be given several times
    #[arg(long, value_name = "OPTION=VALUE")]
    config: Vec<String>,
    /// File with the fields of storage relations, as YAML: {s3-credentials: {bucket: …, access-key: …}}; - for standard input
    #[arg(long, value_name = "FILE")]
    storage: Option<PathBuf>,
    /// The velero program, instead of the one beside this program or on the PATH
    #[arg(long, value_name = "FILE")]
    velero: Option<PathBuf>,
}

/// Why there is no plan to print.
#[derive(Debug, Error)]
enum PlanError {
    #[error("--config {0} is not of the form OPTION=VALUE")]
    ConfigForm(String),
    #[error("there is no option {option}; there are {}", options())]
    UnknownOption { option: String },
    #[error("the option {option} takes true or false, not {value:?}")]
    NotBoolean { option: String, value: String },
    #[error("cannot read the storage from {}", path.display())]
    ReadStorage {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    // What the reader's own message would quote may be a credential.
    #[error("{} is not a map of endpoints to maps of texts; quote what looks like a number", path.display())]
    StorageForm { path: PathBuf },
    #[error("there is no storage endpoint {endpoint}; there are {}", endpoints())]
    UnknownEndpoint { endpoint: String },
    #[error("the option {option} is a secret of Juju's, of which nothing is in the plan: leave it out")]
    Secret { option: String },
    #[error("{0}")]
    Obstacle(Status),
    #[error("cannot make the manifests")]
    Velero(#[from] CliError),
    #[error("cannot print the manifests")]
    Yaml(#[from] serde_yaml::Error),
    #[error("cannot print the manifests")]
    Print(#[from] io::Error),
}

fn options() -> String {
    OPTIONS.iter().map(OptionSpec::name).collect::<Vec<_>>().join(", ")
}

fn endpoints() -> String {
    integrations::storage_endpoints().collect::<Vec<_>>().join(", ")
}

/// Does what the arguments say.
pub async fn run() -> ExitCode {
    let outcome: Result<(), Box<dyn Error>> = match Arguments::parse().command {
        Some(Command::Plan(arguments)) => print_plan(arguments).await.map_err(Into::into),
        Some(Command::Observe(ObserveArguments { unit, charm_directory, juju_exec })) => {
            let assignment = Assignment { unit, charm_directory, juju_exec };
            observer::observe(&assignment).await.map_err(Into::into)
        }
        None => {
            let _ = Arguments::command().print_help();
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", ErrorChain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn print_plan(arguments: PlanArguments) -> Result<(), PlanError> {
    let snapshot = Snapshot {
        application: "velero-operator".to_owned(),
        unit: "velero-operator/0".to_owned(),
        model: ModelId::default(),
        proxies: ModelProxies::default(),
        leader: true,
        config: config(&arguments.config)?,
        periodic: false,
        unsettled: false,
        relations: match &arguments.storage {
            Some(path) => storage(path, &read(path)?)?,
            None => BTreeMap::new(),
        },
        address: None,
        repository_password: OptionSecret::Unset,
        retention: None,
    };
    let cli = Cli::at(arguments.velero.unwrap_or_else(velero_program));
    // A program that cannot tell its version cannot make the manifests either, and what is wrong with the input comes first.
    let facts = Facts { cli: cli.version().await.ok().flatten(), ..Facts::default() };
    let plan = plan::plan(&snapshot, &facts);
    // The user does not ask for what would be held back.
    let planned = plan.installation.filter(|installation| installation.held_back == HeldBack::default());
    let Some(installation) = planned else {
        let first = plan.obstacles.into_iter().find(|status| matches!(status, Status::Blocked(_)));
        return Err(PlanError::Obstacle(first.unwrap_or_else(|| Status::Blocked("nothing can be planned".to_owned()))));
    };
    let manifests = Manifests::of(&cli, &arguments.namespace, &installation).await?;
    let text = to_yaml(&manifests)?;
    for obstacle in &plan.obstacles {
        eprintln!("note: the unit would be {obstacle}");
    }
    for remark in &plan.remarks {
        eprintln!("note: {remark}");
    }
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that wants the beginning only, such as head, has it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Returns the options with their defaults, and those of `settings` in their place.
fn config(settings: &[String]) -> Result<ConfigValues, PlanError> {
    let mut values: BTreeMap<&str, Value> =
        OPTIONS.iter().map(|option| (option.name(), option.default_value())).collect();
    for setting in settings {
        let (name, value) = setting.split_once('=').ok_or_else(|| PlanError::ConfigForm(setting.clone()))?;
        let option = OPTIONS
            .iter()
            .find(|option| option.name() == name)
            .ok_or_else(|| PlanError::UnknownOption { option: name.to_owned() })?;
        let value = match option {
            OptionSpec::Text(_) => Value::from(value),
            OptionSpec::Secret(name) => return Err(PlanError::Secret { option: (*name).to_owned() }),
            OptionSpec::Boolean(_) => value
                .parse::<bool>()
                .map(Value::from)
                .map_err(|_| PlanError::NotBoolean { option: name.to_owned(), value: value.to_owned() })?,
        };
        values.insert(option.name(), value);
    }
    Ok(values.into_iter().collect())
}

fn read(path: &Path) -> Result<String, PlanError> {
    let read = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    read.map_err(|source| PlanError::ReadStorage { path: path.to_owned(), source })
}

/// Returns the relations that would have the fields of the file.
fn storage(path: &Path, text: &str) -> Result<BTreeMap<&'static str, Vec<Relation>>, PlanError> {
    let relations: BTreeMap<String, Databag> =
        serde_yaml::from_str(text).map_err(|_| PlanError::StorageForm { path: path.to_owned() })?;
    relations
        .into_iter()
        .map(|(name, theirs)| {
            let endpoint = integrations::storage_endpoints()
                .find(|endpoint| *endpoint == name)
                .ok_or(PlanError::UnknownEndpoint { endpoint: name })?;
            let (ours, own, id) = (Databag::default(), Databag::default(), RelationId::new(endpoint));
            Ok((endpoint, vec![Relation { id, remote: None, theirs, ours, own, secret: None }]))
        })
        .collect()
}

/// Returns the program that lies beside this one, as in the charm's directory; otherwise the one on the `PATH`.
fn velero_program() -> PathBuf {
    env::current_exe()
        .ok()
        .map(|program| program.with_file_name("velero"))
        .filter(|program| program.is_file())
        .unwrap_or_else(|| PathBuf::from("velero"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
        assert!(Arguments::command().find_subcommand(observer::COMMAND).is_some());
    }

    #[test]
    fn options_are_checked_by_name_and_type() {
        let config = config(&["use-node-agent=true".into(), "velero-image=a=b".into()]).unwrap();
        assert_eq!(config.boolean("use-node-agent"), Some(true));
        assert_eq!(config.text("velero-image"), Some("a=b"));
        assert_eq!(config.boolean("default-volumes-to-fs-backup"), Some(false));
        for (setting, message) in [
            ("use-node-agent", "--config use-node-agent is not of the form OPTION=VALUE"),
            (
                "repository-password=secret:d5k2n8fq9mvc7a3t1he0",
                "the option repository-password is a secret of Juju's, of which nothing is in the plan: leave it out",
            ),
            ("use-node-agent=yes", "the option use-node-agent takes true or false, not \"yes\""),
        ] {
            assert_eq!(super::config(&[setting.into()]).unwrap_err().to_string(), message);
        }
        let error = super::config(&["image=x".into()]).unwrap_err().to_string();
        assert!(error.starts_with("there is no option image; there are use-node-agent, "), "{error}");
    }

    #[test]
    fn storage_that_cannot_be_read_is_not_repeated() {
        let path = Path::new("storage.yaml");
        let error = storage(path, "s3-credentials: {secret-key: [marked]}").unwrap_err();
        assert!(!ErrorChain(&error).to_string().contains("marked"));
        let error = storage(path, "s4: {}").unwrap_err().to_string();
        assert!(error.starts_with("there is no storage endpoint s4; there are s3-credentials"), "{error}");
        assert_eq!(storage(path, "s3-credentials: {bucket: \"2024\"}").unwrap().len(), 1);
    }
}
