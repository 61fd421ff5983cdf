//! Times as text, in UTC. Written by hand: a library would add to the wasm, and both targets must render the same
//! characters. Times are unix milliseconds.

use crate::domain::lang::Lang;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// Returns the day number of a time: days since 1970-01-01.
pub fn day_of(at_ms: u64) -> i64 {
    (at_ms / DAY_MS) as i64
}

/// Returns the time of day: `21:04`.
pub fn clock(at_ms: u64) -> String {
    let minutes = at_ms % DAY_MS / 60_000;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Returns the time for `<time datetime>`: `2026-11-23T21:04:05Z`.
pub fn iso(at_ms: u64) -> String {
    let (year, month, day) = civil_date(day_of(at_ms));
    format!("{year:04}-{month:02}-{day:02}T{}:{:02}Z", clock(at_ms), at_ms % 60_000 / 1000)
}

/// Returns the date of a day number: `11月23日` or `23 Nov`.
pub fn day_name(day: i64, lang: Lang) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, month, day) = civil_date(day);
    match lang {
        Lang::Zh => format!("{month}月{day}日"),
        Lang::En => format!("{day} {}", MONTHS[month as usize - 1]),
    }
}

/// Returns year, month (1-12) and day (1-31) of the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date
/// algorithms").
fn civil_date(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_days_have_their_known_texts() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_000, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_795_392_000_000, "2026-11-23T00:00:00Z"),
        ] {
            assert_eq!(iso(at), text);
        }
        assert_eq!((day_name(20_780, Lang::Zh), day_name(20_780, Lang::En)), ("11月23日".into(), "23 Nov".into()));
    }
}
