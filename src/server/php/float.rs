//! Floats as PHP writes them: the fewest digits that read back as the same number, without `.0`, and with an exponent
//! outside of 1.0E-4 to 1.0E+17.

/// In `serialize`'s text an exponent follows `E`, in JSON `e`.
pub fn write(float: f64, e: char, out: &mut Vec<u8>) {
    if float.is_nan() {
        return out.extend_from_slice(b"NAN");
    }
    if float.is_infinite() {
        return out.extend_from_slice(if float > 0.0 { b"INF" } else { b"-INF" });
    }
    // Rust's `{:e}` has the same digits: `-1.2345e-7`.
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        return out.extend_from_slice(format!("{float}").as_bytes());
    }
    out.extend_from_slice(mantissa.as_bytes());
    if !mantissa.contains('.') {
        out.extend_from_slice(b".0");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    out.extend_from_slice(format!("{e}{sign}{}", exponent.abs()).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_php_does_it() {
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
