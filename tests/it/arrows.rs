//! Which module of a crate uses which, read from its source.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Modules of a crate that lie in layers: each uses those below it only.
pub(crate) struct Layers<'a> {
    /// The folder of the crate's root.
    pub(crate) source: PathBuf,
    /// The path of the module that they are in; empty for the crate's root.
    pub(crate) within: &'a [&'a str],
    /// The modules from the ground up, each with those that it may use.
    pub(crate) order: &'a [(&'a str, &'a [&'a str])],
}

impl Layers<'_> {
    /// Whatever is against the order: a module that has no place, may use one above it, or uses one that it may not.
    pub(crate) fn offences(&self) -> Vec<String> {
        let folder = self.within.iter().fold(self.source.clone(), |folder, name| folder.join(name));
        let allowed: BTreeMap<_, _> = self.order.iter().copied().collect();
        let present = modules(&folder);
        let mut offences: Vec<_> = present
            .iter()
            .filter(|module| !allowed.contains_key(module.as_str()))
            .map(|module| format!("{module} has no place"))
            .collect();
        offences
            .extend(allowed.keys().filter(|name| !present.contains(**name)).map(|name| format!("there is no {name}")));
        let position = |name: &str| self.order.iter().position(|(layer, _)| *layer == name);
        let above: String = self.within.iter().flat_map(|name| [name, "::"]).collect();
        for (layer, may_use) in self.order {
            let upwards = may_use.iter().filter(|name| position(name).is_none_or(|at| Some(at) >= position(layer)));
            offences.extend(upwards.map(|name| format!("{layer} may use {name}, which is not below it")));
            for file in files(&folder, layer) {
                let module = module(file.strip_prefix(&self.source).unwrap());
                for path in paths(&fs::read_to_string(&file).unwrap(), &module) {
                    let used = path.strip_prefix(&above).and_then(|path| path.split("::").next()).unwrap_or_default();
                    if allowed.contains_key(used) && used != *layer && !may_use.contains(&used) {
                        offences.push(format!("{} uses {path}", file.display()));
                    }
                }
            }
        }
        offences
    }
}

/// Returns the modules of a crate that use each other in a circle, and those that use these. A module that holds others is left
/// out: it names what is theirs.
pub(crate) fn circles(source: &Path) -> Vec<String> {
    let files: Vec<_> = files(source, "")
        .into_iter()
        .map(|file| (module(file.strip_prefix(source).unwrap()), file))
        .filter(|(_, file)| !["lib.rs", "main.rs", "mod.rs"].iter().any(|name| file.ends_with(name)))
        .collect();
    let names: BTreeSet<String> = files.iter().map(|(module, _)| module.join("::")).collect();
    let mut uses: BTreeMap<String, BTreeSet<String>> = files
        .iter()
        .map(|(module, file)| {
            let name = module.join("::");
            let used = paths(&fs::read_to_string(file).unwrap(), module).into_iter().filter_map(|path| {
                let ends = path.match_indices("::").map(|(end, _)| end).chain([path.len()]);
                ends.map(|end| path[..end].to_owned()).filter(|part| names.contains(part)).last()
            });
            (name.clone(), used.filter(|used| *used != name).collect())
        })
        .collect();
    assert!(uses.values().any(|used| !used.is_empty()), "no file uses another");
    // What uses nothing that is left is in no circle.
    loop {
        let left: BTreeSet<_> = uses.keys().cloned().collect();
        uses.retain(|_, used| used.iter().any(|used| left.contains(used)));
        if uses.len() == left.len() {
            return left.into_iter().collect();
        }
    }
}

/// The modules of a folder, but for those of tests and the ones that hold the others.
fn modules(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .map(|name| name.trim_end_matches(".rs").to_owned())
        // Tests, and what only they use, may look anywhere.
        .filter(|name| !["lib", "main", "mod", "fixtures"].contains(&name.as_str()) && !name.contains("test"))
        .collect()
}

/// The module that a file of the crate is.
fn module(file: &Path) -> Vec<String> {
    let mut module: Vec<_> = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    module.pop_if(|name| ["lib", "main", "mod"].contains(&name.as_str()));
    module
}

/// The files of a module: its own, and those of its folder.
fn files(folder: &Path, module: &str) -> Vec<PathBuf> {
    let file = folder.join(format!("{module}.rs"));
    let mut found = Vec::new();
    if file.is_file() {
        found.push(file);
    }
    let mut folders = vec![folder.join(module)];
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

/// The paths inside of the crate that the code of a module names, each entry of a group by itself.
fn paths(text: &str, module: &[String]) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    let mut paths = BTreeSet::new();
    for (at, prefix) in code.match_indices("crate::") {
        tree(code[at + prefix.len()..].trim_start(), "", &mut paths);
    }
    for (at, _) in code.match_indices("super::").filter(|(at, _)| !code[..*at].ends_with("super::")) {
        let (mut rest, mut above) = (&code[at..], module);
        while let Some(further) = rest.strip_prefix("super::") {
            above = above.split_last().map_or(&[], |(_, above)| above);
            rest = further;
        }
        tree(rest, &above.join("::"), &mut paths);
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
    if let Some(below) = text[end..].strip_prefix("::") {
        return tree(below, &path, paths);
    }
    paths.insert(path);
    &text[end..]
}

#[test]
fn paths_are_found_by_themselves_and_in_groups() {
    let text = "use crate::{\n    cluster::{Cluster, named},\n    status::{self, Status},\n    velero::{\n        names::{A as B, C},\n        \
                seen::D,\n    },\n};\n// crate::comment\nfn f() { crate::text::cut(); super::phase::g() }\n#[cfg(test)]\nmod tests { use crate::juju; }";
    let found: Vec<_> = paths(text, &["velero".into(), "seen".into()]).into_iter().collect();
    let wanted = [
        "cluster::Cluster",
        "cluster::named",
        "status::Status",
        "status::self",
        "text::cut",
        "velero::names::A",
        "velero::names::C",
        "velero::phase::g",
        "velero::seen::D",
    ];
    assert_eq!(found, wanted);
}
