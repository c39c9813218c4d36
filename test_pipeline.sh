#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd) && make --silent -C "$here" installed && PYTHONPATH="$here" exec "$here/.venv/bin/python" -m doctown build-llm --model gpt-4o --batch-mode --batch-size 15 --max-batch-tokens 25000 --include-semantic-context "$@"
