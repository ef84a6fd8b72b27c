#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Upstream's command lines: scorpio http-mount, the program antares, repeated
# -c, the environment's two spellings, exit codes
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/antares.sh"
requires fuse git python3 curl jq

cd "$SCRATCH"
antares_setup
start_daemon
mkdir "$SCRATCH/bin"
ln -s "$SCORPIO" "$SCRATCH/bin/antares"
antares() { "$SCRATCH/bin/antares" --config-path "$DAEMON_CONFIG" "$@"; }

# -- http-mount: the answer as it is; null for what is not given
got=$(scorpio_cli http-mount /project --job-id j1)
assert_eq "$(jq -c 'keys' <<<"$got")" '["mount_id","mountpoint"]'
assert_eq "$(cat "$(jq -r .mountpoint <<<"$got")/deep/n7")" 7
again=$(scorpio_cli http-mount project --job-id j1 --endpoint "$ANTARES/")
assert_eq "$again" "$got" "the same job"
code=0
scorpio_cli http-mount /nosuch >out 2>&1 || code=$?
assert_eq $code 3
assert_contains "$(cat out)" "HTTP 404"
code=0
"$SCORPIO" -c "$DAEMON_CONFIG" http-mount /project --endpoint http://127.0.0.1:1 \
    >out 2>&1 || code=$?
assert_eq $code 3

# -- antares: mounts of the whole monorepo by job
dir=$(antares mount build-7)
assert_eq "$(cat "$dir/project/deep/n7")" 7
assert_contains "$(antares list)" "build-7"
assert_contains "$(antares list --json)" '"job_id": "j1"'
assert_eq "$(antares umount build-7)" Unmounted
assert_fails antares umount build-7
[ ! -e "$dir" ] || fail "its directory stays"
assert_contains "$(antares --help)" "usage: antares"
assert_fails antares trace
scorpio_cli umount "$(jq -r .mountpoint <<<"$got")" -q
stop_daemon

# -- antares serve: the same calls without /antares
port=$(free_port)
start serve "$SCRATCH/bin/antares" --config-path "$DAEMON_CONFIG" serve --bind "127.0.0.1:$port"
pid=$PID
wait_until 20 curl -fsS -o /dev/null "http://127.0.0.1:$port/health"
assert_eq "$(curl -fsS "http://127.0.0.1:$port/health" | jq -r .status)" healthy
got=$(antares http-mount /project --job-id j2 --endpoint "http://127.0.0.1:$port")
assert_eq "$(cat "$(jq -r .mountpoint <<<"$got")/deep/n7")" 7
id=$(jq -r .mount_id <<<"$got")
assert_eq "$(curl -fsS "http://127.0.0.1:$port/mounts/$id" | jq -r .job_id)" j2
assert_eq "$(curl -fsS -X DELETE "http://127.0.0.1:$port/mounts/$id" | jq -r .state)" Unmounted
stop "$pid"

# -- the last -c counts; the environment wins over it, in both spellings
printf 'base_url = "http://first"\n' >first.toml
printf 'base_url = "http://second"\n[antares]\nload_dir_depth = "4"\n' >second.toml
value() { # KEY ARGS...
    local key=$1
    shift
    "$SCORPIO" "$@" config show --json |
        jq -r --arg k "$key" '.keys[] | select(.key == $k).value'
}
assert_eq "$(value server.base_url -c first.toml -c second.toml)" http://second
assert_eq "$(value antares.load_dir_depth -c first.toml -c second.toml)" 4
export SCORPIO_BASE_URL=http://env ANTARES_LOAD_DIR_DEPTH=0
assert_eq "$(value server.base_url -c second.toml)" http://env
assert_eq "$(value antares.load_dir_depth -c second.toml)" 0
assert_eq "$(SCORPIO_ANTARES_LOAD_DIR_DEPTH=2 value antares.load_dir_depth -c second.toml)" 2
unset SCORPIO_BASE_URL ANTARES_LOAD_DIR_DEPTH
# every upstream key in both forms, as text and as it is
for form in '"%s"' '%s'; do
    # shellcheck disable=SC2059 # the form is the format
    n=$(printf "$form" 7)
    for k in load_dir_depth fetch_file_thread dicfuse_import_concurrency \
        dicfuse_dir_sync_ttl_secs dicfuse_reply_ttl_secs \
        dicfuse_fetch_dir_timeout_secs dicfuse_connect_timeout_secs \
        dicfuse_fetch_dir_max_retries dicfuse_open_buff_max_bytes \
        dicfuse_open_buff_max_files antares_load_dir_depth \
        antares_dicfuse_dir_sync_ttl_secs antares_dicfuse_reply_ttl_secs \
        antares_dicfuse_open_buff_max_bytes antares_dicfuse_open_buff_max_files; do
        echo "$k = $n"
    done >flat.toml
    "$SCORPIO" -c flat.toml config validate -q
    assert_eq "$(value antares.reply_ttl_secs -c flat.toml)" 7
    {
        echo '[dicfuse]'
        for k in load_dir_depth fetch_file_thread import_concurrency \
            dir_sync_ttl_secs reply_ttl_secs fetch_dir_timeout_secs \
            connect_timeout_secs fetch_dir_max_retries open_buff_max_bytes \
            open_buff_max_files; do echo "$k = $n"; done
        echo '[antares]'
        for k in load_dir_depth dir_sync_ttl_secs reply_ttl_secs \
            open_buff_max_bytes open_buff_max_files; do echo "$k = $n"; done
    } >section.toml
    "$SCORPIO" -c section.toml config validate -q
    assert_eq "$(value dicfuse.import_concurrency -c section.toml)" 7
done
# a table where a value belongs is an error that names the key
code=0
printf '[base_url]\nx = 1\n' >bad.toml
"$SCORPIO" -c bad.toml config validate >out 2>&1 || code=$?
assert_eq $code 2
assert_contains "$(cat out)" base_url
code=0
"$SCORPIO" -c nowhere.toml serve >out 2>&1 || code=$?
assert_eq $code 2
