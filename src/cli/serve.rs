//! `coscribe serve`: runs the server until it is told to stop.

use super::{Verdict, runtime};
use crate::{
    app::App,
    config::Config,
    lifecycle::{Finish, Lifecycle},
    telemetry,
};

pub(super) fn run(config: Config) -> anyhow::Result<Verdict> {
    telemetry::init(&config.log);
    let runtime = runtime()?;
    let lifecycle = Lifecycle::new(runtime.handle().clone());
    lifecycle.watch_signals()?;
    let finish = runtime.block_on(application(config, lifecycle));
    // What was aborted may hang in a blocking call; its thread must not keep the process alive.
    runtime.shutdown_background();
    Ok(match finish? {
        Finish::Clean => Verdict::Fine,
        Finish::Unsaved { bytes } => {
            eprintln!(
                "coscribe: stopped; {bytes} bytes of edits could not be saved (the log says why)"
            );
            Verdict::Wrong
        }
        Finish::Aborted { tasks } => {
            eprintln!(
                "coscribe: stopped before everything had ended ({tasks} tasks left); edits may be unsaved"
            );
            Verdict::Wrong
        }
    })
}

/// Builds the application and runs it until the end.
async fn application(config: Config, lifecycle: Lifecycle) -> anyhow::Result<Finish> {
    let app = App::start(&config, lifecycle).await?;
    println!("Coscribe is ready: http://{}", app.address());
    Ok(app.run().await)
}
