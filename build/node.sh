#!/bin/bash
# The dashboard needs Node.js 20 or newer. Where the system's is older (Debian
# 12 has 18), npm's own package `node` brings one into .nacre/node.
set -euo pipefail
cd "$(dirname "$0")/.."
new_enough() { [ "$("$1" --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')" -ge 20 ] 2>/dev/null; }
new_enough node && exit 0
new_enough .nacre/node/bin/node && exit 0
if ! command -v npm >/dev/null; then
  echo "npm is missing: install the package npm, or run make packages" >&2
  exit 1
fi
echo "fetching Node.js 20 with npm"
npm install --silent --no-audit --no-fund --prefix .nacre/node-package node@20
mkdir -p .nacre/node
ln -sfn ../node-package/node_modules/node/bin .nacre/node/bin
new_enough .nacre/node/bin/node || { echo "Node.js 20 could not be had from npm" >&2; exit 1; }
