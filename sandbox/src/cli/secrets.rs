//! `add-secret`, `grant-secret`, `update-secret`.

use std::collections::BTreeMap;
use std::fs;

use clap::Args;

use super::Failure;
use super::globals::Globals;

#[derive(Args)]
pub struct Add {
    /// The secret's name
    name: String,
    /// Its content, as KEY=VALUE or KEY#file=FILE
    #[arg(required = true)]
    content: Vec<String>,
}

impl Add {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        println!("{}", globals.model()?.add_user_secret(&self.name, &content(&self.content)?)?);
        Ok(())
    }
}

#[derive(Args)]
pub struct Grant {
    /// The secret's name or URI
    secret: String,
    /// The applications that may read it
    #[arg(value_delimiter = ',', required = true, value_name = "APPLICATION,…")]
    applications: Vec<String>,
}

impl Grant {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        let model = globals.model()?;
        for application in &self.applications {
            model.grant_user_secret(&self.secret, application)?;
        }
        Ok(())
    }
}

#[derive(Args)]
pub struct Update {
    /// The secret's name or URI
    secret: String,
    /// Its new content, as KEY=VALUE or KEY#file=FILE
    #[arg(required = true)]
    content: Vec<String>,
}

impl Update {
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        globals.model()?.update_user_secret(&self.secret, &content(&self.content)?)?;
        Ok(())
    }
}

fn content(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    given
        .iter()
        .map(|each| {
            let (key, value) =
                each.split_once('=').ok_or_else(|| format!("{each:?} is neither KEY=VALUE nor KEY#file=FILE"))?;
            Ok(match key.strip_suffix("#file") {
                Some(key) => {
                    let text = fs::read_to_string(value).map_err(|error| format!("cannot read {value}: {error}"))?;
                    (key.to_owned(), text)
                }
                None => (key.to_owned(), value.to_owned()),
            })
        })
        .collect()
}
