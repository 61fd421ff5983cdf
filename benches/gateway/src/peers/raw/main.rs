//! The raw limit: two threads own half of the sockets each and write every message to every socket of its room, with one write
//! per message and socket. No server with as many writes can be cheaper.
//!
//! A third thread serves handshakes and publish requests: `GET /ws?room=R`, `POST /publish?room=R`.

mod front;
mod shard;

fn main() -> std::io::Result<()> {
    gateway_bench::files::raise_limit();
    let shards: Vec<_> = (0..2).map(|_| shard::start()).collect::<Result<_, _>>()?;
    front::serve(shards)
}
