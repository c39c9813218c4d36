#!/bin/sh
# Installs a lock file into the Python given: the step that the image build and a local set-up share.
#
#     builder/install_dependencies.sh PYTHON LOCK
#
# It creates nothing (no virtual environment) and decides nothing: the versions and the hashes are the lock's. It needs
# pip 22.3, which Python 3.11.0 brings, or newer.
set -eu

if [ "$#" -ne 2 ]; then
    echo "usage: builder/install_dependencies.sh PYTHON LOCK" >&2
    exit 2
fi
python=$1
lock=$2

# --no-deps: the lock is whole, so nothing is looked up that it does not name. Before 23.3, pip does not see that a pin
#   of `package[extra]` is one of `package` too: it would take the newest release, which has no hash.
# --require-hashes: what is installed is, to the byte, what was locked, wherever it comes from.
# --only-binary: nothing is built here. Neither the slim image nor a newcomer's machine need have a compiler.
# --root-user-action: the image build runs as root, in an image of its own, where pip's warning is only noise.
"$python" -m pip install \
    --quiet \
    --disable-pip-version-check \
    --no-input \
    --root-user-action ignore \
    --no-deps \
    --require-hashes \
    --only-binary :all: \
    --requirement "$lock"

# Without resolution, nobody has asked yet whether the lock has all that its packages need. Only its own packages are
# judged: what else the Python given has, and whether that is whole, is its owner's business. Each line of pip's answer
# starts with the package's name, normalised as in the lock.
code=0
answer=$("$python" -m pip check --disable-pip-version-check --no-input) || code=$?
if [ "$code" -eq 0 ]; then
    exit 0
fi
if [ "$code" -ne 1 ] || [ -z "$answer" ]; then
    echo "pip check did not run: whether $lock fits together is not known" >&2
    exit 1
fi
of_lock=$(printf '%s\n' "$answer" | awk '
    NR == FNR { if (match($0, /^[a-z0-9-]+/)) locked[substr($0, 1, RLENGTH)]; next }
    $1 in locked' "$lock" -)
if [ -n "$of_lock" ]; then
    echo "$lock does not fit together; lock the dependencies anew (make lock):" >&2
    printf '%s\n' "$of_lock" >&2
    exit 1
fi
