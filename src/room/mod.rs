//! The live part: a room is a document while somebody has it open.
//!
//! ```text
//!            first join              store answered            nobody here, nothing uncommitted
//! (absent) ────────────▶ Loading ───────────────────▶ Live ──────────────────────────────────▶ (absent)
//! ```
//!
//! [`registry`] makes sure that there is at most one room for a document. [`mailbox`] is the only way in, [`outbox`] the
//! only way out to a peer. [`task`] owns a room's [`state`] and is the only place that waits. [`writer`] commits the
//! batches of all rooms together.

mod answers;
mod batch;
pub mod bell;
mod commit;
pub mod compaction;
pub mod elsewhere;
pub mod event;
mod heavy;
mod intake;
pub mod limits;
pub mod mailbox;
pub mod outbox;
mod own_edits;
mod peer;
pub mod planted;
mod presence;
mod refusals;
pub mod registry;
pub mod state;
mod task;
pub mod writer;
