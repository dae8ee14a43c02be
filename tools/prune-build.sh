#!/bin/sh
# Removes from build/ what tsc once made of sources that are gone: tests that would still run, code that would still be packed.
set -eu
cd "$(dirname "$0")/../build"
find . \( -path ./bundle -o -path ./nri -o -path './test-dist-*' \) -prune -o -name '*.js' -print | while read -r made; do
  [ -e "../${made%.js}.ts" ] || rm -f "$made" "$made.map"
done
