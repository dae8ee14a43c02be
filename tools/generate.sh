#!/usr/bin/env bash
# Formats protos/ and makes generated/ of it.
set -euo pipefail
cd "$(dirname "$0")/.."
node_modules/.bin/buf format --write
node_modules/.bin/buf generate
