#!/bin/sh
# Sets up and starts the HTTP service, without make: `./run.sh --port 8080`. Without a key it works offline.
set -eu
cd "$(dirname "$0")"
./setup.sh
if [ -z "${OPENAI_API_KEY:-}${MODEL_NAME:-}" ] && ! grep -qs '^OPENAI_API_KEY=.' .env; then
    echo "OPENAI_API_KEY is not set, so the summaries are written offline, without a model (MODEL_NAME=offline)." >&2
    export MODEL_NAME=offline
fi
exec "${VENV:-.venv}/bin/python" -u -m generation.service "$@"
