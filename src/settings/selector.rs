//! Which nodes something is for, as Kubernetes' selectors say it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::value::{LabelKey, LabelValue};

/// Labels that a node must have.
pub(super) type NodeLabels = BTreeMap<LabelKey, LabelValue>;

/// A selector by labels, with Kubernetes' own names.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    default,
    expecting = "a selector such as {matchLabels: {disk: ssd}}"
)]
pub(super) struct LabelSelector {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    match_labels: NodeLabels,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    match_expressions: Vec<Expression>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, expecting = "an expression such as {key: disk, operator: In, values: [ssd]}")]
struct Expression {
    key: LabelKey,
    operator: Operator,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<LabelValue>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// Returns the selector of nodes with all of these labels.
    pub(super) fn of(labels: &NodeLabels) -> Self {
        Self { match_labels: labels.clone(), match_expressions: Vec::new() }
    }

    /// Returns why it is no selector for some nodes, if so.
    pub(super) fn fault(&self) -> Option<String> {
        if self.match_labels.is_empty() && self.match_expressions.is_empty() {
            return Some("it selects nothing: as matchLabels: {disk: ssd} does".to_owned());
        }
        let wrong = |expression: &&Expression| {
            let takes_values = matches!(expression.operator, Operator::In | Operator::NotIn);
            takes_values == expression.values.is_empty()
        };
        self.match_expressions.iter().find(wrong).map(|Expression { operator, values, .. }| {
            let needs = if values.is_empty() { "needs values" } else { "takes no values" };
            format!("the operator {operator:?} {needs}")
        })
    }
}
