//! Times of the status document, as people read them.

/// A span: two units are enough.
pub(super) fn words(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m {}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h {}m", whole / 3600, whole % 3600 / 60),
        86_400.. => format!("{}d {}h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// From one RFC 3339 time in UTC to another, in seconds; `None` if either is none.
pub(super) fn between(earlier: &str, later: &str) -> Option<f64> {
    Some((millis(later)?.saturating_sub(millis(earlier)?)) as f64 / 1000.0)
}

/// The time of day, with the date where it is not today's.
pub(super) fn clock(time: &str, now: &str) -> String {
    match (time.split_once('T'), now.split_once('T')) {
        (Some((date, clock)), Some((today, _))) => {
            let clock = clock.split('.').next().unwrap_or(clock);
            if date == today { clock.to_owned() } else { format!("{date} {clock}") }
        }
        (Some(_) | None, Some(_) | None) => time.to_owned(),
    }
}

/// Milliseconds since 1970 of `YYYY-MM-DDTHH:MM:SS.mmmZ`.
fn millis(time: &str) -> Option<u64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second, milli) = (number(11, 13)?, number(14, 16)?, number(17, 19)?, number(20, 23)?);
    // Years begin in March here, so that the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let days = days.checked_sub(719_469)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + milli)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_spans() {
        // From `date -u -d @N`.
        assert_eq!(millis("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(millis("2000-02-29T00:00:00.000Z"), Some(951_782_400_000));
        assert_eq!(millis("2026-11-21T10:22:04.250Z"), Some(1_795_256_524_250));
        assert_eq!(between("2026-12-31T23:59:59.500Z", "2027-01-01T00:00:01.000Z"), Some(1.5));
        assert_eq!(between("2027-01-01T00:00:01.000Z", "2026-12-31T23:59:59.500Z"), Some(0.0));
        assert_eq!(between("yesterday", "2027-01-01T00:00:01.000Z"), None);
    }

    #[test]
    fn spans_have_two_units_at_most() {
        let spans = [0.04, 9.96, 59.9, 61.0, 3600.0 * 5.0 + 120.0, 86_400.0 * 400.0];
        assert_eq!(spans.map(words), ["0.0s", "10.0s", "59s", "1m 1s", "5h 2m", "400d 0h"]);
    }

    #[test]
    fn a_date_is_told_where_it_is_not_today() {
        let now = "2026-11-21T10:22:04.250Z";
        assert_eq!(clock("2026-11-21T09:00:01.999Z", now), "09:00:01");
        assert_eq!(clock("2026-11-20T09:00:01.999Z", now), "2026-11-20 09:00:01");
        assert_eq!(clock("soon", now), "soon");
    }
}
