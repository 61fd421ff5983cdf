//! One viewer in a hundred never reads. What do the others notice of it?

use super::{Cast, rate};
use crate::arguments::Arguments;
use serde_json::{Value, json};

const ONE_IN: usize = 100;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.arrive(arguments.connecting)?;
    let without = cast.warm_step(arguments, arguments.rate, arguments.seconds, rate::PATIENCE)?;
    cast.viewers.set_stuck(ONE_IN);
    cast.come_anew(arguments)?;
    let with = cast.warm_step(arguments, arguments.rate, arguments.seconds, rate::PATIENCE)?;
    Ok(json!({ "without": without.to_json(), "with": with.to_json() }))
}
