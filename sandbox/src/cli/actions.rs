//! `run` and `actions`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use sandbox::juju::{ActionResult, ActionStatus, UnitName};
use serde_json::{Map, Value, json};

use super::Failure;
use super::globals::Globals;
use super::table::{Format, row, table};

#[derive(Args)]
pub struct Run {
    /// The unit, or APPLICATION/leader
    unit: String,
    /// The action
    action: String,
    /// Parameters as KEY=VALUE, where VALUE is read as YAML and dots in KEY make maps
    parameters: Vec<String>,
    /// A YAML file of parameters
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// Take each VALUE as text
    #[arg(long)]
    string_args: bool,
    /// How to show the result
    #[arg(long, value_enum, default_value_t = ResultFormat::Plain)]
    format: ResultFormat,
    /// How long to wait, such as 30m; the sandbox waits for the end of every action
    #[arg(long, value_name = "TIME")]
    wait: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ResultFormat {
    /// What the action set and printed
    Plain,
    /// JSON on one line
    Json,
    /// YAML
    Yaml,
}

impl Run {
    pub fn run(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let model = globals.model()?;
        let unit = self.unit(&model.state()?)?;
        let result = model.run_action(&unit, &self.action, &self.parameters()?)?;
        match self.format {
            ResultFormat::Plain => print!("{}", plain(&result)?),
            ResultFormat::Json => print!("{}", Format::Json.write(&whole(&result))?),
            ResultFormat::Yaml => print!("{}", Format::Yaml.write(&whole(&result))?),
        }
        if result.status == ActionStatus::Completed {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!(
            "ERROR the following task failed:\n - id \"{}\" with return code {}: {}",
            result.task,
            result.results.get("return-code").unwrap_or(&Value::Null),
            result.message
        );
        Ok(ExitCode::FAILURE)
    }

    fn unit(&self, state: &sandbox::juju::ModelState) -> Result<UnitName, Failure> {
        let Some(application) = self.unit.strip_suffix("/leader") else { return Ok(self.unit.parse()?) };
        let leader = state.applications.get(application).and_then(|each| each.leader);
        leader
            .map(|number| UnitName::new(application, number))
            .ok_or_else(|| format!("could not determine leader for {application:?}").into())
    }

    fn parameters(&self) -> Result<Map<String, Value>, Failure> {
        let mut parameters = match &self.params {
            None => Map::new(),
            Some(path) => {
                let text =
                    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                serde_yaml::from_str(&text).map_err(|error| format!("cannot read {}: {error}", path.display()))?
            }
        };
        for given in &self.parameters {
            let (key, text) = given
                .split_once('=')
                .ok_or_else(|| format!("argument {given:?} must be of the form key.key.key...=value"))?;
            let value = if self.string_args { Value::from(text) } else { serde_yaml::from_str(text)? };
            let path: Vec<&str> = key.split('.').collect();
            insert(&mut parameters, &path, value);
        }
        Ok(parameters)
    }
}

fn insert(parameters: &mut Map<String, Value>, path: &[&str], value: Value) {
    match path {
        [] => {}
        [last] => {
            parameters.insert((*last).to_owned(), value);
        }
        [first, rest @ ..] => {
            let inner = parameters.entry((*first).to_owned()).or_insert_with(|| json!({}));
            if !inner.is_object() {
                *inner = json!({});
            }
            if let Some(inner) = inner.as_object_mut() {
                insert(inner, rest, value);
            }
        }
    }
}

/// What `juju run` shows people: what was set, then what was printed.
fn plain(result: &ActionResult) -> Result<String, Failure> {
    let mut set = result.results.clone();
    let printed: Vec<Value> = ["stdout", "stderr"].iter().filter_map(|key| set.remove(*key)).collect();
    set.remove("return-code");
    let mut text = if set.is_empty() { String::new() } else { Format::Yaml.write(&Value::Object(set))? };
    for each in printed.iter().filter_map(Value::as_str) {
        text.push_str(each);
    }
    Ok(text)
}

/// What `juju run --format json` shows programs.
fn whole(result: &ActionResult) -> Value {
    let written = |time: jiff::Timestamp| time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string();
    let log: Vec<String> = result.log.iter().map(|(time, message)| format!("{} {message}", written(*time))).collect();
    let mut unit = json!({
        "id": result.task.to_string(),
        "results": result.results,
        "status": result.status,
        "timing": {
            "enqueued": written(result.enqueued),
            "started": written(result.enqueued),
            "completed": written(result.completed),
        },
        "unit": result.unit,
    });
    if !log.is_empty() {
        unit["log"] = json!(log);
    }
    if !result.message.is_empty() {
        unit["message"] = json!(result.message);
    }
    json!({result.unit.to_string(): unit})
}

#[derive(Args)]
pub struct List {
    /// The application
    application: String,
}

impl List {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        let mut rows = vec![row([&"Action", &"Description"])];
        for (name, description) in globals.model()?.actions(&self.application)? {
            rows.push(row([&name, &description.lines().next().unwrap_or_default()]));
        }
        print!("{}", table(&rows));
        Ok(())
    }
}
