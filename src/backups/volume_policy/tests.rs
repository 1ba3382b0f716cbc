use super::*;

const EXAMPLE: &str = "
version: v1
volumePolicies:
- conditions:
    capacity: 100Gi,
    storageClass: [scratch, fast]
  action: {type: skip}
- conditions: {nfs: {server: nfs.internal}}
  action: {type: fs-backup, parameters: {anything: [1]}}
- conditions: {csi: {driver: disk, volumeAttributes: {tier: gold}}, pvcLabels: {app: shop}}
  action: {type: snapshot}
- conditions: {volumeTypes: [local, hostPath], pvcVolumeMode: Block, pvcAccessModes: [ReadWriteOnce]}
  action: {type: custom}
";

fn traits(kind: &str) -> VolumeTraits {
    VolumeTraits {
        capacity: "1Gi".into(),
        kind: kind.into(),
        phase: "Bound".into(),
        mode: "Filesystem".into(),
        access_modes: ["ReadWriteOnce".into()].into(),
        ..VolumeTraits::default()
    }
}

fn refusal(text: &str) -> String {
    VolumePolicies::parse(text).unwrap_err().to_string()
}

#[test]
fn the_first_whose_conditions_are_met_decides() {
    let policies = VolumePolicies::parse(EXAMPLE).unwrap();
    assert_eq!(policies.as_str(), EXAMPLE.trim_start());
    assert_eq!(policies.action(&traits("csi")), None);
    let of_class =
        |capacity: &str| VolumeTraits { capacity: capacity.into(), storage_class: "scratch".into(), ..traits("csi") };
    assert_eq!(policies.action(&of_class("107374182400")), Some(VolumeAction::Skip));
    assert_eq!(policies.action(&of_class("99Gi")), None);
    let by_nfs = |server: &str| VolumeTraits { nfs: Some((server.into(), "/export".into())), ..traits("nfs") };
    assert_eq!(policies.action(&by_nfs("nfs.internal")), Some(VolumeAction::Files));
    assert_eq!(policies.action(&by_nfs("other")), None);
    let by_disk = |tier: &str, app: &str| VolumeTraits {
        csi: Some(("disk".into(), [("tier".into(), tier.into())].into())),
        labels: [("app".into(), app.into())].into(),
        ..traits("csi")
    };
    assert_eq!(policies.action(&by_disk("gold", "shop")), Some(VolumeAction::Snapshot));
    assert_eq!(policies.action(&by_disk("tin", "shop")), None);
    assert_eq!(policies.action(&by_disk("gold", "web")), None);
    let local = |mode: &str, more: &[&str]| VolumeTraits {
        mode: mode.into(),
        access_modes: more.iter().copied().chain(["ReadWriteOnce"]).map(str::to_owned).collect(),
        ..traits("local")
    };
    assert_eq!(policies.action(&local("Block", &[])), Some(VolumeAction::Custom));
    assert_eq!(policies.action(&local("Filesystem", &[])), None);
    assert_eq!(policies.action(&local("Block", &["ReadWriteMany"])), None);
}

#[test]
fn what_velero_refuses_is_refused_in_its_words() {
    let of_policy = |policy: &str| format!("version: v1\nvolumePolicies: [{{{policy}}}]");
    for (text, told) in [
        ("volumePolicies: []".to_owned(), "incompatible version number  with supported version v1"),
        ("version: v2".to_owned(), "incompatible version number v2 with supported version v1"),
        (of_policy("action: {type: ignore}"), "invalid action type ignore"),
        (of_policy("conditions: {capacity: 10Gi}, action: {type: skip}"), "wrong format of Capacity 10Gi"),
        (of_policy("conditions: {capacity: '1,2,3'}, action: {type: skip}"), "wrong format of Capacity 1,2,3"),
        (of_policy("conditions: {capacity: 'ten,'}, action: {type: skip}"), "wrong format of Capacity ten,"),
        (of_policy("conditions: {capacity: '2Gi,1G'}, action: {type: skip}"), "illegal values for capacity 2Gi,1G"),
        (
            of_policy("conditions: {csi: {volumeAttributes: {a: b}}}, action: {type: skip}"),
            "csi driver should not be empty when filtering by volume attributes",
        ),
    ] {
        assert_eq!(refusal(&text), told);
    }
    for (text, part) in [
        ("version: v1\nvolumePolicy: []".to_owned(), "volumePolicy"),
        (of_policy("conditions: {size: 1}, action: {type: skip}"), "size"),
        (of_policy("conditions: {pvcLabels: [a]}, action: {type: skip}"), "pvcLabels"),
        (of_policy("conditions: {}"), "action"),
        ("version: [v1".to_owned(), "line 1"),
    ] {
        let told = refusal(&text);
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn what_would_fail_the_backups_of_applications_is_refused() {
    for policy in ["includeExcludePolicy", "clusterScopedFilterPolicy", "namespacedFilterPolicies"] {
        let told = refusal(&format!("version: v1\n{policy}: {{a: b}}"));
        assert!(told.starts_with(&format!("{policy} cannot be used with backups that name kinds")), "{told}");
    }
    let empty = VolumePolicies::parse("version: v1\nvolumePolicies:\nincludeExcludePolicy:\n").unwrap();
    assert_eq!(empty.action(&traits("csi")), None);
}

#[test]
fn sizes_are_read_as_kubernetes_writes_them() {
    let holds = |range: &str, size: &str| Capacity::parse(range).unwrap().holds(size);
    for (range, size) in [
        ("", "1Gi"),
        (",", "1Gi"),
        ("1Gi,", "1073741824"),
        (" , 1.5Gi", "1Gi"),
        ("1e3,1k", "1000"),
        ("0.5Ti,1Ti", "600Gi"),
        ("900M,1Gi", "1G"),
    ] {
        assert!(holds(range, size), "{range} {size}");
    }
    for (range, size) in [("1Gi,", "1G"), (",1G", "1Gi"), ("1k,2k", "1M")] {
        assert!(!holds(range, size), "{range} {size}");
    }
}
