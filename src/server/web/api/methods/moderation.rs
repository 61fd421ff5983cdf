//! Methods of moderation: the acts of a moderator, and the reads of the staff. The key has the rank of a moderator in its
//! rooms, and that of a host with the scope `mod.rules`.

use crate::domain::id::{Nonce, RoomId, Uid};
use crate::domain::name;
use crate::domain::rank::Rank;
use crate::domain::refusal::Refusal;
use crate::server::accounts::Scope::{self, ModAct, ModRead, ModRules};
use crate::server::moderation::{Act, ActKind, Actor};
use crate::server::storage::SetModes;
use crate::server::web::act_fields as fields;
use crate::server::web::api::method::{ApiError, Caller, Method, room_method};
use crate::server::web::api::param_types::UidParam;
use crate::server::web::api::room_params::{
    Ban, Lift, Mode, Note, Pin, Purge, ReadLog, ReadPerson, ReadRoom, Remove, SetRole, SetTitle, Settle, TimeOut, Undo, Unnote,
    Unpin, Warn,
};
use crate::server::web::api::room_results::{ActResult, CardResult, LogResult, RowsResult};
use crate::server::web::api::room_types::{NonceParam, ReasonParam, RoomParam};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// Returns the methods of this file.
pub(super) fn all() -> Vec<Method> {
    [of_messages(), of_persons(), of_rooms(), rules(), reads()].into_iter().flatten().collect()
}

fn of_messages() -> Vec<Method> {
    vec![
        act_method(
            "mod.remove",
            ModAct,
            "Removes messages of a room. Their texts are kept for the staff for a time, and mod.undo restores them.",
            |Remove { room, seq, reason, nonce }| {
                let seqs = seq.into_vec().into_iter().map(|seq| seq.seq()).collect();
                (Some(room), nonce, of(reason), fields::remove(seqs))
            },
        ),
        act_method(
            "mod.purge",
            ModAct,
            "Removes the messages of a person in a room.",
            |Purge { room, user, seconds, reason, nonce }| {
                let kind = uid(&user).and_then(|user| fields::purge(user, seconds.map(|seconds| seconds.0)));
                (Some(room), nonce, of(reason), kind)
            },
        ),
        act_method("mod.undo", ModAct, "Takes an act back, within 24 hours.", |Undo { action, room, nonce }| {
            (room, nonce, NO_REASON, Ok(ActKind::Undo(action.0)))
        }),
        act_method("mod.pin", ModAct, "Pins a message of a room.", |Pin { room, seq, seconds, nonce }| {
            let kind = fields::pin(seq.seq(), seconds.map(|seconds| seconds.0));
            (Some(room), nonce, NO_REASON, kind)
        }),
        act_method("mod.unpin", ModAct, "Removes the pin of a room.", |Unpin { room, nonce }| {
            (Some(room), nonce, NO_REASON, Ok(ActKind::Unpin))
        }),
        act_method("mod.settle", ModAct, "Settles the reports of a message without a removal.", |Settle { room, seq, nonce }| {
            (Some(room), nonce, NO_REASON, Ok(ActKind::SettleReports(seq.seq())))
        }),
    ]
}

fn of_persons() -> Vec<Method> {
    vec![
        act_method(
            "mod.timeout",
            ModAct,
            "Takes a person the right to send in a room for a time. It replaces an earlier timeout.",
            |TimeOut { room, user, seconds, reason, nonce }| {
                let kind = uid(&user).and_then(|user| fields::timeout(user, seconds.0));
                (Some(room), nonce, of(reason), kind)
            },
        ),
        act_method(
            "mod.ban",
            ModAct,
            "Takes a person the right to send in a room until mod.lift.",
            |Ban { room, user, reason, nonce }| (Some(room), nonce, of(reason), uid(&user).map(ActKind::Ban)),
        ),
        act_method(
            "mod.lift",
            ModAct,
            "Ends a ban, a timeout or a warning by its case.",
            |Lift { case, room, reason, nonce }| (room, nonce, of(reason), Ok(ActKind::Lift(case.0))),
        ),
        act_method(
            "mod.warn",
            ModAct,
            "Warns a person, who cannot send in the room until the warning is acknowledged.",
            |Warn { room, user, reason, nonce }| {
                let reason = fields::reason(&reason.0, "reason", true);
                (Some(room), nonce, reason, uid(&user).map(ActKind::Warn))
            },
        ),
        act_method(
            "mod.note",
            ModAct,
            "Adds a note about a person, which the room's staff reads.",
            |Note { room, user, text, nonce }| {
                let text = fields::reason(&text.0, "text", true);
                (Some(room), nonce, text, uid(&user).map(ActKind::Note))
            },
        ),
        act_method("mod.unnote", ModAct, "Removes a note.", |Unnote { note, room, nonce }| {
            (Some(room), nonce, NO_REASON, Ok(ActKind::RemoveNote(note.0)))
        }),
    ]
}

fn of_rooms() -> Vec<Method> {
    vec![act_method(
        "mod.mode",
        ModAct,
        "Sets modes of a room, and returns its state. A mode that is left out stays as it is.",
        |params: Mode| {
            let Mode { room, slow_ms, accounts, closed, nonce, .. } = params;
            let set = SetModes { slow_ms: slow_ms.map(|slow_ms| slow_ms.0), accounts, closed };
            (Some(room), nonce, NO_REASON, fields::mode(set))
        },
    )]
}

fn rules() -> Vec<Method> {
    vec![
        act_method(
            "mod.title",
            ModRules,
            "Sets the title of a room, and returns its state.",
            |SetTitle { room, title, nonce }| (Some(room), nonce, NO_REASON, name::title(&title).map(ActKind::Title)),
        ),
        act_method(
            "mod.role",
            ModRules,
            "Grants an account a role in a room, or revokes it.",
            |SetRole { room, user, role, nonce }| {
                let kind = uid(&user).and_then(|user| fields::role(user, role.word()));
                (Some(room), nonce, NO_REASON, kind)
            },
        ),
    ]
}

fn reads() -> Vec<Method> {
    vec![
        room_method(
            "mod.log",
            ModRead,
            "Returns rows of the audit log of a room, newest first.",
            async |caller: Caller, ReadLog { room, before }: ReadLog| {
                let actor = reader(&caller, &room)?;
                let before = before.map(|before| before.0.to_string());
                Ok(LogResult::from(caller.chat.log(&actor, Some(room.0.as_str()), before.as_deref()).await?))
            },
        ),
        room_method(
            "mod.person",
            ModRead,
            "Returns the card of a person in a room: counts, last messages, restraints, notes.",
            async |caller: Caller, ReadPerson { room, user }: ReadPerson| {
                let actor = reader(&caller, &room)?;
                Ok(CardResult(caller.chat.person_card(&actor, room.0.as_str(), &user.0.to_string()).await?))
            },
        ),
        room_method(
            "mod.restraints",
            ModRead,
            "Returns the newest restraints of a room that are in force.",
            async |caller: Caller, ReadRoom { room }: ReadRoom| {
                let actor = reader(&caller, &room)?;
                Ok(RowsResult::first(caller.chat.restraints(&actor, room.0.as_str()).await?))
            },
        ),
        room_method(
            "mod.reports",
            ModRead,
            "Returns the open reports of a room, oldest first.",
            async |caller: Caller, ReadRoom { room }: ReadRoom| {
                let actor = reader(&caller, &room)?;
                Ok(RowsResult::first(caller.chat.reports(&actor, room.0.as_str()).await?))
            },
        ),
    ]
}

/// The fields of an act: room, nonce, reason, and the rest.
type Parts = (Option<RoomParam>, Option<NonceParam>, Result<String, Refusal>, Result<ActKind, Refusal>);

/// An act without a reason.
const NO_REASON: Result<String, Refusal> = Ok(String::new());

/// Creates the method of an act.
fn act_method<I>(name: &'static str, scope: Scope, summary: &'static str, parts: fn(I) -> Parts) -> Method
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
{
    room_method(name, scope, summary, move |caller, input| act(caller, parts(input)))
}

/// Carries an act out for the key. An act by the id of an earlier one names its room if the key is limited to rooms.
async fn act(caller: Caller, (room, nonce, reason, kind): Parts) -> Result<ActResult, ApiError> {
    let room: Option<RoomId> = room.map(|RoomParam(room)| room);
    match &room {
        Some(room) => caller.check_room(room)?,
        None if caller.key.is_limited() => {
            let detail = format!("API key {} is limited to rooms: name the room", caller.key.name);
            return Err(ApiError { refusal: Refusal::NotAllowed, detail });
        }
        None => {}
    }
    let nonce: Option<Nonce> = nonce.map(|NonceParam(nonce)| nonce);
    let actor = actor_of(&caller);
    let reply = caller.chat.act(Act { actor, room, nonce, reason: reason?, kind: kind? }).await?;
    Ok(reply.into())
}

fn reader(caller: &Caller, RoomParam(room): &RoomParam) -> Result<Actor, ApiError> {
    caller.check_room(room)?;
    Ok(actor_of(caller))
}

/// The key as an actor. With the scope `mod.rules` it has the rank of a host; never that of the owner.
fn actor_of(caller: &Caller) -> Actor {
    let rank = if caller.key.has_scope(ModRules) { Rank::Host } else { Rank::Moderator };
    Actor::Key(caller.key.name.clone(), rank)
}

fn of(reason: Option<ReasonParam>) -> Result<String, Refusal> {
    reason.map_or(NO_REASON, |ReasonParam(reason)| fields::reason(&reason, "reason", false))
}

fn uid(user: &UidParam) -> Result<Uid, Refusal> {
    fields::user(&user.0.to_string())
}
