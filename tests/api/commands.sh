#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the commands do, as their users see it.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
requires scorpio fuse git curl

git_repo "$SCRATCH/repo"
mkdir -p "$SCRATCH/repo/a/b" "$SCRATCH/repo/c"
for i in $(seq 20); do echo "file $i" >"$SCRATCH/repo/a/b/f$i"; done
echo c >"$SCRATCH/repo/c/c"
ln -s a/b/f1 "$SCRATCH/repo/link"
git_commit "$SCRATCH/repo" one
git -C "$SCRATCH/repo" tag v1
start_daemon
cd "$SCRATCH"

# -- mount: revisions and directories
scorpio_cli mount repo m >out 2>err
assert_contains "$(cat out)" "mounted at $SCRATCH/m (main "
assert_eq "$(cat err)" ""
scorpio_cli -q mount "$SCRATCH/repo" tagged --rev v1 --subdir a/b --job nightly
assert_eq "$(cat tagged/f3)" "file 3"
assert_contains "$(scorpio_cli --json list)" '"job": "nightly"'
for bad in "nosuch x" "repo x --rev nosuch" "repo x --subdir nosuch" \
    "repo repo" "repo repo/a/b/f1" "repo m"; do
    code=0
    # shellcheck disable=SC2086
    OUTPUT=$(scorpio_cli mount $bad 2>&1) || code=$?
    assert_eq $code 3 "exit code of mount $bad"
    assert_contains "$OUTPUT" "  try: "
done
[ ! -e x ] || fail "a failed mount left its directory"
assert_fails scorpio_cli mount repo x --metadata nonsense
assert_eq "$(scorpio_cli list | wc -l)" 3

# -- info: before and after reading
assert_contains "$(scorpio_cli info m/a/b/f7)" "in store  no"
cat m/a/b/f7 >/dev/null
assert_contains "$(scorpio_cli info m/a/b/f7)" "in store  yes"
assert_contains "$(scorpio_cli info m/a/b/f7)" \
    "$(git -C repo rev-parse HEAD:a/b/f7)"
assert_contains "$(scorpio_cli info m/a/b/f7)" \
    "$(echo "file 7" | sha256sum | cut -d' ' -f1)"
assert_contains "$(scorpio_cli info m/link)" symlink
assert_fails scorpio_cli info m/nosuch
assert_fails scorpio_cli info /etc/passwd
assert_contains "$OUTPUT" "not below a mount"

# -- warmup: directories, lists
assert_contains "$(scorpio_cli warmup m/c)" "1 files"
printf '%s\n' m/a/b/f1 m/a/b/f2 >list
assert_contains "$(scorpio_cli warmup @list)" "2 files"
assert_contains "$(scorpio_cli info m/a/b/f2)" "in store  yes"
assert_fails scorpio_cli warmup m/nosuch
assert_fails scorpio_cli warmup @nosuch

# -- profiles: what a command reads is brought again
scorpio_cli -q mount repo fresh
code=0
scorpio_cli -q profile record job --mount fresh -- \
    bash -c 'cat fresh/a/b/f11 fresh/a/b/f12 >/dev/null; exit 7' || code=$?
assert_eq "$code" 7 "the command's own exit code"
assert_contains "$(scorpio_cli profile list)" job
tr '\0' '\n' <"$DAEMON_STORE/profiles/job.profile" >recorded
grep -qx a/b/f11 recorded && grep -qx a/b/f12 recorded || fail "recorded: $(cat recorded)"
assert_fails scorpio_cli profile apply job
assert_contains "$OUTPUT" "--mount"
assert_contains "$(scorpio_cli profile apply job --mount fresh)" "2 files"
assert_fails scorpio_cli profile apply nosuch --mount fresh
scorpio_cli profile rm job
assert_eq "$(scorpio_cli profile list)" ""

# -- pins
scorpio_cli cache pin keep m/c
assert_contains "$(scorpio_cli cache pins)" "$(git -C repo rev-parse HEAD:c)"
scorpio_cli cache unpin keep
assert_fails scorpio_cli cache unpin keep
assert_contains "$OUTPUT" "scorpio cache pins lists them"
assert_eq "$(scorpio_cli cache pins)" ""
assert_contains "$(scorpio_cli cache verify)" "no damage"
assert_contains "$(scorpio_cli fsck)" "no damage"

# -- umount: busy, lazy, by id
exec 7<m/a/b/f7
assert_fails scorpio_cli umount m
assert_contains "$OUTPUT" "--lazy"
scorpio_cli -q umount --lazy m
exec 7<&-
id=$(scorpio_cli --json list | sed -n 's/.*"id": "\(.*\)".*/\1/p' | head -n1)
assert_contains "$(scorpio_cli umount "$id")" unmounted
assert_fails scorpio_cli umount "$id"

# -- odds and ends
assert_contains "$(scorpio_cli plugin list)" "built in"
assert_contains "$(scorpio_cli config show --origin)" "$DAEMON_CONFIG:"
scorpio_cli config init "$SCRATCH/new.toml" >/dev/null
assert_fails scorpio_cli config init "$SCRATCH/new.toml"
scorpio_cli config init --force "$SCRATCH/new.toml" >/dev/null
"$SCORPIO" -c "$SCRATCH/new.toml" config validate >/dev/null
scorpio_cli bugreport -o report.txt --set server.token=hidden-value >/dev/null
grep -q 'hidden-value' report.txt && fail "a secret is in the report"
assert_eq "$(stat -c %a report.txt)" 600
assert_contains "$(cat report.txt)" "doctor"
assert_fails scorpio_cli http-mount /project # no Mono server
assert_contains "$OUTPUT" "is not mounted (HTTP "
for c in mount umount list status info stats top trace warmup profile cache fsck \
    plugin config doctor bugreport completions version try serve stop; do
    "$SCORPIO" "$c" --help >help.txt
    assert_contains "$(head -n1 help.txt)" "usage: scorpio $c"
    awk 'length > 100 { bad = 1 } END { exit bad }' help.txt || fail "long lines: $c --help"
done
# the manual page has each command
while read -r c; do
    grep -q "^\.It Nm Cm $c\( \|$\)" "$SCORPIO_SRC/docs/man/scorpio.1" ||
        fail "scorpio.1 does not know the command $c"
done < <("$SCORPIO" --help | sed -n '/^commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
# no colours in a pipe
scorpio_cli doctor >out || true
grep -q $'\033' out && fail "colours in a pipe"
# a reader that leaves is not an error message
scorpio_cli config show 2>err | head -n1 >/dev/null || true
assert_eq "$(cat err)" ""
# the page
curl -fsS -m 10 -D head "$DAEMON_URL/" >page
grep -qi "^content-security-policy: default-src 'none'" head || fail "no CSP"
grep -q innerHTML page && fail "innerHTML in the page"
exit 0
