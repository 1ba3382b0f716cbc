//! What is told of volumes that backups are going to take without their data.

use std::collections::BTreeMap;

use crate::velero::{BackupFilter, Forecast, ScheduleForecast};

/// How many volumes are named of each kind.
const NAMED: usize = 10;

/// Returns which volumes lack their data, and why: one line for each reason. `what` says what is or will be without it.
pub(super) fn without_data(what: &str, forecast: &Forecast) -> Vec<String> {
    let mut of_gaps: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for (claim, gap) in &forecast.without_data {
        of_gaps.entry(*gap).or_default().push(claim);
    }
    let line = |(gap, claims): (_, Vec<&str>)| {
        let more = claims.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = claims[..claims.len().min(NAMED)].join(", ");
        format!("{what} without the data of {named}{more}: {gap}")
    };
    of_gaps.into_iter().map(line).collect()
}

/// Returns what the backups of those Schedules lack that a filter is for, one line for each application and reason.
pub(super) fn of_schedules(forecasts: &[ScheduleForecast], filter: &BackupFilter) -> Vec<String> {
    let is_meant =
        |forecast: &&ScheduleForecast| filter.is_for(&forecast.application, &forecast.endpoint, &forecast.model);
    let lines = |forecast: &ScheduleForecast| {
        let ScheduleForecast { application, endpoint, model, .. } = forecast;
        without_data(&format!("{application}:{endpoint} of model {model} is backed up"), &forecast.forecast)
    };
    forecasts.iter().filter(is_meant).flat_map(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::velero::Gap;

    fn forecast(claims: &[(&str, Gap)]) -> Forecast {
        let without_data = claims.iter().map(|(claim, gap)| ((*claim).to_owned(), *gap)).collect();
        Forecast { with_data: 1, without_data }
    }

    #[test]
    fn volumes_are_named_by_their_reasons() {
        let some = forecast(&[("shop/a", Gap::PodsExcluded), ("shop/b", Gap::HostPath), ("shop/c", Gap::PodsExcluded)]);
        assert_eq!(
            without_data("the backup will be", &some),
            [
                "the backup will be without the data of shop/b: Velero does not read folders of a node (hostPath)",
                "the backup will be without the data of shop/a, shop/c: its spec excludes pods",
            ]
        );
        let names: Vec<_> = (10..22).map(|number| format!("shop/{number}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), Gap::NotMounted)).collect();
        let told = without_data("it is", &forecast(&many)).remove(0);
        assert!(told.contains("shop/19 and 2 more: mounted by"), "{told}");
    }

    #[test]
    fn those_of_other_applications_are_not_told() {
        let of = |application: &str| ScheduleForecast {
            schedule: application.to_owned(),
            application: application.to_owned(),
            endpoint: "backups".to_owned(),
            model: "apps".to_owned(),
            forecast: forecast(&[("shop/a", Gap::NotMounted)]),
        };
        let all = [of("ledger"), of("mail")];
        assert_eq!(of_schedules(&all, &BackupFilter::default()).len(), 2);
        let filter = BackupFilter { application: Some("mail".to_owned()), ..BackupFilter::default() };
        assert_eq!(
            of_schedules(&all, &filter),
            ["mail:backups of model apps is backed up without the data of shop/a: mounted by no container"]
        );
    }
}
