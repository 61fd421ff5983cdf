//! A network breaks and comes back: all viewers drop at once, and all return at once.

use super::Cast;
use crate::arguments::Arguments;
use crate::clock;
use serde_json::{Value, json};
use std::time::Duration;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.arrive(arguments.connecting)?;
    cast.rest(Duration::from_secs(1));
    let (failures, cpu, began) = (cast.viewers.failures, cast.server.cpu(), clock::now());
    cast.viewers.drop_all();
    cast.viewers.arrive(usize::MAX)?;
    let took = (clock::now() - began) as f64 / 1e9;
    Ok(json!({
        "seconds": took,
        "cpu_s": cast.server.cpu() - cpu,
        "failures": cast.viewers.failures - failures,
    }))
}
