//! N viewers in R rooms receive messages at a fixed rate.

use super::Cast;
use crate::arguments::Arguments;
use crate::clock::SECOND;
use serde_json::Value;

pub const PATIENCE: u64 = 15 * SECOND;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.connect_all(arguments.connecting)?;
    Ok(cast.warm_step(arguments, arguments.rate, arguments.seconds, PATIENCE)?.to_json())
}
