# All entry points, for people and CI. Their scripts are in .ci.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run quick test test-old-zookeeper faults faults-long races hostile fuzz lint dist deb bench bench-report clean console-picture

# Linking several test binaries at once would need more memory than a small machine has.
export CARGO_BUILD_JOBS ?= 2

# Integration tests mostly wait. One thread per core would leave the cores idle for more than half the time.
export RUST_TEST_THREADS ?= 6

# Tests look for `java` in PATH, .ci/zookeeper looks in JAVA_HOME first: both must find the same one.
ifdef JAVA_HOME
export PATH := $(JAVA_HOME)/bin:$(PATH)
endif

SCRIPTS := .ci/dev .ci/fuzz .ci/package .ci/run .ci/test-tools .ci/zookeeper $(wildcard config/debian/post*)

# Without --workspace, dependencies would have other features, and be built a second time.
CARGO_TEST := cargo test --workspace --locked
CLIPPY := cargo clippy --workspace --all-targets --locked -- -D warnings
FORMAT := cargo fmt --all --check

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build and start ZooKeeper, simulated jobmaker and backend, daemon; print commands to try; Ctrl-C stops all
	@bash .ci/dev

# Part of `make lint` and `make test`, with their flags: neither builds again what this has built.
quick: ## check format, clippy and unit tests; at most 90 seconds after the first build
	$(FORMAT)
	$(CLIPPY)
	$(CARGO_TEST) --lib

# The assignment stands alone, here and below: `export X="$(…)"` would ignore a failure.
test: ## run all tests against private ZooKeeper servers
	@bash .ci/test-tools
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	$(CARGO_TEST) --no-fail-fast

test-old-zookeeper: ## run all tests against ZooKeeper 3.4.6 (downloads about 200 MB once)
	@bash .ci/test-tools
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper old-classpath)"; export ZOOKEEPER_CLASSPATH; \
	$(CARGO_TEST)

faults: ## inject each fault once under traffic and print the tables (some minutes); part of `make test`
	@bash .ci/test-tools
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	$(CARGO_TEST) --test faults -- --nocapture

# FAULTS_SECONDS: duration; FAULTS_SEED: seed of the random choices; FAULTS_ONLY: a part of the names of faults, and
# FAULTS_TLS=1: with TLS to ZooKeeper, here and for `make faults`.
faults-long: ## inject faults for an hour, with the release build
	@bash .ci/test-tools
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	cargo test --release --locked --test faults -- --ignored --nocapture

# With the release build, since a search and a load take the time. RACES_OPERATIONS: number of operations;
# RACES_SEEDS: seeds of the load.
races: ## search more interleavings of exchanges, and race 100,000 operations (15 minutes)
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	cargo test --release --locked --package switcher-actors -- --ignored --nocapture attribution && \
	cargo test --release --locked --test api -- --ignored --nocapture races

# `make test` contains a short version of the same attacks.
hostile: ## attack the daemon while a client switches, and print the results (some minutes)
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	cargo test --release --locked --test api -- --ignored --nocapture hostile

# `make test` checks the same properties on generated inputs. FUZZ_SECONDS: duration for each target;
# FUZZ_TARGETS: names of targets.
fuzz: ## fuzz every parser for 30 seconds
	@bash .ci/fuzz

# The fuzz targets are checked without the fuzzer, which needs a C++ compiler. --target keeps RUSTFLAGS away from
# procedural macros and build scripts, so that clippy's serve here too.
lint: ## check format, clippy, fuzz targets, documentation and scripts; any warning fails
	$(FORMAT)
	$(CLIPPY)
	@host="$$(rustc -vV | sed -n 's/^host: //p')"; set -x; \
	RUSTFLAGS="--cfg fuzzing -D warnings" cargo check --package switcher-fuzz --features targets --locked --target "$$host"
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

dist: ## pack the static release binary, documents and sample configurations into target/packages
	@bash .ci/package dist

deb: ## pack the same into a Debian package (installs cargo-deb once)
	@bash .ci/package deb

# SECTIONS: names of sections, such as "batch cost". BASE: program of another build, outside target/release, which
# this build replaces; then the two builds are compared, in four minutes.
bench: export BENCH_BASE := $(BASE)
bench: ## measure the release build with a real ZooKeeper (twelve minutes); SECTIONS="batch cost", BASE=PROGRAM to compare
	cargo build --release --locked
	@ZOOKEEPER_CLASSPATH="$$(bash .ci/zookeeper classpath)"; export ZOOKEEPER_CLASSPATH; \
	cargo bench --locked --bench load -- $(SECTIONS)

# Relative to the package's directory, where cargo runs a bench.
bench-report: export BENCH_REPORT := docs/operate/performance.md
bench-report: bench ## the same, and update tables and plot in docs/operate/performance.md and docs/operate/performance.svg

# Each process of .ci/dev, which needs flock, holds a lock on the pid file while it runs.
clean: ## remove everything that the other targets have built, downloaded or written
	@if [ -e .run/dev.pid ] && command -v flock >/dev/null && ! flock --nonblock .run/dev.pid true; then \
		echo "make run is still running (pid $$(cat .run/dev.pid)): stop it first" >&2; exit 1; fi
	cargo clean
	rm -rf .run fuzz/target fuzz/corpus fuzz/artifacts fuzz/coverage
