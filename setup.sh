#!/bin/sh
# Sets up what running needs, in .venv and vocabulary/, without make: as `make run` does before it runs. Does nothing
# where all is there already. PYTHON and VENV name another Python and another folder.
set -eu
cd "$(dirname "$0")"
python=${PYTHON:-python3}
venv=${VENV:-.venv}

command -v "$python" >/dev/null || {
    echo "$python is not there: install Python 3.11 or newer, or name one: PYTHON=/path/to/python3 ./setup.sh" >&2
    exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "$python is $("$python" -V 2>&1); Doctown needs 3.11 or newer: PYTHON=/path/to/python3 ./setup.sh" >&2
    exit 1
}
if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
    echo "$venv is there and is no virtual environment: name another folder: VENV=FOLDER ./setup.sh" >&2
    exit 1
fi

# The stamps are those of the Makefile, so that each of the two takes over what the other has made.
if [ ! -e "$venv/.made" ] || [ requirements.lock -nt "$venv/.made" ]; then
    "$python" -m venv --clear "$venv"
    touch "$venv/.made"
fi
if [ ! -e "$venv/.installed" ]; then
    echo "Installing the dependencies (half a minute the first time)." >&2
    builder/install_dependencies.sh "$venv/bin/python" requirements.lock
    touch "$venv/.installed"
fi
"$venv/bin/python" builder/fetch_vocabulary.py vocabulary
