//! One method of the API: name, required scope, schemas of input and output, and the call.

use super::answer::AnswerBudget;
use crate::domain::refusal::Refusal;
use crate::server::accounts::Scope;
use crate::server::gateway::Gateway;
use futures_util::future::{BoxFuture, FutureExt};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

type Call = Box<dyn Fn(Gateway, Value, AnswerBudget) -> BoxFuture<'static, Result<Vec<u8>, ApiError>> + Send + Sync>;

/// A method as the router calls it and as openapi.json describes it.
pub(super) struct Method {
    /// Last part of its URL.
    pub name: &'static str,
    /// Scope that an API key needs for it.
    pub scope: Scope,
    /// One or two sentences: the action, and the returned value.
    pub summary: &'static str,
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
    /// Parses `input`, runs the method and returns its result as JSON. Returns `malformed` if the input does not match the
    /// schema, and `too_long` if the result exceeds the budget.
    pub(super) async fn call(&self, gateway: Gateway, input: Value, budget: AnswerBudget) -> Result<Vec<u8>, ApiError> {
        (self.call)(gateway, input, budget).await
    }
}

/// Creates a method from a handler. Its input type `I` and output type `O` are parsed and serialized in calls, and described
/// in openapi.json.
pub(super) fn method<I, O, F>(
    name: &'static str,
    scope: Scope,
    summary: &'static str,
    handler: impl Fn(Gateway, I) -> F + Clone + Send + Sync + 'static,
) -> Method
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + JsonSchema,
    F: Future<Output = Result<O, ApiError>> + Send + 'static,
{
    let call = move |gateway: Gateway, input: Value, budget: AnswerBudget| {
        let handler = handler.clone();
        async move { budget.write(&handler(gateway, parse_input(input)?).await?) }.boxed()
    };
    Method { name, scope, summary, input_schema: schema::<I>(), output_schema: schema::<O>(), call: Box::new(call) }
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
