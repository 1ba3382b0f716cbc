//! What a drill has seen of a backup and of its restore, held against each other: nothing is asked for here.

use std::collections::BTreeSet;

use super::{
    archive::{Archive, Objects},
    contents::{ContentsError, without_queries},
    kinds::{Treatment, treatment},
    report::{DrillReport, Finding},
    scratch::OWN,
};
use crate::{
    error_chain::ErrorChain,
    velero::runs::{make::KnownRun, run::RunStatus},
};

/// Returns what is wrong with a backup that cannot be read.
pub(super) fn unreadable(error: &ContentsError) -> Finding {
    Finding::Unreadable(without_queries(&ErrorChain(error).to_string()))
}

/// Compares the list of a backup with its archive.
pub(super) fn compare_archive(list: &Objects, archive: &Archive, report: &mut DrillReport) {
    report.objects_in_archive = archive.count();
    let nothing = BTreeSet::new();
    let missing: Vec<_> = list
        .iter()
        .flat_map(|(kind, names)| {
            let there = archive.objects.get(kind).unwrap_or(&nothing);
            names.difference(there).map(move |name| format!("{kind} {name}"))
        })
        .collect();
    if !missing.is_empty() {
        report.findings.push(Finding::NotInArchive(missing));
    }
    if !archive.unreadable.is_empty() {
        report.findings.push(Finding::NoObjects(archive.unreadable.clone()));
    }
}

/// Returns the objects of a list that a drill restores.
pub(super) fn restorable(list: &Objects) -> Objects {
    let is_restored = |(kind, _): &(&String, &BTreeSet<String>)| treatment(kind) == Treatment::Restored;
    list.iter().filter(is_restored).map(|(kind, names)| (kind.clone(), names.clone())).collect()
}

/// Returns the namespaces that objects are in.
pub(super) fn namespaces_of(objects: &Objects) -> BTreeSet<String> {
    objects.values().flatten().filter_map(|name| Some(name.split_once('/')?.0.to_owned())).collect()
}

/// Returns the namespaces that a backup names itself: none where it is of all, or of those that fit a pattern.
pub(super) fn named_namespaces(backup: &KnownRun) -> BTreeSet<String> {
    let named = &backup.run.spec.included_namespaces;
    let is_pattern = |name: &String| name.contains(['*', '?', '[', '{']);
    if named.iter().any(is_pattern) { BTreeSet::new() } else { named.iter().cloned().collect() }
}

/// Returns what of a list is not restored.
pub(super) fn left_out(list: &Objects) -> Option<String> {
    let kinds: Vec<_> = list
        .iter()
        .filter(|(kind, _)| treatment(kind) == Treatment::LeftOut)
        .map(|(kind, names)| format!("{} of {kind}", names.len()))
        .collect();
    (!kinds.is_empty()).then(|| {
        format!("whether these can be restored, which are of the whole cluster or whose controllers would act on a copy: {}", kinds.join(", "))
    })
}

/// Returns the pods that the scratch namespaces do not take.
pub(super) fn refused_pods(archive: &Archive, errors: &[String]) -> BTreeSet<String> {
    let pods = archive.objects.get("v1/Pod").into_iter().flatten();
    let is_refused = |pod: &&String| {
        let name = pod.rsplit('/').next().unwrap_or_default();
        errors.iter().any(|error| error.contains(&format!("pods \"{name}\" is forbidden")) && is_of_fence(error))
    };
    pods.filter(is_refused).cloned().collect()
}

/// Whether an error comes of what a scratch namespace does not take on purpose.
fn is_of_fence(error: &str) -> bool {
    error.contains("violates PodSecurity") || error.contains(&format!("exceeded quota: {OWN}"))
}

/// Returns what Velero says went wrong that no other finding tells.
pub(super) fn unexplained(status: &RunStatus, errors: &[String], findings: &[Finding]) -> Option<Finding> {
    let phase = status.phase.to_string();
    if !status.phase.has_ended() {
        return Some(Finding::Restore {
            phase: "unknown".to_owned(),
            why: "it was deleted before it had ended".to_owned(),
        });
    }
    if !status.phase.can_be_restored() {
        let why = std::iter::once(&status.failure_reason).chain(&status.validation_errors).find(|why| !why.is_empty());
        return Some(Finding::Restore { phase, why: why.cloned().unwrap_or_default() });
    }
    if status.errors > 0 && errors.is_empty() && findings.is_empty() {
        let why = format!("{} errors, whose words the store does not give", status.errors);
        return Some(Finding::Restore { phase, why });
    }
    let is_of_volumes = |error: &str| error.contains("pod volume restore failed") || error.contains("PodVolumeRestore");
    let tells_volumes = findings
        .iter()
        .any(|finding| matches!(finding, Finding::Volume { .. } | Finding::RepositoryPassword | Finding::Bytes { .. }));
    let is_told = |error: &&String| is_of_fence(error) || tells_volumes && is_of_volumes(error);
    let mut rest = errors.iter().filter(|error| !is_told(error));
    let why = rest.next()?.clone();
    let why = match rest.count() {
        0 => why,
        more => format!("{why} (and {more} more)"),
    };
    Some(Finding::Restore { phase, why })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::velero::phase::Phase;

    fn objects(all: &[(&str, &[&str])]) -> Objects {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        all.iter().map(|(kind, of_kind)| ((*kind).to_owned(), names(of_kind))).collect()
    }

    fn errors(all: &[&str]) -> Vec<String> {
        all.iter().map(|error| (*error).to_owned()).collect()
    }

    #[test]
    fn what_is_on_the_list_and_not_restored_is_told() {
        let list = objects(&[
            ("v1/ConfigMap", &["shop/a", "shop/b"]),
            ("v1/Event", &["shop/c"]),
            ("rbac.authorization.k8s.io/v1/ClusterRole", &["reader"]),
            ("example.com/v1/Thing", &["shop/d", "shop/e"]),
        ]);
        let told = left_out(&list).unwrap();
        assert!(told.ends_with(": 2 of example.com/v1/Thing, 1 of rbac.authorization.k8s.io/v1/ClusterRole"), "{told}");
        assert_eq!(restorable(&list), objects(&[("v1/ConfigMap", &["shop/a", "shop/b"])]));
        assert_eq!(left_out(&restorable(&list)), None);
    }

    #[test]
    fn a_pod_that_its_namespace_refuses_is_no_failure() {
        let archive =
            Archive { objects: objects(&[("v1/Pod", &["shop/web", "shop/agent", "shop/big"])]), ..Archive::default() };
        let refused = errors(&[
            "error restoring pods/drill-shop-1/agent: pods \"agent\" is forbidden: violates PodSecurity \"baseline:latest\": hostPath",
            "error restoring pods/drill-shop-1/big: pods \"big\" is forbidden: exceeded quota: velero-operator-drill, requested: requests.memory=9Gi",
            "error restoring pods/drill-shop-1/web: pods \"web\" is forbidden: exceeded quota: of-somebody-else",
        ]);
        let found: Vec<_> = refused_pods(&archive, &refused).into_iter().collect();
        assert_eq!(found, ["shop/agent", "shop/big"]);
        let status = RunStatus { phase: Phase::PartiallyFailed, errors: 3, ..RunStatus::default() };
        let told = unexplained(&status, &refused, &[]).unwrap().to_string();
        assert!(told.contains("pods \"web\" is forbidden") && !told.contains("more"), "{told}");
        assert_eq!(unexplained(&status, &refused[..2], &[]), None);
        let told = unexplained(&status, &[], &[]).unwrap().to_string();
        assert_eq!(
            told,
            "Velero's restore has ended as PartiallyFailed: 3 errors, whose words the store does not give"
        );
    }

    #[test]
    fn what_another_finding_tells_is_told_once() {
        let of_volume = errors(&["pod volume restore failed: get a podvolumerestore with status \"Failed\""]);
        let status = RunStatus { phase: Phase::PartiallyFailed, errors: 1, ..RunStatus::default() };
        assert_eq!(unexplained(&status, &of_volume, &[Finding::RepositoryPassword]), None);
        assert!(unexplained(&status, &of_volume, &[]).is_some());
        let failed = RunStatus { phase: Phase::Failed, failure_reason: "no store".into(), ..RunStatus::default() };
        let told = unexplained(&failed, &[], &[]).unwrap().to_string();
        assert_eq!(told, "Velero's restore has ended as Failed: no store");
        let warned = RunStatus { phase: Phase::PartiallyFailed, warnings: 1, ..RunStatus::default() };
        assert_eq!(unexplained(&warned, &[], &[]), None);
        let gone = unexplained(&RunStatus::default(), &[], &[]).unwrap().to_string();
        assert!(gone.ends_with("it was deleted before it had ended"), "{gone}");
    }

    #[test]
    fn what_an_archive_lacks_and_what_of_it_is_no_object_is_told() {
        let list = objects(&[("v1/ConfigMap", &["shop/a", "shop/b"]), ("v1/Secret", &["shop/c"])]);
        let compare = |archive: &Archive| {
            let mut report = DrillReport::default();
            compare_archive(&list, archive, &mut report);
            (report.objects_in_archive, report.findings)
        };
        let whole = Archive { objects: list.clone(), ..Archive::default() };
        assert_eq!(compare(&whole), (3, Vec::new()));
        let bad = Archive {
            objects: objects(&[("v1/ConfigMap", &["shop/a", "shop/more"])]),
            unreadable: vec!["x.json".to_owned()],
            ..Archive::default()
        };
        let missing = ["v1/ConfigMap shop/b", "v1/Secret shop/c"].map(str::to_owned).to_vec();
        let findings = vec![Finding::NotInArchive(missing), Finding::NoObjects(vec!["x.json".to_owned()])];
        assert_eq!(compare(&bad), (2, findings));
    }

    #[test]
    fn namespaces_are_those_of_objects_or_those_that_are_named() {
        let namespaces = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let all = objects(&[("v1/Pod", &["shop/web", "apps/a"]), ("v1/PersistentVolume", &["pv-1"])]);
        assert_eq!(namespaces_of(&all), namespaces(&["apps", "shop"]));
        let named = |included: &[&str]| {
            let run = serde_json::from_value(json!({"spec": {"includedNamespaces": included}})).unwrap();
            named_namespaces(&KnownRun { name: String::new(), uid: String::new(), run, target: None })
        };
        assert_eq!(named(&["shop", "apps"]), namespaces(&["apps", "shop"]));
        for of_all in [&["*"][..], &["shop", "app-*"], &[]] {
            assert_eq!(named(of_all), BTreeSet::new());
        }
    }
}
