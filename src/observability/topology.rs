//! Where metrics, alerts and dashboards come from, as Juju calls it.

use serde_json::{Value, json};

/// The charm's place in Juju, which tells its metrics from those of others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topology<'a> {
    pub model: &'a str,
    pub model_uuid: &'a str,
    pub application: &'a str,
    /// The leader.
    pub unit: &'a str,
    pub charm: &'a str,
}

impl Topology<'_> {
    /// Returns the labels that everything of the application has, whichever unit it comes from.
    pub(super) fn labels(&self) -> [(&'static str, &str); 4] {
        [
            ("juju_model", self.model),
            ("juju_model_uuid", self.model_uuid),
            ("juju_application", self.application),
            ("juju_charm", self.charm),
        ]
    }

    /// Returns what the library of a Prometheus reads of it.
    pub(crate) fn scrape_metadata(&self) -> Value {
        json!({
            "model": self.model,
            "model_uuid": self.model_uuid,
            "application": self.application,
            "unit": self.unit,
            "charm_name": self.charm,
        })
    }

    /// Returns the name of a group of rules, which is that of no other application's. By its form, those who collect rules know
    /// that it needs no other one.
    pub(super) fn group_name(&self, group: &str) -> String {
        let beginning: String = self.model_uuid.chars().take(8).collect();
        format!("{}_{beginning}_{}_{group}_rules", self.model, self.application)
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':') { letter } else { '_' })
            .collect()
    }
}

#[cfg(test)]
pub(super) const EXAMPLE: Topology<'_> = Topology {
    model: "backups-prod",
    model_uuid: "2f6d1f6e-58b1-4d27-9d0c-5f0a3c6b7e11",
    application: "velero-operator",
    unit: "velero-operator/0",
    charm: "velero-operator",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_the_name_that_collectors_take_for_a_finished_one() {
        let name = EXAMPLE.group_name("VeleroBackups");
        assert_eq!(name, "backups_prod_2f6d1f6e_velero_operator_VeleroBackups_rules");
        assert!(regex_lite::Regex::new(r"^.*?_[\da-f]{8}_.*?rules$").unwrap().is_match(&name));
    }
}
