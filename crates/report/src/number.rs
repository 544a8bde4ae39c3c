//! How a number is written: significant digits, intervals, counts, durations, bytes.
//!
//! A reader sees as many digits as carry meaning. Numbers below 10⁻⁴ and from 10⁷ on use an exponent; NaN and infinities
//! are written out, never left blank.

/// `digits` significant digits, in plain notation from 10⁻⁴ to 10⁷: 0.0791, 20.8, 1235, 6.10e7.
pub fn significant(x: f64, digits: usize) -> String {
    if !x.is_finite() {
        return not_finite(x);
    }
    match exponent(x, digits) {
        Some(e) if !(-4..7).contains(&e) => format!("{x:.*e}", digits.max(1) - 1),
        e => format!("{x:.*}", decimals(e, digits)),
    }
}

/// A value beside its interval with the same decimals, as many as give the largest of the three `digits` significant ones:
/// `0.158 [0.151, 0.166]`.
pub fn interval(value: f64, low: f64, high: f64, digits: usize) -> String {
    let largest = [value, low, high].into_iter().filter(|x| x.is_finite()).map(f64::abs).fold(0.0, f64::max);
    match exponent(largest, digits) {
        Some(e) if !(-4..7).contains(&e) => {
            let [value, low, high] = [value, low, high].map(|x| significant(x, digits));
            format!("{value} [{low}, {high}]")
        }
        e => {
            let [value, low, high] = [value, low, high].map(|x| fixed(x, decimals(e, digits)));
            format!("{value} [{low}, {high}]")
        }
    }
}

/// A whole number with its thousands set apart: 115,204.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Seconds as a person says them: 0.42 s, 12.3 s, 4 min 05 s, 2 h 03 min.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return not_finite(seconds);
    }
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 9.995 => format!("{seconds:.2} s"),
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        0..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", (whole + 30) / 3600, (whole + 30) % 3600 / 60),
    }
}

/// Binary units from 1 KiB on: 512 B, 1.50 KiB, 4.21 GiB.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    // 1023.95 MiB would be written "1024 MiB": the next unit begins where rounding does.
    let (mut x, mut unit) = (n as f64 / 1024.0, 0);
    while x >= 1023.5 && unit + 1 < UNITS.len() {
        (x, unit) = (x / 1024.0, unit + 1);
    }
    format!("{} {}", significant(x, if x >= 1000.0 { 4 } else { 3 }), UNITS[unit])
}

/// A share as a percentage with one decimal: 12.5 %.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", share * 100.0) } else { not_finite(share) }
}

fn not_finite(x: f64) -> String {
    match x {
        f64::INFINITY => "inf".into(),
        f64::NEG_INFINITY => "-inf".into(),
        _ => "NaN".into(),
    }
}

fn fixed(x: f64, decimals: usize) -> String {
    if x.is_finite() { format!("{x:.decimals$}") } else { not_finite(x) }
}

/// The decimal exponent of x once rounded to `digits` (9.996 to three digits is 10.0: exponent 1); None for zero.
fn exponent(x: f64, digits: usize) -> Option<i32> {
    if x == 0.0 {
        return None;
    }
    let text = format!("{x:.*e}", digits.max(1) - 1);
    text.rsplit_once('e').and_then(|(_, e)| e.parse().ok())
}

/// Decimals that leave `digits` significant ones; a zero gets the decimals of a number between 1 and 10.
fn decimals(exponent: Option<i32>, digits: usize) -> usize {
    (digits as i32 - 1 - exponent.unwrap_or(0)).max(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn significant_digits() {
        let expect = [
            (0.0791234, "0.0791"),
            (20.84, "20.8"),
            (1.0, "1.00"),
            (0.9996, "1.00"),
            (9.996, "10.0"),
            (-0.1584, "-0.158"),
            (1234.6, "1235"),
            (0.0, "0.00"),
            (0.000123456, "0.000123"),
            (0.0000123456, "1.23e-5"),
            (6_100_000.0, "6100000"),
            (61_000_000.0, "6.10e7"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (x, text) in expect {
            assert_eq!(significant(x, 3), text, "{x}");
        }
    }

    #[test]
    fn intervals_share_their_decimals() {
        assert_eq!(interval(0.158, 0.1512, 0.1664, 3), "0.158 [0.151, 0.166]");
        assert_eq!(interval(20.8, 20.13, 21.4, 3), "20.8 [20.1, 21.4]");
        assert_eq!(interval(0.0001, -0.0041, 0.0052, 3), "0.00010 [-0.00410, 0.00520]");
        assert_eq!(interval(99.96, 99.0, 101.0, 3), "100 [99, 101]");
        assert_eq!(interval(1.5e-8, 1e-9, 2e-8, 3), "1.50e-8 [1.00e-9, 2.00e-8]");
        assert_eq!(interval(0.0, 0.0, 0.0, 3), "0.00 [0.00, 0.00]");
        assert_eq!(interval(f64::NAN, 0.5, f64::INFINITY, 3), "NaN [0.500, inf]");
    }

    #[test]
    fn counts_are_grouped() {
        for (n, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (115_204, "115,204"), (6_100_000, "6,100,000")]
        {
            assert_eq!(count(n), text);
        }
    }

    #[test]
    fn durations() {
        let expect = [
            (0.418, "0.42 s"),
            (12.34, "12.3 s"),
            (59.96, "1 min 00 s"),
            (245.2, "4 min 05 s"),
            (7382.0, "2 h 03 min"),
            (7199.0, "2 h 00 min"),
        ];
        for (seconds, text) in expect {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn bytes_in_binary_units() {
        let expect = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.50 KiB"),
            (1 << 20, "1.00 MiB"),
            ((1 << 20) - 1, "1.00 MiB"),
            (4_520_000_000, "4.21 GiB"),
            (1010 << 20, "1010 MiB"),
        ];
        for (n, text) in expect {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn percents() {
        assert_eq!(percent(0.1254), "12.5 %");
        assert_eq!(percent(f64::NAN), "NaN");
    }
}
