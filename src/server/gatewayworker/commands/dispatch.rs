//! What each command does: one line into the gateway each, and the reply of those that have one (protocol.md, 6).

use super::args::{Excluded, MAX_NAME, MAX_NAMES, Scalar, ToAll, ToGroups, Values, groups, is_empty, read_object, uids};
use super::outcome::{Odd, Outcome};
use super::queries;
use super::select::select;
use crate::domain::{id::ClientId, push::CloseCode};
use crate::server::gateway::{ClientSession, Except, Gateway, Group, Kick, Publication, Uid, is_repetitive};
use crate::server::gatewayworker::protocol::body::{Message, Unsendable};
use crate::server::gatewayworker::protocol::opcode as c;
use crate::server::gatewayworker::protocol::packet::Packet;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddrV4;

/// It begins when it is first polled: whoever polls several does so in the order in which they came.
pub async fn carry_out(gateway: Gateway, here: SocketAddrV4, packet: Packet) -> Result<Outcome, Odd> {
    let Packet { command, connection, flag, ext, body } = packet;
    // Each stands between commas.
    if c::takes_names(command) && ext.iter().filter(|byte| **byte == b',').count() > MAX_NAMES {
        return Err(Odd::ManyNames);
    }
    let named = |connection| ClientId { address: here.ip().octets(), port: here.port(), connection };
    let client = named(connection);
    let all_named =
        |scalars: Vec<Scalar>| -> Vec<ClientId> { scalars.iter().filter_map(Scalar::connection).map(named).collect() };
    let except = |exclude: Option<Excluded>| {
        let clients = exclude.map(Excluded::into_vec).map(all_named).unwrap_or_default().into_iter().collect();
        Except { clients, ..Except::default() }
    };
    let message = || -> Result<Option<Publication>, Unsendable> { Ok(Message::read(flag, &body)?.publication(flag)) };
    let known = |found: bool| if found { Outcome::Done } else { Outcome::Stale };

    Ok(match command {
        c::SEND_TO_ONE => match message()? {
            Some(message) => {
                let delivered = gateway.send_to_client(client, message).await.delivered().await;
                known(delivered.to + delivered.slow > 0)
            }
            None => Outcome::Done,
        },
        c::SEND_TO_ALL => {
            let ToAll { connections, exclude } =
                if matches!(&ext[..], b"" | b"[]") { ToAll::default() } else { read_object(&ext)? };
            let only = connections.map(|connections| bounded(all_named(connections.into_vec()))).transpose()?;
            if let Some(message) = message()? {
                let except = except(exclude);
                for only in only.map_or_else(|| vec![None], |clients| rounds(clients).into_iter().map(Some).collect()) {
                    gateway.send_to_all(only, except.clone(), message.clone()).await.delivered().await;
                }
            }
            Outcome::Done
        }
        c::SEND_TO_UID => {
            let uids = bounded(uids(&serde_json::from_slice::<Values>(&ext)?.into_vec()))?;
            if let Some(message) = message()? {
                gateway.send_to_uid(uids, Except::default(), message).await.delivered().await;
            }
            Outcome::Done
        }
        c::SEND_TO_GROUP => {
            let ToGroups { group, exclude } = read_object(&ext)?;
            if let Some(message) = message()? {
                gateway.send_to_group(bounded(groups(&group.into_vec()))?, except(exclude), message).await.delivered().await;
            }
            Outcome::Done
        }
        c::KICK => {
            // Whatever the farewell is, the client goes.
            let farewell = match Message::read(flag, &body) {
                Ok(Message::Null) | Err(_) => None,
                Ok(message) => message.publication(flag),
            };
            let kick = Kick { silent_on_plain: true, ..CloseCode::KICKED.into() };
            known(gateway.close_client(client, farewell, kick).await)
        }
        c::DESTROY => known(gateway.destroy_client(client).await),
        c::BIND_UID | c::JOIN_GROUP | c::LEAVE_GROUP | c::UNGROUP if is_empty(&ext) => Outcome::Done,
        c::BIND_UID => known(gateway.bind_uid(client, Uid::new(short(&ext)?)).await),
        c::UNBIND_UID => known(gateway.unbind_uid(client).await),
        c::JOIN_GROUP => known(gateway.join_group(client, Group::new(short(&ext)?)).await.is_found()),
        c::LEAVE_GROUP => known(gateway.leave_group(client, Group::new(&ext)).await.is_found()),
        c::UNGROUP => {
            gateway.ungroup(Group::new(&ext)).await;
            Outcome::Done
        }
        c::SET_SESSION => known(gateway.set_session(client, ClientSession::php(&ext)?).await),
        c::UPDATE_SESSION => match ClientSession::php(&ext)? {
            None => Outcome::Done,
            Some(update) => match gateway.update_session(client, update).await {
                Some(merged) => merged.map(|()| Outcome::Done)?,
                None => Outcome::Stale,
            },
        },
        c::IS_ONLINE => queries::is_online(&gateway, client).await,
        c::GET_ALL_CLIENT_SESSIONS => queries::sessions(&gateway, None).await,
        c::GET_CLIENT_SESSIONS_BY_GROUP => queries::sessions(&gateway, Some(Group::new(&ext))).await,
        c::GET_SESSION_BY_CLIENT_ID => queries::session(&gateway, client).await,
        c::GET_CLIENT_ID_BY_UID => queries::clients_of_uid(&gateway, Uid::new(&ext)).await,
        c::BATCH_GET_CLIENT_ID_BY_UID => queries::clients_of_uids(&gateway, queries::values(&ext)?).await,
        c::GET_CLIENT_COUNT_BY_GROUP => queries::count(&gateway, &ext).await,
        c::BATCH_GET_CLIENT_COUNT_BY_GROUP => queries::counts(&gateway, queries::values(&ext)?).await,
        c::GET_GROUP_ID_LIST => queries::group_names(&gateway).await,
        c::SELECT => select(&gateway, &ext, named).await?,
        _ => return Err(Odd::Unknown),
    })
}

fn short(name: &[u8]) -> Result<&[u8], Odd> {
    if name.len() > MAX_NAME { Err(Odd::LongName(name.len())) } else { Ok(name) }
}

fn bounded<T: Hash + Eq>(names: Vec<T>) -> Result<Vec<T>, Odd> {
    if is_repetitive(&names) { Err(Odd::Repetitive) } else { Ok(names) }
}

/// Who is named twice is in two of them: the gateway sends to each of a list once.
fn rounds(clients: Vec<ClientId>) -> Vec<Vec<ClientId>> {
    let (mut rounds, mut times): (Vec<Vec<ClientId>>, HashMap<ClientId, usize>) = Default::default();
    for client in clients {
        let round = times.entry(client).or_default();
        match rounds.get_mut(*round) {
            Some(round) => round.push(client),
            None => rounds.push(vec![client]),
        }
        *round += 1;
    }
    rounds
}
