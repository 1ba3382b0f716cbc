use proptest::prelude::*;

use super::*;

const NOW: &str = "2026-03-01T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn backup(at: &str, standing: Standing) -> PastBackup {
    PastBackup { name: at.to_owned(), at: at.parse().unwrap(), standing, is_read: false }
}

fn good(at: &str) -> PastBackup {
    backup(at, Standing::Good)
}

fn retention(text: &str) -> Retention {
    Retention::parse(text).unwrap()
}

/// The days of those that are kept, and for what.
fn kept(text: &str, backups: &[PastBackup]) -> Vec<String> {
    let verdicts = judge(&retention(text), backups, now());
    let told = |(backup, verdict): (&PastBackup, Verdict)| {
        (!verdict.goes()).then(|| format!("{} {verdict}", &backup.name[..10]))
    };
    backups.iter().zip(verdicts).filter_map(told).collect()
}

#[test]
fn the_newest_of_each_day_week_and_month_is_kept() {
    let days = ["2026-01-30", "2026-02-07", "2026-02-08", "2026-02-14", "2026-02-27", "2026-02-28"];
    let twice = days.map(|day| [good(&format!("{day}T01:00:00Z")), good(&format!("{day}T13:00:00Z"))]).concat();
    let verdicts = judge(&retention("2 daily, 3 weekly, 2 monthly"), &twice, now());
    let told: Vec<_> =
        twice.iter().zip(&verdicts).map(|(backup, verdict)| format!("{} {verdict}", backup.name)).collect();
    let goes = |at: &str| format!("{at} no rule keeps it");
    assert_eq!(
        told,
        [
            goes("2026-01-30T01:00:00Z"),
            "2026-01-30T13:00:00Z monthly".to_owned(),
            goes("2026-02-07T01:00:00Z"),
            goes("2026-02-07T13:00:00Z"),
            goes("2026-02-08T01:00:00Z"),
            "2026-02-08T13:00:00Z weekly".to_owned(),
            goes("2026-02-14T01:00:00Z"),
            "2026-02-14T13:00:00Z weekly".to_owned(),
            goes("2026-02-27T01:00:00Z"),
            "2026-02-27T13:00:00Z daily".to_owned(),
            goes("2026-02-28T01:00:00Z"),
            "2026-02-28T13:00:00Z daily, weekly, monthly".to_owned(),
        ]
    );
}

#[test]
fn days_without_a_backup_do_not_count() {
    let backups = ["2025-06-01", "2025-07-01", "2026-02-28"].map(|day| good(&format!("{day}T01:00:00Z")));
    assert_eq!(kept("2 daily", &backups), ["2025-07-01 daily", "2026-02-28 daily"]);
    assert_eq!(kept("1", &backups), ["2026-02-28 newest"]);
    assert_eq!(kept("5", &backups).len(), 3);
}

#[test]
fn one_that_has_failed_in_part_never_takes_the_place_of_a_good_one() {
    let partial = |at: &str| backup(at, Standing::Partial);
    let backups = [
        good("2026-02-20T01:00:00Z"),
        good("2026-02-21T01:00:00Z"),
        partial("2026-02-21T13:00:00Z"),
        partial("2026-02-22T01:00:00Z"),
        partial("2026-02-23T01:00:00Z"),
    ];
    assert_eq!(
        kept("2 daily", &backups),
        ["2026-02-20 daily", "2026-02-21 daily", "2026-02-22 daily", "2026-02-23 daily"]
    );
    // However many follow, they are as few as the good ones.
    assert_eq!(kept("1", &backups), ["2026-02-21 newest", "2026-02-23 newest"]);
    assert_eq!(kept("1", &backups[2..]), ["2026-02-23 newest"]);
}

#[test]
fn one_that_has_failed_goes_a_week_after_once_a_newer_one_is_good() {
    let failed = |at: &str| backup(at, Standing::Failed);
    let backups = [
        failed("2026-02-01T01:00:00Z"),
        failed("2026-02-25T01:00:00Z"),
        good("2026-02-26T01:00:00Z"),
        failed("2026-02-27T01:00:00Z"),
    ];
    assert_eq!(kept("1", &backups), ["2026-02-25 failed lately", "2026-02-26 newest", "2026-02-27 failed lately"]);
    assert_eq!(kept("1", &backups[..1]), ["2026-02-01 failed lately"]);
}

#[test]
fn what_is_in_use_stays_whatever_the_rules_say() {
    let read = PastBackup { is_read: true, ..good("2026-02-01T01:00:00Z") };
    let backups = [
        read,
        backup("2026-02-02T01:00:00Z", Standing::Underway),
        backup("2026-02-03T01:00:00Z", Standing::Deleting),
        good("2026-02-04T01:00:00Z"),
    ];
    assert_eq!(kept("1", &backups), ["2026-02-01 a restore reads it", "2026-02-02 has not ended", "2026-02-04 newest"]);
}

fn standing() -> impl Strategy<Value = Standing> {
    prop::sample::select(vec![
        Standing::Good,
        Standing::Good,
        Standing::Partial,
        Standing::Failed,
        Standing::Underway,
        Standing::Deleting,
    ])
}

/// Backups of some months, of which several may begin in the same hour or at the same moment.
fn backups() -> impl Strategy<Value = Vec<PastBackup>> {
    let one = (0..3_000_i64, 0..3_i64, standing(), prop::bool::weighted(0.1));
    prop::collection::vec(one, 0..60).prop_map(|all| {
        let backup = |(number, (hours, minutes, standing, is_read)): (usize, (i64, i64, Standing, bool))| {
            let age = SignedDuration::from_mins(hours * 60 + minutes);
            PastBackup { name: format!("b{number}"), at: now() - age, standing, is_read }
        };
        all.into_iter().enumerate().map(backup).collect()
    })
}

fn rules() -> impl Strategy<Value = Vec<(usize, &'static str)>> {
    let words = vec!["hourly", "daily", "weekly", "monthly", "yearly"];
    (prop::sample::subsequence(words, 0..=5), prop::collection::vec(1..9_usize, 5))
        .prop_map(|(words, counts)| counts.into_iter().zip(words).collect())
}

fn written(rules: &[(usize, &'static str)]) -> Retention {
    match rules {
        [] => retention("3"),
        rules => retention(&rules.iter().map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(",")),
    }
}

fn stays(retention: &Retention, backups: &[PastBackup]) -> Vec<PastBackup> {
    let verdicts = judge(retention, backups, now());
    backups.iter().zip(verdicts).filter(|(_, verdict)| !verdict.goes()).map(|(backup, _)| backup.clone()).collect()
}

proptest! {
    #[test]
    fn the_last_good_backup_is_never_deleted(backups in backups(), rules in rules()) {
        let stays = stays(&written(&rules), &backups);
        let newest = |standing| backups.iter().filter(|backup| backup.standing == standing).max_by_key(|backup| (backup.at, &backup.name));
        if let Some(newest) = newest(Standing::Good).or_else(|| newest(Standing::Partial)) {
            prop_assert!(stays.contains(newest));
        }
        for backup in backups.iter().filter(|backup| backup.standing == Standing::Underway || backup.is_read) {
            prop_assert!(stays.contains(backup));
        }
    }

    #[test]
    fn a_second_look_finds_nothing_more(backups in backups(), rules in rules()) {
        let retention = written(&rules);
        let once = stays(&retention, &backups);
        prop_assert_eq!(stays(&retention, &once), once);
    }

    #[test]
    fn who_keeps_more_keeps_all_that_others_keep(backups in backups(), rules in rules(), more in 0..5_usize, at in 0..5_usize) {
        let less = stays(&written(&rules), &backups);
        let mut larger = rules.clone();
        if let Some(rule) = larger.get_mut(at) {
            rule.0 += more;
            let kept = stays(&written(&larger), &backups);
            prop_assert!(less.iter().all(|backup| kept.contains(backup)));
        }
        if let Some((_, word)) = rules.get(at).filter(|_| rules.len() > 1).copied() {
            let fewer: Vec<_> = rules.into_iter().filter(|rule| rule.1 != word).collect();
            prop_assert!(stays(&written(&fewer), &backups).iter().all(|backup| less.contains(backup)));
        }
    }

    #[test]
    fn no_more_good_ones_are_kept_than_the_rules_say(backups in backups(), rules in rules()) {
        let most: usize = if rules.is_empty() { 3 } else { rules.iter().map(|rule| rule.0).sum() };
        let kept = stays(&written(&rules), &backups);
        let count = |standing| kept.iter().filter(|backup| backup.standing == standing && !backup.is_read).count();
        prop_assert!(count(Standing::Good) <= 2 * most && count(Standing::Good) + count(Standing::Partial) <= 2 * most);
    }
}
