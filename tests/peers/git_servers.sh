#!/bin/bash
# timeout: 300
# Every kind of Git server and repository: git daemon, ssh, no filters, protocol
# v0, a login, alternates, loose and packed refs, SHA-256, shallow clones
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/repos.sh"
. "$TESTLIB/git_server.sh"
requires fuse git jq python3

tricky_repo "$SCRATCH/repo"
publish "$SCRATCH/repo" repo.git
checkout "$SCRATCH/repo/.git" main "$SCRATCH/want"
checkout "$SCRATCH/repo/.git" other "$SCRATCH/want-other"
checkout "$SCRATCH/repo/.git" main~1 "$SCRATCH/want-old"
write_config
cat >"$SCRATCH/ssh" <<'END'
#!/bin/bash
# stands in for ssh: runs the remote command here
while [ $# -gt 0 ]; do
    case $1 in
    -o | -p | -i | -l) shift 2 ;;
    -*) shift ;;
    *) break ;;
    esac
done
echo "$1" >>"${0%/*}/ssh.hosts"
shift
exec sh -c "$*"
END
chmod +x "$SCRATCH/ssh"
cat >>"$DAEMON_CONFIG" <<END
[git]
ssh_command = "$SCRATCH/ssh"
END
start_daemon

n=0
shows() { # SOURCE WANTED [ARGS...]
    local source=$1 want=$2
    shift 2
    n=$((n + 1))
    mount_source "$source" "$SCRATCH/m$n" "$@"
    assert_same_tree "$SCRATCH/m$n" "$want"
    scorpio_cli umount "$SCRATCH/m$n"
    note "shown: $source"
}

# git daemon
port=$(free_port)
start gitdaemon git -c safe.directory='*' daemon --reuseaddr --export-all \
    --listen=127.0.0.1 --port="$port" --base-path="$SCRATCH/www" "$SCRATCH/www"
wait_until 10 git ls-remote -q "git://127.0.0.1:$port/repo.git" HEAD
shows "git://127.0.0.1:$port/repo.git" "$SCRATCH/want"
shows "git+git://127.0.0.1:$port/repo.git" "$SCRATCH/want-other" --rev other
shows "git://127.0.0.1:$port/repo.git" "$SCRATCH/want-old" --rev main~1

# ssh, both spellings
shows "ssh://git@example.org$SCRATCH/www/repo.git" "$SCRATCH/want"
shows "git+ssh://example.org$SCRATCH/www/repo.git" "$SCRATCH/want"
grep -q 'git@example.org' "$SCRATCH/ssh.hosts" || fail "ssh was not asked"
shows "file://$SCRATCH/www/repo.git" "$SCRATCH/want"

# HTTP: no filters; protocol v0; a login
for limits in filter any; do
    git clone -q --bare "$SCRATCH/repo" "$SCRATCH/www/no$limits.git"
done
git -C "$SCRATCH/www/nofilter.git" config uploadpack.allowFilter false
start_fault_server "$SCRATCH/www"
shows "$FAULT_URL/nofilter.git" "$SCRATCH/want"
shows "$FAULT_URL/noany.git" "$SCRATCH/want-other" --rev other
stop "$FAULT_PID" || true
start_fault_server "$SCRATCH/www" --no-v2
shows "$FAULT_URL/repo.git" "$SCRATCH/want"
stop "$FAULT_PID" || true

# local repositories of all sorts
git clone -q --bare --shared "$SCRATCH/repo" "$SCRATCH/alternates.git"
shows "$SCRATCH/alternates.git" "$SCRATCH/want"
git -C "$SCRATCH/alternates.git" pack-refs --all
shows "$SCRATCH/alternates.git" "$SCRATCH/want-other" --rev other
git -C "$SCRATCH/repo" worktree add -q "$SCRATCH/worktree" other 2>/dev/null
shows "$SCRATCH/worktree" "$SCRATCH/want-other"
git clone -q --depth 1 "file://$SCRATCH/repo" "$SCRATCH/shallow"
shows "$SCRATCH/shallow" "$SCRATCH/want"
git -C "$SCRATCH/repo" -c gc.auto=0 repack -q -a -d --depth=50
shows "$SCRATCH/repo" "$SCRATCH/want"

# SHA-256: shown, or refused in words
if git init -q --object-format=sha256 -b main "$SCRATCH/sha256" 2>/dev/null; then
    echo hello >"$SCRATCH/sha256/file"
    git_commit "$SCRATCH/sha256" one
    if scorpio_cli mount "$SCRATCH/sha256" "$SCRATCH/m256" >"$SCRATCH/out" 2>&1; then
        assert_eq "$(cat "$SCRATCH/m256/file")" hello
        scorpio_cli umount "$SCRATCH/m256"
    else
        grep -qi 'sha-\?256' "$SCRATCH/out" ||
            fail "SHA-256 is refused without saying so: $(cat "$SCRATCH/out")"
        note "SHA-256: $(head -n2 "$SCRATCH/out" | tail -n1)"
    fi
fi
