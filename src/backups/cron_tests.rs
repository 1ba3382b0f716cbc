use std::cell::RefCell;

use proptest::prelude::*;

use super::*;
use crate::test_readers::{Readers, runner};

/// When the program is asked what comes next, as it has it.
const MOMENT: &str = "2026-01-31T10:20:30Z";

#[test]
fn what_the_standard_parser_reads_stays_as_it_is_written() {
    for expression in [
        "30 1 * * *",
        "*/15 0-23/2 1,15 JAN-mar ?",
        "0 0 29 2 *",
        "5/10 * * * 1-5",
        "0 0 8-14 * 1",
        "@daily",
        "@every 1h30m",
        "CRON_TZ=Europe/Berlin 0 3 * * *",
        "TZ=UTC @weekly",
        "+5 * * * *",
    ] {
        assert_eq!(Cron::parse(expression).unwrap().as_str(), expression);
    }
}

#[test]
fn what_it_does_not_read_is_refused_with_the_reason() {
    for (expression, reason) in [
        ("", "it has 0 fields and not 5"),
        ("every day", "it has 2 fields and not 5"),
        ("0 30 1 * * *", "it has 6 fields and not 5"),
        ("60 * * * *", "the minute \"60\" is not within 0 to 59"),
        ("* * 0 * *", "the day of month \"0\" is not within 1 to 31"),
        ("* * * * 7", "the day of week \"7\" is not within 0 to 6"),
        ("* * * foo *", "the month \"foo\" is not known"),
        ("10-5 * * * *", "is not within"),
        ("*/0 * * * *", "\"*/0\" has a step that is not within 1 to 59"),
        ("0 */24 * * *", "\"*/24\" has a step that is not within 1 to 23"),
        ("0 22-2 * * *", "is not within"),
        ("1-2-3 * * * *", "too many hyphens"),
        ("*/2/3 * * * *", "too many strokes"),
        ("@reboot", "use @yearly"),
        ("@every 1d", "there is no unit \"d\""),
        ("@every -1h", "is shorter than a second"),
        ("@every 999ms", "is shorter than a second"),
        ("CRON_TZ=Europe/Nowhere 0 3 * * *", "there is no time zone \"Europe/Nowhere\""),
        ("CRON_TZ=europe/berlin 0 3 * * *", "there is no time zone"),
        ("CRON_TZ=UTC", "nothing stands behind"),
        ("CRON_TZ= 0 3 * * *", "there is no time zone \"\""),
    ] {
        let error = Cron::parse(expression).unwrap_err().to_string();
        assert!(error.contains(reason), "{expression}: {error}");
    }
}

#[test]
fn what_does_not_come_for_years_is_refused() {
    let seldom = ["0 0 31 2 *", "0 0 30,31 feb ?", "0 0 31 4,6,9,11 *", "0 0 29 2 1", "0 0 13 2 fri"];
    for expression in [", * * * *", "0 , * * *", "0 0 , * *", "0 0 * , *", "0 0 * * ,"].into_iter().chain(seldom) {
        let error = Cron::parse(expression).unwrap_err().to_string();
        assert!(error.ends_with("in which it does not come"), "{expression}: {error}");
    }
}

#[test]
fn what_is_read_is_what_velero_reads_and_what_is_not_is_what_one_of_its_parsers_refuses() {
    let (readers, accepted) = (RefCell::new(Readers::start()), RefCell::new(0));
    let property = |expression: String| {
        let parsed = Cron::parse(&expression);
        match (readers.borrow_mut().read("cron", &expression), parsed) {
            (Ok(values), Ok(cron)) => {
                *accepted.borrow_mut() += 1;
                prop_assert_eq!(values["comes"].as_str(), "true", "{}", expression);
                let next = cron.next_after(MOMENT.parse().unwrap()).unwrap();
                prop_assert_eq!(values["next"].as_str(), next.to_string(), "{}", expression);
            }
            (Err(error), Ok(_)) => prop_assert!(false, "{expression}: {error}"),
            (Ok(_), Err(error)) => {
                let is_seldom = error.to_string().ends_with("in which it does not come");
                prop_assert!(is_seldom, "{error}");
            }
            (Err(_), Err(_)) => {}
        }
        Ok(())
    };
    runner().run(&expression(), property).unwrap();
    assert!(accepted.into_inner() > 100);
}

/// Expressions of what the parsers know, and of what comes near it.
fn expression() -> impl Strategy<Value = String> {
    let number = || {
        let odd = prop::sample::select(vec!["+5", "-0", "0", "7", "60", "31"]).prop_map(str::to_owned);
        prop_oneof![8 => "[1-6]", 2 => "[0-9]{1,2}", 1 => odd]
    };
    let name = prop::sample::select(vec!["*", "?", "mon", "SUN", "Jan", "dec", "foo", "H", "L", "15W", "FRI#1", ""]);
    let end = prop_oneof![9 => number(), 1 => name.prop_map(str::to_owned)];
    let step = prop_oneof![5 => Just(String::new()), 2 => number().prop_map(|step| format!("/{step}"))];
    let range = prop_oneof![
        3 => (end.clone(), step.clone()).prop_map(|(end, step)| end + &step),
        1 => (end.clone(), end, step.clone()).prop_map(|(start, end, step)| format!("{start}-{end}{step}")),
        4 => step.prop_map(|step| format!("*{step}")),
    ];
    let field = prop::collection::vec(range, 1..3).prop_map(|ranges| ranges.join(","));
    let fields = prop_oneof![
        8 => prop::collection::vec(field.clone(), 5),
        1 => prop::collection::vec(field, 4..7),
    ];
    let fields = fields.prop_map(|fields| fields.join(" "));
    let named = prop::sample::select(vec![
        "@daily",
        "@weekly",
        "@Daily",
        "@every",
        "@every 1h30m",
        "@every 1s",
        "@every 0s",
        "@every 500ms",
        "@every  1h",
        "@manual",
        "@reboot",
        "",
    ]);
    let zone = prop::sample::select(vec![
        "",
        "",
        "",
        "",
        "CRON_TZ=Europe/Berlin ",
        "TZ=UTC  ",
        "TZ=utc ",
        "TZ= ",
        "CRON_TZ=Nowhere ",
        "TZ=\"UTC\" ",
        "TZ=Local ",
        "CRON_TZ=europe/berlin ",
        " ",
        "TZ=UTC",
        "TZ=Etc/GMT+5 ",
        "CRON_TZ=America/Argentina/Ushuaia ",
    ]);
    let rest = prop_oneof![6 => fields, 1 => named.prop_map(str::to_owned)];
    (zone, rest).prop_map(|(zone, rest)| format!("{zone}{rest}"))
}
