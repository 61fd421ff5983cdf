//! Formats floats as PHP does: the fewest digits that parse to the same number, without `.0`, and with an exponent outside of
//! 1.0E-4 to 1.0E+17.

/// Appends a float. The exponent follows `E` in `serialize`, `e` in JSON.
pub(super) fn write(float: f64, e: char, out: &mut Vec<u8>) {
    if float.is_nan() {
        return out.extend_from_slice(b"NAN");
    }
    if float.is_infinite() {
        return out.extend_from_slice(if float > 0.0 { b"INF" } else { b"-INF" });
    }
    let scientific = shortest(float);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        return out.extend_from_slice(plain(mantissa, exponent).as_bytes());
    }
    out.extend_from_slice(mantissa.as_bytes());
    if !mantissa.contains('.') {
        out.extend_from_slice(b".0");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    out.extend_from_slice(format!("{e}{sign}{}", exponent.abs()).as_bytes());
}

/// Returns a text such as `-1.2345e-7`. Of two texts of the same length and distance PHP uses the even one, which is the
/// result of rounding to that number of digits.
fn shortest(float: f64) -> String {
    let shortest = format!("{float:e}");
    let digits = shortest.split('e').next().unwrap_or_default().bytes().filter(u8::is_ascii_digit).count();
    let rounded = format!("{float:.*e}", digits.saturating_sub(1));
    if rounded.parse() == Ok(float) { rounded } else { shortest }
}

/// Formats the digits without an exponent.
fn plain(mantissa: &str, exponent: i32) -> String {
    let (sign, unsigned) = mantissa.strip_prefix('-').map_or(("", mantissa), |unsigned| ("-", unsigned));
    let digits = unsigned.replace('.', "");
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(-exponent as usize - 1));
    }
    let whole = exponent as usize + 1;
    match digits.split_at_checked(whole) {
        Some((digits, "")) => format!("{sign}{digits}"),
        Some((whole, rest)) => format!("{sign}{whole}.{rest}"),
        None => format!("{sign}{digits}{}", "0".repeat(whole - digits.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_formatted_as_php_formats_them() {
        for (float, text) in [
            (0.1, "0.1"),
            (1.0, "1"),
            (-0.0, "-0"),
            (1e15, "1000000000000000"),
            (1e16, "10000000000000000"),
            (1e17, "1.0E+17"),
            (123456789012345678.0, "1.2345678901234568E+17"),
            (12345678901234567.0, "12345678901234568"),
            (0.0001, "0.0001"),
            (0.00012345, "0.00012345"),
            (1.5e-5, "1.5E-5"),
            (5e-324, "5.0E-324"),
            (849499626579727.0 + 0.25, "849499626579727.2"),
            (849499626579727.0 + 0.75, "849499626579727.8"),
            (5e22, "5.0E+22"),
            (-123.456, "-123.456"),
            (1234567.0, "1234567"),
            (f64::MAX, "1.7976931348623157E+308"),
            (f64::INFINITY, "INF"),
            (f64::NEG_INFINITY, "-INF"),
            (f64::NAN, "NAN"),
        ] {
            let mut out = Vec::new();
            write(float, 'E', &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
