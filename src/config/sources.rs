//! Flags, environment and file laid over the defaults, each value with the place it came from.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use super::{
    error::{ConfigError, Problem},
    flags::Flags,
    origin::Origin,
    settings::{SETTINGS, Setting},
    value::Value,
};

/// What all our environment variables start with.
pub(super) const PREFIX: &str = "COSCRIBE_";
/// Names the configuration file; it is the one variable that is no setting.
const CONFIG_VARIABLE: &str = "COSCRIBE_CONFIG";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    File(PathBuf),
    Variable(String),
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// The environment variables that concern us, as they were at start.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Takes all variables whose name starts with `COSCRIBE_`. Kubernetes sets such names by itself for a service
    /// called "coscribe" (`COSCRIBE_SERVICE_HOST`, `COSCRIBE_PORT_8080_TCP`, …); these are left out.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(
            variables
                .into_iter()
                .filter(|(name, _)| name.starts_with(PREFIX))
                .filter(|(name, _)| {
                    let rest = &name[PREFIX.len()..];
                    rest != "PORT" && !rest.starts_with("PORT_") && !rest.starts_with("SERVICE_")
                })
                .collect(),
        )
    }

    /// The environment of this process. A value that is no UTF-8 is kept in a form that no setting accepts silently.
    pub fn of_process() -> Self {
        Self::new(std::env::vars_os().map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        }))
    }
}

/// Every setting's typed value.
#[derive(Debug)]
pub(super) struct Values(BTreeMap<&'static str, (Value, Source)>);

impl Values {
    pub(super) fn defaults() -> Self {
        let value = |setting: &Setting| match setting.default {
            "" => Value::Unset,
            text => setting
                .kind
                .parse(text)
                .expect("the table's defaults are valid; tested"),
        };
        Self(
            SETTINGS
                .iter()
                .map(|setting| (setting.name, (value(setting), Source::Default)))
                .collect(),
        )
    }

    pub(super) fn read(flags: &Flags, environment: &Environment) -> Result<Self, ConfigError> {
        let mut values = Self::defaults();
        let mut problems = Vec::new();
        let file = flags
            .config
            .clone()
            .or_else(|| environment.0.get(CONFIG_VARIABLE).map(PathBuf::from));
        if let Some(path) = file {
            values.lay_file(&path, &mut problems)?;
        }
        values.lay_environment(environment, &mut problems);
        for (setting, text) in flags.given() {
            values.lay(setting, text, Source::Flag(setting.flag()), &mut problems);
        }
        if problems.is_empty() {
            Ok(values)
        } else {
            Err(ConfigError { problems })
        }
    }

    fn lay_file(&mut self, path: &PathBuf, problems: &mut Vec<Problem>) -> Result<(), ConfigError> {
        let source = Source::File(path.clone());
        let refuse = |reason: String| ConfigError::one("config", source.to_string(), reason);
        let text = std::fs::read_to_string(path)
            .map_err(|error| refuse(format!("can not be read: {error}")))?;
        let table: toml::Table = text
            .parse()
            .map_err(|error| refuse(format!("is not valid TOML: {error}")))?;
        for (key, value) in &table {
            let Some(setting) = Setting::find(key) else {
                problems.push(unknown(key, &source, |setting| setting.name.to_owned()));
                continue;
            };
            match as_text(value) {
                Some(text) => self.lay(setting, &text, source.clone(), problems),
                None => problems.push(Problem {
                    key: key.clone(),
                    source: source.to_string(),
                    reason: format!("is a {}; {}", value.type_str(), expected(setting)),
                }),
            }
        }
        Ok(())
    }

    fn lay_environment(&mut self, environment: &Environment, problems: &mut Vec<Problem>) {
        for (name, text) in environment
            .0
            .iter()
            .filter(|(name, _)| *name != CONFIG_VARIABLE)
        {
            let source = Source::Variable(name.clone());
            match SETTINGS.iter().find(|setting| setting.variable() == *name) {
                Some(setting) => self.lay(setting, text, source, problems),
                None => problems.push(unknown(name, &source, Setting::variable)),
            }
        }
    }

    /// Puts a value over what was there. An empty text takes an optional setting back.
    fn lay(
        &mut self,
        setting: &'static Setting,
        text: &str,
        source: Source,
        problems: &mut Vec<Problem>,
    ) {
        let parsed = match text.trim() {
            "" if setting.default.is_empty() => Ok(Value::Unset),
            _ => setting.kind.parse(text),
        };
        match parsed {
            Ok(value) => {
                self.0.insert(setting.name, (value, source));
            }
            Err(why) => problems.push(Problem {
                key: setting.name.to_owned(),
                source: source.to_string(),
                reason: format!("`{}` {why}; {}", text.escape_debug(), expected(setting)),
            }),
        }
    }

    fn get(&self, name: &str) -> &(Value, Source) {
        self.0
            .get(name)
            .expect("every name that is asked for is in the table; every start asks for all")
    }

    pub(super) fn source(&self, name: &str) -> &Source {
        &self.get(name).1
    }

    pub(super) fn shown(&self, name: &str) -> String {
        let setting = Setting::find(name).expect("asked for by a name of the table");
        setting.kind.show(&self.get(name).0)
    }

    pub(super) fn problem(&self, name: &str, reason: String) -> Problem {
        Problem {
            key: name.to_owned(),
            source: self.source(name).to_string(),
            reason,
        }
    }

    pub(super) fn address(&self, name: &str) -> Option<std::net::SocketAddr> {
        match self.get(name).0 {
            Value::Address(address) => Some(address),
            _ => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> &str {
        match &self.get(name).0 {
            Value::Text(text) => text,
            other => unreachable!("{name} is text in the table, not {other:?}"),
        }
    }

    pub(super) fn origins(&self, name: &str) -> &[Origin] {
        match &self.get(name).0 {
            Value::Origins(origins) => origins,
            _ => &[],
        }
    }

    pub(super) fn count(&self, name: &str) -> usize {
        match self.get(name).0 {
            Value::Number(number) => usize::try_from(number).unwrap_or(usize::MAX),
            ref other => unreachable!("{name} is a number in the table, not {other:?}"),
        }
    }

    pub(super) fn duration(&self, name: &str) -> Duration {
        match self.get(name).0 {
            Value::Duration(duration) => duration,
            ref other => unreachable!("{name} is a time in the table, not {other:?}"),
        }
    }

    /// A time that need not be set.
    pub(super) fn optional_duration(&self, name: &str) -> Option<Duration> {
        match self.get(name).0 {
            Value::Unset => None,
            _ => Some(self.duration(name)),
        }
    }
}

fn expected(setting: &Setting) -> String {
    format!(
        "expected {}, for example `{}`",
        setting.allowed(),
        setting.example
    )
}

/// A TOML value as a flag would spell it; `None` for dates, tables and the like.
fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Some(texts?.join(","))
        }
        _ => None,
    }
}

fn unknown(key: &str, source: &Source, spelling: impl Fn(&Setting) -> String) -> Problem {
    let nearest = SETTINGS
        .iter()
        .min_by_key(|setting| distance(key, &spelling(setting)));
    let nearest = nearest.expect("the table is not empty");
    let name = spelling(nearest);
    let reason = if distance(key, &name) <= 1 + name.len() / 4 {
        format!(
            "is no setting; did you mean `{name}`, for example `{name} = \"{}\"`?",
            nearest.example
        )
    } else {
        "is no setting; `coscribe config --markdown` lists all of them".into()
    };
    Problem {
        key: key.to_owned(),
        source: source.to_string(),
        reason,
    }
}

/// How many letters must be added, removed or replaced to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
