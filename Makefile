# What each target does: docs/testing.md.
.PHONY: build check test unit integration conformance conformance-reference bench run generate clean

TSC = npx --no-install tsc

build: node_modules/.package-lock.json
	$(TSC) -p .

node_modules/.package-lock.json: package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

check: build
	npx --no-install eslint .
	npx --no-install prettier --check --log-level warn .
	npx --no-install depcruise --config .dependency-cruiser.cjs src
	tools/check-generated.sh

test: build
	node --enable-source-maps build/tools/test.js unit integration

unit: build
	node --enable-source-maps build/tools/test.js unit

integration: build
	node --enable-source-maps build/tools/test.js integration

conformance: build
	node --enable-source-maps build/test/conformance/main.js crid

conformance-reference: build
	node --enable-source-maps build/test/conformance/main.js reference

bench: build
	node --enable-source-maps build/test/bench/main.js

run: build
	@node --enable-source-maps build/tools/run.js

generate: node_modules/.package-lock.json
	tools/generate.sh

clean:
	rm -rf build
