//! The scenarios, one file each. All start with the same viewers, publisher and server processes.

mod burst;
mod cluster_idle;
mod cycles;
mod idle;
mod kill;
mod late;
mod php;
mod rate;
mod removals;
mod saturate;
mod storm;
mod stuck;

use crate::arguments::Arguments;
use crate::clock;
use crate::joiner::Extras;
use crate::process::Processes;
use crate::publisher::{Plan, Publisher};
use crate::step::{self, Outcome};
use crate::target::Target;
use crate::viewers::Viewers;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

pub fn play(arguments: &Arguments) -> Result<Value, String> {
    let play = match arguments.scenario.as_str() {
        "rate" => rate::play,
        "saturate" => saturate::play,
        "idle" => idle::play,
        "cycles" => cycles::play,
        "storm" => storm::play,
        "stuck" => stuck::play,
        "burst" => burst::play,
        "removals" => removals::play,
        "cluster-late" => late::play,
        "kill" => kill::play,
        "cluster-idle" => cluster_idle::play,
        "php-commands" => php::commands::play,
        "php-connections" => php::connections::play,
        "php-queries" => php::queries::play,
        "php-sessions" => php::sessions::play,
        unknown => return Err(format!("unknown scenario {unknown}")),
    };
    let extras = if arguments.scenario == "idle" { Extras::Bound } else { Extras::None };
    let target = Arc::new(Target::new(arguments)?);
    let mut cast = Cast {
        target: target.clone(),
        viewers: Viewers::new(arguments, &target, extras).map_err(|error| error.to_string())?,
        publisher: Publisher::new(&target, arguments.publishers),
        server: Processes::new(&arguments.pids),
        parts: arguments.parts.clone(),
        epoch: 0,
    };
    play(arguments, &mut cast)
}

pub struct Cast {
    pub target: Arc<Target>,
    pub viewers: Viewers,
    pub publisher: Publisher,
    pub server: Processes,
    parts: Vec<(String, u32)>,
    epoch: u32,
}

impl Cast {
    /// Runs one step; `patience` in ns, see `step::run`.
    pub fn step(&mut self, arguments: &Arguments, rate: f64, seconds: f64, patience: u64) -> Result<Outcome, String> {
        self.step_with(arguments, rate, seconds, patience, &mut |viewers| viewers.poll_once(Duration::from_millis(20)))
    }

    /// The same with a `turn` of its own.
    pub fn step_with(
        &mut self,
        arguments: &Arguments,
        rate: f64,
        seconds: f64,
        patience: u64,
        turn: &mut dyn FnMut(&mut Viewers),
    ) -> Result<Outcome, String> {
        self.epoch += 1;
        let Arguments { rooms, size, .. } = *arguments;
        let plan = Plan { epoch: self.epoch, rooms, rate, seconds, size, begin: 0, give_up_after: patience };
        self.viewers.news.clear();
        step::run(&mut self.viewers, &self.publisher, (&self.server, &self.parts), plan, patience, turn)
    }

    /// Runs a step after a warm-up at the same rate, so that queues and caches have their usual size.
    pub fn warm_step(&mut self, arguments: &Arguments, rate: f64, seconds: f64, patience: u64) -> Result<Outcome, String> {
        if arguments.warm_up > 0.0 {
            self.step(arguments, rate, arguments.warm_up, patience)?;
        }
        self.step(arguments, rate, seconds, patience)
    }

    pub fn rest(&mut self, time: Duration) {
        let until = clock::now() + time.as_nanos() as u64;
        while clock::now() < until {
            self.viewers.poll_once(Duration::from_millis(20));
        }
    }

    pub fn reconnect_all(&mut self, arguments: &Arguments) -> Result<(), String> {
        self.viewers.disconnect_all();
        self.rest(Duration::from_millis(500));
        self.viewers.connect_all(arguments.connecting)
    }
}
