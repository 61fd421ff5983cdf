//! Clients in a loop: connect, join, leave. Each reconnects when its close frame was answered.

use super::Cast;
use crate::arguments::Arguments;
use crate::clock;
use crate::process::own_cpu;
use crate::viewers::News;
use serde_json::{Value, json};
use std::time::Duration;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    for n in 0..cast.viewers.len() {
        cast.viewers.open(n);
    }
    spin(cast, arguments.warm_up);
    let (failures, cpu, client_cpu, began) = (cast.viewers.failures, cast.server.cpu(), own_cpu(), clock::now());
    let cycles = spin(cast, arguments.seconds);
    let took = (clock::now() - began) as f64 / 1e9;
    if cycles == 0 {
        return Err("no client completed a cycle".into());
    }
    Ok(json!({
        "cycles_s": (cycles as f64 / took).round(),
        "cpu_us": (cast.server.cpu() - cpu) * 1e6 / cycles as f64,
        "client_cpu_us": (own_cpu() - client_cpu) * 1e6 / cycles as f64,
        "failures": cast.viewers.failures - failures,
    }))
}

/// Runs the loop for some seconds and returns the number of completed cycles.
fn spin(cast: &mut Cast, seconds: f64) -> u64 {
    let until = clock::now() + (seconds * 1e9) as u64;
    let mut cycles = 0;
    while clock::now() < until {
        cast.viewers.poll_once(Duration::from_millis(20));
        for news in std::mem::take(&mut cast.viewers.news) {
            match news {
                News::Joined(n) => cast.viewers.leave(n),
                News::Left(n) => {
                    cycles += 1;
                    cast.viewers.open(n);
                }
                News::Lost(n) => cast.viewers.open(n),
            }
        }
    }
    cycles
}
