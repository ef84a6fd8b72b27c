# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2034 # used by those who source this
#
# antares.sh - a daemon whose base_url is the stand-in. After functions.sh.

. "$TESTLIB/mono.sh"
requires fuse git python3 curl

# antares_setup [stand-in's args...] - a monorepo, its stand-in, a configuration
antares_setup() {
    mono_repo "$SCRATCH/repo"
    mono_import "$SCRATCH/foo"
    start_mono "$@"
    [ "${DAEMON_CONFIG:-}" ] || write_config
    antares_point
    ANTARES=$DAEMON_URL/antares
    AROOT=$SCRATCH/antares
}

# antares_workspace [KEY = VALUE...] - the same, with server.workspace; before
# antares_setup
antares_workspace() {
    write_config
    sed -i "1i workspace = \"$SCRATCH/mount\"\nconfig_file = \"$SCRATCH/config.toml\"" \
        "$DAEMON_CONFIG"
    local line
    for line; do sed -i "1i $line" "$DAEMON_CONFIG"; done
}

# antares_cl7 - change list CL7 of /project: n7 changed, n8 gone
antares_cl7() {
    local base
    base=$(git -C "$SCRATCH/repo" rev-parse main)
    git -C "$SCRATCH/repo" checkout -q -b work
    echo changed >"$SCRATCH/repo/project/deep/n7"
    rm "$SCRATCH/repo/project/deep/n8"
    git_commit "$SCRATCH/repo" work
    git -C "$SCRATCH/repo" checkout -q main
    mono_cl CL7 "$base" work /project
}

# the configuration names the stand-in that runs now
antares_point() {
    sed -i '/^base_url/d' "$DAEMON_CONFIG"
    sed -i "1i base_url = \"$MONO_URL\"" "$DAEMON_CONFIG"
}

# api_py - Python from stdin, with tests/lib/api.py and `api` for $ANTARES
api_py() {
    PYTHONPATH=$TESTLIB PYTHONDONTWRITEBYTECODE=1 SCRATCH=$SCRATCH ANTARES=$ANTARES \
        DAEMON_URL=$DAEMON_URL MONO_URL=$MONO_URL python3 -c '
from api import *
import os
SCRATCH, URL = os.environ["SCRATCH"], os.environ["DAEMON_URL"]
api = Api(os.environ["ANTARES"])
root = Api(URL)
exec(compile(sys.stdin.read(), "test", "exec"))' "$@"
}
