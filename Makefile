# Every command of the project. "make help" lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The registry path that packages and images are published under.
REGISTRY ?= 10.89.0.1:5000/xdbcluster
# How many nodes the local cluster has.
NODES ?= 1
# Where the cluster runs: local (this machine), kind (a container engine), or what KUBECONFIG says.
CLUSTER ?= local
# Which groups of faults are tested: instances, nodes, random.
FAULTS ?= instances nodes random
# Which groups of tests of backups are run: backup, store.
BACKUPS ?= backup store
# What decides which faults "make chaos" makes, and for how long it does.
SEED ?= $(shell date +%s)
MINUTES ?= 30
# Which S3 servers the provider is tested with.
STORES ?= versitygw minio
# How long a fuzz target runs.
FUZZTIME ?= 60s

GO_PACKAGES := ./...
# Prometheus's own checker, unpacked from Debian's package rather than installed, which would start a server.
PROMTOOL := .cache/prometheus/usr/bin/promtool
export CGO_ENABLED := 0

##@ The two commands

.PHONY: demo
demo: ## From a git commit to rows from psql, on a cluster of this machine. Run it again at any time.
	go run ./test/demo

.PHONY: test
test: ## Everything that must pass before a change lands, cheapest first; stops at the first failure.
	@$(MAKE) prerequisites
	@$(MAKE) check-diff
	@$(MAKE) lint
	@$(MAKE) unit
	@$(MAKE) schema
	@$(MAKE) test-alerts
	@$(MAKE) test-provider STORES=versitygw
	@$(MAKE) render
	@$(MAKE) e2e

##@ Local cluster

.PHONY: cluster
cluster: ## Start a Kubernetes cluster on this machine (NODES=3 for three nodes).
	go run ./test/cluster up --nodes $(NODES) --provider $(CLUSTER)

.PHONY: cluster-down
cluster-down: ## Remove the local cluster.
	go run ./test/cluster down

.PHONY: down
down: ## Remove all that "make demo" made, from the network to the processes.
	go run ./test/demo down

##@ Build

.PHONY: build
build: ## Build packages and images into _output.
	go run ./package/build build --registry $(REGISTRY)

.PHONY: publish
publish: ## Build and push packages and images to REGISTRY.
	go run ./package/build publish --registry $(REGISTRY)

.PHONY: tools
tools: ## Build every program of other projects that is used, at the versions in tools/versions.yaml.
	go run ./tools

.PHONY: generate
generate: ## Write all that is generated from the Go types.
	go run ./apis/generate

##@ Tests, each alone

.PHONY: prerequisites
prerequisites:
	@command -v gcc >/dev/null || (apt-get update -q && apt-get install -y -q --no-install-recommends gcc libc6-dev)

.PHONY: check-diff
check-diff: ## Fail when a generated file is stale.
	go run ./apis/generate --check

.PHONY: lint
lint: ## Run the linters.
	go run ./tools golangci-lint
	.cache/bin/golangci-lint run

.PHONY: unit
unit: ## Run the unit tests with the race detector.
	CGO_ENABLED=1 go test -race $(GO_PACKAGES)

.PHONY: schema
schema: ## Check every example, and every claim that must be refused, against the claims' schemas.
	go test -count=1 ./test/schema/... ./test/gitops/...

.PHONY: test-provider
test-provider: ## Run the provider against real S3 servers of this machine; STORES=versitygw for one of them.
	go run ./tools $(STORES)
	STORES="$(STORES)" go test -count=1 -tags objectstore ./internal/provider/...

.PHONY: test-containerfile
test-containerfile: ## Build the database image's Containerfile with buildah, and compare it with the local build's image.
	go test -count=1 -v -tags containerfile -run TestContainerfile -timeout 60m ./package/build

.PHONY: test-alerts
test-alerts: ## Try every alert, and every panel's question, with Prometheus's own promtool.
	@test -x $(PROMTOOL) || (mkdir -p .cache/prometheus && cd .cache/prometheus && \
		(apt-get download -q prometheus || (apt-get update -q && apt-get download -q prometheus)) && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb)
	PROMTOOL=$(PROMTOOL) go test -count=1 -tags promtool ./monitoring

.PHONY: render
render: ## Render every example through Crossplane's real engine and compare with the goldens.
	go run ./tools crossplane crossplane-core
	go test -count=1 -tags render ./test/render/...

.PHONY: e2e
e2e: ## Run the end-to-end tests on the local cluster, or on the one KUBECONFIG names.
	go run ./test/e2e

.PHONY: test-faults
test-faults: prerequisites ## Run the long end-to-end tests of clusters with standbys, on three nodes; FAULTS="nodes random" for some of the groups.
	@for group in $(FAULTS); do go run ./test/e2e --group $$group --nodes 3 --timeout 60m; done

.PHONY: test-backup
test-backup: ## Run the long end-to-end tests of backups and restores, on three nodes; BACKUPS=store for those of failing stores and killed Jobs.
	@for group in $(BACKUPS); do go run ./test/e2e --group $$group --nodes 3 --timeout 60m; done

.PHONY: test-rebuild
test-rebuild: ## Lose the local cluster with all but Git and buckets, and make it again. It must have no databases: make down first.
	go run ./test/e2e --group rebuild

.PHONY: chaos
chaos: ## Disturb a database at random for MINUTES, with faults that SEED decides.
	CHAOS_SEED=$(SEED) CHAOS_MINUTES=$(MINUTES) go run ./test/e2e --group random --nodes 3 --timeout $$(($(MINUTES) + 20))m

.PHONY: fuzz
fuzz: ## Fuzz the function for FUZZTIME.
	go test -run '^$$' -fuzz FuzzRunFunction -fuzztime $(FUZZTIME) ./functions/runner

.PHONY: bench
bench: ## Measure what docs/performance.md says. Takes long; never part of the tests.
	go run ./test/bench

##@ Other

.PHONY: reviewable
reviewable: generate lint unit ## What to run before asking for a review.

.PHONY: clean
clean: ## Remove what was built.
	rm -rf .cache _output

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
