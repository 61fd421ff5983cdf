//! One method of the API: name, required scope, schemas of input and output, and the call.

use super::answer::AnswerBudget;
use super::reach::Reach;
use crate::domain::{id::RoomId, refusal::Refusal};
use crate::server::accounts::{ApiKey, Scope};
use crate::server::chat::Chat;
use crate::server::cluster::Cluster;
use crate::server::gateway::Gateway;
use futures_util::future::{BoxFuture, FutureExt};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

type Outcome = BoxFuture<'static, Result<Vec<u8>, ApiError>>;

/// The handler of a method, with its types erased.
enum Call {
    /// Of the gateway: it needs no key, so that any node can carry it out for another.
    Gateway(Box<dyn Fn(Gateway, Value, AnswerBudget) -> Outcome + Send + Sync>),
    /// Of a room: it checks that the key is for the room.
    Room(Box<dyn Fn(Caller, Value, AnswerBudget) -> Outcome + Send + Sync>),
}

/// The services that a call may use, and the key that makes it.
#[derive(Clone)]
pub(super) struct Caller {
    /// Connections and groups.
    pub gateway: Gateway,
    /// The other nodes.
    pub cluster: Cluster,
    /// Rooms and messages.
    pub chat: Chat,
    /// The key.
    pub key: ApiKey,
}

impl Caller {
    /// Returns `not_allowed` for a room that the key is not for.
    pub(super) fn check_room(&self, room: &RoomId) -> Result<(), ApiError> {
        if self.key.has_room(room) {
            return Ok(());
        }
        let detail = format!("API key {} is not for room {room}", self.key.name);
        Err(ApiError { refusal: Refusal::NotAllowed, detail })
    }
}

/// A method as the router calls it and as openapi.json describes it.
pub(super) struct Method {
    /// Last part of its URL.
    pub name: &'static str,
    /// Scope that an API key needs for it.
    pub scope: Scope,
    /// One or two sentences: the action, and the returned value.
    pub summary: &'static str,
    /// The nodes that carry it out.
    pub reach: Reach,
    /// JSON Schema of the request body.
    pub input_schema: Schema,
    /// JSON Schema of `result` in the response.
    pub output_schema: Schema,
    call: Call,
}

/// An error of a call, as the back end receives it.
pub(super) struct ApiError {
    /// Status and code.
    pub refusal: Refusal,
    /// The exact error in the caller's input, in English. Empty: no detail.
    pub detail: String,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, detail: String::new() }
    }
}

impl ApiError {
    /// Error `malformed` (422) in a field of the input.
    pub(super) fn malformed(field: &str, detail: impl Into<String>) -> Self {
        Self { refusal: Refusal::malformed(field.to_owned()), detail: detail.into() }
    }
}

impl Method {
    /// Whether the method concerns a room, for which keys that are limited to rooms may call it.
    pub(super) fn is_of_room(&self) -> bool {
        matches!(self.call, Call::Room(_))
    }

    /// Whether it is a query of all nodes, which may be answered without those that are silent.
    pub(super) fn may_be_partial(&self) -> bool {
        matches!(self.reach, Reach::Everyone(_)) && self.scope.is_read()
    }

    /// Parses `input`, runs the method on this node and returns its result as JSON. Returns `malformed` if the input does not match
    /// the schema, and `too_long` if the result exceeds the budget.
    pub(super) async fn call_here(&self, caller: Caller, input: Value, budget: AnswerBudget) -> Result<Vec<u8>, ApiError> {
        match &self.call {
            Call::Gateway(call) => call(caller.gateway, input, budget).await,
            Call::Room(call) => call(caller, input, budget).await,
        }
    }

    /// Carries the method out for another node, which checked the key. Returns `no_such_method` for one of a room.
    pub(super) async fn call_for_node(&self, gateway: Gateway, input: Value, budget: AnswerBudget) -> Result<Vec<u8>, ApiError> {
        match &self.call {
            Call::Gateway(call) => call(gateway, input, budget).await,
            Call::Room(_) => Err(Refusal::NoSuchMethod.into()),
        }
    }
}

/// Creates a method of the gateway from a handler, which acts on the node's own connections. Its input type `I` and output type `O` are
/// parsed and serialized in calls, and described in openapi.json.
pub(super) fn method<I, O, F>(
    name: &'static str,
    scope: Scope,
    reach: Reach,
    summary: &'static str,
    handler: impl Fn(Gateway, I) -> F + Clone + Send + Sync + 'static,
) -> Method
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + JsonSchema,
    F: Future<Output = Result<O, ApiError>> + Send + 'static,
{
    let call = Call::Gateway(Box::new(move |gateway: Gateway, input: Value, budget: AnswerBudget| {
        let handler = handler.clone();
        async move { budget.write(&handler(gateway, parse_input(input)?).await?) }.boxed()
    }));
    let method = Method { name, scope, summary, reach, input_schema: schema::<I>(), output_schema: schema::<O>(), call };
    if method.may_be_partial() { described_as_partial(method) } else { method }
}

/// Creates a method of a room from a handler, which checks that the key is for the room. Types are as in [`method`].
pub(super) fn room_method<I, O, F>(
    name: &'static str,
    scope: Scope,
    summary: &'static str,
    handler: impl Fn(Caller, I) -> F + Clone + Send + Sync + 'static,
) -> Method
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + JsonSchema,
    F: Future<Output = Result<O, ApiError>> + Send + 'static,
{
    let call = Call::Room(Box::new(move |caller: Caller, input: Value, budget: AnswerBudget| {
        let handler = handler.clone();
        async move { budget.write(&handler(caller, parse_input(input)?).await?) }.boxed()
    }));
    let (input_schema, output_schema) = (schema::<I>(), schema::<O>());
    Method { name, scope, summary, reach: Reach::Here, input_schema, output_schema, call }
}

/// Adds the parameter `partial` to the description: [`nodes`](super::nodes) reads it.
fn described_as_partial(mut method: Method) -> Method {
    let partial = json!({
        "type": "boolean",
        "description": "Answer without the nodes that are silent, and name them; else the error is `busy`",
    });
    if let Some(properties) = method.input_schema.ensure_object().entry("properties").or_insert_with(|| json!({})).as_object_mut()
    {
        properties.insert("partial".into(), partial);
    }
    method
}

/// Parses a JSON object into `I`. Returns `malformed` with the path of the wrong field, and for a list, which serde alone
/// would accept as a struct's fields in order.
pub(super) fn parse_input<I: DeserializeOwned>(input: Value) -> Result<I, ApiError> {
    if !input.is_object() {
        return Err(ApiError::malformed("body", "expected a JSON object"));
    }
    serde_path_to_error::deserialize(input).map_err(|error| {
        let detail = error.inner().to_string();
        let path = error.path().to_string();
        // Missing and unknown fields have no path; serde names them in its message.
        let field = if path == "." { detail.split('`').nth(1).unwrap_or("body").to_owned() } else { path };
        ApiError::malformed(&field, detail)
    })
}

fn schema<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>()
}
