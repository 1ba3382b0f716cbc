//! What is documented is what the charm has, and what a document refers to is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use velero_operator::{
    actions::command,
    contract::{self, OptionSpec, ParameterSpec},
};

use crate::project;

/// Stands for what is variable in a message.
const VARIABLE: char = '…';

/// Reads one of the project's files.
fn read(name: &str) -> String {
    fs::read_to_string(project().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The files below a folder of the project whose names end so.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![project().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The documents whose links are followed.
fn documents() -> Vec<PathBuf> {
    let mut documents = files("docs", ".md");
    let others = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "terraform/README.md"];
    documents.extend(others.map(|name| project().join(name)));
    documents
}

/// The part of a document below a heading, up to the next one; without a heading, what stands before the second one.
fn section<'a>(text: &'a str, heading: Option<&str>) -> &'a str {
    let begin = match heading {
        None => 0,
        Some(heading) => match text.find(&format!("\n## {heading}\n")) {
            Some(found) => found + 1,
            None => return "",
        },
    };
    let rest = &text[begin..];
    let end = rest.char_indices().skip(1).find(|(at, _)| rest[*at..].starts_with("\n## "));
    end.map_or(rest, |(at, _)| &rest[..at])
}

/// The first cells of the lines of all tables in a text, without their heads.
fn rows(text: &str, cells: usize) -> BTreeSet<Vec<String>> {
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| line.split('|').skip(1).take(cells).map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// Says which rows are only on one side.
fn differences(what: &str, documented: &BTreeSet<Vec<String>>, there: &BTreeSet<Vec<String>>) -> Vec<String> {
    let told = |row: &Vec<String>| row.join(" ");
    let missing = there.difference(documented).map(|row| format!("{what} {} is not documented", told(row)));
    let wrong = documented.difference(there).map(|row| format!("{what} {} is documented and not there", told(row)));
    missing.chain(wrong).collect()
}

fn option_problems(text: &str) -> Vec<String> {
    let row = |spec: &OptionSpec| {
        let default = match spec.default_value() {
            serde_json::Value::String(text) if text.is_empty() => "(empty)".to_owned(),
            serde_json::Value::String(text) => format!("`{text}`"),
            serde_json::Value::Null => "(none)".to_owned(),
            other => format!("`{other}`"),
        };
        vec![format!("`{}`", spec.name()), spec.juju_type().to_owned(), default]
    };
    differences("option", &rows(section(text, None), 3), &contract::OPTIONS.iter().map(row).collect())
}

fn relation_problems(text: &str) -> Vec<String> {
    let there =
        contract::RELATIONS.iter().map(|spec| vec![format!("`{}`", spec.name), format!("`{}`", spec.interface)]);
    let mut problems = differences("endpoint", &rows(section(text, None), 2), &there.collect());
    let undescribed = contract::RELATIONS.iter().filter(|spec| section(text, Some(spec.name)).is_empty());
    problems.extend(undescribed.map(|spec| format!("endpoint {} has no section", spec.name)));
    problems
}

fn action_problems(text: &str) -> Vec<String> {
    let row = |spec: &ParameterSpec| vec![format!("`{}`", spec.name), spec.value.juju_type().to_owned()];
    let mut problems = Vec::new();
    for action in contract::ACTIONS {
        let name = action.name;
        let section = section(text, Some(name));
        // Other tables of the section have other heads.
        let (_, table) = section.split_once("| Parameter |").unwrap_or_default();
        let table = table.split("\n\n").next().unwrap_or_default();
        let what = format!("action {name}: parameter");
        problems.extend(differences(&what, &rows(table, 2), &action.parameters.iter().map(row).collect()));
        for parameter in action.parameters {
            let documented = table.lines().find(|line| line.starts_with(&format!("| `{}` |", parameter.name)));
            let needed = documented.and_then(|line| line.split('|').nth(3)).is_some_and(|cell| cell.trim() == "yes");
            if needed != parameter.required {
                problems.push(format!("action {name}: is parameter {} needed or not?", parameter.name));
            }
        }
    }
    problems
}

/// What the code says in messages: its texts, with what is variable left out.
fn sources() -> String {
    let is_test = |path: &PathBuf| path.to_string_lossy().contains("test");
    let mut text = String::new();
    for path in files("src", ".rs").into_iter().filter(|path| !is_test(path)) {
        let source = fs::read_to_string(path).unwrap();
        // The unit tests stand at a module's end.
        text.push_str(source.split("#[cfg(test)]\nmod ").next().unwrap_or_default());
    }
    // A text that goes on in the next line.
    let mut parts = text.split("\\\n");
    let mut joined = parts.next().unwrap_or_default().to_owned();
    parts.for_each(|part| joined.push_str(part.trim_start()));
    let mut plain = String::new();
    let mut depth = 0;
    for character in joined.replace("{{", "").replace("}}", "").chars() {
        match character {
            '{' => {
                depth += 1;
                plain.push(VARIABLE);
            }
            '}' if depth > 0 => depth -= 1,
            // Blocks of code have no end in their line.
            '\n' => {
                depth = 0;
                plain.push('\n');
            }
            _ if depth > 0 => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Returns the parts of documented messages that no message has.
fn status_problems(text: &str, sources: &str) -> Vec<String> {
    // An option may be called as an object is.
    let objects = ["Deployment velero", "DaemonSet node-agent", "BackupStorageLocation default"].into_iter();
    let names = objects.chain(contract::OPTIONS.iter().map(OptionSpec::name));
    let names: Vec<_> = names.chain(contract::RELATIONS.iter().map(|spec| spec.name)).collect();
    let mut problems = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cell = line.split(" | ").next().unwrap_or_default();
        for message in cell.split('`').skip(1).step_by(2) {
            // At the last two, messages are put together.
            let message =
                names.iter().chain(&[": ", " until "]).fold(message.to_owned(), |text, name| text.replace(name, "…"));
            let parts = message.split(VARIABLE).map(|part| part.trim_matches([' ', ',', ';', ':', '(', ')']));
            let unknown = parts.filter(|part| part.len() > 3 && !sources.contains(part));
            problems.extend(unknown.map(|part| format!("no message has {part:?}")));
        }
    }
    problems
}

/// Returns a document without what is code in it.
fn prose(text: &str) -> String {
    let mut prose = String::new();
    for (number, block) in text.split("```").enumerate() {
        if number % 2 == 0 {
            prose.extend(block.split('`').step_by(2));
        }
    }
    prose
}

/// Returns the names by which links lead to the headings of a document.
fn anchors(text: &str) -> BTreeSet<String> {
    let outside = text.split("```").step_by(2).collect::<String>();
    let headings = outside.lines().filter_map(|line| Some(line.trim_start_matches('#')).filter(|rest| *rest != line));
    let anchor = |heading: &str| {
        let kept = heading.trim().to_lowercase();
        let kept = kept.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
        kept.collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// Returns the links of a document that lead nowhere. Those to other hosts are not followed.
fn link_problems(path: &Path, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for link in prose(text).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if link.contains("://") {
            continue;
        }
        let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
        let target = if file.is_empty() { path.to_owned() } else { path.parent().unwrap().join(file) };
        let is_there = match anchor {
            None => target.exists(),
            Some(anchor) if file.is_empty() => anchors(text).contains(anchor),
            Some(anchor) => fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor)),
        };
        if !is_there {
            problems.push(format!("{}: {link} leads nowhere", path.display()));
        }
    }
    problems
}

/// Returns the commands for the action `run` in a document that it would refuse. What is not written in full is not judged.
fn command_problems(path: &Path, text: &str) -> Vec<String> {
    let commands = text.split("command=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let in_full = commands.filter(|command| !command.contains(VARIABLE));
    let refused = in_full.filter_map(|command| Some((command, command::parse(command).err()?)));
    refused.map(|(command, refusal)| format!("{}: {command:?}: {refusal}", path.display())).collect()
}

#[test]
fn options_are_documented() {
    assert_eq!(option_problems(&read("docs/reference/options.md")), [""; 0]);
}

#[test]
fn endpoints_are_documented() {
    assert_eq!(relation_problems(&read("docs/reference/relations.md")), [""; 0]);
}

#[test]
fn actions_are_documented() {
    assert_eq!(action_problems(&read("docs/reference/actions.md")), [""; 0]);
}

#[test]
fn documented_messages_are_those_of_the_charm() {
    assert_eq!(status_problems(&read("docs/reference/statuses.md"), &sources()), [""; 0]);
}

#[test]
fn documented_commands_are_allowed() {
    let problems =
        documents().into_iter().flat_map(|path| command_problems(&path, &fs::read_to_string(&path).unwrap()));
    assert_eq!(problems.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_picture_of_the_dashboard_has_all_its_panels() {
    let picture = read("docs/reference/velero-backups-dashboard.svg");
    let dashboard: serde_json::Value = serde_json::from_str(&read("src/observability/velero_backups.json")).unwrap();
    let titles = dashboard["panels"].as_array().unwrap().iter().map(|panel| panel["title"].as_str().unwrap());
    // A title may be written in several elements, one after the other.
    let texts = picture.lines().filter(|line| !line.starts_with('<')).collect::<Vec<_>>().join(" ");
    let missing: Vec<_> = titles.filter(|title| !texts.contains(title)).collect();
    assert_eq!(missing, [""; 0], "draw it anew, as CONTRIBUTING.md says");
}

#[test]
fn links_lead_somewhere() {
    let problems = documents().into_iter().flat_map(|path| link_problems(&path, &fs::read_to_string(&path).unwrap()));
    assert_eq!(problems.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_index_has_every_document() {
    let index = read("docs/README.md");
    let folder = project().join("docs");
    for path in files("docs", ".md") {
        let name = path.strip_prefix(&folder).unwrap().to_string_lossy();
        assert!(name == "README.md" || index.contains(&format!("]({name})")), "docs/README.md does not name {name}");
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let broken = |name: &str, from: &str, to: &str| {
        let text = read(name);
        assert!(text.contains(from), "{name} holds no {from:?}");
        text.replacen(from, to, 1)
    };
    let [options, relations, actions] =
        ["options", "relations", "actions"].map(|name| format!("docs/reference/{name}.md"));
    let cases = [
        (
            option_problems(&broken(&options, "| `velero-image` |", "| `velero-picture` |")),
            vec![
                "option `velero-image` string `velero/velero:v1.18.3` is not documented",
                "option `velero-picture` string `velero/velero:v1.18.3` is documented and not there",
            ],
        ),
        (
            relation_problems(&broken(&relations, "\n## gcs-credentials\n", "\n## gcs\n")),
            vec!["endpoint gcs-credentials has no section"],
        ),
        (
            relation_problems(&broken(&relations, "| `gcs` |", "| `gs` |")),
            vec![
                "endpoint `gcs-credentials` `gcs` is not documented",
                "endpoint `gcs-credentials` `gs` is documented and not there",
            ],
        ),
        (
            action_problems(&broken(&actions, "| `command` | string | yes |", "| `command` | string | no |")),
            vec!["action run: is parameter command needed or not?"],
        ),
        (
            action_problems(&broken(&actions, "\n## run-cli\n", "\n## cli\n")),
            vec![
                "action run-cli: parameter `command` string is not documented",
                "action run-cli: is parameter command needed or not?",
            ],
        ),
        (
            status_problems("| `no storage: juju integrate …`, `no store: …` | integrate one |", &sources()),
            vec!["no message has \"no store\""],
        ),
        (
            command_problems(
                Path::new("a.md"),
                r#"run command="backup get" run command="backup delete x" run command="backup …" run command="get""#,
            )
            .iter()
            .map(|told| told.split(": ").take(2).collect::<Vec<_>>().join(": "))
            .collect(),
            vec![r#"a.md: "backup delete x""#, r#"a.md: "get""#],
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_link_that_leads_nowhere_is_named() {
    let path = project().join("docs/README.md");
    let text = "# One\n\n[a](#one) [b](#two) [c](reference/options.md#schedules) [d](reference/options.md#nothing)\n\
                [e](nothing.md) [f](https://example.com/nothing) `[g](code.md)`\n\n```\n[h](code.md)\n```\n";
    let led: Vec<_> =
        link_problems(&path, text).iter().map(|told| told.split(": ").nth(1).unwrap().to_owned()).collect();
    let nowhere = ["#two", "reference/options.md#nothing", "nothing.md"].map(|link| format!("{link} leads nowhere"));
    assert_eq!(led, nowhere);
}
