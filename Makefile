# make help lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

NODE := node --enable-source-maps
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
# make test NODE_VERSION=24: with another Node.js than this machine's, crid itself included.
ifdef NODE_VERSION
OTHER_NODE := $(shell tools/other-node.sh $(NODE_VERSION))
# $(shell) goes on when its command fails, with what that has printed: nothing.
ifeq ($(OTHER_NODE),)
$(error no Node.js $(NODE_VERSION))
endif
export PATH := $(OTHER_NODE):$(PATH)
endif

.PHONY: help build check test unit integration conformance kubelet-test test-vm conformance-vm kubelet-test-vm vm bench bench-scale bench-logs bench-streaming bench-hostile bench-start soak soak-logs run generate format clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 24

# npm writes this file last, so it is newer than the lock when node_modules is whole.
node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

build: node_modules/.package-lock.json ## compile to build/
	tsc -p tsconfig.json
	@tools/prune-build.sh

check: node_modules/.package-lock.json ## types, lint, format, direction of the layers, generated/
	tsc -p tsconfig.json --noEmit --incremental false
	eslint --max-warnings 0 .
	prettier --check --log-level warn .
	depcruise --config .dependency-cruiser.cjs --output-type err src
	tools/check-generated.sh

test: build ## unit and integration tests (the latter need root and Linux)
	@$(NODE) build/test/run.js unit integration

unit: build ## tests that need nothing
	@$(NODE) build/test/run.js unit

integration: build ## tests on a private containerd and a registry on loopback
	@$(NODE) build/test/run.js integration

conformance: build ## critest against crid and against containerd's own CRI plugin, side by side
	@$(NODE) build/test/conformance/main.js crid reference

kubelet-test: build ## a real kubelet on crid, with static pods
	@$(NODE) build/test/run.js kubelet

test-vm: build ## what differs on a node with systemd, cgroup v2 and AppArmor, in a VM; CRID_VM=DIR: in one that runs
	@CRID_VM='$(CRID_VM)' $(NODE) build/test/vm/main.js test $(WORDS)

conformance-vm: build ## critest on such a node, on runc and on crun
	@CRID_VM='$(CRID_VM)' $(NODE) build/test/vm/main.js conformance

kubelet-test-vm: build ## the kubelet's tests on such a node, with its own cgroup settings
	@CRID_VM='$(CRID_VM)' $(NODE) build/test/vm/main.js kubelet $(WORDS)

vm: build ## such a node, to look around in; stays up until Ctrl-C
	@$(NODE) build/tools/vm.js

bench: build ## each RPC against containerd's own CRI plugin
	@$(NODE) build/test/bench/main.js

bench-logs: build ## throughput and CPU time of logs against containerd's own CRI plugin
	@$(NODE) build/test/bench/logs.js

soak-logs: build ## 50 times kill -9 of crid while a container writes
	@$(NODE) build/test/soak/logs.js

bench-streaming: build ## exec and port-forward against containerd's own CRI plugin
	@$(NODE) build/test/bench/streaming/main.js

bench-hostile: build ## memory and event loop stalls with trees, account files and configs of hostile images
	@$(NODE) build/test/bench/hostile.js

bench-start: build ## time until the first answer after a start, against a restart of containerd with that plugin
	@$(NODE) build/test/bench/start/main.js

soak: build ## ExecSync, attach and exec thousands of times; fails when anything grows
	@$(NODE) build/test/soak/main.js

bench-scale: build ## the lists and statistics of 1,000 containers, against that plugin
	@$(NODE) build/test/bench/scale/main.js

run: build ## a first pod on crid; stays up until Ctrl-C
	@$(NODE) build/tools/run.js

generate: node_modules/.package-lock.json ## make generated/ of protos/
	tools/generate.sh

format: node_modules/.package-lock.json ## write what prettier wants
	prettier --write --log-level warn .

clean: ## remove what was built
	rm -rf build .work
