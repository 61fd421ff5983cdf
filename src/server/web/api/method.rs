//! One method of the API: its name, what a key needs for it, what goes in and comes out, and the call itself.

use crate::domain::refusal::Refusal;
use crate::server::accounts::Scope;
use crate::server::gateway::Gateway;
use futures_util::future::{BoxFuture, FutureExt};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

type Call = Box<dyn Fn(Gateway, Value) -> BoxFuture<'static, Result<Value, ApiError>> + Send + Sync>;

pub struct Method {
    pub name: &'static str,
    pub scope: Scope,
    /// One sentence for the description.
    pub summary: &'static str,
    pub input_schema: Schema,
    pub output_schema: Schema,
    call: Call,
}

/// A refusal, and what exactly was wrong with the caller's own input.
pub struct ApiError {
    pub refusal: Refusal,
    pub detail: String,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, detail: String::new() }
    }
}

impl ApiError {
    pub fn malformed(field: &str, detail: impl Into<String>) -> Self {
        Self { refusal: Refusal::malformed(field.to_owned()), detail: detail.into() }
    }
}

impl Method {
    pub async fn call(&self, gateway: Gateway, input: Value) -> Result<Value, ApiError> {
        (self.call)(gateway, input).await
    }
}

/// `I` and `O` are the method's shapes, in the description as in the call.
pub fn method<I, O, F>(
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
    let call = move |gateway: Gateway, input: Value| {
        let handler = handler.clone();
        async move {
            let output = handler(gateway, parse_input(input)?).await?;
            serde_json::to_value(output).map_err(|error| crate::server::incident::incident(&error, "api").into())
        }
        .boxed()
    };
    Method { name, scope, summary, input_schema: schema::<I>(), output_schema: schema::<O>(), call: Box::new(call) }
}

/// Serde would take a list for a struct, field by field.
pub fn parse_input<I: DeserializeOwned>(input: Value) -> Result<I, ApiError> {
    if !input.is_object() {
        return Err(ApiError::malformed("body", "a JSON object is wanted"));
    }
    serde_path_to_error::deserialize(input).map_err(|error| {
        let detail = error.inner().to_string();
        let path = error.path().to_string();
        // Of a field that is missing or unknown only the message knows the name.
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
