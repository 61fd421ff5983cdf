//! The pages of a room's staff: `/rooms/{id}/messages/{seq}` (`message`), which every reader may open, and `/rooms/{id}/moderate`
//! (`room`). Plain forms from the server, each of which leads back to its page, so that all acts work without JavaScript.
//! `script` is the part of the room's page that loads `public/mod.js`, for staff only. Nothing of it is in the wasm.

mod acts;
mod card;
mod done;
mod forms;
mod line;
mod log;
mod message;
mod people;
mod room;
mod script;
mod words;

pub use message::MessagePageView;
pub use room::ModerationPageView;
pub use script::{StaffButton, StaffPart};
