//! Acts of moderation (floor 3 of ARCHITECTURE.md): each is decided and carried out in one transaction, with its row in the audit
//! log. The chat runs them at their place between the sends of a room, and pushes their changes.

mod act;
mod audit;
mod batches;
mod carry_out;
mod changes;
mod erase;
mod judge;
mod networks;
mod notes;
mod perform;
mod removals;
mod restraints;
mod room;
mod state;
mod undo;
mod verify;

pub use act::{Act, ActKind, Actor, Outcome, Told};
pub use audit::{Body, Detail, Part, REASON, TITLE_AFTER, TITLE_BEFORE, is_undoable};
pub use batches::{Batch, next_batch};
pub use carry_out::{Failure, Rules, carry_out};
pub use changes::pushes;
pub use networks::NetworkKeys;
pub use perform::{NotDone, is_committed, locate, perform};
pub use restraints::{restraint_of, told_restraints};
pub use state::state_of;
pub use verify::{BadRow, Flaw, Verified, hex, verify};
