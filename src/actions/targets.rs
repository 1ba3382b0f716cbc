//! Which of the declared backups a user means.

use std::fmt::Write as _;

use thiserror::Error;

use crate::{
    backups::{BackupSpec, Declaration, SpecId, Target},
    integrations::Declarations,
};

/// How many of those that there are are named.
const NAMED: usize = 20;

/// What a user names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Wanted<'a> {
    pub application: &'a str,
    pub endpoint: &'a str,
    pub model: Option<&'a str>,
}

/// What is to be backed up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Chosen<'a> {
    pub id: SpecId,
    pub target: &'a Target,
    pub spec: &'a BackupSpec,
}

/// Why it is not known what to back up.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(super) enum TargetError {
    #[error("target {0:?} is not of the form APP:ENDPOINT")]
    Form(String),
    #[error("{wanted} declares no backups; {there}")]
    Unknown {
        wanted: String,
        /// Those that do, or that there are none.
        there: String,
    },
    #[error("{wanted} is in several models, name one of them by model=: {}", models.join(", "))]
    Ambiguous { wanted: String, models: Vec<String> },
    #[error("the backup spec of {wanted}, relation {relation}: {reason}")]
    BadSpec { wanted: String, relation: u32, reason: String },
}

impl<'a> Wanted<'a> {
    /// Reads a target, `ledger:ledger-backups`, and the model.
    pub(super) fn parse(target: &'a str, model: Option<&'a str>) -> Result<Self, TargetError> {
        match target.split_once(':') {
            Some((application, endpoint)) if !application.is_empty() && !endpoint.is_empty() => {
                Ok(Self { application, endpoint, model })
            }
            _ => Err(TargetError::Form(target.to_owned())),
        }
    }

    /// Finds it among what is declared. Where no model is named, it is `own`, or else the only one that has the target.
    pub(super) fn choose<'d>(&self, declared: &'d Declarations, own: &str) -> Result<Chosen<'d>, TargetError> {
        let model = |target: &'d Target| target.model.as_deref().unwrap_or(own);
        // Of two that declare the same, the first has it.
        let mut known: Vec<(&Declaration, &Target)> = Vec::new();
        let mut declarations: Vec<_> = declared.declarations.iter().collect();
        declarations.sort_by_key(|declaration| declaration.id);
        for declaration in declarations {
            if let Some(target) = &declaration.target
                && known.iter().all(|(_, other)| *other != target)
            {
                known.push((declaration, target));
            }
        }
        let is_meant = |target: &Target| {
            (target.application.as_str(), target.endpoint.as_str()) == (self.application, self.endpoint)
        };
        let mut found: Vec<_> = known.iter().filter(|(_, target)| is_meant(target)).collect();
        let wanted_model =
            self.model.or_else(|| found.iter().map(|(_, target)| model(target)).find(|name| *name == own));
        if let Some(wanted) = wanted_model {
            found.retain(|(_, target)| model(target) == wanted);
        }
        match found.as_slice() {
            [] => Err(TargetError::Unknown {
                wanted: self.to_string(),
                there: there(known.iter().map(|(_, target)| (*target, model(target))), declared),
            }),
            [(declaration, target)] => match &declaration.spec {
                Ok(spec) => Ok(Chosen { id: declaration.id, target, spec }),
                Err(error) => Err(TargetError::BadSpec {
                    wanted: self.to_string(),
                    relation: declaration.id.relation,
                    reason: error.to_string(),
                }),
            },
            several => {
                let models = several.iter().map(|(_, target)| model(target).to_owned()).collect();
                Err(TargetError::Ambiguous { wanted: self.to_string(), models })
            }
        }
    }
}

impl std::fmt::Display for Wanted<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.application, self.endpoint)?;
        self.model.map_or(Ok(()), |model| write!(formatter, " of model {model}"))
    }
}

/// Returns what there is instead, for a message.
fn there<'d>(targets: impl ExactSizeIterator<Item = (&'d Target, &'d str)>, declared: &Declarations) -> String {
    let count = targets.len();
    let names: Vec<_> = targets
        .take(NAMED)
        .map(|(Target { application, endpoint, .. }, model)| format!("{application}:{endpoint} of model {model}"))
        .collect();
    let mut text = match names.as_slice() {
        [] => "no application does: integrate one with velero-backups or k8s-backup-target".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    if count > NAMED {
        // Writing to a String does not fail.
        let _ = write!(text, " and {} more", count - NAMED);
    }
    for problem in declared.unknown.values().flatten() {
        let _ = write!(text, "; {problem}");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declarations(specs: &[(u32, &str, Option<&str>)]) -> Declarations {
        let declaration = |(relation, application, model): &(u32, &str, Option<&str>)| {
            let entry = json!({"app": application, "relation_name": "backups", "model": model,
                "spec": {"ttl": format!("{relation}h")}});
            Declaration::of_entry(SpecId { relation: *relation, position: 0 }, application, &entry)
        };
        Declarations { declarations: specs.iter().map(declaration).collect(), ..Declarations::default() }
    }

    fn chosen(declared: &Declarations, target: &str, model: Option<&str>) -> Result<u32, String> {
        let wanted = Wanted::parse(target, model).map_err(|error| error.to_string())?;
        wanted.choose(declared, "own").map(|chosen| chosen.id.relation).map_err(|error| error.to_string())
    }

    #[test]
    fn a_target_is_found_by_its_names_and_its_model() {
        let declared = declarations(&[
            (9, "ledger", Some("apps")),
            (7, "ledger", Some("apps")),
            (8, "ledger", Some("others")),
            (5, "mail", None),
            (6, "mail", Some("others")),
        ]);
        assert_eq!(chosen(&declared, "ledger:backups", Some("others")), Ok(8));
        // The lower relation has what two declare.
        assert_eq!(chosen(&declared, "ledger:backups", Some("apps")), Ok(7));
        assert_eq!(chosen(&declared, "mail:backups", Some("own")), Ok(5));
        // Without a model it is this one.
        assert_eq!(chosen(&declared, "mail:backups", None), Ok(5));
        assert_eq!(
            chosen(&declared, "ledger:backups", None).unwrap_err(),
            "ledger:backups is in several models, name one of them by model=: apps, others"
        );
    }

    #[test]
    fn the_only_one_needs_no_model() {
        assert_eq!(chosen(&declarations(&[(9, "ledger", Some("apps"))]), "ledger:backups", None), Ok(9));
    }

    #[test]
    fn what_is_unknown_is_answered_with_what_there_is() {
        let declared = declarations(&[(9, "ledger", Some("apps")), (5, "mail", None)]);
        assert_eq!(
            chosen(&declared, "ledger:others", None).unwrap_err(),
            "ledger:others declares no backups; there are mail:backups of model own, ledger:backups of model apps"
        );
        assert_eq!(
            chosen(&declared, "ledger:backups", Some("others")).unwrap_err(),
            "ledger:backups of model others declares no backups; there are mail:backups of model own, \
             ledger:backups of model apps"
        );
        let mut none = Declarations::default();
        none.unknown.insert(3, Some("relation 3 is not a list".to_owned()));
        let told = chosen(&none, "ledger:backups", None).unwrap_err();
        assert!(told.contains("no application does") && told.ends_with("; relation 3 is not a list"), "{told}");
        let many: Vec<_> = (0..30).map(|number| (number, format!("app-{number}"))).collect();
        let many: Vec<_> = many.iter().map(|(number, name)| (*number, name.as_str(), None)).collect();
        let told = chosen(&declarations(&many), "ledger:backups", None).unwrap_err();
        assert!(told.ends_with("app-19:backups of model own and 10 more"), "{told}");
        let told = chosen(&declarations(&many[..NAMED]), "ledger:backups", None).unwrap_err();
        assert!(told.ends_with("app-19:backups of model own"), "{told}");
    }

    #[test]
    fn a_target_has_two_parts() {
        for target in ["ledger", ":backups", "ledger:", ""] {
            let told = chosen(&Declarations::default(), target, None).unwrap_err();
            assert_eq!(told, format!("target {target:?} is not of the form APP:ENDPOINT"));
        }
    }

    #[test]
    fn a_bad_spec_is_told() {
        let entry = json!({"app": "ledger", "relation_name": "backups", "spec": {"ttl": "30d"}});
        let declaration = Declaration::of_entry(SpecId { relation: 9, position: 0 }, "ledger", &entry);
        let declared = Declarations { declarations: vec![declaration], ..Declarations::default() };
        let told = chosen(&declared, "ledger:backups", None).unwrap_err();
        assert!(told.starts_with("the backup spec of ledger:backups, relation 9: ttl \"30d\""), "{told}");
    }
}
