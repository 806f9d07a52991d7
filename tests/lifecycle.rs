//! Signals reach the lifecycle. In a process of its own, as signals go to whole processes.

#![allow(clippy::unwrap_used, reason = "a test that can not go on has failed")]

use std::process::{Command, ExitCode};

use coscribe::lifecycle::{DRAIN_DEADLINE, Finish, Lifecycle};

fn signal(name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &std::process::id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn the_first_signal_drains_and_the_second_aborts() {
    let lifecycle = Lifecycle::new(tokio::runtime::Handle::current());
    lifecycle.watch_signals().unwrap();
    assert!(!lifecycle.is_draining());
    signal("TERM");
    let finish = lifecycle.run(DRAIN_DEADLINE, async {
        assert!(lifecycle.is_draining() && !lifecycle.hard().is_cancelled());
        signal("INT");
        std::future::pending::<()>().await;
    });
    let finish = finish.await;
    assert_eq!(finish, Finish::Aborted { tasks: 0 });
    assert_ne!(
        format!("{:?}", finish.exit_code()),
        format!("{:?}", ExitCode::SUCCESS)
    );
}
