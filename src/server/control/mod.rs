//! The control socket: the command line's way to the running server.
//!
//! A Unix socket, `roomcast.sock`, in the data folder. Only the server's own user and root may connect. A client sends one
//! request as a line of JSON and reads one line of JSON back; [`Request::TakeOver`] keeps the connection for the reload.
//!
//! | file | responsibility |
//! |---|---|
//! | `protocol`, `acts` | requests and responses |
//! | `server` | accepts connections, answers requests, passes [`ServerCommand`]s to the web listener |
//! | `client` | sends a request and reads the response |
//! | `nodes` | what it shows of the other nodes |
//! | `takeover` | reload: starts a successor, hands over listeners and data folder |
//!
//! ```no_run
//! use roomcast::server::control::{ControlClient, Request, Response};
//! # async fn example() -> std::io::Result<()> {
//! let mut client = ControlClient::request("./data".as_ref(), &Request::Status).await?;
//! if let Response::Status(status) = client.response().await? {
//!     println!("{} connections", status.connections);
//! }
//! # Ok(())
//! # }
//! ```

mod acts;
mod bounded_line;
mod client;
mod nodes;
mod protocol;
mod server;
mod takeover;

pub use acts::CommandAct;
pub use client::ControlClient;
pub use nodes::ControlReach;
pub use protocol::{NodeStatus, Request, Response, RoomAct, Status};
pub use server::{ActCommand, CommandQueues, ControlServer, RoomCommand, ServerCommand};
pub use takeover::{InheritedListeners, Reloader, Takeover, TakeoverError};
