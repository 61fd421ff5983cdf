//! The chat panel: a component with serialisable props that takes nothing from the router, so any page can embed it.

mod composer;
mod connection;
mod conversation;
mod cooldown;
mod draft_box;
mod history;
mod line;
mod list;
mod panel;
mod scroll;
mod submit;

pub use panel::ChatPanel;
