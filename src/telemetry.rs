//! Logs: sentences with fields, on standard error.
//!
//! Never in a log: content, document names, people's names, addresses, cookies, tokens. Other crates do log such things
//! at their chattier levels (HTTP headers, for one), so a plain level is for Coscribe alone and they stay at warnings.

use std::io;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Log, LogFormat};

/// Installs the log and the panic hook. Once per process: later calls change nothing and answer `false`.
pub fn init(log: &Log) -> bool {
    let registry = tracing_subscriber::registry().with(filter(&log.level));
    let installed = match log.format {
        LogFormat::Text => registry
            .with(fmt::layer().with_writer(io::stderr).with_ansi(false))
            .try_init(),
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .with_writer(io::stderr)
                    .json()
                    .flatten_event(true),
            )
            .try_init(),
    };
    if installed.is_ok() {
        log_panics();
    }
    installed.is_ok()
}

fn filter(level: &str) -> EnvFilter {
    let directives = match level {
        "off" | "error" => level.to_owned(),
        directives if directives.contains('=') => directives.to_owned(),
        level => format!("warn,coscribe={level}"),
    };
    EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// A panic's message may hold what somebody wrote (a value that was unwrapped, a slice that was cut), so only the place
/// is logged.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let thread = std::thread::current();
        tracing::error!(
            place,
            thread = thread.name().unwrap_or("unnamed"),
            "a task panicked"
        );
    }));
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, act: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(false);
        tracing::subscriber::with_default(
            tracing_subscriber::registry()
                .with(filter(level))
                .with(layer),
            act,
        );
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_plain_level_does_not_open_the_mouths_of_other_crates() {
        let text = logged("trace", || {
            tracing::trace!(target: "coscribe::room", "ours");
            tracing::debug!(target: "actix_http::h1", "cookie: secret");
            tracing::warn!(target: "actix_server", "theirs");
        });
        assert!(
            text.contains("ours") && text.contains("theirs") && !text.contains("secret"),
            "{text}"
        );
        assert_eq!(logged("error", || tracing::warn!("quiet")), "");
    }
}
