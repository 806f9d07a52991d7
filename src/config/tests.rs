use std::io::Write;

use clap::{Args, FromArgMatches};

use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::new(
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn parse(line: &[&str]) -> Result<Flags, clap::Error> {
    let matches = Flags::augment_args(clap::Command::new("coscribe")).try_get_matches_from(line)?;
    Flags::from_arg_matches(&matches)
}

fn refusal(flags: &Flags, variables: &[(&str, &str)]) -> String {
    Config::load(flags, &environment(variables))
        .unwrap_err()
        .to_string()
}

#[test]
fn the_defaults_are_valid_and_what_the_readme_says() {
    let config = Config::default();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.data_dir, PathBuf::from("./data"));
    assert_eq!(
        (config.durability, config.access),
        (Durability::Full, Access::Open)
    );
    assert_eq!(config.limits.max_message_bytes, 16 << 20);
    assert_eq!(config.limits.max_sockets_per_address, None);
    assert_eq!(config.timing.dead_socket_timeout, Duration::from_secs(150));
}

#[test]
fn every_default_and_example_passes_its_own_check() {
    for setting in SETTINGS {
        assert!(
            setting.kind.parse(setting.example).is_ok(),
            "example of {}",
            setting.name
        );
        if !setting.default.is_empty() {
            let value = setting.kind.parse(setting.default).unwrap();
            assert_eq!(
                setting.kind.show(&value),
                setting.default,
                "default of {}",
                setting.name
            );
        }
    }
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let file = file("max_sockets = 40_000\nmax_message_bytes = \"8 MiB\"\nworkers = 3\n");
    let path = file.path().to_str().unwrap();
    let variables = [
        ("COSCRIBE_MAX_SOCKETS", "50000"),
        ("COSCRIBE_WORKERS", "5"),
        ("COSCRIBE_CONFIG", path),
    ];
    let flags = parse(&["coscribe", "--max-sockets", "60000"]).unwrap();
    let config = Config::load(&flags, &environment(&variables)).unwrap();
    assert_eq!(config.limits.max_sockets, 60_000);
    assert_eq!(config.workers.unwrap().get(), 5);
    assert_eq!(config.limits.max_message_bytes, 8 << 20);
    assert_eq!(config.limits.max_sockets_per_document, 5_000);
}

#[test]
fn a_wrong_value_names_the_setting_its_source_and_what_would_be_right() {
    let message = refusal(&parse(&["coscribe", "--max-sockets=-3"]).unwrap(), &[]);
    assert!(
        message.contains("max_sockets (flag --max-sockets): `-3` is not a whole number"),
        "{message}"
    );
    assert!(
        message.contains("from 1 to 10000000, for example `20000`"),
        "{message}"
    );

    let message = refusal(&Flags::default(), &[("COSCRIBE_DURABILITY", "half")]);
    assert!(
        message.contains("durability (environment variable COSCRIBE_DURABILITY)"),
        "{message}"
    );
    assert!(message.contains("`full` or `process`"), "{message}");

    let file = file("listen = 8080\nidle_unload = [1]\npublic_url = \"docs.example.org\"\n");
    let flags = Flags::file(file.path());
    let message = refusal(&flags, &[]);
    for key in ["listen (file ", "idle_unload (file ", "public_url (file "] {
        assert!(
            message.contains(key),
            "all problems are told at once: {message}"
        );
    }
}

#[test]
fn an_unknown_key_or_variable_stops_the_start_and_suggests_the_right_one() {
    let typo = file("max_soket = 1\n");
    let flags = Flags::file(typo.path());
    let message = refusal(&flags, &[]);
    assert!(
        message.contains("max_soket") && message.contains("did you mean `max_sockets`"),
        "{message}"
    );
    let message = refusal(&Flags::default(), &[("COSCRIBE_DURABILTY", "full")]);
    assert!(
        message.contains("did you mean `COSCRIBE_DURABILITY`"),
        "{message}"
    );
    let nested = file("[limits]\nmax_sockets = 1\n");
    let flags = Flags::file(nested.path());
    assert!(refusal(&flags, &[]).contains("`coscribe config --markdown` lists"));
    assert!(parse(&["coscribe", "--nonsense", "1"]).is_err());
}

#[test]
fn what_kubernetes_sets_for_a_service_called_coscribe_is_no_setting() {
    let variables = [
        ("COSCRIBE_SERVICE_HOST", "10.0.0.1"),
        ("COSCRIBE_PORT", "tcp://10.0.0.1:80"),
        ("COSCRIBE_PORT_80_TCP_PROTO", "tcp"),
        ("HOME", "/root"),
    ];
    assert!(Config::load(&Flags::default(), &environment(&variables)).is_ok());
}

#[test]
fn a_missing_or_broken_file_is_told_with_its_name() {
    let flags = Flags::file("/nonexistent/coscribe.toml");
    assert!(refusal(&flags, &[]).contains("/nonexistent/coscribe.toml): can not be read"));
    let broken = file("listen = \n");
    let flags = Flags::file(broken.path());
    assert!(refusal(&flags, &[]).contains("is not valid TOML"));
}

#[test]
fn an_address_that_others_reach_needs_an_explicit_access() {
    for listen in ["0.0.0.0:8080", "[::]:8080", "192.168.1.4:80"] {
        let message = refusal(&Flags::of([("listen", listen)]), &[]);
        assert!(
            message.contains("say `--access open` if that is what you want"),
            "{message}"
        );
        assert!(
            Config::load(
                &Flags::of([("listen", listen), ("access", "open")]),
                &environment(&[])
            )
            .is_ok()
        );
    }
    for listen in ["127.0.0.1:0", "127.8.8.8:1", "[::1]:0", "localhost:0"] {
        assert!(
            Config::load(&Flags::of([("listen", listen)]), &environment(&[])).is_ok(),
            "{listen}"
        );
    }
    assert!(refusal(&Flags::of([("access", "members")]), &[]).contains("accounts come later"));
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let message = refusal(
        &Flags::of([("max_uncommitted_bytes_per_document", "1 MiB")]),
        &[],
    );
    assert!(
        message.contains("must not be smaller than max_message_bytes, which is 16 MiB"),
        "{message}"
    );
    let message = refusal(&Flags::of([("ping_interval", "100 s")]), &[]);
    assert!(message.contains("dead_socket_timeout"), "{message}");
}

#[test]
fn lists_come_from_repeated_flags_commas_and_arrays() {
    let expected = ["https://a.example", "https://b.example:8443"];
    let shown = |config: &Config| {
        config
            .allow_origin
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let flags = parse(&[
        "coscribe",
        "--allow-origin",
        expected[0],
        "--allow-origin",
        "https://B.example:8443/",
    ])
    .unwrap();
    assert_eq!(
        shown(&Config::load(&flags, &environment(&[])).unwrap()),
        expected
    );
    let joined = expected.join(", ");
    let variables = [("COSCRIBE_ALLOW_ORIGIN", joined.as_str())];
    assert_eq!(
        shown(&Config::load(&Flags::default(), &environment(&variables)).unwrap()),
        expected
    );
    let file = file(&format!("allow_origin = {expected:?}"));
    let flags = Flags::file(file.path());
    assert_eq!(
        shown(&Config::load(&flags, &environment(&[])).unwrap()),
        expected
    );
}

#[test]
fn the_reference_in_the_repository_is_the_one_the_table_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == markdown(),
        "write it anew: cargo run -- config --markdown > docs/configuration.md"
    );
}

#[test]
fn what_is_printed_as_in_force_is_a_file_that_loads() {
    let flags = Flags::of([
        ("max_sockets", "7000"),
        ("public_url", "https://docs.example.org"),
    ]);
    let page = effective(&flags, &environment(&[])).unwrap();
    assert!(
        page.contains("max_sockets = \"7000\"  # flag --max-sockets"),
        "{page}"
    );
    let file = file(&page);
    let flags = Flags::file(file.path());
    let config = Config::load(&flags, &environment(&[])).unwrap();
    assert_eq!(config.limits.max_sockets, 7_000);
    assert!(config.is_https());
}
