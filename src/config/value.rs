//! What a value may be: text in, typed and bounded value out, or words that say what would be right.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::origin::Origin;

/// The form of a setting's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Address,
    Path,
    Choice(&'static [&'static str]),
    Origin,
    Origins,
    LogLevel,
    Count { min: u64, max: u64 },
    Bytes { min: u64, max: u64 },
    Duration { min_ms: u64, max_ms: u64 },
}

/// A value that passed its [`Kind`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Unset,
    Address(SocketAddr),
    Text(String),
    Origins(Vec<Origin>),
    Number(u64),
    Duration(Duration),
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Kind {
    /// The typed value, or why the text is none.
    pub(super) fn parse(self, text: &str) -> Result<Value, String> {
        let text = text.trim();
        match self {
            Self::Address => address(text).map(Value::Address),
            Self::Path if text.is_empty() || text.contains('\0') => {
                Err("is not a directory name".into())
            }
            Self::Path => Ok(Value::Text(text.to_owned())),
            Self::Choice(choices) if choices.contains(&text) => Ok(Value::Text(text.to_owned())),
            Self::Choice(_) => Err("is not one of the choices".into()),
            Self::Origin => Ok(Value::Origins(vec![Origin::from_setting(text)?])),
            Self::Origins => text
                .split(',')
                .map(Origin::from_setting)
                .collect::<Result<_, _>>()
                .map(Value::Origins),
            Self::LogLevel => log_level(text).map(Value::Text),
            Self::Count { min, max } => bounded(whole_number(text)?, min, max).map(Value::Number),
            Self::Bytes { min, max } => bounded(bytes(text)?, min, max).map(Value::Number),
            Self::Duration { min_ms, max_ms } => {
                let millis = bounded(millis(text)?, min_ms, max_ms)?;
                Ok(Value::Duration(Duration::from_millis(millis)))
            }
        }
    }

    /// Whether several values make sense.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Origins)
    }

    /// What stands for the value in `--help`.
    pub(super) fn placeholder(self) -> &'static str {
        match self {
            Self::Address => "ADDRESS",
            Self::Path => "DIR",
            Self::Choice(_) => "CHOICE",
            Self::Origin | Self::Origins => "URL",
            Self::LogLevel => "LEVEL",
            Self::Count { .. } => "N",
            Self::Bytes { .. } => "SIZE",
            Self::Duration { .. } => "TIME",
        }
    }

    /// What a value may be, in words that fit after "expected".
    pub(super) fn describe(self) -> String {
        match self {
            Self::Address => "an IP address and port".into(),
            Self::Path => "a directory".into(),
            Self::Choice(choices) => choices
                .iter()
                .map(|choice| format!("`{choice}`"))
                .collect::<Vec<_>>()
                .join(" or "),
            Self::Origin => {
                "http:// or https://, a host and, if it is not the usual one, a port".into()
            }
            Self::Origins => {
                "a list of origins, each http:// or https://, a host and perhaps a port".into()
            }
            Self::LogLevel => "a level or tracing directives".into(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Bytes { min, max } => {
                format!("a size from {} to {}", show_bytes(min), show_bytes(max))
            }
            Self::Duration { min_ms, max_ms } => {
                format!(
                    "a time from {} to {}",
                    show_millis(min_ms),
                    show_millis(max_ms)
                )
            }
        }
    }

    /// A value as one would write it.
    pub(super) fn show(self, value: &Value) -> String {
        match (self, value) {
            (_, Value::Unset) => String::new(),
            (_, Value::Address(address)) => address.to_string(),
            (_, Value::Text(text)) => text.clone(),
            (_, Value::Origins(origins)) => origins
                .iter()
                .map(Origin::as_str)
                .collect::<Vec<_>>()
                .join(","),
            (Self::Bytes { .. }, Value::Number(bytes)) => show_bytes(*bytes),
            (_, Value::Number(number)) => number.to_string(),
            (_, Value::Duration(duration)) => {
                show_millis(u64::try_from(duration.as_millis()).expect("bounded by the table"))
            }
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port
            .parse()
            .map_err(|_| "has a port that is not a number below 65536".to_owned())?;
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| match text.parse::<IpAddr>() {
        Ok(_) => "lacks a port".into(),
        Err(_) => "is not an IP address with a port (a host name other than localhost can not be listened on)".into(),
    })
}

/// A word alone must be a level: as a directive it would silently name a module and log nothing.
fn log_level(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if LEVELS.contains(&lower.as_str()) {
        return Ok(lower);
    }
    let has_directive = text.split(',').any(|directive| directive.contains('='));
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) if has_directive => Ok(text.to_owned()),
        Ok(_) => Err("is not a level".into()),
        Err(error) => Err(format!("is not a list of directives: {error}")),
    }
}

fn whole_number(text: &str) -> Result<u64, String> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    digits.parse().map_err(|_| "is not a whole number".into())
}

fn bounded(number: u64, min: u64, max: u64) -> Result<u64, String> {
    match number {
        _ if number < min => Err("is too small".into()),
        _ if number > max => Err("is too large".into()),
        _ => Ok(number),
    }
}

/// Splits `16 MiB` into number and unit.
fn with_unit(text: &str) -> Result<(u64, &str), String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Ok((whole_number(number)?, unit.trim()))
}

fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = with_unit(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(format!("has the unknown unit `{unit}` (B, KiB, MiB, GiB)")),
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| "is too large".into())
}

pub(super) fn millis(text: &str) -> Result<u64, String> {
    let (number, unit) = with_unit(text)?;
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => {
            return Err(format!(
                "has the unknown unit `{unit}` (ms, s, min, h, d; without one it is seconds)"
            ));
        }
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| "is too large".into())
}

fn show_bytes(bytes: u64) -> String {
    show_scaled(
        bytes,
        &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)],
        "B",
    )
}

fn show_millis(millis: u64) -> String {
    if millis == 0 {
        return "0 s".into();
    }
    show_scaled(
        millis,
        &[("d", 86_400_000), ("h", 3_600_000), ("s", 1_000)],
        "ms",
    )
}

/// The largest unit that leaves no remainder.
fn show_scaled(number: u64, units: &[(&str, u64)], smallest: &str) -> String {
    units
        .iter()
        .find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor))
        .map_or_else(
            || format!("{number} {smallest}"),
            |(unit, factor)| format!("{} {unit}", number / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_take_units_and_show_them() {
        for (text, bytes) in [
            ("16 MiB", 16 << 20),
            ("64KiB", 64 << 10),
            ("1_000", 1_000),
            ("2mb", 2_000_000),
        ] {
            assert_eq!(super::bytes(text), Ok(bytes), "{text}");
        }
        assert_eq!(millis("30"), Ok(30_000));
        assert_eq!(millis("2 min"), Ok(120_000));
        assert!(millis("2 weeks").is_err());
        assert!(bytes("-1").is_err() && bytes("1.5 MiB").is_err() && bytes("").is_err());
        assert!(bytes("99999999999 GiB").is_err());
        assert_eq!(show_bytes(16 << 20), "16 MiB");
        assert_eq!(show_bytes(1_000), "1000 B");
        assert_eq!(show_millis(150_000), "150 s");
    }

    #[test]
    fn an_address_needs_a_port_and_no_name_but_localhost() {
        assert!(
            address("127.0.0.1:0").is_ok()
                && address("[::1]:80").is_ok()
                && address("localhost:8080").is_ok()
        );
        assert!(address("127.0.0.1").unwrap_err().contains("port"));
        assert!(address("example.org:80").is_err() && address("localhost:99999").is_err());
    }

    #[test]
    fn a_misspelt_level_is_not_taken_for_a_module() {
        assert_eq!(log_level("WARN"), Ok("warn".into()));
        assert!(log_level("warn,coscribe::room=debug").is_ok());
        assert!(log_level("verbose").is_err() && log_level("coscribe=loud").is_err());
    }
}
