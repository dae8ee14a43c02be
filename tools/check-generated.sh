#!/usr/bin/env bash
# Fails when generated/ is not what `buf generate` makes of protos/, or when a proto is not formatted.
set -euo pipefail
cd "$(dirname "$0")/.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

buf=node_modules/.bin/buf
"$buf" format --diff --exit-code || {
  echo "protos/ is not formatted: run tools/generate.sh" >&2
  exit 1
}
"$buf" generate --output "$fresh"
diff --recursive --brief "$fresh/generated" generated || {
  echo "generated/ is stale: run tools/generate.sh" >&2
  exit 1
}
