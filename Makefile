# Two commands matter: `make run` and `make test`. Each does its own set-up, says what it does, and does nothing twice.

.DEFAULT_GOAL := run
.PHONY: run build test watch bench check conformance fuzz queries same-site

run: build        ## set up, build, serve
	target/release/roomcast

build:            ## the binary with its site: target/release/roomcast
	tools/build.sh

test: build       ## everything: Rust, house rules, end to end, conformance
	tools/test.sh

watch:            ## rebuild and reload while you write
	PATH="$$(tools/setup.sh watch):$$PATH" cargo leptos watch

bench: build      ## measure the results of benches/RESULTS.md again
	tools/bench.sh

check:            ## layout, lints, documentation, spelling and types, of Rust, TypeScript and the scripts
	tools/check.sh

conformance:      ## the socket against Autobahn's cases, the API against its description
	tools/conformance.sh

fuzz:             ## fuzz the decoders of the PHP gateway protocol, one minute each; needs cargo-fuzz
	tools/fuzz.sh

queries:          ## after a migration or a query changed: renew .sqlx
	tools/queries.sh

same-site:        ## hold the two ways of building the site together (builds cargo-leptos once, 8 minutes)
	PATH="$$(tools/setup.sh watch):$$PATH" tools/same-site.sh
