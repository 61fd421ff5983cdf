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

type Call = Box<dyn Fn(Gateway, Value) -> BoxFuture<'static, Result<Value, NotDone>> + Send + Sync>;

pub struct Method {
    pub name: &'static str,
    pub scope: Scope,
    /// One sentence for the description.
    pub says: &'static str,
    pub takes: Schema,
    pub answers: Schema,
    call: Call,
}

/// A refusal, and what exactly was wrong with the caller's own input.
pub struct NotDone {
    pub refusal: Refusal,
    pub detail: String,
}

impl From<Refusal> for NotDone {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, detail: String::new() }
    }
}

impl NotDone {
    pub fn malformed(field: &str, detail: impl Into<String>) -> Self {
        Self { refusal: Refusal::malformed(field.to_owned()), detail: detail.into() }
    }
}

impl Method {
    pub async fn call(&self, gateway: Gateway, input: Value) -> Result<Value, NotDone> {
        (self.call)(gateway, input).await
    }
}

/// `I` and `O` are the method's shapes, in the description as in the call.
pub fn method<I, O, F>(
    name: &'static str,
    scope: Scope,
    says: &'static str,
    act: impl Fn(Gateway, I) -> F + Clone + Send + Sync + 'static,
) -> Method
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + JsonSchema,
    F: Future<Output = Result<O, NotDone>> + Send + 'static,
{
    let call = move |gateway: Gateway, input: Value| {
        let act = act.clone();
        async move {
            let output = act(gateway, read(input)?).await?;
            serde_json::to_value(output).map_err(|error| crate::server::incident::incident(&error, "api").into())
        }
        .boxed()
    };
    Method { name, scope, says, takes: schema::<I>(), answers: schema::<O>(), call: Box::new(call) }
}

/// Serde would take a list for a struct, field by field.
pub fn read<I: DeserializeOwned>(input: Value) -> Result<I, NotDone> {
    if !input.is_object() {
        return Err(NotDone::malformed("body", "a JSON object is wanted"));
    }
    serde_path_to_error::deserialize(input).map_err(|error| {
        let detail = error.inner().to_string();
        let path = error.path().to_string();
        // Of a field that is missing or unknown only the message knows the name.
        let field = if path == "." { detail.split('`').nth(1).unwrap_or("body").to_owned() } else { path };
        NotDone::malformed(&field, detail)
    })
}

fn schema<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>()
}
