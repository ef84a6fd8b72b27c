#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# The directory of a workspace vanishes while it is used: what needs it fails
# with words, what the revision has stays readable, the daemon lives; and when
# the directory is put back nothing is lost. Without its content files a
# workspace is not mounted as if it had none.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires fuse git

git_repo "$SCRATCH/repo"
mkdir "$SCRATCH/repo/d"
echo small >"$SCRATCH/repo/small"
echo other >"$SCRATCH/repo/d/other"
git_commit "$SCRATCH/repo" files
start_daemon
m=$SCRATCH/m
ws=$DAEMON_STORE/workspaces/w
again() {
    mount_source "$SCRATCH/repo" "$m" --workspace w
}
again
echo kept >"$m/kept"
echo more >>"$m/small"

# moved away and back in use: nobody notices
mv "$ws" "$SCRATCH/away"
echo while >"$m/away"
mv "$SCRATCH/away" "$ws"
within 60 scorpio_cli umount "$m"
again
assert_eq "$(cat "$m/kept" "$m/small" "$m/away" | xargs)" "kept small more while"

# not there when it is mounted: an error, not an empty workspace
within 60 scorpio_cli umount "$m"
mv "$ws/upper" "$SCRATCH/upper"
assert_fails within 60 scorpio_cli mount "$SCRATCH/repo" "$m" --workspace w
assert_contains "$OUTPUT" "w/upper: No such file or directory"
is_mounted "$m" && fail "mounted without its content"
mv "$SCRATCH/upper" "$ws/upper"
again
assert_eq "$(cat "$m/kept" "$m/small" "$m/away" | xargs)" "kept small more while"

# everything removed for good while it is used
wait_until 20 rm -rf "$ws" # git may still be writing its index
failed_in_words() { # CMD...
    assert_fails "$@"
    case $OUTPUT in
    *"Input/output error"* | *"No such file or directory"* | \
        *"Stale file handle"*) ;;
    *) fail "$*: $OUTPUT" ;;
    esac
}
cat "$m/d/other" >/dev/null || fail "the revision's files are not readable"
failed_in_words bash -c "echo x >'$m/new'"
failed_in_words bash -c "echo x >>'$m/d/other'"
failed_in_words sync "$m/small"
failed_in_words mkdir "$m/dir"
failed_in_words mv "$m/d" "$m/e"
assert_contains "$(cat "$SCRATCH/daemon-$DAEMON_PORT.log")" "removed from the disk"
assert_eq "$(cat "$m/d/other")" other
within 60 scorpio_cli umount "$m" || fail "umount"
daemon_answers || fail "the daemon has gone"
# the name is free again
again
assert_eq "$(cat "$m/small")" small
assert_eq "$(cd "$m" && ls)" "$(cd "$SCRATCH/repo" && ls)"
