//! Who may do what. There are no accounts yet, so there is one decision: with `access = open` everyone who reaches the server
//! may edit.

use super::actor::Actor;

/// What somebody wants to do with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Edit,
    /// See what was deleted: earlier states, and differences between them.
    SeePast,
    /// Remove of the past what nobody can bring back.
    ForgetPast,
}

/// Whether this caller may. Deleted text is for those who may edit, never for mere readers of the live document; who may
/// edit may also take it away.
pub fn may(caller: Option<&Actor>, right: Right) -> bool {
    match right {
        Right::Edit | Right::SeePast | Right::ForgetPast => may_edit(caller),
    }
}

/// Whoever reaches the server was let in by it (`http::guard`, the `access` setting).
fn may_edit(_caller: Option<&Actor>) -> bool {
    true
}
