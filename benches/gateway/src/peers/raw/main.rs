//! The raw limit: two threads own half of the sockets each, and write every message's frame to every socket of its room,
//! one write a message and socket. What a server with that many writes cannot be cheaper than.
//!
//! A third thread does the handshakes and takes publishes: `GET /ws?room=R`, `POST /publish?room=R`.

mod front;
mod shard;

fn main() -> std::io::Result<()> {
    gateway_bench::files::raise_limit();
    let shards: Vec<_> = (0..2).map(|_| shard::start()).collect::<Result<_, _>>()?;
    front::serve(shards)
}
