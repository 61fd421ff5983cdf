//! The description of the API: OpenAPI 3.1, generated from the methods.

use super::answer::{MAX_ANSWER_BYTES, MAX_GATHERED_BYTES};
use super::method::Method;
use super::reach::Reach;
use super::request::{MAX_BODY_BYTES, MAX_CALLS};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The description as it is sent: 100 KB that would take milliseconds to build per request.
pub(super) struct Description {
    json: Bytes,
    etag: String,
}

impl Description {
    /// Encodes a document.
    pub(super) fn new(document: &Value) -> Self {
        let json = Bytes::from(document.to_string());
        let etag = Sha256::digest(&json)[..12].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Self { json, etag: format!("\"{etag}\"") }
    }

    /// The response: 304 if the client has this version.
    pub(super) fn response(&self, headers: &HeaderMap) -> Response {
        let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let mut response = if known.is_some_and(|known| known.contains(&self.etag)) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], self.json.clone()).into_response()
        };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(etag) = HeaderValue::from_str(&self.etag) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }
}

/// Returns the description of `methods` and of the batch endpoint.
pub(super) fn openapi_document<'a>(methods: impl Iterator<Item = &'a Method>) -> Value {
    let mut paths = Map::new();
    for method in methods {
        let mut success = json!({
            "type": "object",
            "properties": {"status": {"const": true}, "result": method.output_schema},
            "required": ["status", "result"],
        });
        if matches!(method.reach, Reach::Everyone(_)) {
            success["properties"]["silent"] = silent_schema();
        }
        let mut post = operation(method.name, method.summary, &json!(method.input_schema), &success);
        post["x-scope"] = json!(method.scope.as_str());
        if method.is_of_room() {
            describe_room_errors(&mut post);
        }
        paths.insert(format!("/gateway/api/{}", method.name), json!({"post": post}));
    }
    let (batch, results) = batch_schemas();
    let summary = "Makes several calls in one request. They start in their order; the results are in the same order, each with its own status.";
    paths.insert("/gateway/api/batch".into(), json!({"post": operation("batch", summary, &batch, &results)}));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Roomcast gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "GatewayClient's methods over HTTP, and those of the chat's rooms (`chat.*`, `mod.*`). A request body has at most {MAX_BODY_BYTES} bytes, an answer {MAX_ANSWER_BYTES}; that of several nodes {MAX_GATHERED_BYTES}. A key may call the methods of its scopes (`x-scope`)."
            ),
        },
        "paths": paths,
        "security": [{"key": []}],
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Refusal": refusal_schema()},
        },
    })
}

/// The schemas of a batch: its request, and its results.
fn batch_schemas() -> (Value, Value) {
    // A wrong method or params is an error of that call alone, so the batch's schema accepts any.
    let call = json!({
        "type": "object",
        "properties": {
            "method": {"type": "string", "description": "The name of a method: the last part of its own path"},
            "params": {"description": "The request body of that path"},
        },
        "required": ["method", "params"],
        "additionalProperties": false,
    });
    let batch = json!({
        "type": "object",
        "properties": {"calls": {"type": "array", "maxItems": MAX_CALLS, "items": call}},
        "required": ["calls"],
        "additionalProperties": false,
    });
    let results = json!({
        "type": "object",
        "properties": {
            "status": {"const": true},
            "results": {"type": "array", "items": {"anyOf": [
                {
                    "type": "object",
                    "properties": {"status": {"const": true}, "result": {}, "silent": silent_schema()},
                    "required": ["status", "result"],
                },
                {"$ref": "#/components/schemas/Refusal"},
            ]}},
        },
        "required": ["status", "results"],
    });
    (batch, results)
}

/// The nodes of a cluster that are not in a result.
fn silent_schema() -> Value {
    json!({
        "type": "array",
        "items": {"type": "string"},
        "description": "Addresses of the nodes that did not answer; left out if all did",
    })
}

/// Adds the errors of the methods of rooms to the responses that they share a status with.
fn describe_room_errors(post: &mut Value) {
    for (status, also) in [
        (
            "403",
            "the key is not for the room, or its rank is not above the person's (`not_allowed`); the bot is restrained (`muted`, `banned`); a mode is on (`room_mode`)",
        ),
        ("404", "there is no such room (`no_such_room`)"),
        ("409", "it was done before (`already_decided`), or too long ago (`too_late`)"),
        ("413", "the text has more than `max` characters (`too_long`)"),
        ("422", "`field` is blank (`blank`)"),
        ("429", "the bot sends too fast (`too_fast`)"),
        ("504", "it is not known whether it was done: repeat it with the same nonce (`uncertain`)"),
    ] {
        let response = &mut post["responses"][status];
        if response.is_null() {
            *response = refusal_response(also);
        } else if let Some(text) = response["description"].as_str() {
            response["description"] = json!(format!("{text}; {also}"));
        }
    }
}

fn refusal_response(summary: &str) -> Value {
    let schema = json!({"$ref": "#/components/schemas/Refusal"});
    json!({"description": summary, "content": {"application/json": {"schema": schema}}})
}

fn operation(name: &str, summary: &str, input: &Value, output: &Value) -> Value {
    let json_of = |schema: &Value| json!({"application/json": {"schema": schema}});
    json!({
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": true, "content": json_of(input)},
        "responses": {
            "200": {"description": "Success", "content": json_of(output)},
            "401": refusal_response("The API key is missing, unknown, removed or expired (`not_signed_in`)"),
            "403": refusal_response("The API key lacks the method's scope, or `admin` for `raw` (`not_allowed`)"),
            "404": refusal_response("There is no such method, or the API is off because no key exists (`no_such_method`)"),
            "413": refusal_response("The request body, a session or the answer is longer than `max` bytes (`too_long`)"),
            "422": refusal_response("`field` is invalid, for the reason in `detail` (`malformed`)"),
            "429": refusal_response("Too many requests with wrong keys: retry after `retry_after_ms` (`too_fast`)"),
            "500": refusal_response("Internal error: the server's log has its cause under `incident` (`internal`)"),
            "503": refusal_response("The server, or a node of the cluster, is busy: retry later (`busy`)"),
        },
    })
}

/// Codes of the API's errors.
const CODES: [&str; 16] = [
    "not_signed_in",
    "not_allowed",
    "room_mode",
    "muted",
    "banned",
    "no_such_method",
    "no_such_room",
    "already_decided",
    "too_late",
    "too_long",
    "malformed",
    "blank",
    "too_fast",
    "internal",
    "busy",
    "uncertain",
];

fn refusal_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "status": {"const": false},
            "code": {"enum": CODES},
            "message": {"type": "string"},
            "field": {"type": "string"},
            "detail": {"type": "string"},
            "max": {"type": "integer"},
            "retry_after_ms": {"type": "integer"},
            "incident": {"type": "string"},
            "mode": {"type": "string"},
            "until": {"type": ["integer", "null"]},
            "reason": {"type": "string"},
            "case": {"type": "string"},
            "kind": {"type": "string"},
        },
        "required": ["status", "code", "message"],
    })
}
