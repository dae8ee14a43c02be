# make help lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

NODE := node --enable-source-maps
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
# `make test NODE_VERSION=24` runs the tests and crid with another Node.js than the machine's.
ifdef NODE_VERSION
OTHER_NODE := $(shell tools/other-node.sh $(NODE_VERSION))
# $(shell) ignores a failed command, so its empty output is checked.
ifeq ($(OTHER_NODE),)
$(error no Node.js $(NODE_VERSION))
endif
export PATH := $(OTHER_NODE):$(PATH)
endif
# `make test-vm ARCH=arm64` uses a node of that architecture.
ON_ARCH := $(if $(ARCH),--arch $(ARCH))
# Native calls, a container's life, exec over both protocols, logs and pods over kill -9.
MUSL_WORDS := unit/host/ integration/rpc/container-life integration/streaming/exec.test integration/logs/kill integration/recovery/restart

# The integration tests in which it matters how pods are run.
PINNED := integration/pinned integration/rpc integration/spec integration/logs integration/streaming stats/stats recovery/kill recovery/hang recovery/containerd

.PHONY: help build check check-fast watch test unit integration conformance test-pinned kubelet-test test-vm conformance-vm kubelet-test-vm vm matrix bench bench-scale bench-logs bench-streaming bench-hostile bench-start bench-restart bench-package picture soak soak-logs run dist test-dist test-arm64 test-musl generate format clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 24

# npm writes this file last, so it is newer than the lock when node_modules is whole.
node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

build: node_modules/.package-lock.json ## compile to build/, and bundle crid in build/bundle/
	tsc -p tsconfig.json
	@tools/prune-build.sh
	@$(NODE) build/tools/bundle.js

check: node_modules/.package-lock.json ## types, lint, format, import direction, generated/ up to date
	tsc -p tsconfig.json --noEmit --incremental false
	eslint --max-warnings 0 .
	prettier --check --log-level warn .
	depcruise --config .dependency-cruiser.cjs --output-type err src
	tools/check-generated.sh

check-fast: node_modules/.package-lock.json ## types, and lint and format of the files that differ from the last commit
	tsc -p tsconfig.json
	@files=$$(git diff --name-only --diff-filter=d HEAD; git ls-files --others --exclude-standard); \
	  code=$$(grep -E '^(src|test|tools)/.*\.ts$$' <<<"$$files" || true); \
	  [ -z "$$code" ] || eslint --max-warnings 0 $$code; \
	  [ -z "$$files" ] || prettier --check --ignore-unknown --log-level warn $$files

watch: node_modules/.package-lock.json ## compile to build/ at each change, until Ctrl-C
	tsc -p tsconfig.json --watch --preserveWatchOutput

test: build ## unit and integration tests; the latter need root
	@$(NODE) build/test/run.js unit integration

unit: build ## unit tests, without containerd and root
	@$(NODE) build/test/run.js unit

integration: build ## integration tests, on a private containerd and a registry on loopback
	@$(NODE) build/test/run.js integration

conformance: build ## critest against crid and against containerd's own CRI plugin, side by side
	@$(NODE) build/test/conformance/main.js crid reference

test-pinned: build ## integration tests, critest and the kubelet's tests, with pods without a pause container
	@CRID_SANDBOXER=pinned $(NODE) build/test/run.js integration $(or $(WORDS),$(PINNED))
	@CRID_SANDBOXER=pinned $(NODE) build/test/conformance/main.js crid
	@CRID_SANDBOXER=pinned $(NODE) build/test/run.js kubelet

kubelet-test: build ## tests with a real kubelet and static pods
	@$(NODE) build/test/run.js kubelet

matrix: build ## suites on each version of containerd and the kubelet; WORDS='critest+2.3' chooses
	@$(NODE) build/test/matrix/main.js $(WORDS)

test-vm: build ## tests in a VM with systemd, cgroup v2 and AppArmor; CRID_VM=DIR uses a running VM, ARCH=arm64 one for arm64
	@CRID_VM='$(CRID_VM)' $(NODE) build/test/vm/main.js test $(ON_ARCH) $(WORDS)

conformance-vm: build ## critest in that VM against crid and the CRI plugin, on runc and on crun
	@CRID_VM='$(CRID_VM)' $(NODE) build/test/vm/main.js conformance $(ON_ARCH)

kubelet-test-vm: build ## the kubelet's tests in that VM, with its own cgroup settings
	@CRID_VM='$(CRID_VM)' $(NODE) build/test/vm/main.js kubelet $(ON_ARCH) $(WORDS)

vm: build ## start that VM for a look inside; stays up until Ctrl-C
	@$(NODE) build/tools/vm.js $(ON_ARCH)

bench: build ## each RPC against containerd's own CRI plugin; OPTIONS='--sandboxer NAME'
	@$(NODE) build/test/bench/main.js $(OPTIONS)

bench-logs: build ## throughput and CPU time of logs, against containerd's own CRI plugin
	@$(NODE) build/test/bench/logs.js

soak-logs: build ## kill -9 of crid 50 times while a container writes its log
	@$(NODE) build/test/soak/logs.js

bench-streaming: build ## exec and port-forward, against containerd's own CRI plugin
	@$(NODE) build/test/bench/streaming/main.js

bench-hostile: build ## memory and event loop stalls with hostile images: trees, account files, configs
	@$(NODE) build/test/bench/hostile.js

bench-start: build ## time from a start to the first response, against a restart of containerd with its plugin
	@$(NODE) build/test/bench/start/main.js

bench-restart: build ## gap of the socket at restarts of crid, with CPU time and memory
	@$(NODE) build/test/bench/start/restart.js

bench-package: build ## starts and memory of the packaged crid, beside the checkout's
	@$(NODE) build/test/bench/start/packaged.js

soak: build ## thousands of ExecSync, attach and exec; fails if memory, descriptors or files grow
	@$(NODE) build/test/soak/main.js

bench-scale: build ## the same calls with 10 to 1,000 containers, against containerd's own CRI plugin
	@$(NODE) build/test/bench/main.js --only growth $(OPTIONS)

picture: build ## time lines of a pod's start with and without a pause container, for docs/configuration.md
	@$(NODE) build/test/bench/picture/main.js

run: build ## start crid and a first pod; stays up until Ctrl-C
	@$(NODE) build/tools/run.js

dist: build ## packages for nodes without Node.js, in build/dist/: tar.gz and Debian, for amd64 and arm64
	@$(NODE) build/tools/dist.js

test-dist: build ## build the packages twice and compare; run what they contain; lintian
	@$(NODE) --test build/test/dist/packages.test.js

test-arm64: build ## run the package for arm64 and its native calls in QEMU's emulation of a process; needs root and Debian
	@$(NODE) --test build/test/dist/arm64.test.js

test-musl: build ## crid and its native calls on a Node.js for musl, the C library of Alpine; needs root and Debian on x64
	@node=$$($(NODE) build/tools/musl-node.js) && \
	  PATH=$$node:$$PATH node --enable-source-maps build/test/run.js unit integration $(or $(WORDS),$(MUSL_WORDS))

generate: node_modules/.package-lock.json ## generate generated/ from protos/
	tools/generate.sh

format: node_modules/.package-lock.json ## format the sources with prettier
	prettier --write --log-level warn .

clean: ## remove build/ and .work/
	rm -rf build .work
