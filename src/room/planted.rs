//! Faults that a test can plant, to prove that the simulation would find them. Outside of tests there are none: [`is`]
//! is a constant there.

/// A mistake that a future change might make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Others see a batch before it is durable.
    FanOutBeforeCommit,
    /// Authors are told "saved" before it is true.
    AckBeforeCommit,
    /// Sync answers go out before the batch that they show is durable.
    AnswerBeforeCommit,
    /// The log is trimmed for a snapshot that nobody read back.
    TrimUnverified,
    /// A document is opened although it is being opened.
    LoadTwice,
    /// What a slow peer missed is forgotten.
    DropForSlowPeer,
    /// Other nodes are told of a batch before it is durable.
    PublishBeforeCommit,
    /// A node believes that it was told of all rows before the one that it is told of.
    TrustTheBus,
    /// A node never looks for what it was not told of.
    NeverLook,
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
    static FORGETS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    static PANIC_IN: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug on this thread, or pulls it out.
#[cfg(test)]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Lets the encoder of snapshots forget the last row on this thread, as a fault of memory or of a library would.
#[cfg(test)]
pub fn forget_a_row(forgets: bool) {
    FORGETS.set(forgets);
}

/// Lets one of the next steps of rooms on this thread panic.
#[cfg(test)]
pub fn panic_in(steps: Option<u32>) {
    PANIC_IN.set(steps);
}

/// A place at which a step may panic. Without a message, as nobody is to be alarmed.
#[cfg(test)]
pub(super) fn place_for_a_panic() {
    match PANIC_IN.get() {
        Some(0) => {
            PANIC_IN.set(None);
            std::panic::resume_unwind(Box::new("planted"));
        }
        steps => PANIC_IN.set(steps.map(|steps| steps - 1)),
    }
}

#[cfg(not(test))]
pub(super) const fn place_for_a_panic() {}

/// Whether this bug is planted.
#[cfg(test)]
pub(super) fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

#[cfg(not(test))]
pub(super) const fn is(_: Bug) -> bool {
    false
}

/// Whether the encoder of snapshots is to forget the last row.
#[cfg(test)]
pub(super) fn forgets_a_row() -> bool {
    FORGETS.get()
}

#[cfg(not(test))]
pub(super) const fn forgets_a_row() -> bool {
    false
}
