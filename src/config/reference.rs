//! What `coscribe config` prints: the reference of all settings, and the values in force.

use std::fmt::Write;

use super::{
    Flags,
    error::ConfigError,
    settings::{SETTINGS, Section, Setting},
    sources::{Environment, Source, Values},
};

const INTRODUCTION: &str = "\
# Configuration

<!-- Made by `coscribe config --markdown`; a test compares. -->

Every setting can be a flag, an environment variable or a key of the TOML file that `--config` (or `COSCRIBE_CONFIG`)
names. A flag wins over the environment, the environment over the file, the file over the default. A value that is
wrong, and a key or `COSCRIBE_` variable that is unknown, stops the start with a message that names it. `coscribe config`
prints the values in force and where each came from.

Sizes take `B`, `KiB`, `MiB` or `GiB`; times take `ms`, `s`, `min` or `h`, and are seconds without a unit.

```toml
# coscribe.toml
listen = \"127.0.0.1:8080\"
data_dir = \"/var/lib/coscribe\"
public_url = \"https://docs.example.org\"
allow_origin = [\"https://app.example.org\"]
max_message_bytes = \"32 MiB\"
```
";

/// The reference of all settings, as `docs/configuration.md` holds it.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    for section in Section::ALL {
        line(&mut page, format_args!("\n## {}\n", section.title()));
        line(
            &mut page,
            format_args!("| setting | flag and variable | default | meaning |"),
        );
        line(&mut page, format_args!("|---|---|---|---|"));
        for setting in SETTINGS.iter().filter(|setting| setting.section == section) {
            line(&mut page, format_args!("{}", row(setting)));
        }
    }
    page
}

fn row(setting: &Setting) -> String {
    let default = match setting.default {
        "" => "none".to_owned(),
        text => format!("`{text}`"),
    };
    let allowed = setting.allowed();
    format!(
        "| `{}` | `--{}`<br>`{}` | {default} | {} Allowed: {allowed}. |",
        setting.name,
        setting.flag(),
        setting.variable(),
        setting.help
    )
}

/// The values in force as TOML, each with the place it came from.
pub fn effective(flags: &Flags, environment: &Environment) -> Result<String, ConfigError> {
    let values = Values::read(flags, environment)?;
    let mut page = String::new();
    for setting in SETTINGS {
        let value = values.shown(setting.name);
        let comment = if value.is_empty() { "# " } else { "" };
        let source = match values.source(setting.name) {
            Source::Default => "default".to_owned(),
            source => source.to_string(),
        };
        line(
            &mut page,
            format_args!(
                "{comment}{} = {}  # {source}",
                setting.name,
                toml::Value::String(value)
            ),
        );
    }
    Ok(page)
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("writing to a String does not fail");
}
