//! `config`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::globals::Globals;
use super::table::Format;

#[derive(Args)]
pub struct Config {
    /// The application
    application: String,
    /// An option to show (KEY), or options to set (KEY=VALUE; VALUE may be @FILE); without any, all are shown
    settings: Vec<String>,
    /// Options to give their defaults again
    #[arg(long, value_delimiter = ',', value_name = "KEY,…")]
    reset: Vec<String>,
    /// A YAML file of options by application
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How to show the options
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
}

impl Config {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        let model = globals.model()?;
        let (set, shown): (Vec<&String>, Vec<&String>) = self.settings.iter().partition(|each| each.contains('='));
        let mut config = match &self.file {
            Some(path) => from_file(path, &self.application)?,
            None => BTreeMap::new(),
        };
        for setting in &set {
            let (key, text) = setting.split_once('=').unwrap_or((setting, ""));
            config.insert(key.to_owned(), value(text)?);
        }
        match shown.as_slice() {
            [] => {}
            [key] if set.is_empty() && self.reset.is_empty() => return self.show(globals, Some(key)),
            _ => {
                return Err(
                    "cannot set and show options at once, nor show several: give one KEY, or KEY=VALUE …".into()
                );
            }
        }
        if let Some(both) = self.reset.iter().find(|key| config.contains_key(*key)) {
            return Err(format!("option {both:?} cannot be both set and reset").into());
        }
        if config.is_empty() && self.reset.is_empty() {
            return self.show(globals, None);
        }
        model.reconfigure(&self.application, &config, &self.reset)?;
        Ok(())
    }

    fn show(&self, globals: &Globals, key: Option<&String>) -> Result<(), Failure> {
        let model = globals.model()?;
        let options = model.options(&self.application)?;
        let settings =
            model.state()?.applications.remove(&self.application).map(|each| each.settings).unwrap_or_default();
        if let Some(key) = key {
            let option =
                options.get(key).ok_or_else(|| format!("key {key:?} not found in {:?} settings", self.application))?;
            let value = settings.get(key).or(option.default.as_ref());
            println!(
                "{}",
                value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
            );
            return Ok(());
        }
        let described: BTreeMap<&String, Value> = options
            .iter()
            .map(|(name, option)| {
                let (source, value) = match (settings.get(name), &option.default) {
                    (Some(value), _) => ("user", Some(value)),
                    (None, Some(value)) => ("default", Some(value)),
                    (None, None) => ("unset", None),
                };
                let mut shown =
                    json!({"description": option.description, "source": source, "type": option.kind.name()});
                if let Some(value) = value {
                    shown["value"] = value.clone();
                }
                (name, shown)
            })
            .collect();
        print!("{}", self.format.write(&json!({"application": self.application, "settings": described}))?);
        Ok(())
    }
}

/// The value that a text on the command line stands for: `@FILE` is the file's content.
pub fn value(text: &str) -> Result<String, Failure> {
    match text.strip_prefix('@') {
        Some(path) => fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}").into()),
        None => Ok(text.to_owned()),
    }
}

/// The options of an application in a YAML file, by application or plain.
pub fn from_file(path: &Path, application: &str) -> Result<BTreeMap<String, String>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let all: BTreeMap<String, Value> =
        serde_yaml::from_str(&text).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mine = match all.get(application) {
        Some(Value::Object(options)) => options.clone().into_iter().collect(),
        _ => all,
    };
    Ok(mine
        .into_iter()
        .map(|(key, value)| (key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect())
}
