#!/bin/bash
# Tests the dashboard in a real Chromium against a simulated cloud of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
listen=127.0.0.1:$((20000 + RANDOM % 20000))
bin/nacre dev --listen "$listen" --data-dir "$dir/cloud" --hosts 2 2>"$dir/log" &
cloud=$!
trap 'kill $cloud 2>/dev/null; wait $cloud 2>/dev/null; rm -rf "$dir"' EXIT
for _ in $(seq 100); do
  curl -sf -o /dev/null "http://$listen/healthz" && break
  kill -0 "$cloud" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
  sleep 0.1
done
password=$(sed -n 's/.*"demo":"\([^"]*\)".*/\1/p' "$dir/cloud/secrets.json")
cd web
BASE_URL="http://$listen" USER=demo PASSWORD="$password" PATH="$OLDPWD/.nacre/node/bin:$PATH" npm run --silent e2e ||
  { echo "the cloud's log:" >&2; tail -n 30 "$dir/log" >&2; exit 1; }
