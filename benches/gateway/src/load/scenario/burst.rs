//! A hundred messages within one second: time until every viewer has received all of them.

use super::Cast;
use crate::arguments::Arguments;
use crate::clock::SECOND;
use serde_json::Value;

const MESSAGES: f64 = 100.0;
const PATIENCE: u64 = 60 * SECOND;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.connect_all(arguments.connecting)?;
    // A slow warm-up, which is not itself a burst.
    cast.step(arguments, 2.0, arguments.warm_up, PATIENCE)?;
    Ok(cast.step(arguments, MESSAGES, 1.0, PATIENCE)?.to_json())
}
