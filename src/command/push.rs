//! `roomcast push`: says something through the gateway's API, as a foreign back end would.

use super::Outcome;
use clap::Args;
use roomcast::server::config::Config;
use serde_json::{Value, json};

#[derive(Args)]
pub struct PushCommand {
    /// To the members of these groups
    #[arg(long, required_unless_present_any = ["uid", "client", "all"])]
    group: Vec<String>,
    /// To every connection of these people
    #[arg(long)]
    uid: Vec<String>,
    /// To this connection
    #[arg(long)]
    client: Vec<String>,
    /// To everyone
    #[arg(long)]
    all: bool,
    /// The gateway's address [default: this machine's, as configured]
    #[arg(long)]
    url: Option<String>,
    /// A key with the scope push [default: gateway.api_key]
    #[arg(long, env = "ROOMCAST_API_KEY", hide_env_values = true)]
    key: Option<String>,
    message: String,
}

impl PushCommand {
    pub fn run(self, config: &Config) -> Outcome {
        let scheme = if config.web.tls_cert.as_os_str().is_empty() { "http" } else { "https" };
        let url = self.url.unwrap_or_else(|| format!("{scheme}://{}", config.leptos.site_addr));
        let key = self.key.unwrap_or_else(|| config.gateway.api_key.clone());
        if key.is_empty() {
            return Err("no key: --key, ROOMCAST_API_KEY, or `roomcast key add`".into());
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
        let body: Value = answer.body_mut().read_json().map_err(|error| format!("{url} answered something else: {error}"))?;
        let results = body["results"].as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
        if let Some(refused) = results.iter().find(|result| result["status"] != true) {
            let words = [&refused["message"], &refused["detail"]].map(|words| words.as_str().unwrap_or_default());
            return Err(words.join(" ").trim().to_owned().into());
        }
        let sum = |what: &str| results.iter().filter_map(|result| result["result"][what].as_u64()).sum::<u64>();
        println!("to {}, queued {}, slow {}", sum("to"), sum("queued"), sum("slow"));
        Ok(())
    }
}
