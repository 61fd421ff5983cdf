//! `roomcast mod`: acts of moderation with the actor `cli`, which is above every rank; the audit log; open reports.

use super::mod_log::{self, LogOptions};
use super::operator_act::carry_out;
use super::person::find_person;
use super::{Outcome, key, record};
use clap::Subcommand;
use roomcast::domain::{
    calendar,
    id::{RoomId, Seq, Uid},
    reply::ActReply,
    text::escape_controls,
};
use roomcast::server::{
    config::Config,
    control::CommandAct,
    security_log::{Act, Event},
    storage::{Store, moderation::ChainHead},
};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// Default of `purge --seconds`: a day.
const PURGE_SECONDS: u64 = 86_400;
/// Reports that are read at once.
const MAX_REPORTS: u32 = 5_000;

/// Subcommands of `roomcast mod`. NAME is an account, `uid:` and a uid, or the nickname of a recent message in the room.
#[derive(Subcommand)]
pub(crate) enum ModCommand {
    /// Print the log of the acts, oldest first: the newest 100 of each room, or those since a time
    Log {
        /// Of one room only [default: of all rooms and of the site]
        #[arg(long)]
        room: Option<RoomId>,
        /// How far back, e.g. 7d, 12h, 30m
        #[arg(long, value_name = "DURATION", value_parser = key::duration)]
        since: Option<Duration>,
        /// Go on with new rows until it is interrupted
        #[arg(long, conflicts_with = "export")]
        follow: bool,
        /// Write whole rows with their hashes to a new file, one JSON object a line; the export is a row of the log itself
        #[arg(long, value_name = "FILE.jsonl")]
        export: Option<PathBuf>,
    },
    /// Verify the hashes of the whole log and print the head of each chain; fails with the first bad row
    Verify {
        /// A head that was printed earlier: the chain must go on after it; may be repeated
        #[arg(long = "head", value_name = "CHAIN:N:HASH", value_parser = mod_log::head)]
        heads: Vec<ChainHead>,
    },
    /// Remove messages
    Remove {
        /// Id of the room
        room: RoomId,
        /// Numbers of the messages
        #[arg(required = true, num_args = 1..=100)]
        seqs: Vec<u64>,
    },
    /// Remove a person's messages of the last day
    Purge {
        /// Id of the room
        room: RoomId,
        /// The person
        name: String,
        /// How far back, in seconds; 0 is all
        #[arg(long, default_value_t = PURGE_SECONDS)]
        seconds: u64,
    },
    /// Take a person the right to send for a time
    Timeout {
        /// Id of the room
        room: RoomId,
        /// The person
        name: String,
        /// For how long, e.g. 10m, 1h, 14d
        #[arg(value_parser = key::duration)]
        length: Duration,
        /// The reason, which the person is told
        #[arg(default_value = "")]
        reason: String,
    },
    /// Ban a person in a room, or with --site in every room: `ban ROOM NAME [REASON]`, `ban --site NAME [REASON]`
    Ban {
        /// Room, person and reason; with --site person and reason
        #[arg(required = true, num_args = 1..=3, value_names = ["ROOM", "NAME", "REASON"])]
        arguments: Vec<String>,
        /// In every room
        #[arg(long)]
        site: bool,
    },
    /// Warn a person, who sends nothing until the warning is acknowledged
    Warn {
        /// Id of the room
        room: RoomId,
        /// The person
        name: String,
        /// The reason, which the person is told
        reason: String,
    },
    /// End a ban, a timeout or a warning
    Lift {
        /// Its case
        case: Uuid,
    },
    /// Take an act back
    Undo {
        /// Id of the act
        action: Uuid,
    },
    /// Destroy the kept text of a removed message
    Erase {
        /// Id of the room
        room: RoomId,
        /// Number of the message
        seq: u64,
    },
    /// List the reported messages of a room: number, reports, reasons, nickname, text
    Reports {
        /// Id of the room
        room: RoomId,
    },
}

impl ModCommand {
    /// Runs the subcommand.
    pub(crate) async fn run(self, config: &Config) -> Outcome {
        let store = Store::open_unlocked(&config.storage).await?;
        let done = self.run_on(config, &store).await;
        store.close().await;
        done
    }

    async fn run_on(self, config: &Config, store: &Store) -> Outcome {
        let operator = Operator { config, store };
        match self {
            Self::Log { room, since, follow, export } => {
                mod_log::log(config, store, LogOptions { room, since, follow, export }).await
            }
            Self::Verify { heads } => mod_log::verify(store, &heads).await,
            Self::Remove { room, seqs } => {
                let seqs = seqs.into_iter().map(Seq).collect();
                operator.act(Some(&room), "", CommandAct::Remove { seqs }, "removed").await
            }
            Self::Purge { room, name, seconds } => {
                let user = find_person(store, Some(&room), &name).await?;
                operator.act(Some(&room), "", CommandAct::Purge { user, seconds }, "messages removed").await
            }
            Self::Timeout { room, name, length, reason } => {
                let user = find_person(store, Some(&room), &name).await?;
                let act = CommandAct::Timeout { user, seconds: length.as_secs() };
                operator.act(Some(&room), &reason, act, "timed out").await
            }
            Self::Ban { arguments, site } => {
                let (room, name, reason) = ban_arguments(arguments, site)?;
                let user = find_person(store, room.as_ref(), &name).await?;
                operator.act(room.as_ref(), &reason, CommandAct::Ban { user }, "banned").await
            }
            Self::Warn { room, name, reason } => {
                let user = find_person(store, Some(&room), &name).await?;
                operator.act(Some(&room), &reason, CommandAct::Warn { user }, "warned").await
            }
            Self::Lift { case } => operator.act(None, "", CommandAct::Lift { case }, "lifted").await,
            Self::Undo { action } => operator.act(None, "", CommandAct::Undo { action }, "taken back").await,
            Self::Erase { room, seq } => {
                operator.act(Some(&room), "", CommandAct::Erase { seq: Seq(seq) }, "text erased").await?;
                super::user_data::scrub(store).await
            }
            Self::Reports { room } => print_reports(store, &room).await,
        }
    }
}

/// Carries acts out and prints them.
struct Operator<'a> {
    config: &'a Config,
    store: &'a Store,
}

impl Operator<'_> {
    /// Carries an act out, prints its ids, and records it in the security log.
    async fn act(&self, room: Option<&RoomId>, reason: &str, act: CommandAct, done: &str) -> Outcome {
        let (verb, user) = (verb_of(&act), user_of(&act).cloned());
        let reply = carry_out(self.config, self.store, room, reason, act).await?;
        println!("{done}{}", ids(&reply));
        let mut event = Event::by_command(Act::Moderated).verb(verb);
        if let Some(room) = room {
            event = event.room(room.as_str());
        }
        if let Some(user) = &user {
            event = event.uid(user);
        }
        record(self.config, &[event]);
        Ok(())
    }
}

/// The ids of a reply, for the line that is printed.
fn ids(reply: &ActReply) -> String {
    let until = reply.until.map(|until| format!(", until {}", calendar::iso(until)));
    let case = reply.case.map(|case| format!(", case {case}"));
    let action = reply.action.map(|action| format!(", act {action}"));
    [until, case, action].into_iter().flatten().collect()
}

fn verb_of(act: &CommandAct) -> &'static str {
    match act {
        CommandAct::Remove { .. } => "remove",
        CommandAct::Purge { .. } => "purge",
        CommandAct::Warn { .. } => "warn",
        CommandAct::Timeout { .. } => "timeout",
        CommandAct::Ban { .. } => "ban",
        CommandAct::Lift { .. } => "lift",
        CommandAct::Undo { .. } => "undo",
        CommandAct::Erase { .. } | CommandAct::ErasePerson { .. } => "erase",
        CommandAct::Role { .. } => "role",
        CommandAct::Host { .. } => "host",
        CommandAct::Mode { .. } => "mode",
        CommandAct::Title { .. } => "title",
        CommandAct::ExportLog => "log",
    }
}

fn user_of(act: &CommandAct) -> Option<&Uid> {
    match act {
        CommandAct::Purge { user, .. }
        | CommandAct::Warn { user }
        | CommandAct::Timeout { user, .. }
        | CommandAct::Ban { user }
        | CommandAct::Role { user, .. }
        | CommandAct::Host { user }
        | CommandAct::ErasePerson { user } => Some(user),
        _ => None,
    }
}

/// Room, name and reason of `ban`.
fn ban_arguments(arguments: Vec<String>, site: bool) -> Result<(Option<RoomId>, String, String), Box<dyn Error>> {
    let mut arguments = arguments.into_iter();
    let room = match arguments.next() {
        Some(room) if !site => Some(room.parse().map_err(|_| format!("`{}` is not the id of a room", escape_controls(&room)))?),
        Some(name) => return Ok((None, name, arguments.next().unwrap_or_default())),
        None => None,
    };
    let name = arguments.next().ok_or("the name is missing: ban ROOM NAME [REASON], or ban --site NAME [REASON]")?;
    Ok((room, name, arguments.next().unwrap_or_default()))
}

async fn print_reports(store: &Store, room: &RoomId) -> Outcome {
    let mut reports: BTreeMap<Seq, Vec<String>> = BTreeMap::new();
    for report in store.open_reports(room, MAX_REPORTS).await? {
        reports.entry(report.seq).or_default().push(report.reason);
    }
    for (seq, mut reasons) in reports {
        let count = reasons.len();
        reasons.sort();
        reasons.dedup();
        let before = Seq(seq.0.saturating_sub(1));
        let message = store.with_texts(room, before, seq.next(), 1).await?.pop();
        let (nickname, text) = message.map_or_else(Default::default, |with_text| {
            with_text.removed.unwrap_or((with_text.message.nickname, with_text.message.text))
        });
        println!("{}\t{count}\t{}\t{}\t{}", seq.0, reasons.join(","), escape_controls(&nickname), escape_controls(&text));
    }
    Ok(())
}
