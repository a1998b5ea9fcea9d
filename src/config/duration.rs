use std::time::Duration;

use super::diagnostic::Mistake;

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// Spellings people try, and the unit they mean.
const SPELLINGS: [(&str, &str); 19] = [
    ("ms", "ms"),
    ("msec", "ms"),
    ("msecs", "ms"),
    ("millisecond", "ms"),
    ("milliseconds", "ms"),
    ("s", "s"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("m", "m"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("h", "h"),
    ("hr", "h"),
    ("hour", "h"),
    ("hours", "h"),
];

const NOTATION: &str =
    "write an integer and `ms`, `s`, `m` or `h`, such as \"500ms\", or decimal seconds, such as \"1.5s\"";

/// What a number without a unit was probably meant in: nobody waits for minutes and counts them in seconds.
pub(super) fn likely_unit(number: &str) -> (&'static str, &'static str) {
    match number.parse::<u64>() {
        Ok(100..) => ("milliseconds", "ms"),
        Ok(..100) | Err(_) => ("seconds", "s"),
    }
}

/// Reads an integer and `ms`, `s`, `m` or `h`, or decimal seconds ("40.95s"), in whole milliseconds.
pub(super) fn parse(text: &str) -> Result<Duration, Mistake> {
    if text.trim_start().starts_with('-') {
        return Err(Mistake::new("is negative", NOTATION));
    }
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if number.is_empty() {
        return Err(Mistake::new("is not a duration", NOTATION));
    }
    if unit.is_empty() {
        let (unit, short) = likely_unit(number);
        let number = super::diagnostic::shown(number);
        return Err(Mistake::new("has no unit", format!("for {unit}, write \"{number}{short}\"")));
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let meant = unit.trim().to_lowercase();
        return Err(match SPELLINGS.iter().find(|(spelling, _)| *spelling == meant) {
            Some((_, unit)) => {
                Mistake::new("is not a duration", format!("write \"{}{unit}\"", super::diagnostic::shown(number)))
            }
            None => Mistake::new("has an unknown unit", NOTATION),
        });
    };
    let too_long = || Mistake::new("is too long", "write a shorter duration");
    match number.split_once('.') {
        None => {
            let count: u64 = number.parse().map_err(|_| too_long())?;
            count.checked_mul(*factor).map(Duration::from_millis).ok_or_else(too_long)
        }
        Some((whole, part)) => {
            let millis = decimal_millis(whole, part, *factor)?;
            if unit == "s" {
                return Ok(Duration::from_millis(millis));
            }
            let same = show(Duration::from_millis(millis));
            Err(Mistake::new("has a decimal point, which only seconds may have", format!("write \"{same}\"")))
        }
    }
}

/// `whole.part` times `factor`, which is a number of milliseconds.
fn decimal_millis(whole: &str, part: &str, factor: u64) -> Result<u64, Mistake> {
    let digits = part.trim_end_matches('0');
    if whole.is_empty() || part.is_empty() || digits.contains('.') {
        return Err(Mistake::new("is not a duration", NOTATION));
    }
    let finer = || Mistake::new("is finer than 1ms", "write whole milliseconds, such as \"10ms\" or \"1.25s\"");
    if digits.len() > 9 {
        return Err(finer());
    }
    let too_long = || Mistake::new("is too long", "write a shorter duration");
    let whole: u64 = whole.parse().map_err(|_| too_long())?;
    let mut part: u64 = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| finer())? };
    let mut scale: u64 = 1;
    for _ in digits.chars() {
        scale = scale.saturating_mul(10);
    }
    part = part.saturating_mul(factor);
    if !part.is_multiple_of(scale) {
        return Err(finer());
    }
    whole.checked_mul(factor).and_then(|millis| millis.checked_add(part / scale)).ok_or_else(too_long)
}

/// A duration in the notation that [`parse`] reads, as short as it gets; finer than 1 ms is cut off.
pub(super) fn show(span: Duration) -> String {
    let millis = span.as_millis();
    let (seconds, rest) = (millis / 1000, millis % 1000);
    match (seconds, rest) {
        (0, 1..) => format!("{rest}ms"),
        (1.., 1..) => {
            let part = format!("{rest:03}");
            format!("{seconds}.{}s", part.trim_end_matches('0'))
        }
        (0, 0) => "0s".to_owned(),
        (_, _) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (_, _) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (_, _) => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_is_read() {
        for (text, millis) in [
            ("0s", 0),
            ("1ms", 1),
            ("10ms", 10),
            ("1000ms", 1_000),
            ("1s", 1_000),
            ("40.95s", 40_950),
            ("1.50s", 1_500),
            ("2.000s", 2_000),
            ("0.001s", 1),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_told_what_to_write() {
        for (text, what, remedy) in [
            ("1", "has no unit", "\"1s\""),
            ("0.5", "has no unit", "\"0.5s\""),
            ("1 s", "is not a duration", "write \"1s\""),
            ("5S", "is not a duration", "write \"5s\""),
            ("10 minutes", "is not a duration", "write \"10m\""),
            ("1d", "has an unknown unit", "`h`"),
            ("1.5m", "only seconds", "\"90s\""),
            ("2.5ms", "finer than 1ms", "whole milliseconds"),
            ("0.0005s", "finer than 1ms", "whole milliseconds"),
            ("-1s", "is negative", "`ms`"),
            ("s", "is not a duration", "`ms`"),
            ("", "is not a duration", "`ms`"),
            (".5s", "is not a duration", "`ms`"),
            ("1.s", "is not a duration", "`ms`"),
            ("1.2.3s", "is not a duration", "`ms`"),
            ("99999999999999999999s", "is too long", "shorter"),
            ("18446744073709551615h", "is too long", "shorter"),
            ("1s1s", "has an unknown unit", "`ms`"),
        ] {
            let mistake = parse(text).expect_err(text);
            assert!(mistake.what.contains(what), "{text}: {mistake:?}");
            assert!(mistake.remedy.contains(remedy), "{text}: {mistake:?}");
        }
    }

    #[test]
    fn shown_durations_are_short() {
        for (millis, text) in [
            (0, "0s"),
            (10, "10ms"),
            (1_000, "1s"),
            (40_950, "40.95s"),
            (90_000, "90s"),
            (120_000, "2m"),
            (86_400_000, "24h"),
        ] {
            assert_eq!(show(Duration::from_millis(millis)), text);
        }
    }
}
