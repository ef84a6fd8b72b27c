# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# served.sh - one repository, $REPO, behind the server with faults of git_server.sh;
# after functions.sh.
. "$TESTLIB/repos.sh"
. "$TESTLIB/git_server.sh"
requires fuse git jq python3

# new_repo [DIR...] - an empty $REPO, and directories in it
new_repo() {
    REPO=$SCRATCH/repo
    git_repo "$REPO"
    local dir
    for dir; do mkdir -p "$REPO/$dir"; done
}

# serve_repo [OPTIONS...] - what is in $REPO becomes its first commit, served packed
# at $FAULT_URL/repo.git
serve_repo() {
    git_commit "$REPO" files
    publish "$REPO" repo.git
    start_fault_server "$SCRATCH/www" "$@"
}
