//! A range of sizes, as Velero reads it: `10Gi,100Gi`, and either may be left out.

use regex_lite::Regex;

use super::PolicyError;

/// A number of bytes as Kubernetes writes it.
const QUANTITY: &str = r"^([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// A range of sizes in bytes; 0 for what was left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Capacity {
    lower: f64,
    upper: f64,
}

// Neither is ever NaN.
impl Eq for Capacity {}

impl Capacity {
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        let malformed = || PolicyError::CapacityForm { capacity: text.to_owned() };
        let (lower, upper) = if text.is_empty() { ("", "") } else { text.split_once(',').ok_or_else(malformed)? };
        let bound = |text: &str| match text.trim() {
            "" => Some(0.0),
            text => bytes(text),
        };
        let (lower, upper) = bound(lower).zip(bound(upper)).ok_or_else(malformed)?;
        if upper < lower && upper != 0.0 {
            return Err(PolicyError::CapacityRange { capacity: text.to_owned() });
        }
        Ok(Self { lower, upper })
    }

    /// Whether a size is within it.
    pub(super) fn holds(&self, size: &str) -> bool {
        let size = bytes(size).unwrap_or_default();
        size >= self.lower && (self.upper == 0.0 || size <= self.upper)
    }
}

/// Returns a quantity of Kubernetes as a number.
fn bytes(text: &str) -> Option<f64> {
    let parts = Regex::new(QUANTITY).ok()?.captures(text)?;
    let number: f64 = parts.get(1)?.as_str().parse().ok()?;
    let suffix = parts.get(2).map_or("", |suffix| suffix.as_str());
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => f64::from(1024),
        "Mi" => f64::from(1024).powi(2),
        "Gi" => f64::from(1024).powi(3),
        "Ti" => f64::from(1024).powi(4),
        "Pi" => f64::from(1024).powi(5),
        "Ei" => f64::from(1024).powi(6),
        exponent => format!("1{exponent}").parse().ok()?,
    };
    Some(number * factor)
}
