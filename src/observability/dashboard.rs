//! What a Grafana shows.

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Topology;

/// The dashboard as an .xz stream, made of `velero_backups.json` by the build.
const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/velero_backups.json.xz"));

/// What the dashboard is known by among those of the charm. The charm's predecessor has another one, which this does not replace.
const ID: &str = "file:velero_backups";

/// What a Grafana would know it by if it had no `uid` of its own: the first eight bytes of SHAKE-256 over the charm's name and [`ID`].
const ALTERNATIVE_UID: &str = "8fa2d5793929c257";

/// Returns the dashboards of the charm at its place in Juju, with the names by which their reader takes them for unchanged.
pub(crate) fn dashboards(topology: &Topology<'_>) -> Value {
    let templates = json!({
        ID: {
            "charm": topology.charm,
            "content": BASE64.encode(PACKED),
            "juju_topology": {
                "model": topology.model,
                "model_uuid": topology.model_uuid,
                "application": topology.application,
                "unit": topology.unit,
            },
            "inject_dropdowns": true,
            "dashboard_alt_uid": ALTERNATIVE_UID,
        },
    });
    let digest = Sha256::digest(templates.to_string());
    json!({"templates": templates, "uuid": HEXLOWER.encode(&digest[..8])})
}

#[cfg(test)]
pub(super) mod tests {
    use std::{collections::BTreeSet, io::Read};

    use lzma_rust2::XzReader;

    use super::{super::topology::EXAMPLE, *};

    /// The dashboard as a Grafana would read it.
    pub(in super::super) fn unpacked() -> Value {
        let published = dashboards(&EXAMPLE);
        let content = published["templates"][ID]["content"].as_str().unwrap();
        // By this, readers tell the format.
        assert!(content.starts_with("/Td6WFo"), "{content}");
        let packed = BASE64.decode(content.as_bytes()).unwrap();
        let mut text = String::new();
        XzReader::new(&*packed, false).read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The panels but those that only head others, and the expressions of each.
    pub(in super::super) fn expressions() -> Vec<(String, String)> {
        let dashboard = unpacked();
        let panels = dashboard["panels"].as_array().unwrap();
        let of_panel = |panel: &Value| {
            let title = panel["title"].as_str().unwrap().to_owned();
            let targets = panel["targets"].as_array().cloned().unwrap_or_default();
            targets.into_iter().map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
        };
        panels.iter().flat_map(of_panel).collect()
    }

    #[test]
    fn the_dashboard_has_what_its_readers_ask_for() {
        let dashboard = unpacked();
        let uid = dashboard["uid"].as_str().unwrap();
        // Any other is replaced by the consumer's library.
        assert!(uid.len() == 40 && uid.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{uid}");
        assert!(dashboard["version"].is_u64());
        assert_eq!(dashboard["tags"][0], "charm: velero-operator");
        assert_eq!(dashboard["templating"]["list"], json!([]));
    }

    #[test]
    fn every_panel_asks_the_prometheus_that_the_user_chose() {
        let source = json!({"type": "prometheus", "uid": "${prometheusds}"});
        let dashboard = unpacked();
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
            if panel["type"] == "row" {
                // Nothing is injected into panels of a row that is folded up.
                assert_eq!((&panel["collapsed"], &panel["panels"]), (&json!(false), &json!([])));
                continue;
            }
            assert_eq!(panel["datasource"], source, "{panel}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty() && targets.iter().all(|target| target["datasource"] == source), "{panel}");
        }
        assert!(ids.len() > 15, "{ids:?}");
    }

    #[test]
    fn the_panels_lie_beside_and_not_on_each_other() {
        let mut taken = BTreeSet::new();
        for panel in unpacked()["panels"].as_array().unwrap() {
            let [x, y, width, height] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(x + width <= 24, "{panel}");
            for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{} is where another panel is", panel["title"]);
            }
        }
    }

    #[test]
    fn the_same_is_published_each_time_and_something_else_elsewhere() {
        assert_eq!(dashboards(&EXAMPLE), dashboards(&EXAMPLE));
        let other = Topology { application: "other", ..EXAMPLE };
        assert_ne!(dashboards(&other)["uuid"], dashboards(&EXAMPLE)["uuid"]);
    }
}
