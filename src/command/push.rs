//! `roomcast push`: sends a message through the HTTP API, as a back end would.

use super::Outcome;
use clap::Args;
use roomcast::server::config::Config;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Arguments of `roomcast push`. At least one receiver is required.
#[derive(Args)]
pub(crate) struct PushCommand {
    /// Send to the members of this group; may be repeated
    #[arg(long, required_unless_present_any = ["uid", "client", "all"])]
    group: Vec<String>,
    /// Send to every connection of this uid; may be repeated
    #[arg(long)]
    uid: Vec<String>,
    /// Send to the connection with this client_id; may be repeated
    #[arg(long)]
    client: Vec<String>,
    /// Send to every connection
    #[arg(long)]
    all: bool,
    /// URL of the server [default: its configured listen address]
    #[arg(long)]
    url: Option<String>,
    /// API key with the scope push [default: gateway.api_key]
    #[arg(long, env = "ROOMCAST_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The message: JSON, or any other text
    message: String,
}

impl PushCommand {
    /// Posts one batch of API calls and prints the sum of their reports.
    pub(crate) fn run(self, config: &Config) -> Outcome {
        let scheme = if config.web.tls_cert.as_os_str().is_empty() { "http" } else { "https" };
        let url = self.url.unwrap_or_else(|| format!("{scheme}://{}", config.leptos.site_addr));
        let key = self.key.unwrap_or_else(|| config.gateway.api_key.clone());
        if key.is_empty() {
            return Err("no API key: use --key or ROOMCAST_API_KEY; `roomcast key add` creates one".into());
        }
        let message = self.message;
        let mut calls = Vec::new();
        if !self.group.is_empty() {
            calls.push(json!({"method": "sendToGroup", "params": {"group": self.group, "message": message}}));
        }
        if !self.uid.is_empty() {
            calls.push(json!({"method": "sendToUid", "params": {"uid": self.uid, "message": message}}));
        }
        for client in self.client {
            calls.push(json!({"method": "sendToClient", "params": {"client_id": client, "message": message}}));
        }
        if self.all {
            calls.push(json!({"method": "sendToAll", "params": {"message": message}}));
        }
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent
            .post(format!("{}/gateway/api/batch", url.trim_end_matches('/')))
            .header("authorization", format!("Bearer {key}"))
            .send_json(json!({"calls": calls}))
            .map_err(|error| format!("{url}: {error}"))?;
        let body: Value = answer.body_mut().read_json().map_err(|error| format!("{url}: not an answer of the API: {error}"))?;
        let results = body["results"].as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
        if let Some(refused) = results.iter().find(|result| result["status"] != true) {
            let texts = [&refused["message"], &refused["detail"]].map(|text| text.as_str().unwrap_or_default());
            return Err(texts.join(" ").trim().to_owned().into());
        }
        let sum = |field: &str| results.iter().filter_map(|result| result["result"][field].as_u64()).sum::<u64>();
        println!("to {}, queued {}, slow {}", sum("to"), sum("queued"), sum("slow"));
        let silent = results.iter().filter_map(|result| result["silent"].as_array()).flatten();
        let silent: BTreeSet<_> = silent.filter_map(Value::as_str).collect();
        if !silent.is_empty() {
            return Err(format!("no answer from {}", Vec::from_iter(silent).join(", ")).into());
        }
        Ok(())
    }
}
