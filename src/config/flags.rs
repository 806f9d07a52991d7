//! The command-line flags, made from the list of settings.

use std::{path::PathBuf, sync::LazyLock};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::settings::{SETTINGS, Section, Setting};

/// The flags' names, built once, as clap keeps only names that live as long as the process.
static NAMES: LazyLock<Vec<String>> =
    LazyLock::new(|| SETTINGS.iter().map(Setting::flag).collect());

/// What was given on the command line. Values stay text until all sources are known, so that an error can name its
/// source whichever it is.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// The TOML file to read.
    pub config: Option<PathBuf>,
    given: Vec<(&'static Setting, String)>,
}

impl Flags {
    /// Flags as if they had been typed, for tests and embedding: `[("listen", "127.0.0.1:0")]`.
    ///
    /// # Panics
    /// When a name is no setting.
    pub fn of<'a>(given: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let given = given
            .into_iter()
            .map(|(name, value)| {
                (
                    Setting::find(name).expect("the name of a setting"),
                    value.to_owned(),
                )
            })
            .collect();
        Self {
            config: None,
            given,
        }
    }

    /// Only the name of a file, as `--config FILE` gives it.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            config: Some(path.into()),
            given: Vec::new(),
        }
    }

    /// Whether no setting was given.
    pub fn is_empty(&self) -> bool {
        self.config.is_none() && self.given.is_empty()
    }

    pub(super) fn given(&self) -> impl Iterator<Item = (&'static Setting, &str)> {
        self.given
            .iter()
            .map(|(setting, text)| (*setting, text.as_str()))
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help("TOML file with settings [env: COSCRIBE_CONFIG]")
            .value_parser(value_parser!(PathBuf))
            .global(true)
            .help_heading(Section::Server.title());
        SETTINGS
            .iter()
            .zip(NAMES.iter())
            .map(|(setting, name)| flag(setting, name))
            .fold(command.arg(config), Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Global, so that `coscribe --listen …` and `coscribe serve --listen …` are the same.
fn flag(setting: &'static Setting, name: &'static str) -> Arg {
    let default = match setting.default {
        "" => String::new(),
        default => format!(" [default: {default}]"),
    };
    Arg::new(setting.name)
        .long(name)
        .value_name(setting.kind.placeholder())
        .help(format!(
            "{} [env: {}]{default}",
            setting.help,
            setting.variable()
        ))
        .global(true)
        .allow_hyphen_values(true)
        .action(if setting.kind.is_list() {
            ArgAction::Append
        } else {
            ArgAction::Set
        })
        // `-h` shows what one needs on the first day, `--help` everything.
        .hide_short_help(matches!(setting.section, Section::Limits | Section::Upkeep))
        .help_heading(setting.section.title())
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one::<PathBuf>("config").cloned();
        self.given = SETTINGS
            .iter()
            .filter_map(|setting| {
                let values: Vec<&str> = matches
                    .get_many::<String>(setting.name)?
                    .map(String::as_str)
                    .collect();
                Some((setting, values.join(",")))
            })
            .collect();
        Ok(())
    }
}
