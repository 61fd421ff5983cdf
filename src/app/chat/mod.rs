//! The chat panel: a component with serialisable props that takes nothing from the router, so any page can embed it.

mod announcer;
mod changes;
mod composer;
mod connection;
mod conversation;
mod cooldown;
mod draft_box;
mod history;
mod join;
mod line;
mod list;
mod long_lines;
mod notice;
mod outgoing;
mod panel;
mod person;
mod reply;
mod scroll;
mod shut;
mod submit;
mod tab_title;
mod unsent;

pub use panel::ChatPanel;
