//! `bind` for a socket of another node: a load balancer sends the request to any. The node of the socket carries it out, with the
//! credentials and the person that this one found.

use super::{BindRequest, Chat};
use crate::domain::{push::CloseCode, refusal::Refusal, reply::BindReply, room::Person};
use crate::server::cluster::{CallError, NodeName};
use crate::server::gateway::Credentials;
use crate::server::incident::{incident, refusal_of};
use bytes::Bytes;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The name of the call.
const CALL: &str = "bind";

/// A `bind` on its way to another node.
#[derive(Serialize, Deserialize)]
struct NodeBind {
    client_id: String,
    room: String,
    since: Option<String>,
    epoch: Option<String>,
    rev: Option<String>,
    person: Option<Person>,
    by: Credentials,
}

impl NodeBind {
    fn request(&self) -> BindRequest<'_> {
        let Self { client_id, room, since, epoch, rev, .. } = self;
        BindRequest { client_id, room, since: since.as_deref(), epoch: epoch.as_deref(), rev: rev.as_deref() }
    }
}

impl Chat {
    /// Has the node of the socket carry `bind` out. Fails with `busy` if it does not answer in time: it may be bound all the same, and
    /// binding it again changes nothing.
    pub(super) async fn bind_elsewhere(
        &self,
        node: NodeName,
        person: Option<&Person>,
        by: Credentials,
        request: BindRequest<'_>,
    ) -> Result<BindReply, Refusal> {
        let BindRequest { client_id, room, since, epoch, rev } = request;
        let [since, epoch, rev] = [since, epoch, rev].map(|field| field.map(str::to_owned));
        let (client_id, room, person) = (client_id.to_owned(), room.to_owned(), person.cloned());
        let call = NodeBind { client_id, room, since, epoch, rev, person, by };
        let body = serde_json::to_vec(&call).map_err(|error| incident(&error, "bind"))?;
        match self.cluster.call(node, CALL, body.into()).await {
            Ok(answer) => {
                serde_json::from_slice::<Result<BindReply, Refusal>>(&answer).map_err(|error| incident(&error, "bind"))?
            }
            Err(CallError::Silent(_) | CallError::Unknown(_) | CallError::TooLong(_)) => Err(Refusal::Busy),
        }
    }

    /// Carries out a `bind` of another node. That node may not know yet that the session has ended, and this one may have closed its
    /// sockets before: the store is asked, and a socket that was bound for it is closed. A store that cannot tell closes it, too: the page
    /// comes back.
    async fn bind_for_another(&self, call: NodeBind) -> Result<BindReply, Refusal> {
        let bound = self.bind_here(call.person.as_ref(), call.by, call.request()).await?;
        let Some(owner) = call.by.session.filter(|_| call.person.is_some()) else { return Ok(bound) };
        let (code, refusal) = match self.store.session(&owner.0).await {
            Ok(Some(_)) => return Ok(bound),
            Ok(None) => (CloseCode::SIGNED_OUT, Refusal::NotSignedIn),
            Err(error) => (CloseCode::IDLE, refusal_of(&error, "bind")),
        };
        self.gateway.close_owners([owner], code).await;
        Err(refusal)
    }

    /// Carries out the `bind`s of other nodes from now on.
    pub(super) fn answer_binds(&self) {
        let chat = self.clone();
        let handler = move |body: Bytes| {
            let chat = chat.clone();
            async move {
                let outcome = match serde_json::from_slice::<NodeBind>(&body) {
                    Ok(call) => chat.bind_for_another(call).await,
                    Err(error) => Err(incident(&error, "bind of another node")),
                };
                Bytes::from(serde_json::to_vec(&outcome).unwrap_or_default())
            }
            .boxed()
        };
        self.cluster.answer(CALL, Arc::new(handler));
    }
}
