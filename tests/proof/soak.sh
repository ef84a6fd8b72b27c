#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 7200
# An hour (SOAK_SECONDS) of mixed load: walks, cold and warm reads, builds of
# names, switches, mounts and unmounts. Memory and descriptors are sampled; the
# second half must not use more than the first.
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
. "$TESTLIB/git_server.sh"
requires fuse git python3 jq
seconds=${SOAK_SECONDS:-3600}

git_repo "$SCRATCH/repo"
for rev in 1 2; do
    for d in {1..20}; do
        mkdir -p "$SCRATCH/repo/d$d"
        for i in {1..50}; do
            seq $((i * rev)) $((i * 40)) >"$SCRATCH/repo/d$d/f$i"
        done
    done
    git_commit "$SCRATCH/repo" "r$rev"
    git -C "$SCRATCH/repo" tag "r$rev"
done
publish "$SCRATCH/repo" repo.git
start_fault_server "$SCRATCH/www"
write_config
printf '[cache]\nmax_size = "16MiB"\n' >>"$DAEMON_CONFIG" # so that it evicts
start_daemon --no-keeper
m=$SCRATCH/m
mount_source "$FAULT_URL/repo.git" "$m" --rw --rev r1
git -C "$SCRATCH/repo" checkout -q r1

sample() { # seconds, KiB resident, descriptors, threads
    echo "$SECONDS $(awk '/^VmRSS/ { print $2 }' "/proc/$DAEMON_PID/status")" \
        "$(find "/proc/$DAEMON_PID/fd" | wc -l)" \
        "$(find "/proc/$DAEMON_PID/task" -maxdepth 1 | wc -l)" \
        >>"$SCRATCH/samples"
}
round=0
end=$((SECONDS + seconds))
while [ $SECONDS -lt $end ]; do
    round=$((round + 1))
    rev=$((round % 2 + 1))
    find "$m" -path "$m/.git" -prune -o -printf '%s\n' >/dev/null
    git -C "$SCRATCH/repo" checkout -q "r$rev"
    within 120 scorpio_cli -q switch "$m" "r$rev" >/dev/null
    diff -r -x .git -x own "$m" "$SCRATCH/repo" >"$SCRATCH/diff" ||
        { head "$SCRATCH/diff"; fail "round $round: not the revision"; }
    mkdir "$m/own"
    for i in {1..50}; do
        echo "$i" >"$m/own/a$i"
        mv "$m/own/a$i" "$m/own/b$i"
    done
    cp "$m/d1/f1" "$m/own/copy"
    rm -r "$m/own"
    mount_source "$FAULT_URL/repo.git" "$SCRATCH/n" --rev "r$rev" >/dev/null
    cat "$SCRATCH"/n/d3/* >/dev/null
    within 60 scorpio_cli -q umount "$SCRATCH/n" >/dev/null
    scorpio_cli -q status >/dev/null
    sample
done
note "$round rounds; seconds, KiB resident, descriptors, threads:"
awk -v n="$(wc -l <"$SCRATCH/samples")" 'NR == 1 || NR == n ||
    NR % int(n / 12 + 1) == 0' "$SCRATCH/samples"
# the first tenth is warming up
python3 - "$SCRATCH/samples" <<'END'
import sys
rows = [list(map(int, l.split())) for l in open(sys.argv[1])]
rows = rows[len(rows) // 10:]
half = len(rows) // 2
for column, what, slack in (1, "KiB resident", 1.15), (2, "descriptors", 1.05), \
        (3, "threads", 1.10):
    a = sorted(r[column] for r in rows[:half])[half // 2]
    b = sorted(r[column] for r in rows[half:])[half // 2]
    print(f"{what}: {a} (first half), {b} (second half), medians")
    if b > a * slack + 2:
        sys.exit(f"{what} grow")
END
scorpio_cli -q umount "$m"
