//! A network failure: all viewers disconnect at once, and all reconnect at once.

use super::Cast;
use crate::arguments::Arguments;
use crate::clock;
use serde_json::{Value, json};
use std::time::Duration;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.connect_all(arguments.connecting)?;
    cast.rest(Duration::from_secs(1));
    let (failures, cpu, began) = (cast.viewers.failures, cast.server.cpu(), clock::now());
    cast.viewers.disconnect_all();
    cast.viewers.connect_all(usize::MAX)?;
    let took = (clock::now() - began) as f64 / 1e9;
    Ok(json!({
        "seconds": took,
        "cpu_s": cast.server.cpu() - cpu,
        "failures": cast.viewers.failures - failures,
    }))
}
