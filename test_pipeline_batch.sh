#!/bin/sh
exec "$(dirname "$0")/test_pipeline.sh" "$1"
