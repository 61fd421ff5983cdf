//! A cluster with NATS, and then without it: NATS is killed, and the messages of other nodes come from PostgreSQL.

use super::{Cast, rate};
use crate::arguments::Arguments;
use crate::clock;
use crate::probe::{Database, part};
use crate::process::kill;
use serde_json::{Value, json};
use std::time::Duration;

/// Time in which the nodes notice that NATS is gone.
const NOTICED: Duration = Duration::from_secs(2);

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.viewers.connect_all(arguments.connecting)?;
    let with = measure(arguments, cast)?;
    kill(part(arguments, "nats")?)?;
    cast.rest(NOTICED);
    let without = measure(arguments, cast)?;
    if cast.viewers.failures > 0 {
        return Err(format!("{} viewers were disconnected", cast.viewers.failures));
    }
    Ok(json!({ "with": with, "without": without }))
}

fn measure(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.step(arguments, arguments.rate, arguments.warm_up, rate::PATIENCE)?;
    let (before, began) = (Database::read(&arguments.database)?, clock::now());
    let mut outcome = cast.step(arguments, arguments.rate, arguments.seconds, rate::PATIENCE)?.to_json();
    let queries = Database::read(&arguments.database)?.since(before).transactions;
    outcome["transactions_s"] = (queries as f64 * 1e9 / (clock::now() - began) as f64).into();
    Ok(outcome)
}
