//! Whether a text is a time at which the session ran. A date outside the session's life is data, not a clock.

use crate::event::Nanos;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// Time zones are multiples of this (Nepal and the Chatham Islands use 45 minutes).
const ZONE_STEP: f64 = 900.0;
/// The largest distance of a zone from UTC, in such steps.
const ZONES: i32 = 14 * 4;
const DAY: f64 = 86_400.0;
/// Clocks of two programs, and the time between reading and printing.
const SLACK: f64 = 2.0;

/// From when to when, in seconds since the epoch, a clock that the execution shows can have been read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Window {
    pub(super) start: f64,
    pub(super) end: f64,
}

impl Window {
    pub(super) fn new(start: Nanos, end: Nanos) -> Self {
        Self { start: start as f64 / 1e9, end: end as f64 / 1e9 }
    }

    /// A notebook file may not say when it was run: then no time in it is known to be one of its own.
    fn is_known(self) -> bool {
        self.start > 0.0
    }

    /// A bare number that is an epoch time in seconds, milliseconds, microseconds or nanoseconds.
    pub(super) fn holds_epoch(&self, number: f64) -> bool {
        if !self.is_known() {
            return false;
        }
        [1.0, 1e3, 1e6, 1e9].iter().any(|unit| {
            let seconds = number / unit;
            seconds >= self.start - SLACK && seconds <= self.end + SLACK
        })
    }

    /// Whether two texts can be times that two sessions read from a clock, in whichever zone. Without a date it must be
    /// one and the same zone: 00:15 and 09:15 are both now somewhere, at most times of the day.
    pub(super) fn both_hold(recorded: (&Self, &str), replayed: (&Self, &str)) -> bool {
        let (then, now) = (read(recorded.1), read(replayed.1));
        let (Some(then), Some(now)) = (then, now) else { return false };
        recorded.0.is_known()
            && replayed.0.is_known()
            && if then.day.is_some() && now.day.is_some() {
                zones().any(|zone| recorded.0.holds(then, zone)) && zones().any(|zone| replayed.0.holds(now, zone))
            } else {
                zones().any(|zone| recorded.0.holds(then, zone) && replayed.0.holds(now, zone))
            }
    }

    /// Whether two dates are as far apart as the two executions, which lasted so many seconds: both said *now* and added or
    /// subtracted the same (`now - timedelta(days=40)`). Without a time of day only where days lie between the two.
    pub(super) fn both_moved(recorded: (&Self, f64, &str), replayed: (&Self, f64, &str)) -> bool {
        let (then, now) = (read(recorded.2), read(replayed.2));
        let (Some(then), Some(now)) = (then, now) else { return false };
        let (Some(then_day), Some(now_day)) = (then.day, now.day) else { return false };
        if !recorded.0.is_known() || !replayed.0.is_known() {
            return false;
        }
        let least = replayed.0.end - replayed.1 - recorded.0.end - SLACK;
        let most = replayed.0.end - (recorded.0.end - recorded.1) + SLACK;
        let days = (now_day - then_day) as f64;
        match (then.second, now.second) {
            (Some(x), Some(y)) => (least - then.step..=most + now.step).contains(&(days * DAY + y - x)),
            (None, None) => least >= DAY && ((least / DAY).floor()..=(most / DAY).ceil()).contains(&days),
            _ => false,
        }
    }

    /// Whether a date, a time of day or both lie in it, said by a clock that is `zone` seconds before UTC's.
    fn holds(&self, reading: Reading, zone: f64) -> bool {
        let (first, last) = (self.start - SLACK + zone, self.end + SLACK + zone);
        match reading {
            Reading { day: Some(day), second: None, .. } => {
                let midnight = day as f64 * DAY;
                midnight <= last && midnight + DAY > first
            }
            Reading { day: Some(day), second: Some(second), step } => {
                let seconds = day as f64 * DAY + second;
                seconds <= last && seconds + step >= first
            }
            Reading { day: None, second: Some(second), step } => {
                (second + step - first).rem_euclid(DAY) <= last - first + step
            }
            Reading { day: None, second: None, .. } => false,
        }
    }
}

/// The distances of all zones from UTC, in seconds.
fn zones() -> impl Iterator<Item = f64> {
    (-ZONES..=ZONES).map(|zone| f64::from(zone) * ZONE_STEP)
}

/// What a text says: days since the epoch, seconds since midnight, and how coarse the latter is.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Reading {
    day: Option<i64>,
    second: Option<f64>,
    step: f64,
}

/// `20261122T181254Z`, `20261122-181254`, `261122_181254`, `20261122`.
fn compact(text: &str) -> Option<Reading> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let Some((date, time)) = text.split_once(['T', '-', '_']) else {
        let number: i64 = text.parse().ok().filter(|_| text.len() == 8)?;
        let day = days(number / 10_000, number / 100 % 100, number % 100)?;
        return Some(Reading { day: Some(day), second: None, step: 1.0 });
    };
    if !matches!(date.len(), 6 | 8) || time.len() != 6 {
        return None;
    }
    let (date, time): (i64, i64) = (date.parse().ok()?, time.parse().ok()?);
    let year = date / 10_000;
    let day = days(if year < 100 { year + 2000 } else { year }, date / 100 % 100, date % 100)?;
    let second = time / 10_000 * 3600 + time / 100 % 100 * 60 + time % 100;
    Some(Reading { day: Some(day), second: Some(second as f64), step: 1.0 })
}

fn read(text: &str) -> Option<Reading> {
    // As a part of a name (`run_20261122-181254_a.csv`, `d_20261122.csv`) it has the signs around it.
    let text = text.trim_matches(['-', '_', '.']);
    // A web server's log has a colon before the time (`22/Nov/2026:18:12:54`).
    let spaced = text.split_once(':').filter(|(date, _)| date.len() == 11 && date.contains('/'));
    let spaced = spaced.map(|(date, time)| format!("{date} {time}"));
    let text = spaced.as_deref().unwrap_or(text);
    if let Some(reading) = compact(text) {
        return Some(reading);
    }
    let (mut second, mut step) = (None, 1.0);
    let mut numbers: Vec<(i64, usize)> = Vec::new();
    let mut month = None;
    let repr = text.starts_with("datetime.") || text.starts_with("time.struct_time(");
    let time = text.find(':').and_then(|colon| {
        let start = text.get(..colon)?.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
        let rest = text.get(start..)?;
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.')).unwrap_or(rest.len());
        Some((start, start + end))
    });
    if let Some((start, end)) = time {
        let clock = text.get(start..end)?;
        let parts: Vec<f64> = clock.split(':').filter_map(|part| part.parse().ok()).collect();
        let (hours, minutes, seconds) = match parts.as_slice() {
            [h, m] => (*h, *m, 0.0),
            [h, m, s] => (*h, *m, *s),
            _ => return None,
        };
        if hours > 24.0 || minutes >= 60.0 || seconds >= 61.0 {
            return None;
        }
        step = if parts.len() == 2 { 60.0 } else { 1.0 };
        let afternoon = text.get(end..)?.trim_start().to_ascii_lowercase().starts_with("pm") && hours < 12.0;
        second = Some((if afternoon { hours + 12.0 } else { hours }) * 3600.0 + minutes * 60.0 + seconds);
    }
    let before = text.get(..time.map_or(text.len(), |(start, _)| start))?;
    // `Sun Nov 22 18:12:54 2026` has its year behind the time.
    let year_behind = time
        .and_then(|(_, end)| text.get(end..))
        .and_then(|after| after.split(|c: char| !c.is_ascii_digit()).find(|part| part.len() == 4));
    for word in before.split(|c: char| !c.is_ascii_alphanumeric()).chain(year_behind).filter(|word| !word.is_empty()) {
        let lower = word.to_ascii_lowercase();
        if let Ok(number) = word.trim_end_matches(['T', 't']).parse::<i64>() {
            numbers.push((number, word.len()));
        } else if let Some(at) = MONTHS.iter().position(|name| lower.starts_with(name)) {
            month = month.or(Some(at as i64 + 1));
        }
    }
    if repr && numbers.len() >= 6 {
        let at = |i: usize| numbers.get(i).map_or(0.0, |(number, _)| *number as f64);
        second = Some(at(3) * 3600.0 + at(4) * 60.0 + at(5));
    } else if repr && numbers.len() == 5 {
        let at = |i: usize| numbers.get(i).map_or(0.0, |(number, _)| *number as f64);
        second = Some(at(3) * 3600.0 + at(4) * 60.0);
    }
    let day = date(&numbers, month);
    if day.is_none() && !numbers.is_empty() && second.is_none() {
        return None;
    }
    Some(Reading { day, second, step })
}

/// The day that numbers and a month's name spell, trying the orders people use.
fn date(numbers: &[(i64, usize)], month: Option<i64>) -> Option<i64> {
    let year_at = numbers.iter().position(|(_, digits)| *digits == 4);
    let plain: Vec<i64> = numbers.iter().map(|(number, _)| *number).collect();
    match (month, year_at, plain.as_slice()) {
        // 20261122
        (None, None, [compact, ..]) if *compact > 19_000_101 => {
            days(compact / 10_000, compact / 100 % 100, compact % 100)
        }
        (None, Some(0), [year, month, day, ..]) => days(*year, *month, *day),
        (None, Some(2), [a, b, year, ..]) => days(*year, *a, *b).or_else(|| days(*year, *b, *a)),
        (Some(month), Some(at), _) => {
            let day = plain.iter().enumerate().find(|(i, n)| *i != at && **n <= 31).map(|(_, n)| *n)?;
            days(*plain.get(at)?, month, day)
        }
        _ => None,
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar; `None` when there is no such date.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let (year, month, day) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let date = jiff::civil::Date::new(year, month, day).ok()?;
    let epoch = jiff::civil::Date::new(1970, 1, 1).ok()?;
    Some(i64::from(date.since(epoch).ok()?.get_days()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 18:12:54 UTC and five minutes more.
    fn window() -> Window {
        let start = days(2026, 11, 22).unwrap() as f64 * 86_400.0 + 18.0 * 3600.0 + 12.0 * 60.0 + 54.0;
        Window { start, end: start + 300.0 }
    }

    /// Whether it can be a time of [`window`], in any zone.
    fn held(text: &str) -> bool {
        Window::both_hold((&window(), text), (&window(), text))
    }

    #[test]
    fn compact_times_are_read_to_the_second() {
        assert!(held("20261122T181301Z") && held("20261122-181301") && held("261122-181301"));
        assert!(!held("20261122T182559Z") && !held("20261123T002559Z") && !held("261122-182559"), "none of any zone");
        assert!(held("22.11.2026 18:13:01.857"));
        assert!(held("_20261122_181301_") && held("-2026-11-22") && held("20261122") && !held("20261112"));
    }

    #[test]
    fn dates_that_are_counted_from_now_move_with_it() {
        let then = window();
        let moved = |by: f64, a, b| {
            let now = Window { start: then.start + by, end: then.end + by };
            Window::both_moved((&then, 3.0, a), (&now, 2.0, b))
        };
        assert!(moved(3600.0, "2026-10-13 18:17:50", "2026-10-13 19:17:51"));
        assert!(moved(11.0, "Tue Oct 13 23:59:57 2026", "Wed Oct 14 00:00:08 2026"));
        assert!(!moved(3600.0, "2026-10-13 18:17:50", "2026-10-13 18:17:50.5"));
        assert!(!moved(3600.0, "2026-10-13 18:17:50", "2026-10-13 19:18:50"));
        assert!(moved(7.0 * DAY, "2026-10-13", "2026-10-20") && !moved(7.0 * DAY, "2026-10-13", "2026-10-22"));
        assert!(!moved(3600.0, "2026-10-13", "2026-10-14"), "of a day nothing is known so soon");
        assert!(!moved(3600.0, "18:17:50", "19:17:50") && !moved(3600.0, "2026-10-13", "2026-10-13 19:17:50"));
    }

    #[test]
    fn times_without_a_date_are_clocks_in_one_zone() {
        let then = window();
        let now = Window { start: then.start + 3600.0, end: then.end + 3600.0 };
        let both = |a, b| Window::both_hold((&then, a), (&now, b));
        assert!(both("18:13:01", "19:14:02") && both("20:13", "21:14") && both("22.11.2026 23:13", "22.11.2026 19:14"));
        assert!(!both("18:13:01", "20:14:02") && !both("00:15", "09:15"), "no zone makes both of them now");
        assert!(!both("22.11.1999 18:13", "22.11.1999 19:14"));
        assert!(both("2026-11-22", "2026-11-22") && !both("2026-11-22", "2026-11-25"));
    }

    #[test]
    fn times_of_the_session_are_clocks_in_any_zone() {
        for text in [
            "2026-11-22",
            "2026-11-23",
            "2026-11-22 18:14:00",
            "2026-11-22T19:14:00.123+01:00",
            "Sun Nov 22 18:13:01 2026",
            "Sun, 22 Nov 2026",
            "22/11/2026",
            "11/22/2026",
            "18:13:01",
            "23:43:01",
            "06:15:09 PM",
            "datetime.datetime(2026, 11, 22, 18, 14, 0, 5)",
            "time.struct_time(tm_year=2026, tm_mon=11, tm_mday=22, tm_hour=18, tm_min=14, tm_sec=0, tm_wday=6, tm_yday=326, tm_isdst=0)",
            "November 22, 2026",
        ] {
            assert!(held(text), "{text}");
        }
        assert!(window().holds_epoch(window().start + 12.5));
        assert!(window().holds_epoch((window().start + 12.5) * 1e3));
    }

    #[test]
    fn without_times_nothing_is_a_clock() {
        let unknown = Window { start: 0.0, end: 0.0 };
        let held = |text| Window::both_hold((&unknown, text), (&unknown, text));
        assert!(!unknown.holds_epoch(1.5) && !held("00:00:01") && !held("1970-01-01"));
    }

    #[test]
    fn other_times_are_data() {
        for text in [
            "2026-11-12",
            "2025-11-22 18:14:00",
            "2026-11-22 18:20:00",
            "18:25:00",
            "Sat Nov 22 18:13:01 2025",
            "datetime.datetime(2026, 11, 20, 18, 14, 0, 5)",
            "time.struct_time(tm_year=2026, tm_mon=11, tm_mday=20, tm_hour=18, tm_min=14, tm_sec=0, tm_wday=6, tm_yday=326, tm_isdst=0)",
            "99:99:99",
        ] {
            assert!(!held(text), "{text}");
        }
        assert!(!window().holds_epoch(window().start - 60.0));
    }
}
