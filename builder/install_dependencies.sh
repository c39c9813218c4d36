#!/bin/sh
# Installs a lock file into the Python given: the step that the image build and a local set-up share.
#
#     builder/install_dependencies.sh PYTHON LOCK
#
# It creates nothing (no virtual environment) and decides nothing: the versions and the hashes are the lock's.
set -eu

if [ "$#" -ne 2 ]; then
    echo "usage: builder/install_dependencies.sh PYTHON LOCK" >&2
    exit 2
fi
python=$1
lock=$2

# --require-hashes: what is installed is, to the byte, what was locked, wherever it comes from.
# --only-binary: nothing is built here. Neither the slim image nor a newcomer's machine need have a compiler.
# --root-user-action: the image build runs as root, in an image of its own, where pip's warning is only noise.
exec "$python" -m pip install \
    --quiet \
    --disable-pip-version-check \
    --no-input \
    --root-user-action ignore \
    --require-hashes \
    --only-binary :all: \
    --requirement "$lock"
