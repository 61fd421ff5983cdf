//! Memory and CPU of an idle connection; Roomcast's have a uid, a session and two groups.

use super::Cast;
use crate::arguments::Arguments;
use serde_json::{Value, json};
use std::time::Duration;

pub fn play(arguments: &Arguments, cast: &mut Cast) -> Result<Value, String> {
    cast.rest(Duration::from_secs(1));
    let before = cast.server.pss();
    cast.viewers.connect_all(arguments.connecting)?;
    cast.rest(Duration::from_secs(3));
    let cpu = cast.server.cpu();
    cast.rest(Duration::from_secs_f64(arguments.seconds));
    let after = cast.server.pss();
    Ok(json!({
        "bytes": ((after - before) / arguments.viewers as f64).round(),
        "base_mb": before / 1e6,
        "cpu_ms_s": (cast.server.cpu() - cpu) * 1e3 / arguments.seconds,
        "failures": cast.viewers.failures,
    }))
}
