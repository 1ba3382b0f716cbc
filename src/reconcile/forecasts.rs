//! What is told of the volumes that backups of applications are going to hold.

use std::collections::BTreeMap;

use crate::velero::{ScheduleForecast, VolumeCount};

/// Returns which application's volumes are backed up without their data, if some are.
pub(super) fn without_data(forecasts: &[ScheduleForecast]) -> Option<String> {
    let mut lacking: BTreeMap<&str, (usize, &ScheduleForecast)> = BTreeMap::new();
    for forecast in forecasts.iter().filter(|forecast| !forecast.forecast.without_data.is_empty()) {
        lacking.entry(&forecast.application).or_insert((0, forecast)).0 += forecast.forecast.without_data.len();
    }
    let mut applications = lacking.iter();
    let (application, (count, forecast)) = applications.next()?;
    let gap = forecast.forecast.main_gap()?;
    let others = match applications.len() {
        0 => String::new(),
        1 => "; those of 1 other application too".to_owned(),
        several => format!("; those of {several} other applications too"),
    };
    Some(match count {
        1 => format!("1 volume of {application} is backed up without its data: {gap}{others}"),
        count => format!("{count} volumes of {application} are backed up without their data: {gap}{others}"),
    })
}

/// Returns how many volumes the backups of each Schedule are going to hold.
pub(super) fn count(forecasts: Vec<ScheduleForecast>) -> BTreeMap<String, VolumeCount> {
    forecasts.into_iter().map(|forecast| (forecast.schedule, forecast.forecast.count())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::velero::{Forecast, Gap};

    fn forecast(application: &str, without_data: &[(&str, Gap)]) -> ScheduleForecast {
        let without_data = without_data.iter().map(|(claim, gap)| ((*claim).to_owned(), *gap)).collect();
        ScheduleForecast {
            schedule: format!("{application}-backups"),
            application: application.to_owned(),
            endpoint: "backups".to_owned(),
            model: "apps".to_owned(),
            forecast: Forecast { with_data: 1, without_data },
        }
    }

    #[test]
    fn an_application_whose_volumes_lack_their_data_is_named_with_the_main_reason() {
        assert_eq!(without_data(&[forecast("web", &[])]), None);
        let minio = forecast("minio", &[("a/1", Gap::PodsLeftOut), ("a/2", Gap::HostPath), ("a/3", Gap::PodsLeftOut)]);
        assert_eq!(
            without_data(&[forecast("web", &[]), minio.clone()]).unwrap(),
            "3 volumes of minio are backed up without their data: its pods are not in the backup: \
             set add-pods-to-backups=true"
        );
        let ledger = forecast("ledger", &[("b/1", Gap::HostPath)]);
        let told = without_data(&[minio, ledger.clone()]).unwrap();
        assert!(told.starts_with("1 volume of ledger is backed up without its data: "), "{told}");
        assert!(told.ends_with("; those of 1 other application too"), "{told}");
        let counts = count(vec![ledger]);
        assert_eq!(counts["ledger-backups"], VolumeCount { with_data: 1, without_data: 1 });
    }
}
