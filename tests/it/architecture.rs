//! The arrows of the charm's own modules: a room uses those below it, and none uses one above it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::project;

/// The rooms from the ground up. What a room may use are those that are named before it, and what is named beside it.
const ROOMS: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("error_chain", &[]),
    ("status", &[]),
    ("process", &["text"]),
    ("contract", &[]),
    ("cluster", &["error_chain"]),
    ("juju", &["contract", "process", "status", "text"]),
    ("snapshot", &["contract", "juju"]),
    ("storage", &["contract"]),
    ("integrations", &["contract", "juju", "snapshot", "storage"]),
    ("velero", &["cluster", "error_chain", "process", "status", "storage", "text"]),
    ("plan", &["contract", "integrations", "juju", "snapshot", "status", "storage", "velero"]),
    (
        "reconcile",
        &["cluster", "contract", "error_chain", "integrations", "juju", "plan", "snapshot", "status", "velero"],
    ),
    ("actions", &["cluster", "contract", "error_chain", "juju", "process", "text", "velero"]),
    ("hook_process", &["actions", "contract", "error_chain", "juju", "reconcile"]),
    ("command_line", &["contract", "error_chain", "integrations", "juju", "plan", "snapshot", "status", "velero"]),
];

/// The rooms inside of `velero`, from the ground up.
const VELERO: &[(&str, &[&str])] = &[
    ("names", &[]),
    ("phase", &[]),
    ("wanted", &["names"]),
    ("seen", &["names", "phase", "wanted"]),
    ("location", &["names", "phase", "seen", "wanted"]),
    ("change", &["location", "names", "phase", "seen", "wanted"]),
];

/// The files of a room: a module's file, or its folder.
fn files(folder: &Path, room: &str) -> Vec<PathBuf> {
    let file = folder.join(format!("{room}.rs"));
    let mut found = Vec::new();
    if file.is_file() {
        found.push(file);
    }
    let mut folders = vec![folder.join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    // Tests stand beside what they test, and may look further.
    found.retain(|path| !path.to_string_lossy().contains("test"));
    found
}

/// The paths below `crate::` that a file's code names, each entry of a group by itself.
fn paths(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    let mut paths = BTreeSet::new();
    for (at, prefix) in code.match_indices("crate::") {
        tree(code[at + prefix.len()..].trim_start(), "", &mut paths);
    }
    paths
}

/// Reads a tree of paths, `a::{b, c::d}`, and returns what follows it.
fn tree<'a>(text: &'a str, above: &str, paths: &mut BTreeSet<String>) -> &'a str {
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches([',', ' ', '\n']);
            match rest.chars().next() {
                None => return rest,
                Some('}') => return &rest[1..],
                Some(_) => {
                    let after = tree(rest, above, paths);
                    // What is no path, such as `x as y`, is passed over.
                    rest = &after[after.find([',', '}']).unwrap_or(after.len())..];
                }
            }
        }
    }
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    let path = if above.is_empty() { text[..end].to_owned() } else { format!("{above}::{}", &text[..end]) };
    match text[end..].strip_prefix("::") {
        Some(below) => tree(below, &path, paths),
        None => {
            paths.insert(path);
            &text[end..]
        }
    }
}

/// Whatever a room of `rooms` uses that it may not; they are in `folder`, and their paths begin with `above`.
fn offences(folder: &Path, above: &str, rooms: &[(&str, &[&str])]) -> Vec<String> {
    let allowed: BTreeMap<_, _> = rooms.iter().copied().collect();
    let mut offences = Vec::new();
    for (room, may_use) in rooms {
        let files = files(folder, room);
        assert!(!files.is_empty(), "there is no room {room}");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            assert!(!text.contains("super::super::super"), "{} looks too far up", file.display());
            for path in paths(&text) {
                let below = path.strip_prefix(above).and_then(|path| path.split("::").next()).unwrap_or_default();
                if allowed.contains_key(below) && below != *room && !may_use.contains(&below) {
                    offences.push(format!("{} uses {path}", file.display()));
                }
            }
        }
    }
    offences
}

/// Whether each room uses those before it only, so that there can be no circle.
fn is_in_order(rooms: &[(&str, &[&str])]) -> bool {
    let position = |name: &str| rooms.iter().position(|(room, _)| *room == name);
    rooms.iter().all(|(room, may_use)| may_use.iter().all(|name| position(name) < position(room)))
}

#[test]
fn no_arrow_points_back() {
    assert!(is_in_order(ROOMS) && is_in_order(VELERO));
    let source = project().join("src");
    assert_eq!(offences(&source, "", ROOMS), Vec::<String>::new());
    assert_eq!(offences(&source.join("velero"), "velero::", VELERO), Vec::<String>::new());
    let modules = fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let known = |name: &str| ROOMS.iter().any(|(room, _)| *room == name);
    let unknown: Vec<_> = modules
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .filter(|name| !name.ends_with("_tests") && !["lib", "main"].contains(&name.as_str()) && !known(name))
        .collect();
    assert_eq!(unknown, Vec::<String>::new(), "rooms that have no place yet");
}

#[test]
fn paths_are_found_by_themselves_and_in_groups() {
    let text = "use crate::{\n    cluster::{Cluster, named},\n    status::{self, Status},\n    velero::{\n        names::{A as B, C},\n        \
                seen::D,\n    },\n};\n// crate::comment\nfn f() { crate::text::cut() }\n#[cfg(test)]\nmod tests { use crate::juju; }";
    let found: Vec<_> = paths(text).into_iter().collect();
    let wanted = [
        "cluster::Cluster",
        "cluster::named",
        "status::Status",
        "status::self",
        "text::cut",
        "velero::names::A",
        "velero::names::C",
        "velero::seen::D",
    ];
    assert_eq!(found, wanted);
}
