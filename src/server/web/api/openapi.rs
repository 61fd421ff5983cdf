//! `GET /gateway/api/openapi.json`: OpenAPI 3.1, made from the methods themselves.

use super::method::Method;
use super::request::{MAX_BODY_BYTES, MAX_CALLS};
use serde_json::{Map, Value, json};

pub fn openapi_document<'a>(methods: impl Iterator<Item = &'a Method>) -> Value {
    let mut paths = Map::new();
    for method in methods {
        let success = json!({
            "type": "object",
            "properties": {"status": {"const": true}, "result": method.output_schema},
            "required": ["status", "result"],
        });
        let mut post = operation(method.name, method.summary, &json!(method.input_schema), &success);
        post["x-scope"] = json!(method.scope.as_str());
        paths.insert(format!("/gateway/api/{}", method.name), json!({"post": post}));
    }
    // A name or params that are wrong are this one call's own refusal: the batch takes them.
    let call = json!({
        "type": "object",
        "properties": {
            "method": {"type": "string", "description": "The name at the end of the method's own address"},
            "params": {"description": "What would be posted there"},
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
                {"type": "object", "properties": {"status": {"const": true}, "result": {}}, "required": ["status", "result"]},
                {"$ref": "#/components/schemas/Refusal"},
            ]}},
        },
        "required": ["status", "results"],
    });
    let summary = "Several calls in one request, begun in their order; each has its own outcome, in the same order.";
    paths.insert("/gateway/api/batch".into(), json!({"post": operation("batch", summary, &batch, &results)}));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Roomcast gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "GatewayClient's methods over HTTP. A body has at most {MAX_BODY_BYTES} bytes. A key's scopes decide what it may call (`x-scope`)."
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

fn operation(name: &str, summary: &str, input: &Value, output: &Value) -> Value {
    let json_of = |schema: &Value| json!({"application/json": {"schema": schema}});
    let refusal_response =
        |summary: &str| json!({"description": summary, "content": json_of(&json!({"$ref": "#/components/schemas/Refusal"}))});
    json!({
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": true, "content": json_of(input)},
        "responses": {
            "200": {"description": "Done", "content": json_of(output)},
            "401": refusal_response("No key, or one that is unknown, removed or expired (`not_signed_in`)"),
            "403": refusal_response("The key lacks the scope (`not_allowed`)"),
            "404": refusal_response("No such method, or the API is off (`no_such_method`)"),
            "413": refusal_response("Longer than `max` bytes (`too_long`)"),
            "422": refusal_response("`field` is not what it should be; `detail` says why (`malformed`)"),
            "429": refusal_response("Too many wrong keys: come back after `retry_after_ms` (`too_fast`)"),
            "500": refusal_response("Our fault; its cause is in the log under `incident` (`internal`)"),
            "503": refusal_response("Too busy just now: the same call may work soon (`busy`)"),
        },
    })
}

fn refusal_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "status": {"const": false},
            "code": {"enum": ["not_signed_in", "not_allowed", "no_such_method", "too_long", "malformed", "too_fast", "internal", "busy"]},
            "message": {"type": "string"},
            "field": {"type": "string"},
            "detail": {"type": "string"},
            "max": {"type": "integer"},
            "retry_after_ms": {"type": "integer"},
            "incident": {"type": "string"},
        },
        "required": ["status", "code", "message"],
    })
}
