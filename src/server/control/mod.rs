//! The control socket.

mod client;
mod protocol;
mod server;
mod takeover;

pub use client::ControlClient;
pub use protocol::{Request, Response, Status};
pub use server::{Control, ServerCommand};
pub use takeover::{InheritedListeners, Reloader, Takeover, TakeoverError};
