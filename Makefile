# The one runner, for people and CI. `make test` and `make demo` set up what they need by themselves.
.DEFAULT_GOAL := help
.PHONY: help demo build lint lint-k8s deny advisories test test-core test-servers test-waiting test-long test-image test-hpa test-kubernetes test-kubernetes-short image release-files release-version-is bench clean

KAFKA_LIBS := target/services/kafka/libs
# Older releases, by their profiles in tests/services/kafka/pom.xml.
OLDER_KAFKA_LIBS := $(patsubst %,target/services/kafka-%/libs,2.8 3.9)
AWS_PROGRAMS := target/services/aws
BROWSER := target/services/browser
K8S_TOOLS := target/services/k8s
KEDA_CLIENT := target/services/keda-client
KUBERNETES := target/services/kubernetes
PROMTOOL := target/services/promtool
TOOLS := target/tools
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
# These tests measure how soon a reading is right again, make 1,000 calls a second, or take the CPU from everything else: nothing else
# may run beside them.
ALONE := contract::a_storm_of_retries kafka_outages:: kafka_starvation:: tls_keda_client::
# These wait for minutes until real KCL applications have read, and need little CPU: they run beside the others.
WAITING := real_recreated:: real_shared:: real_stores:: real_streams:: resize::

IMAGE ?= keda-stream-scaler:dev

help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1	\2/' | expand -t 24

demo: ## Build and run the demo: the same traffic with two autoscalers, on a page; ARGS="--scene kinesis" and other flags: ARGS=--help
	@echo "Compiling the demo and its dependencies: about 10 minutes the first time, seconds afterwards. It then prints the address of its page."
	cargo run --locked -p keda-stream-scaler-playground -- $(ARGS)

build: ## Build the release binary
	cargo build --release --locked

lint: deny lint-k8s ## Formatting, clippy and rustdoc without a warning, floor plan, licences of dependencies, manifests
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
	cargo test --locked --test it floor_plan::

lint-k8s: ## Chart, kustomize base and examples against schemas, CRDs and Pod Security
	tests/services/k8s/fetch.sh $(K8S_TOOLS)
	tests/services/k8s/lint.sh $(K8S_TOOLS)

deny: $(CARGO_DENY) ## Which crates, licences and registries are allowed
	$(CARGO_DENY) --locked --workspace check --hide-inclusion-graph bans licenses sources
	$(CARGO_DENY) --locked --config deny-service.toml check --hide-inclusion-graph bans

advisories: $(CARGO_DENY) ## Known faults of the dependencies; needs a network that reaches the database
	$(CARGO_DENY) --locked --workspace check advisories

$(CARGO_DENY):
	cargo install --locked --debug --root $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION) cargo-deny --version $(CARGO_DENY_VERSION)

test: $(KAFKA_LIBS)/.pom $(OLDER_KAFKA_LIBS:%=%/.pom) ## Every test, those against real servers and consumers included
	tests/services/aws/fetch.sh $(AWS_PROGRAMS)
	tests/services/browser/fetch.sh $(BROWSER)
	tests/services/k8s/fetch.sh $(K8S_TOOLS)
	tests/services/keda-client/fetch.sh $(KEDA_CLIENT)
	tests/services/promtool/fetch.sh $(PROMTOOL)
	cargo test --locked --workspace --no-run
	$(MAKE) --no-print-directory --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) test-servers test-waiting
	cargo test --locked --workspace --lib --bins --test playground
	cargo test --locked --workspace --test it -- --test-threads=1 $(ALONE)

# Parts of `make test` that run beside each other; each prints when it has ended. Those that wait compare ages with clocks, so they come first.
test-servers:
	nice -n 15 cargo test --locked --workspace --test it -- $(addprefix --skip ,$(ALONE) $(WAITING))

test-waiting:
	cargo test --locked --workspace --test it -- --test-threads=4 $(WAITING)

test-core: ## The rules alone: no server, no service, seconds
	cargo test --locked -p keda-stream-scaler-core

test-long: export STARVATION_MINUTES = 20
test-long: export OUTAGE_ROUNDS = 2000
test-long: test ## The same, with 20 minutes of starved brokers instead of two, and 2,000 outages instead of 66

image: ## Build the image with docker (BuildKit) or buildah, as keda-stream-scaler:dev
	$(firstword $(foreach tool,docker buildah,$(if $(shell command -v $(tool)),$(tool)))) build \
	  --build-arg COMMIT=$(shell git rev-parse --short=12 HEAD) --tag $(IMAGE) .

test-image: ## Build the image without a daemon, look into it, and run it without any privilege (as root; Debian)
	cargo test --locked --test image -- --nocapture

test-hpa: $(KAFKA_LIBS)/.pom ## A real API server and HPA without KEDA, without containers: five minutes, once they are built
	tests/services/kubernetes/fetch.sh $(KUBERNETES) control-plane
	cargo test --locked --test kubernetes -- hpa
	cargo test --locked --test kubernetes -- controller

test-kubernetes: test-kubernetes-short ## A real HPA and KEDA without containers: loads of half an hour in all, results in target/kubernetes
	cargo test --locked --test kubernetes -- load
	cargo test --locked --test kubernetes -- walkthrough

test-kubernetes-short: $(KAFKA_LIBS)/.pom ## Of these only what must hold between the scaler, KEDA and the HPA
	tests/services/kubernetes/fetch.sh $(KUBERNETES)
	cargo test --locked --test kubernetes -- proofs
	cargo test --locked --test kubernetes -- shards

release-files: ## Everything that a release consists of but the image, in target/release-files
	release/files.sh target/release-files

release-version-is: # VERSION=x.y.z: fails where crate, chart or image say another version
	release/version-is.sh $(VERSION)

bench: $(KAFKA_LIBS)/.pom ## Measure the figures, for a quarter of an hour; prints a table and writes target/bench/results.json
	cargo bench --locked --bench figures

$(KAFKA_LIBS)/.pom: tests/services/kafka/pom.xml
	tests/services/kafka/fetch.sh $(KAFKA_LIBS)

target/services/kafka-%/libs/.pom: tests/services/kafka/pom.xml
	tests/services/kafka/fetch.sh $(@D) $*

clean: ## Remove what was built
	cargo clean
