#!/usr/bin/env bash
# Writes a line.
log() {
  echo "$1"
}

function build {
  log "begin"
  local files
  files=$(list_files src)
  "$COMPILER" $files
}

build
