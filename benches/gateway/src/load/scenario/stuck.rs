//! One viewer in a hundred never reads: latency of the others, without and with it.

use super::{Cast, rate};
use crate::arguments::Arguments;
use serde_json::{Value, json};

const ONE_IN: usize = 100;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.connect_all(arguments.connecting)?;
    let without = cast.warm_step(arguments, arguments.rate, arguments.seconds, rate::PATIENCE)?;
    cast.viewers.set_stuck(ONE_IN);
    cast.reconnect_all(arguments)?;
    let with = cast.warm_step(arguments, arguments.rate, arguments.seconds, rate::PATIENCE)?;
    Ok(json!({ "without": without.to_json(), "with": with.to_json() }))
}
