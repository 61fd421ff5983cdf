//! Every URL of the site, grouped by caller: pages, back ends, operators, sockets.

use super::middleware::error_response::Refused;
use super::middleware::{context_layer, error_response, form_guard, form_redirect, form_target, security_headers};
use super::rate_limit::RequestKind;
use super::request_context::RequestContext;
use super::state::AppState;
use super::{api, assets, health, telemetry, ws_upgrade};
use crate::domain::paths;
use crate::domain::refusal::Refusal;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use leptos::IntoView;
use leptos::prelude::use_context;
use leptos_axum::{LeptosRoutes, ResponseOptions, generate_route_list, render_app_async_with_context};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::compression::{CompressionLayer, CompressionLevel};
use tower_http::cors::CorsLayer;

/// Builds the router with all its layers. `app` and `shell` are the pages' root component and HTML document; they are values,
/// because this floor does not import the pages.
pub fn router<A, AV, S, SV>(state: AppState, app: A, shell: S) -> Router
where
    A: Fn() -> AV + Clone + Send + 'static,
    AV: IntoView + 'static,
    S: Fn(String) -> SV + Clone + Send + Sync + 'static,
    SV: IntoView + 'static,
{
    let shell = move || shell(assets::versioned_root());
    let context = {
        let state = state.clone();
        move || security_headers::provide_page_context(&state)
    };
    let not_found = {
        let (state, context, shell) = (state.clone(), context.clone(), shell.clone());
        move |request| not_found(state.clone(), request, context.clone(), shell.clone())
    };

    let pages = Router::new()
        // Pages and the server functions of app/api/: /session/*, /gateway/*, /page/*.
        .leptos_routes_with_context(&state, generate_route_list(app), context, shell)
        .fallback(not_found)
        .layer(from_fn_with_state(state.clone(), limit_preferences))
        .layer(from_fn_with_state(state.clone(), form_redirect::settle_cookies))
        .layer(from_fn_with_state(state.clone(), form_guard::check_form));
    let operators = Router::new().route("/readyz", get(health::readyz)).route("/metrics", get(health::metrics));

    // Handshakes, of which a restart brings thousands at once, and calls of back ends pass only the layers that they need.
    let programs = api::routes(&state)
        .route("/ws", get(ws_upgrade::upgrade))
        .route("/ws/", get(ws_upgrade::upgrade))
        .layer(from_fn(error_response::render_errors))
        .layer(from_fn_with_state(state.clone(), context_layer::context_layer));

    pages
        .merge(operators)
        .layer(from_fn(error_response::render_errors))
        .layer(from_fn_with_state(state.clone(), context_layer::context_layer))
        .layer(cors(&state))
        .layer(from_fn(without_trailing_slash))
        .layer(CompressionLayer::new().quality(COMPRESSION).compress_when(SizeAbove::new(COMPRESSED_FROM).and(is_text)))
        .layer(from_fn_with_state(state.clone(), serve_asset))
        .merge(programs)
        .route("/healthz", get(health::healthz))
        .layer(CatchPanicLayer::custom(panic_response))
        .layer(from_fn_with_state(state.clone(), security_headers::add_security_headers))
        .layer(from_fn(telemetry::log_request))
        .with_state(state)
}

/// Level of brotli and gzip: the room page takes half a millisecond.
const COMPRESSION: CompressionLevel = CompressionLevel::Precise(4);
/// Bytes from which a page or an answer is compressed.
const COMPRESSED_FROM: u64 = 1024;

/// Pages and JSON. Files are compressed when they are built.
fn is_text(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.starts_with(b"text/html") || kind.starts_with(b"application/json")
}

/// Serves files before the session is looked up.
async fn serve_asset(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match assets::find(&request, !state.cluster.is_alone()) {
        Some(file) => file,
        None => next.run(request).await,
    }
}

/// Counts the form of the preferences, which needs nothing of the floors below, where all others are counted.
async fn limit_preferences(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if request.uri().path() == paths::PREFERENCES
        && let Err(refusal) = check_rate_limit(&state, &request)
    {
        return Refused(refusal).into_response();
    }
    next.run(request).await
}

fn check_rate_limit(state: &AppState, request: &Request) -> Result<(), Refusal> {
    let context = request.extensions().get::<RequestContext>();
    context.map_or(Ok(()), |context| state.rate_limits.check(RequestKind::Request, context))
}

/// Redirects a path that ends with a slash to the same without it, which is the one that has a route.
async fn without_trailing_slash(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let trimmed = path.trim_end_matches('/');
    if trimmed.len() == path.len() || trimmed.is_empty() {
        return next.run(request).await;
    }
    let to = request.uri().query().map_or_else(|| trimmed.to_owned(), |query| format!("{trimmed}?{query}"));
    match form_target::local_path(&to).and_then(|to| HeaderValue::from_str(to).ok()) {
        Some(to) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response(),
        None => next.run(request).await,
    }
}

/// 404: the site's own page for browsers, two words for programs.
async fn not_found<SV: IntoView + 'static>(
    state: AppState,
    request: Request,
    context: impl Fn() + Clone + Send + Sync + 'static,
    shell: impl Fn() -> SV + Clone + Send + Sync + 'static,
) -> Response {
    let accepts_html =
        request.headers().get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().windows(9).any(|part| part == b"text/html"));
    if !accepts_html || request.method() != Method::GET {
        return (StatusCode::NOT_FOUND, "not found").into_response();
    }
    // Over the limit it is the programs' answer, which costs nothing to render.
    if check_rate_limit(&state, &request).is_err() {
        return (StatusCode::NOT_FOUND, "not found").into_response();
    }
    let with_status = move || {
        context();
        if let Some(response) = use_context::<ResponseOptions>() {
            response.set_status(StatusCode::NOT_FOUND);
        }
    };
    render_app_async_with_context(with_status, shell)(request).await
}

/// Lets pages of `web.allowed_origins` read responses to requests with cookies.
fn cors(state: &AppState) -> CorsLayer {
    let allowed = state.config.web.allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(allowed.collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE])
        .allow_credentials(true)
}

/// Turns a panic of a handler into an incident and a refusal.
fn panic_response(panic: Box<dyn std::any::Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().map(|text| text.to_string()).or_else(|| panic.downcast_ref::<String>().cloned());
    let refusal = crate::server::incident::incident(&message.unwrap_or_default(), "panic");
    error_response::refusal_response(&refusal, Default::default())
}
