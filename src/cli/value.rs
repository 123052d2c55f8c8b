//! What options accept as a value: DURATION, SIZE and numbers.
//!
//! Each parser gives a fragment that says what is expected; clap puts the option and the value
//! before it.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{OsStringValueParser, PossibleValue, TypedValueParser};

use crate::schedule::policy::{MaxErrors, OnError, Percentage, Rate, Window};
use crate::shard::Shard;
use crate::worker::machine::Threads;
use crate::worker::machine::gpus::GpuChoice;

/// The longest DURATION, 100 years: far from what overflows a clock when it is added to now.
const MAX_DURATION: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

/// The most workers that can be asked for, more than any process table holds in practice.
const MAX_JOBS: usize = 65_536;

/// The most records of a rate, more than any pipe takes in any of its times.
const MAX_RATE: f64 = 1e9;

/// The units of a DURATION, from the longest, and their seconds.
const DURATION_UNITS: [(&str, f64); 5] = [
    ("d", 86_400.0),
    ("h", 3_600.0),
    ("m", 60.0),
    ("s", 1.0),
    ("ms", 0.001),
];

/// DURATION: a number, fractions too, with `ms`, `s`, `m`, `h` or `d`, or a sum of such, longer units
/// first, as `1m30s`; bare, it is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str =
        "expected a number with ms, s, m, h or d, such as 500ms, 1.5s or 2h, or 1m30s";
    refuse_negative(text)?;
    // Only digits and dots get there, so "inf", "nan" and exponents never do.
    let parse = |number: &str| number.parse::<f64>().map_err(|_| EXPECTED);
    let (number, mut rest) = split_unit(text);
    let mut parts = Vec::new();
    if rest.is_empty() {
        parts.push(parse(number)?);
    }
    let (mut number, mut units) = (number, &DURATION_UNITS[..]);
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, next) = rest.split_at(end);
        let place = units.iter().position(|(name, _)| *name == unit).ok_or(EXPECTED)?;
        parts.push(parse(number)? * units[place].1);
        units = &units[place + 1..];
        (number, rest) = split_unit(next);
        if rest.is_empty() && !number.is_empty() {
            return Err(EXPECTED.into());
        }
    }
    let seconds: f64 = parts.iter().sum();
    if seconds > MAX_DURATION.as_secs_f64() {
        return Err("longer than 36500d".into());
    }
    let duration = Duration::from_secs_f64(seconds);
    // 0 has a meaning of its own, which what is merely short must not get by rounding.
    Ok(if seconds > 0.0 {
        duration.max(Duration::from_nanos(1))
    } else {
        duration
    })
}

/// A DURATION that must not be 0.
pub fn duration_above_zero(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("expected more than 0".into()),
        duration => Ok(duration),
    }
}

/// `N/s`, `N/m` or `N/h`: so many records in a second, a minute or an hour.
pub fn rate(text: &str) -> Result<Rate, String> {
    const EXPECTED: &str =
        "expected a number of records a second, minute or hour, as 10/s, 500/m or 0.5/s";
    refuse_negative(text)?;
    let (number, unit) = text.split_once('/').ok_or(EXPECTED)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(EXPECTED.into()),
    };
    // Neither "inf" nor an exponent.
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let records = number.parse::<f64>().ok().filter(|_| is_plain).ok_or(EXPECTED)?;
    match records {
        0.0 => Err("expected more than 0".into()),
        _ if records > MAX_RATE => Err("expected at most 1000000000 records".into()),
        _ => Ok(Rate {
            records,
            time: Duration::from_secs(seconds),
        }),
    }
}

/// `MIN` or `MIN..MAX`, two DURATIONs.
pub fn durations(text: &str) -> Result<(Duration, Option<Duration>), String> {
    let Some((least, most)) = text.split_once("..") else {
        return Ok((duration_above_zero(text)?, None));
    };
    let (least, most) = (duration_above_zero(least)?, duration(most)?);
    match most < least {
        true => Err("expected MIN..MAX, MAX at least as long as MIN".into()),
        false => Ok((least, Some(most))),
    }
}

/// SIZE: a number of bytes, or a number with `K`, `M` or `G`, or `KiB` and so on, powers of 1024, or
/// with `KB` and so on, powers of 1000; at least 1.
pub fn size(text: &str) -> Result<NonZeroUsize, String> {
    const EXPECTED: &str =
        "expected a number of bytes, or a number with K, M or G, such as 512K, 64M or 64MB";
    refuse_negative(text)?;
    let (number, unit) = split_unit(text);
    let unit_bytes: usize = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(EXPECTED.into()),
    };
    if number.is_empty() || number.contains('.') {
        return Err(EXPECTED.into());
    }
    let bytes = number.parse::<usize>().ok().and_then(|number| number.checked_mul(unit_bytes));
    let bytes = bytes.ok_or("larger than the memory that can be addressed")?;
    NonZeroUsize::new(bytes).ok_or_else(|| "expected at least 1 byte".into())
}

/// A number of at least 1.
pub fn count(text: &str) -> Result<NonZeroUsize, String> {
    refuse_negative(text)?;
    text.parse().map_err(|_| "expected a whole number of at least 1".into())
}

/// A number of records.
pub fn records(text: &str) -> Result<u64, String> {
    refuse_negative(text)?;
    text.parse().map_err(|_| "expected a whole number".into())
}

/// How often something is done; 0 is never.
pub fn times(text: &str) -> Result<u32, String> {
    refuse_negative(text)?;
    text.parse().map_err(|_| format!("expected a whole number of at most {}", u32::MAX))
}

/// A number of failures of at least 1, or a percentage of the outcomes.
pub fn max_errors(text: &str) -> Result<MaxErrors, String> {
    const EXPECTED: &str = "expected a whole number of at least 1, or a percentage as 5% or 0.1%";
    refuse_negative(text)?;
    let Some(percent) = text.strip_suffix('%') else {
        let count: NonZeroU64 = text.parse().map_err(|_| EXPECTED)?;
        return Ok(MaxErrors::Count(count.get()));
    };
    // Neither "inf" nor an exponent.
    if !percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(EXPECTED.into());
    }
    let percent: f64 = percent.parse().map_err(|_| EXPECTED)?;
    match (percent * 10_000.0).round() {
        millionths if (1.0..1e6).contains(&millionths) => Ok(MaxErrors::Part(Percentage {
            millionths: millionths as u32,
        })),
        _ => Err("expected a percentage above 0 and below 100".into()),
    }
}

/// `K/N`, K below N.
pub fn shard(text: &str) -> Result<Shard, String> {
    text.parse()
}

/// How many workers are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jobs {
    /// So many.
    Count(NonZeroUsize),
    /// So many for a hundred CPUs.
    Percent(NonZeroUsize),
}

impl Jobs {
    /// The number of workers where there are so many CPUs: rounded down, but at least 1.
    pub fn on(self, cpus: impl Fn() -> NonZeroUsize) -> NonZeroUsize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let jobs = cpus().get().saturating_mul(percent.get()) / 100;
                NonZeroUsize::new(jobs.min(MAX_JOBS)).unwrap_or(NonZeroUsize::MIN)
            }
        }
    }
}

/// A number of workers, or a percentage of the CPUs, as `50%`.
pub fn jobs(text: &str) -> Result<Jobs, String> {
    const EXPECTED: &str =
        "expected a whole number of at least 1, or a percentage of the CPUs as 50%";
    refuse_negative(text)?;
    if let Some(percent) = text.strip_suffix('%') {
        return percent.parse().map(Jobs::Percent).map_err(|_| EXPECTED.into());
    }
    let jobs: NonZeroUsize = text.parse().map_err(|_| EXPECTED)?;
    if jobs.get() > MAX_JOBS {
        return Err(format!("expected at most {MAX_JOBS} workers"));
    }
    Ok(Jobs::Count(jobs))
}

/// `auto`, `keep` or a number of threads of at least 1.
pub fn threads(text: &str) -> Result<Threads, String> {
    match text {
        "auto" => Ok(Threads::Auto),
        "keep" => Ok(Threads::Keep),
        _ => count(text)
            .map(Threads::Count)
            .map_err(|_| "expected auto, keep or a whole number of at least 1".into()),
    }
}

/// `all`, or names of GPUs with commas between them.
pub fn gpus(text: &str) -> Result<GpuChoice, String> {
    const EXPECTED: &str = "expected all, or numbers or names with commas between them, as 0,2";
    if text == "all" {
        return Ok(GpuChoice::All);
    }
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let is_name = |name: &String| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
        !name.is_empty() && !name.starts_with('-') && name.chars().all(is_part)
    };
    if !names.iter().all(is_name) {
        return Err(EXPECTED.into());
    }
    let repeated = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name));
    match repeated {
        Some((_, name)) => Err(format!(
            "{name} is named twice: --jobs gives it more workers"
        )),
        None => Ok(GpuChoice::Listed(names)),
    }
}

/// Any text. clap's own parser of strings does not say which option has an argument that is none.
pub fn text() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new()
        .try_map(|text| text.into_string().map_err(|_| "expected text, and it is not valid UTF-8"))
}

/// `auto`, `full` or a number of records of at least 1.
pub fn window(text: &str) -> Result<Window, String> {
    match text {
        "auto" => Ok(Window::Auto),
        "full" => Ok(Window::Full),
        _ => count(text)
            .map(Window::Records)
            .map_err(|_| "expected auto, full or a whole number of at least 1".into()),
    }
}

/// The long help of an option with these values: what it is, and what each of them means.
pub(super) fn described<T: ValueEnum>(what: &str) -> String {
    let values = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    let mut text = format!("{what}:");
    for value in values {
        text.push_str(&format!("\n- {}", value.get_name()));
        if let Some(help) = value.get_help() {
            text.push_str(&format!(": {help}"));
        }
    }
    text
}

impl ValueEnum for OnError {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Defer, Self::Ignore, Self::Raise, Self::Drain]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Defer => ("defer", "The run goes on; status 123 at its end"),
            Self::Ignore => (
                "ignore",
                "The run goes on, and failed records do not count in the status",
            ),
            Self::Raise => (
                "raise",
                "The first failure ends the run at once: workers are killed",
            ),
            Self::Drain => (
                "drain",
                "After the first failure nothing new is sent; what was sent is finished",
            ),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

/// A number and what stands behind it.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

fn refuse_negative(text: &str) -> Result<(), String> {
    if text.starts_with('-') {
        Err("must not be negative".into())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_with_a_unit_and_bare_it_is_seconds() {
        for (text, millis) in [
            ("0", 0),
            ("7", 7_000),
            ("0.5", 500),
            (".5", 500),
            ("250ms", 250),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("1m30s", 90_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("1.5h0.5m", 5_430_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "", "s", ".", "-1", "nan", "inf", "1e3", "1.2.3", "5 s", "5sec", "+5", "36501d", "1_0",
            "1m30", "30s1m", "1s1s", "1m30x", "1ms1", "m30s", "1m.s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(
            duration(&"9".repeat(400)).is_err(),
            "a number beyond any clock"
        );
    }

    #[test]
    fn a_tiny_duration_is_not_taken_for_none() {
        assert_eq!(duration("0.000000000001"), Ok(Duration::from_nanos(1)));
        assert!(duration_above_zero("0ms").is_err());
    }

    #[test]
    fn a_rate_is_a_number_of_records_a_second_a_minute_or_an_hour() {
        for (text, per_second) in [
            ("10/s", 10.0),
            ("90/m", 1.5),
            ("1800/h", 0.5),
            ("0.5/s", 0.5),
        ] {
            assert_eq!(rate(text).map(Rate::per_second), Ok(per_second), "{text}");
        }
        for text in [
            "", "10", "10/", "/s", "0/s", "-1/s", "1/d", "1e3/s", "inf/s", "1/s/s", "1 /s",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn two_durations_are_in_order_and_the_first_is_above_0() {
        let second = Duration::from_secs(1);
        assert_eq!(durations("1"), Ok((second, None)));
        assert_eq!(durations("1s..1m"), Ok((second, Some(60 * second))));
        assert_eq!(durations("1s..1s"), Ok((second, Some(second))));
        assert_eq!(durations("0.5..1"), Ok((second / 2, Some(second))));
        for text in [
            "", "0", "0..1", "2..1", "1..", "..1", "1...2", "-1", "1..x", "1..2..3",
        ] {
            assert!(durations(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_in_powers_of_1024_or_with_a_b_of_1000() {
        for (text, bytes) in [
            ("1", 1),
            ("5K", 5 << 10),
            ("64M", 64 << 20),
            ("2g", 2 << 30),
            ("64MiB", 64 << 20),
            ("64MB", 64_000_000),
            ("3kB", 3_000),
            ("1gib", 1 << 30),
        ] {
            assert_eq!(size(text).map(NonZeroUsize::get), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "K",
            "0",
            "0G",
            "-1",
            "1.5M",
            "1KX",
            "1B",
            "1T",
            "18446744073709551615K",
            "1 K",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_is_auto_full_or_at_least_1() {
        assert_eq!(window("auto"), Ok(Window::Auto));
        assert_eq!(window("full"), Ok(Window::Full));
        assert_eq!(
            window("3"),
            Ok(Window::Records(NonZeroUsize::new(3).unwrap()))
        );
        assert!(window("0").is_err() && window("-1").is_err() && window("all").is_err());
    }

    #[test]
    fn times_may_be_0_but_not_less() {
        assert_eq!(times("0"), Ok(0));
        assert!(times("-1").is_err() && times("4294967296").is_err() && times("x").is_err());
    }

    #[test]
    fn failures_are_a_number_or_a_percentage() {
        assert_eq!(max_errors("3"), Ok(MaxErrors::Count(3)));
        for (text, millionths) in [("5%", 50_000), ("0.1%", 1_000), ("99.9999%", 999_999)] {
            let part = MaxErrors::Part(Percentage { millionths });
            assert_eq!(max_errors(text), Ok(part), "{text}");
        }
        for text in [
            "0", "0%", "100%", "-1", "-1%", "%", "1.5", "1e1%", "inf%", "1.2.3%", "5 %",
        ] {
            assert!(max_errors(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_number_of_workers_has_bounds() {
        assert!(jobs("0").is_err() && jobs("65537").is_err() && jobs("many").is_err());
        for (text, on_7) in [("65536", 65_536), ("50%", 3), ("1%", 1), ("200%", 14)] {
            let jobs = jobs(text).map(|jobs| jobs.on(|| NonZeroUsize::new(7).unwrap()).get());
            assert_eq!(jobs, Ok(on_7), "{text}");
        }
        assert!(jobs("0%").is_err() && jobs("%").is_err() && jobs("-5%").is_err());
        assert!(jobs("1.5%").is_err());
    }
}
