//! Calls over the nodes of a cluster: to the node of a connection, or to all nodes with one answer. A call from node to node is named
//! `api`; it carries the method and its parameters, after the key was checked.

use super::answer::{AnswerBudget, MAX_ANSWER_BYTES, MAX_GATHERED_BYTES};
use super::endpoints::CALL_TIMEOUT;
use super::method::{ApiError, Caller, Method};
use super::method_table::MethodTable;
use super::reach::{Merge, Reach, Way};
use crate::domain::{id::ClientId, refusal::Refusal};
use crate::server::cluster::{CallError, Cluster, NodeName, Place};
use crate::server::gateway::Gateway;
use crate::server::incident::incident;
use bytes::Bytes;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of the call.
const CALL: &str = "api";

/// Parameters up to this many bytes travel in one message: the bus has parts of 200 KiB.
const MAX_ONE_MESSAGE: usize = 128 * 1024;

/// The result of a method.
pub(super) struct Called {
    /// The result, as JSON.
    pub result: Vec<u8>,
    /// The nodes that did not answer; what they have is not in the result.
    pub silent: Vec<NodeName>,
}

/// A call to another node.
#[derive(Serialize, Deserialize)]
struct NodeCall {
    method: String,
    params: Value,
    /// Name of the key, for the log.
    key: String,
}

/// The answer of another node: a result, or an error.
#[derive(Serialize, Deserialize)]
struct NodeAnswer<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refusal: Option<Refusal>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
}

/// Returns the budget of a request: of several nodes the answer may be longer.
pub(super) fn budget(cluster: &Cluster) -> AnswerBudget {
    AnswerBudget::new(if cluster.is_alone() { MAX_ANSWER_BYTES } else { MAX_GATHERED_BYTES })
}

/// Returns the way of a call.
pub(super) fn way(method: Option<&Method>, params: &Value, cluster: &Cluster) -> Way {
    let way = match method.map(|method| method.reach) {
        Some(Reach::Everyone(_)) if !cluster.is_alone() => Way::All,
        Some(Reach::Client) if node_of(params, cluster).is_some() => Way::Node,
        _ => return Way::Here,
    };
    let bytes = serde_json::to_vec(params).map_or(0, |json| json.len());
    if bytes > MAX_ONE_MESSAGE { Way::Long } else { way }
}

/// Returns the other node that owns the connection `client_id`. A connection of no live node is looked for here, and is offline.
fn node_of(params: &Value, cluster: &Cluster) -> Option<NodeName> {
    let client = ClientId::deserialize(params.get("client_id")?).ok()?;
    match cluster.place(client) {
        Place::Node(node) => Some(node),
        Place::Here | Place::Nowhere => None,
    }
}

/// Carries a method out where it belongs.
pub(super) async fn call(
    method: &Method,
    methods: &MethodTable,
    caller: Caller,
    mut params: Value,
    budget: AnswerBudget,
) -> Result<Called, ApiError> {
    let is_partial = method.may_be_partial() && take_partial(&mut params)?;
    let result = match method.reach {
        Reach::Everyone(by) if !caller.cluster.is_alone() => {
            let query = Query { method, by, is_partial };
            return query.ask_everyone(methods, caller, params, budget).await;
        }
        Reach::Client => match node_of(&params, &caller.cluster) {
            Some(node) => ask(node, method, &caller, params, &budget).await,
            None => method.call_here(caller, params, budget).await,
        },
        Reach::Here | Reach::Everyone(_) => method.call_here(caller, params, budget).await,
    };
    Ok(Called { result: result?, silent: Vec::new() })
}

/// Takes the parameter `partial`, which the method itself does not have.
fn take_partial(params: &mut Value) -> Result<bool, ApiError> {
    match params.as_object_mut().and_then(|params| params.shift_remove("partial")) {
        None => Ok(false),
        Some(Value::Bool(partial)) => Ok(partial),
        Some(_) => Err(ApiError::malformed("partial", "expected a boolean")),
    }
}

fn body(method: &str, params: Value, caller: &Caller) -> Result<Bytes, ApiError> {
    let call = NodeCall { method: method.to_owned(), params, key: caller.key.name.clone() };
    serde_json::to_vec(&call).map(Bytes::from).map_err(|error| incident(&error, "api call").into())
}

/// Calls the node of a connection.
async fn ask(
    node: NodeName,
    method: &Method,
    caller: &Caller,
    params: Value,
    budget: &AnswerBudget,
) -> Result<Vec<u8>, ApiError> {
    let answer = match caller.cluster.call(node, CALL, body(method.name, params, caller)?).await {
        Ok(answer) => answer,
        Err(CallError::TooLong(_)) => return Err(budget.too_long()),
        Err(error @ (CallError::Silent(_) | CallError::Unknown(_))) => {
            return Err(ApiError { refusal: Refusal::Busy, detail: error.to_string() });
        }
    };
    match serde_json::from_slice(&answer).map_err(|error| incident(&error, "api answer"))? {
        NodeAnswer { refusal: Some(refusal), detail, .. } => Err(ApiError { refusal, detail }),
        NodeAnswer { result, .. } => {
            let result = result.map_or("null", RawValue::get);
            budget.count(result.len())?;
            Ok(result.as_bytes().to_vec())
        }
    }
}

/// A method of all nodes, and how its answers become one.
struct Query<'a> {
    method: &'a Method,
    by: Merge,
    is_partial: bool,
}

impl Query<'_> {
    /// Carries the method out on all nodes at once. A node that is silent, or does not know the method, is named in the result. A query
    /// returns `busy` instead, unless it is partial or decided.
    async fn ask_everyone(
        &self,
        methods: &MethodTable,
        caller: Caller,
        params: Value,
        budget: AnswerBudget,
    ) -> Result<Called, ApiError> {
        let asked = match self.by {
            Merge::Count { of, .. } => methods.methods.get(of).ok_or(Refusal::NoSuchMethod)?,
            _ => self.method,
        };
        let (cluster, me) = (caller.cluster.clone(), caller.cluster.me());
        let body = body(asked.name, params.clone(), &caller)?;
        let here = asked.call_here(caller, params, budget.clone());
        let (here, others) = match self.by {
            // A yes of this node asks nobody.
            Merge::Any => match here.await? {
                yes if self.by.is_decided_by(&String::from_utf8_lossy(&yes)) => {
                    return Ok(Called { result: yes, silent: Vec::new() });
                }
                no => (no, cluster.call_others_until(CALL, body, is_yes).await),
            },
            _ => {
                let (here, others) = tokio::join!(here, cluster.call_others(CALL, body));
                (here?, others)
            }
        };
        let here = std::str::from_utf8(&here).map_err(|error| incident(&error, "api answer"))?;
        let here: &RawValue = serde_json::from_str(here).map_err(|error| incident(&error, "api answer"))?;
        let (mut answers, mut silent) = (BTreeMap::from_iter(me.map(|me| (me, here))), others.silent);
        for (node, answer) in &others.answers {
            match serde_json::from_slice(answer) {
                Ok(NodeAnswer { result: Some(result), refusal: None, .. }) => {
                    budget.count(result.get().len())?;
                    answers.insert(*node, result);
                }
                Ok(NodeAnswer { refusal: Some(Refusal::TooLong { .. }), .. }) => return Err(budget.too_long()),
                // Busy, or of a version without the method.
                _ => silent.push(*node),
            }
        }
        silent.sort_unstable();
        let answers: Vec<&RawValue> = answers.into_values().collect();
        let is_decided = answers.iter().any(|answer| self.by.is_decided_by(answer.get()));
        if self.method.may_be_partial() && !self.is_partial && !is_decided && !silent.is_empty() {
            return Err(ApiError { refusal: Refusal::Busy, detail: format!("no answer from {}", names(&silent).join(", ")) });
        }
        let merged = self.by.merge(&answers).and_then(|merged| serde_json::to_vec(&merged));
        let result = merged.map_err(|error| incident(&error, "api answers"))?;
        Ok(Called { result, silent: if is_decided { Vec::new() } else { silent } })
    }
}

/// Whether an answer of another node is a yes.
fn is_yes(answer: &Bytes) -> bool {
    &answer[..] == br#"{"result":true}"#
}

/// The names of nodes, as answers have them.
pub(super) fn names(nodes: &[NodeName]) -> Vec<String> {
    nodes.iter().map(ToString::to_string).collect()
}

/// Carries out the calls of other nodes from now on.
pub(super) fn answer(cluster: &Cluster, gateway: Gateway, methods: Arc<MethodTable>) {
    let handler = move |body: Bytes| {
        let (gateway, methods) = (gateway.clone(), methods.clone());
        async move { carry_out(&body, gateway, &methods).await }.boxed()
    };
    cluster.answer(CALL, Arc::new(handler));
}

async fn carry_out(body: &[u8], gateway: Gateway, methods: &MethodTable) -> Bytes {
    let outcome = async {
        let call: NodeCall = serde_json::from_slice(body).map_err(|_| Refusal::malformed("body"))?;
        tracing::debug!(key = call.key, method = call.method, "api call of another node");
        let method = methods.methods.get(call.method.as_str()).ok_or(Refusal::NoSuchMethod)?;
        let called = method.call_for_node(gateway, call.params, AnswerBudget::new(MAX_ANSWER_BYTES));
        tokio::time::timeout(CALL_TIMEOUT, called).await.unwrap_or_else(|_| Err(Refusal::Busy.into()))
    };
    match outcome.await {
        Ok(result) => [br#"{"result":"#, &result[..], b"}"].concat().into(),
        Err(ApiError { refusal, detail }) => {
            let error = NodeAnswer { result: None, refusal: Some(refusal), detail };
            serde_json::to_vec(&error).unwrap_or_default().into()
        }
    }
}
