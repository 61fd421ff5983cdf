//! What each command does: one line into the gateway each, and the reply of those that have one (protocol.md, 6).

use super::args::{
    Excluded, MAX_NAME_BYTES, MAX_NAMES, Scalar, SendToAllArgs, SendToGroupArgs, Values, groups, is_empty_name, read_object, uids,
};
use super::outcome::{CommandError, Outcome};
use super::queries;
use super::select::select;
use crate::domain::{id::ClientId, push::CloseCode};
use crate::server::gateway::{ClientSession, Except, Gateway, Group, Kick, Publication, Uid, is_repetitive};
use crate::server::gatewayworker::protocol::body::{Body, BodyError};
use crate::server::gatewayworker::protocol::opcode as c;
use crate::server::gatewayworker::protocol::packet::Packet;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddrV4;

/// It begins when it is first polled: whoever polls several does so in the order in which they came.
pub async fn dispatch(gateway: Gateway, lan_addr: SocketAddrV4, packet: Packet) -> Result<Outcome, CommandError> {
    let Packet { command, connection, flag, ext, body } = packet;
    // Each stands between commas.
    if c::takes_names(command) && ext.iter().filter(|byte| **byte == b',').count() > MAX_NAMES {
        return Err(CommandError::TooManyNames);
    }
    let client_id = |connection| ClientId { address: lan_addr.ip().octets(), port: lan_addr.port(), connection };
    let client = client_id(connection);
    let client_ids =
        |scalars: Vec<Scalar>| -> Vec<ClientId> { scalars.iter().filter_map(Scalar::connection).map(client_id).collect() };
    let except = |exclude: Option<Excluded>| {
        let clients = exclude.map(Excluded::into_vec).map(client_ids).unwrap_or_default().into_iter().collect();
        Except { clients, ..Except::default() }
    };
    let message = || -> Result<Option<Publication>, BodyError> { Ok(Body::decode(flag, &body)?.into_publication(flag)) };
    let found = |is_found: bool| if is_found { Outcome::Done } else { Outcome::ClientNotFound };

    Ok(match command {
        c::SEND_TO_ONE => match message()? {
            Some(message) => {
                let delivered = gateway.send_to_client(client, message).await.delivered().await;
                found(delivered.to + delivered.slow > 0)
            }
            None => Outcome::Done,
        },
        c::SEND_TO_ALL => {
            let SendToAllArgs { connections, exclude } =
                if matches!(&ext[..], b"" | b"[]") { SendToAllArgs::default() } else { read_object(&ext)? };
            let only = connections.map(|connections| bounded(client_ids(connections.into_vec()))).transpose()?;
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
            let SendToGroupArgs { group, exclude } = read_object(&ext)?;
            if let Some(message) = message()? {
                gateway.send_to_group(bounded(groups(&group.into_vec()))?, except(exclude), message).await.delivered().await;
            }
            Outcome::Done
        }
        c::KICK => {
            // Whatever the farewell is, the client goes.
            let farewell = match Body::decode(flag, &body) {
                Ok(Body::Null) | Err(_) => None,
                Ok(message) => message.into_publication(flag),
            };
            let kick = Kick { silent_on_plain: true, ..CloseCode::KICKED.into() };
            found(gateway.close_client(client, farewell, kick).await)
        }
        c::DESTROY => found(gateway.destroy_client(client).await),
        c::BIND_UID | c::JOIN_GROUP | c::LEAVE_GROUP | c::UNGROUP if is_empty_name(&ext) => Outcome::Done,
        c::BIND_UID => found(gateway.bind_uid(client, Uid::new(short(&ext)?)).await),
        c::UNBIND_UID => found(gateway.unbind_uid(client).await),
        c::JOIN_GROUP => found(gateway.join_group(client, Group::new(short(&ext)?)).await.is_found()),
        c::LEAVE_GROUP => found(gateway.leave_group(client, Group::new(&ext)).await.is_found()),
        c::UNGROUP => {
            gateway.ungroup(Group::new(&ext)).await;
            Outcome::Done
        }
        c::SET_SESSION => found(gateway.set_session(client, ClientSession::php(&ext)?).await),
        c::UPDATE_SESSION => match ClientSession::php(&ext)? {
            None => Outcome::Done,
            Some(update) => match gateway.update_session(client, update).await {
                Some(merged) => merged.map(|()| Outcome::Done)?,
                None => Outcome::ClientNotFound,
            },
        },
        c::IS_ONLINE => queries::is_online(&gateway, client).await,
        c::GET_ALL_CLIENT_SESSIONS => queries::sessions(&gateway, None).await,
        c::GET_CLIENT_SESSIONS_BY_GROUP => queries::sessions(&gateway, Some(Group::new(&ext))).await,
        c::GET_SESSION_BY_CLIENT_ID => queries::session(&gateway, client).await,
        c::GET_CLIENT_ID_BY_UID => queries::clients_of_uid(&gateway, Uid::new(&ext)).await,
        c::BATCH_GET_CLIENT_ID_BY_UID => queries::clients_of_uids(&gateway, queries::parse_names(&ext)?).await,
        c::GET_CLIENT_COUNT_BY_GROUP => queries::client_count(&gateway, &ext).await,
        c::BATCH_GET_CLIENT_COUNT_BY_GROUP => queries::client_counts(&gateway, queries::parse_names(&ext)?).await,
        c::GET_GROUP_ID_LIST => queries::group_names(&gateway).await,
        c::SELECT => select(&gateway, &ext, client_id).await?,
        _ => return Err(CommandError::UnknownCommand),
    })
}

fn short(name: &[u8]) -> Result<&[u8], CommandError> {
    if name.len() > MAX_NAME_BYTES { Err(CommandError::NameTooLong(name.len())) } else { Ok(name) }
}

fn bounded<T: Hash + Eq>(names: Vec<T>) -> Result<Vec<T>, CommandError> {
    if is_repetitive(&names) { Err(CommandError::Repetitive) } else { Ok(names) }
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
