//! Text for people: times, rates, and how much fits into a line.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// So many bytes, as they are typed.
pub(super) fn size(bytes: u64) -> String {
    match bytes as f64 / f64::from(1 << 20) {
        megabytes if megabytes < 1024.0 => format!("{megabytes:.0}M"),
        megabytes => format!("{:.1}G", megabytes / 1024.0),
    }
}

/// `0:12`, `1:02:03` or `2d 3:04:05`.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}d {hours}:{minutes:02}:{seconds:02}"),
    }
}

/// `0.52s`, `12.3s`, `754s`, and from 100 minutes on like a clock.
pub(super) fn span(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 9.995 => format!("{s:.2}s"),
        s if s < 99.95 => format!("{s:.1}s"),
        s if s < 6000.0 => format!("{s:.0}s"),
        _ => clock(time),
    }
}

/// Records per second in three digits or so; of slow ones, per minute or hour.
pub(super) fn rate(per_second: f64) -> String {
    let (number, unit) = match per_second {
        r if r >= 0.5 => (r, "s"),
        r if r * 60.0 >= 0.5 => (r * 60.0, "min"),
        r => (r * 3600.0, "h"),
    };
    match number {
        n if n < 9.95 => format!("{n:.1}/{unit}"),
        n => format!("{n:.0}/{unit}"),
    }
}

/// The columns that `text` takes in a terminal.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// The beginning of `text` that fits into so many columns, with a mark where something is left out.
pub(super) fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > most {
            break;
        }
        kept.push(c);
    }
    if most > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_clock() {
        let shown = [0, 59, 60, 3599, 3600, 86_399, 86_400, 200_000]
            .map(|seconds| clock(Duration::from_secs(seconds)));
        let expected = [
            "0:00",
            "0:59",
            "1:00",
            "59:59",
            "1:00:00",
            "23:59:59",
            "1d 0:00:00",
            "2d 7:33:20",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn spans_have_three_digits_or_so() {
        let shown = [0, 520, 9_994, 9_996, 99_940, 99_960, 5_999_000, 6_000_000]
            .map(|milliseconds| span(Duration::from_millis(milliseconds)));
        let expected = [
            "0.00s", "0.52s", "9.99s", "10.0s", "99.9s", "100s", "5999s", "1:40:00",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn slow_rates_are_told_by_the_minute_or_hour() {
        let shown = [1_234_567.8, 12.34, 9.96, 2.0, 0.5, 0.4, 0.01, 0.008, 0.0001].map(rate);
        let expected = [
            "1234568/s",
            "12/s",
            "10/s",
            "2.0/s",
            "0.5/s",
            "24/min",
            "0.6/min",
            "29/h",
            "0.4/h",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn wide_characters_are_never_cut_in_two() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("abc", 1), "…");
        assert_eq!(cut("abc", 0), "");
        for most in 0..20 {
            assert!(
                columns(&cut("a日b本c語d👍e\u{301}fg", most)) <= most,
                "{most}"
            );
        }
    }
}
