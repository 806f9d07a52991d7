//! What a document is: its name, the bytes that change it, and the replica these bytes build.
//!
//! Pure: no await, no clock, no log, no I/O; randomness is an argument.
//!
//! Words: a *document* is what is stored under a name; a *room* is a document while somebody has it open; an *update*
//! is a Yjs v1 update; a *state vector* says how far each client's structs are known; a *delete set* says which ids
//! are deleted.

pub mod awareness;
pub mod copies;
mod cut;
pub mod diff;
pub mod export;
pub mod formatting;
pub mod html;
pub mod id;
pub mod id_set;
pub mod ids;
pub mod keys;
pub mod markdown;
pub mod moment;
pub mod origins;
mod print;
pub mod provenance;
pub mod ready;
pub mod replica;
pub mod restore;
pub mod scan;
pub mod splice;
pub mod state_vector;
pub mod strip;
pub mod thin;
pub mod tree;
pub mod varint;

/// The writer of a struct: Yjs' random client id, below 2^53.
pub type ClientId = u64;
/// A position in one client's sequence of structs, below 2^31.
pub type Clock = u32;
