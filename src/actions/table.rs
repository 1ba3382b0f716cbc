//! A list of backups for people.

use crate::{
    text::harmless,
    velero::{BackupList, ListedBackup},
};

/// A result travels as one argument, of which Linux takes 128 KiB.
const ROOM: usize = 120 * 1024;
/// How many remarks are shown at most.
const REMARKS: usize = 20;

/// Returns a table of backups, and below it how to see more than these, and remarks.
pub(super) fn table(list: &BackupList, remarks: &[String]) -> String {
    let BackupList { newest, total } = list;
    let head = ["BACKUP", "APP", "ENDPOINT", "MODEL", "PHASE", "STARTED", "DURATION"];
    text(head, newest.iter().map(row).collect(), *total, remarks)
}

/// Returns rows below their head, how to see more than these where there are more, and remarks.
pub(super) fn text<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
    total: usize,
    remarks: &[String],
) -> String {
    let remarks: Vec<_> = remarks.iter().take(REMARKS).map(|remark| harmless(remark)).collect();
    if rows.is_empty() {
        return ["no backups".to_owned()].into_iter().chain(remarks).collect::<Vec<_>>().join("\n");
    }
    let harmless = |row: [String; COLUMNS]| row.map(|cell| harmless(&cell));
    let rows: Vec<_> = [head.map(str::to_owned)].into_iter().chain(rows.into_iter().map(harmless)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let (mut lines, mut size) = (Vec::new(), remarks.iter().map(|remark| remark.len() + 1).sum::<usize>());
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let line = cells.join("  ").trim_end().to_owned();
        size += line.len() + 1;
        if size > ROOM {
            break;
        }
        lines.push(line);
    }
    // Without the head.
    let shown = lines.len().saturating_sub(1);
    if shown < total {
        lines.push(format!("{shown} of {total}: to see others, name app, endpoint or model, or a higher limit"));
    }
    lines.extend(remarks);
    lines.join("\n")
}

fn row(backup: &ListedBackup) -> [String; 7] {
    let ListedBackup { name, application, endpoint, model, phase, started, completed, .. } = backup;
    let duration = started.zip(*completed).map(|(start, end)| format!("{:#}", end.duration_since(start)));
    [
        name.clone(),
        application.clone(),
        endpoint.clone(),
        model.clone(),
        phase.to_string(),
        started.map(|time| time.to_string()).unwrap_or_default(),
        duration.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::velero::Phase;

    fn backup(name: &str) -> ListedBackup {
        ListedBackup {
            uid: name.to_owned(),
            name: name.to_owned(),
            application: "ledger".to_owned(),
            endpoint: "backups".to_owned(),
            model: "apps".to_owned(),
            phase: Phase::Completed,
            started: Some("2026-01-31T10:20:30Z".parse().unwrap()),
            completed: Some("2026-01-31T10:21:35Z".parse().unwrap()),
        }
    }

    #[test]
    fn columns_stand_below_each_other() {
        let newest = vec![backup("ledger-backups-0a1b2c3d"), ListedBackup { completed: None, ..backup("b") }];
        let expected = "\
BACKUP                   APP     ENDPOINT  MODEL  PHASE      STARTED               DURATION
ledger-backups-0a1b2c3d  ledger  backups   apps   Completed  2026-01-31T10:20:30Z  1m 5s
b                        ledger  backups   apps   Completed  2026-01-31T10:20:30Z";
        assert_eq!(table(&BackupList { newest: newest.clone(), total: 2 }, &[]), expected);
        let more = table(&BackupList { newest, total: 10_000 }, &[]);
        assert!(
            more.ends_with("\n2 of 10000: to see others, name app, endpoint or model, or a higher limit"),
            "{more}"
        );
        assert_eq!(table(&BackupList::default(), &[]), "no backups");
        assert_eq!(table(&BackupList::default(), &["a remark".to_owned()]), "no backups\na remark");
    }

    #[test]
    fn a_table_fits_into_a_result() {
        let newest = vec![backup(&"a".repeat(200)); 1000];
        let text = table(&BackupList { newest, total: 1000 }, &vec!["b".repeat(200); 100]);
        assert!(text.len() < 128 * 1024 - "table=".len() - 1, "{}", text.len());
        assert!(text.contains(" of 1000: to see others") && text.ends_with("bbb"), "{}", &text[text.len() - 200..]);
        // With the line ends it is just full: of the short lines there is not one more.
        let rows = vec![[String::new()]; ROOM];
        let full = self::text(["HEAD"], rows, ROOM, &["b".to_owned()]);
        assert!(full.contains(&format!("\n{} of {ROOM}: to see others", ROOM - "HEAD\nb\n".len())), "{}", full.len());
    }
}
