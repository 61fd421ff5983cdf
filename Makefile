# `make run` and `make test` are enough to begin with. Each installs the tools it needs, and builds nothing twice.

.DEFAULT_GOAL := run
.PHONY: run build test soak watch bench check audit conformance fuzz queries same-site

run: build        ## set up, build, start
	target/release/roomcast

build:            ## the binary with its site: target/release/roomcast
	tools/build.sh

test: build       ## every test: Rust, house rules, end to end, conformance
	tools/test.sh

soak:             ## three nodes under faults, seed after seed from SEED on, until it is stopped
	cargo test --no-default-features --features ssr --test server -- --ignored --nocapture history::schedule::soak

watch:            ## rebuild and reload the page on every save (builds cargo-leptos once, 8 minutes)
	PATH="$$(tools/setup.sh watch):$$PATH" cargo leptos watch

bench: build      ## measure the results of benches/RESULTS.md again
	tools/bench.sh

check:            ## fmt, clippy, rustdoc, spelling, and the lint of TypeScript and scripts
	tools/check.sh

audit:            ## dependencies against deny.toml (builds cargo-deny once, 3 minutes)
	tools/audit.sh

conformance:      ## test the WebSocket with Autobahn's cases, and the API against its OpenAPI document
	tools/conformance.sh

fuzz:             ## fuzz the decoders of the PHP gateway protocol, one minute each; needs cargo-fuzz
	tools/fuzz.sh

queries:          ## renew .sqlx after a change of a migration or a query
	tools/queries.sh

same-site:        ## compare the site with the one of cargo-leptos (builds it once, 8 minutes)
	PATH="$$(tools/setup.sh watch):$$PATH" tools/same-site.sh
