//! The load client of benches/gateway: simulates the viewers and the back end, and prints one line of JSON per run.
//!
//!     load rate --server roomcast --addr 127.0.0.1:2900 --pids 4711 --key SECRET --viewers 5000 --deliveries 20000

mod arguments;
// The page's own: a file that uses nothing else.
#[path = "../../../../src/domain/backoff.rs"]
mod backoff;
mod bind;
mod changes;
mod clock;
mod complain;
mod inner;
mod joiner;
mod message;
mod order;
mod probe;
mod process;
mod publisher;
mod scenario;
mod step;
mod tally;
mod target;
mod viewers;

fn main() -> std::process::ExitCode {
    gateway_bench::files::raise_limit();
    let result = arguments::Arguments::read(std::env::args().skip(1)).and_then(|arguments| scenario::play(&arguments));
    match result {
        Ok(line) => {
            println!("{line}");
            std::process::ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("load: {reason}");
            std::process::ExitCode::FAILURE
        }
    }
}
