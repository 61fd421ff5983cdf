//! Carries out commands by calls of the gateway; a query has a reply (protocol.md, 6).

use super::args::{
    Excluded, MAX_NAME_BYTES, MAX_NAMES, Scalar, SendToAllArgs, SendToGroupArgs, Values, groups, is_empty_name, read_object, uids,
};
use super::outcome::{CommandError, CommandOutcome};
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

/// The peer that sent a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Caller {
    /// GatewayClient, in a page of the site.
    Site,
    /// A BusinessWorker, on the connection that its events come from. It sets the session that it computed from an event's.
    Worker,
}

/// Carries out the command of a packet. `lan_addr` is this node's address in client ids. The command starts at the first poll,
/// so a caller that polls several commands in order starts them in that order.
pub(crate) async fn dispatch(
    gateway: Gateway,
    lan_addr: SocketAddrV4,
    caller: Caller,
    packet: Packet,
) -> Result<CommandOutcome, CommandError> {
    // Names are separated by commas: this bounds their number before they are parsed.
    if c::takes_names(packet.command) && packet.ext.iter().filter(|byte| **byte == b',').count() > MAX_NAMES {
        return Err(CommandError::TooManyNames);
    }
    let command = CommandCall { gateway, lan_addr, caller, packet };
    match command.packet.command {
        c::SEND_TO_ONE | c::SEND_TO_ALL | c::SEND_TO_UID | c::SEND_TO_GROUP => command.send().await,
        c::KICK | c::DESTROY => Ok(command.disconnect().await),
        c::BIND_UID | c::UNBIND_UID | c::JOIN_GROUP | c::LEAVE_GROUP | c::UNGROUP => command.change_names().await,
        c::SET_SESSION | c::UPDATE_SESSION => command.change_session().await,
        _ => command.answer().await,
    }
}

/// A packet with the gateway that carries it out.
struct CommandCall {
    gateway: Gateway,
    lan_addr: SocketAddrV4,
    caller: Caller,
    packet: Packet,
}

impl CommandCall {
    async fn send(&self) -> Result<CommandOutcome, CommandError> {
        let (gateway, ext) = (&self.gateway, &self.packet.ext);
        match self.packet.command {
            c::SEND_TO_ONE => {
                let Some(message) = self.message()? else { return Ok(CommandOutcome::Done) };
                let delivered = gateway.send_to_client(self.client(), message).await.delivered().await;
                return Ok(found(delivered.to + delivered.slow > 0));
            }
            c::SEND_TO_UID => {
                let uids = without_excess_repeats(uids(&serde_json::from_slice::<Values>(ext)?.into_vec()))?;
                if let Some(message) = self.message()? {
                    gateway.send_to_uid(uids, Except::default(), message).await.delivered().await;
                }
            }
            c::SEND_TO_GROUP => {
                let SendToGroupArgs { group, exclude } = read_object(ext)?;
                if let Some(message) = self.message()? {
                    let (groups, except) = (without_excess_repeats(groups(&group.into_vec()))?, self.except(exclude));
                    gateway.note_sender("php", &groups);
                    gateway.send_to_group(groups, except, message).await.delivered().await;
                }
            }
            _ => self.send_to_all().await?,
        }
        Ok(CommandOutcome::Done)
    }

    async fn send_to_all(&self) -> Result<(), CommandError> {
        let ext = &self.packet.ext;
        let SendToAllArgs { connections, exclude } =
            if matches!(&ext[..], b"" | b"[]") { SendToAllArgs::default() } else { read_object(ext)? };
        let only = connections.map(|connections| without_excess_repeats(self.client_ids(connections.into_vec()))).transpose()?;
        let Some(message) = self.message()? else { return Ok(()) };
        let except = self.except(exclude);
        let lists = match only {
            None => vec![None],
            Some(clients) => without_repeats(clients).into_iter().map(Some).collect(),
        };
        for list in lists {
            self.gateway.send_to_all(list, except.clone(), message.clone()).await.delivered().await;
        }
        Ok(())
    }

    async fn disconnect(&self) -> CommandOutcome {
        if self.packet.command == c::DESTROY {
            return found(self.gateway.destroy_client(self.client()).await);
        }
        // The client is disconnected also if its last message cannot be sent.
        let farewell = match Body::decode(self.packet.flag, &self.packet.body) {
            Ok(Body::Null) | Err(_) => None,
            Ok(message) => message.into_publication(self.packet.flag),
        };
        let kick = Kick { silent_on_plain: true, ..CloseCode::KICKED.into() };
        found(self.gateway.close_client(self.client(), farewell, kick).await)
    }

    /// Binds and unbinds uids, joins and leaves groups.
    async fn change_names(&self) -> Result<CommandOutcome, CommandError> {
        let (gateway, client, ext) = (&self.gateway, self.client(), &self.packet.ext);
        Ok(match self.packet.command {
            c::UNBIND_UID => found(gateway.unbind_uid(client).await),
            _ if is_empty_name(ext) => CommandOutcome::Done,
            c::BIND_UID => found(gateway.bind_uid(client, Uid::new(bounded_name(ext)?)).await),
            c::JOIN_GROUP => found(gateway.join_group(client, Group::new(bounded_name(ext)?)).await.is_found()),
            c::LEAVE_GROUP => found(gateway.leave_group(client, Group::new(ext)).await.is_found()),
            _ => {
                gateway.ungroup(Group::new(ext)).await;
                CommandOutcome::Done
            }
        })
    }

    async fn change_session(&self) -> Result<CommandOutcome, CommandError> {
        let (client, session) = (self.client(), ClientSession::serialized(&self.packet.ext)?);
        if self.packet.command == c::SET_SESSION {
            return Ok(found(match self.caller {
                Caller::Site => self.gateway.set_session(client, session).await,
                Caller::Worker => self.gateway.set_worker_session(client, session).await,
            }));
        }
        let Some(update) = session else { return Ok(CommandOutcome::Done) };
        match self.gateway.update_session(client, update).await {
            Some(merged) => Ok(merged.map(|()| CommandOutcome::Done)?),
            None => Ok(CommandOutcome::ClientNotFound),
        }
    }

    async fn answer(&self) -> Result<CommandOutcome, CommandError> {
        let (gateway, ext) = (&self.gateway, &self.packet.ext);
        match self.packet.command {
            c::IS_ONLINE => queries::is_online(gateway, self.client()).await,
            c::GET_ALL_CLIENT_SESSIONS => queries::sessions(gateway, None).await,
            c::GET_CLIENT_SESSIONS_BY_GROUP => queries::sessions(gateway, Some(Group::new(ext))).await,
            c::GET_SESSION_BY_CLIENT_ID => queries::session(gateway, self.client()).await,
            c::GET_CLIENT_ID_BY_UID => queries::clients_of_uid(gateway, Uid::new(ext)).await,
            c::BATCH_GET_CLIENT_ID_BY_UID => queries::clients_of_uids(gateway, queries::parse_names(ext)?).await,
            c::GET_CLIENT_COUNT_BY_GROUP => queries::client_count(gateway, ext).await,
            c::BATCH_GET_CLIENT_COUNT_BY_GROUP => queries::client_counts(gateway, queries::parse_names(ext)?).await,
            c::GET_GROUP_ID_LIST => queries::group_names(gateway).await,
            c::SELECT => select(gateway, ext, |connection| self.client_id(connection)).await,
            _ => Err(CommandError::UnknownCommand),
        }
    }

    /// The client that the packet names.
    fn client(&self) -> ClientId {
        self.client_id(self.packet.connection)
    }

    fn client_id(&self, connection: u32) -> ClientId {
        ClientId { address: self.lan_addr.ip().octets(), port: self.lan_addr.port(), connection }
    }

    fn client_ids(&self, connections: Vec<Scalar>) -> Vec<ClientId> {
        connections.iter().filter_map(Scalar::connection).map(|connection| self.client_id(connection)).collect()
    }

    fn except(&self, exclude: Option<Excluded>) -> Except {
        let clients = exclude.map(Excluded::into_vec).map(|clients| self.client_ids(clients)).unwrap_or_default();
        Except { clients: clients.into_iter().collect(), ..Except::default() }
    }

    /// The message in both dialects; `None` if it is empty.
    fn message(&self) -> Result<Option<Publication>, BodyError> {
        Ok(Body::decode(self.packet.flag, &self.packet.body)?.into_publication(self.packet.flag))
    }
}

fn found(is_found: bool) -> CommandOutcome {
    if is_found { CommandOutcome::Done } else { CommandOutcome::ClientNotFound }
}

fn bounded_name(name: &[u8]) -> Result<&[u8], CommandError> {
    if name.len() > MAX_NAME_BYTES { Err(CommandError::NameTooLong(name.len())) } else { Ok(name) }
}

fn without_excess_repeats<T: Hash + Eq>(names: Vec<T>) -> Result<Vec<T>, CommandError> {
    if is_repetitive(&names) { Err(CommandError::Repetitive) } else { Ok(names) }
}

/// Splits a list into lists without repeats: a client that is named twice receives the message twice, and the gateway sends to
/// each client of a list once.
fn without_repeats(clients: Vec<ClientId>) -> Vec<Vec<ClientId>> {
    let (mut lists, mut times): (Vec<Vec<ClientId>>, HashMap<ClientId, usize>) = Default::default();
    for client in clients {
        let repeat = times.entry(client).or_default();
        match lists.get_mut(*repeat) {
            Some(list) => list.push(client),
            None => lists.push(vec![client]),
        }
        *repeat += 1;
    }
    lists
}
