#!/bin/sh
# Runs a command beside one busy loop for each core, as on a machine that has other work to do.
#
#     builder/under_load.sh COMMAND [ARGUMENT...]
#
# The exit code is the command's. The loops end by themselves when it has ended, however it ended: each looks whether
# the process of this script, which becomes the command, is still there.
set -eu

if [ "$#" -eq 0 ]; then
    echo "usage: builder/under_load.sh COMMAND [ARGUMENT...]" >&2
    exit 2
fi

# In a subshell $$ is still the script's own process. The parentheses leave each loop without a parent, so that the
# command has no children that it did not start.
busy_loop() {
    # By `exec`: beside a redirection of the call, dash keeps copies of what it replaces, and with them the pipe of
    # whoever reads the command's output open.
    exec </dev/null >/dev/null 2>&1
    while kill -0 $$ 2>/dev/null; do
        i=0
        while [ "$i" -lt 10000 ]; do i=$((i + 1)); done
    done
}

cores=$(getconf _NPROCESSORS_ONLN)
while [ "$cores" -gt 0 ]; do
    (busy_loop &)
    cores=$((cores - 1))
done
exec "$@"
