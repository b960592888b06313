# The only entry points: people and CI call these. The scripts behind them are in .ci.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test test-old-zookeeper faults faults-long races hostile fuzz lint console-picture dist deb bench bench-report clean

# Linking several test binaries at once takes more memory than a small machine has.
export CARGO_BUILD_JOBS ?= 2

# Tests start `java` by its name; JAVA_HOME has to mean the same one to them as to .ci/zookeeper.
ifdef JAVA_HOME
export PATH := $(JAVA_HOME)/bin:$(PATH)
endif

SCRIPTS := .ci/dev .ci/fuzz .ci/package .ci/run .ci/test-tools .ci/zookeeper $(wildcard config/debian/post*)

CARGO_TEST := cargo test --workspace --locked

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build, start ZooKeeper, simulated jobmaker and backend, and the daemon; print commands to try; Ctrl-C stops all
	@bash .ci/dev

# The assignment stands alone, here and below: in `export X="$(…)"` a failure would go unnoticed.
test: ## run all tests against real ZooKeeper servers of their own
	@bash .ci/test-tools
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	$(CARGO_TEST)

test-old-zookeeper: ## the same against ZooKeeper 3.4.6 (fetches about 200 MB once)
	@bash .ci/test-tools
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper old-classpath)"; export ZOOKEEPER_CLASSPATH; \
	$(CARGO_TEST)

faults: ## strike each fault under traffic, and print the tables; part of `make test` (some minutes)
	@bash .ci/test-tools
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	cargo test --locked --test faults -- --nocapture

# FAULTS_SECONDS and FAULTS_SEED choose how long and from where; FAULTS_ONLY, here and above, the faults whose
# names contain it.
faults-long: ## an hour of faults, with the release build
	@bash .ci/test-tools
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	cargo test --release --locked --test faults -- --ignored --nocapture

# Optimised, since a search and a load are what takes the time. The operations' number and the seeds of the
# load can be chosen: RACES_OPERATIONS, RACES_SEEDS.
races: ## a quarter of an hour: search more interleavings of exchanges, and let 100,000 operations race
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	cargo test --release --locked --package switcher-actors -- --ignored --nocapture attribution && \
	cargo test --release --locked --test api -- --ignored --nocapture races

# The short version of the same attacks is part of `make test`.
hostile: ## minutes: attack the daemon while a client switches, and print what came of it
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	cargo test --release --locked --test api -- --ignored --nocapture hostile

# Not part of `make test`, which checks the same properties on inputs of its own. FUZZ_SECONDS is for each target.
fuzz: ## fuzz every parser for 30 seconds; FUZZ_SECONDS and FUZZ_TARGETS choose others
	@bash .ci/fuzz

# The fuzz targets are checked without their fuzzer, which takes a C++ compiler.
lint: ## check formatting, clippy, the fuzz targets, documentation and the scripts; any warning fails
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTFLAGS="--cfg fuzzing -D warnings" cargo check --manifest-path fuzz/Cargo.toml --no-default-features --locked
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	@for script in $(SCRIPTS); do bash -n "$$script"; done
	@if command -v shellcheck >/dev/null; then shellcheck --severity=warning $(SCRIPTS); fi
	@if command -v promtool >/dev/null; then promtool check rules config/prometheus-alerts.yaml; fi
	@if command -v hadolint >/dev/null; then hadolint Dockerfile; fi
	@if command -v check-jsonschema >/dev/null; then \
		check-jsonschema --quiet --builtin-schema vendor.compose-spec config/compose.yaml; fi

console-picture: ## take docs/console.png again, in a headless Chromium after five minutes of traffic
	@bash .ci/test-tools
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	cargo test --locked --test api -- --ignored the_picture_of_the_documents
	cp target/console-screenshots/console.png docs/console.png

dist: ## pack the static release binary, the documents and samples of configuration into target/packages
	@bash .ci/package dist

deb: ## the same binary as a Debian package (fetches cargo-deb once)
	@bash .ci/package deb

bench: ## measure the release build against a real ZooKeeper, about ten minutes; SECTIONS="batch cost" chooses
	cargo build --release --locked
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	cargo bench --locked --bench load -- $(SECTIONS)

# Cargo runs a bench in its package's directory.
bench-report: export BENCH_REPORT := docs/operate/performance.md
bench-report: bench ## the same, and put the tables and the plot into docs/operate/performance.md and docs/operate/performance.svg

# What .ci/dev started holds a lock on its pid file for as long as it lives.
clean: ## remove everything built, fetched or written by the other targets
	@if [ -e .run/dev.pid ] && ! flock --nonblock .run/dev.pid true; then \
		echo "make run is still up (pid $$(cat .run/dev.pid)): stop it first" >&2; exit 1; fi
	cargo clean
	rm -rf .run fuzz/target fuzz/corpus fuzz/artifacts fuzz/coverage
