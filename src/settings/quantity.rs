//! Kubernetes' quantities: `500m`, `2`, `1.5Gi`.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// The suffixes of a quantity, with how many billionths one of it is.
const SUFFIXES: [(&str, u128); 16] = [
    ("Ki", NANO << 10),
    ("Mi", NANO << 20),
    ("Gi", NANO << 30),
    ("Ti", NANO << 40),
    ("Pi", NANO << 50),
    ("Ei", NANO << 60),
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("k", NANO * 1_000),
    ("M", NANO * 1_000_000),
    ("G", NANO * 1_000_000_000),
    ("T", NANO * 1_000_000_000_000),
    ("P", NANO * 1_000_000_000_000_000),
    ("E", NANO * 1_000_000_000_000_000_000),
    ("", NANO),
];
const NANO: u128 = 1_000_000_000;

/// An amount of processors or memory, which is not negative.
///
/// The forms with an exponent (`1e3`) are left out: nobody writes them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Quantity {
    text: String,
    /// In billionths.
    amount: u128,
}

impl Quantity {
    /// Returns the quantity that Kubernetes reads in a text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, one) = SUFFIXES.iter().find_map(|(suffix, one)| Some((text.strip_suffix(suffix)?, *one)))?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let digits = [whole, fraction].concat();
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let amount = digits.parse::<u128>().ok()?.checked_mul(one)?.div_ceil(scale);
        Some(Self { text: text.to_owned(), amount })
    }

    /// Returns the quantity as it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is nothing, which Velero reads as no bound at all.
    pub(super) fn is_unbounded(&self) -> bool {
        self.amount == 0
    }

    /// Whether it is more than another one.
    pub(super) fn exceeds(&self, other: &Self) -> bool {
        self.amount > other.amount
    }

    /// Returns how many thousandths it is: of processors what Kubernetes calls millicores.
    pub(crate) fn thousandths(&self) -> u64 {
        u64::try_from(self.amount / (NANO / 1_000)).unwrap_or(u64::MAX)
    }

    /// Returns how many whole ones it is: of memory, bytes.
    pub(crate) fn whole(&self) -> u64 {
        u64::try_from(self.amount / NANO).unwrap_or(u64::MAX)
    }

    /// Returns how many whole units of 2^20 it is.
    pub(super) fn mebibytes(&self) -> u128 {
        self.amount / (NANO << 20)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Quantity;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a quantity, as 500m or 1.5Gi")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Quantity::parse(text)
                    .ok_or_else(|| E::custom(format!("{text:?} is no quantity, as 500m, 2 or 1.5Gi is")))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;
    use crate::test_readers::{Readers, runner};

    /// The most that Kubernetes has: what is more it takes for that, in some forms.
    const MOST: u128 = i64::MAX as u128 * NANO;

    fn amount(text: &str) -> Option<u128> {
        Quantity::parse(text).map(|quantity| quantity.amount)
    }

    #[test]
    fn what_kubernetes_reads_is_read() {
        for (text, expected) in [
            ("0", 0),
            ("2", 2 * NANO),
            ("500m", NANO / 2),
            ("0.5", NANO / 2),
            (".5", NANO / 2),
            ("2.", 2 * NANO),
            ("1.5Gi", 3 * (NANO << 29)),
            ("512Mi", NANO << 29),
            ("128974848", 128_974_848 * NANO),
            ("1E", 1_000_000_000_000_000_000 * NANO),
            // What is less than a billionth is one.
            ("0.1n", 1),
        ] {
            assert_eq!(amount(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_nodes_tell_is_counted_in_whole_numbers() {
        let counted = |text: &str| Quantity::parse(text).map(|quantity| (quantity.thousandths(), quantity.whole()));
        assert_eq!(counted("3920m"), Some((3920, 3)));
        assert_eq!(counted("16284Ki"), Some((16_674_816_000, 16_674_816)));
        assert_eq!(
            counted("9E"),
            Some((9_000_000_000_000_000_000_u64.saturating_mul(1000), 9_000_000_000_000_000_000))
        );
    }

    #[test]
    fn other_texts_are_no_quantities() {
        for text in ["", "one", "-1", "+1", "1 Gi", "1gi", "1Kib", "m", "1.2.3", "1e3", "Mi", ".", "1/2"] {
            assert_eq!(amount(text), None, "{text}");
        }
        assert_eq!(amount(&"9".repeat(60)), None);
        assert_eq!(amount(&format!("0.{}", "1".repeat(60))), None);
    }

    #[test]
    fn what_is_read_is_what_kubernetes_reads() {
        let (readers, accepted) = (RefCell::new(Readers::start()), RefCell::new(0));
        let property = |text: String| {
            let read = readers.borrow_mut().read("quantity", &text).ok().map(|values| values["amount"].clone());
            *accepted.borrow_mut() += usize::from(read.is_some());
            let theirs = read.and_then(|read| amount(&read));
            let capped = |amount: Option<u128>| amount.map(|amount| amount.min(MOST));
            prop_assert_eq!(capped(amount(&text)), capped(theirs), "{}", text);
            Ok(())
        };
        runner().run(&quantity(), property).unwrap();
        assert!(accepted.into_inner() > 100);
    }

    /// Quantities, and what comes near them, but for signs, exponents and many digits, which are refused, and for a suffix alone,
    /// which Kubernetes reads as nothing.
    fn quantity() -> impl Strategy<Value = String> {
        let number = ("[0-9]{1,4}", prop_oneof![Just(String::new()), "\\.[0-9]{0,6}".prop_map(String::from)]);
        let suffix = prop::sample::select(vec![
            "", "", "m", "n", "u", "k", "K", "Ki", "ki", "M", "Mi", "G", "Gi", "T", "Ti", "P", "Pi", "E", "Ei", "i",
            " ", "B",
        ]);
        (number, suffix).prop_map(|((whole, fraction), suffix)| format!("{whole}{fraction}{suffix}"))
    }

    #[test]
    fn numbers_of_yaml_are_quantities_too() {
        for (yaml, expected) in [("2", "2"), ("0.5", "0.5"), ("'2'", "2"), ("1Gi", "1Gi")] {
            assert_eq!(serde_yaml::from_str::<Quantity>(yaml).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn quantities_are_compared_by_their_amounts() {
        let quantity = |text| Quantity::parse(text).unwrap();
        assert!(quantity("1Gi").exceeds(&quantity("1G")));
        assert!(!quantity("1000m").exceeds(&quantity("1")));
        assert_eq!((quantity("1.5Gi").mebibytes(), quantity("1G").mebibytes()), (1536, 953));
    }
}
