#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Secrets are nowhere that others look: not in the log, the report for a bug,
# metrics, the mount table, answers of the API, nor in any command line
set -euo pipefail
. "${SCORPIO_SRC:-.}/tests/lib/functions.sh"
. "$TESTLIB/served.sh"
requires curl

secrets="hunter2-in-url hunter2-token hunter2-header hunter2-file"
new_repo
echo hello >"$REPO/file"
serve_repo
write_config
printf 'hunter2-file\n' >"$SCRATCH/token"
chmod 600 "$SCRATCH/token"
cat >>"$DAEMON_CONFIG" <<END
[server]
token = "hunter2-token"
log_level = "debug"
[source.secret]
url = "$FAULT_URL/login"
header = "X-Key: hunter2-header"
token_file = "$SCRATCH/token"
END
# every other key that is a secret, as the table of keys has them
while read -r key; do
    [ "$key" != server.token ] || continue
    value=hunter2-${key//./-}
    case $key in *header) secrets+=" $value" value="X-Key: $value" ;;
    *) secrets+=" $value" ;; esac
    printf '[%s]\n%s = "%s"\n' "${key%.*}" "${key##*.}" "$value"
done < <(sed -n 's/^{ "\([a-z0-9_.]*\)".*CONFIG_SECRET.*/\1/p' \
    "$SCORPIO_SRC/core/config_keys.c") >"$SCRATCH/keys"
# one table each
awk '/^\[/ { t = $0; next } { k[t] = k[t] $0 "\n" }
    END { for (t in k) printf "%s\n%s", t, k[t] }' "$SCRATCH/keys" >>"$DAEMON_CONFIG"
[ "$(grep -c hunter2 "$DAEMON_CONFIG")" -ge 9 ] || fail "no secret keys were found"
start_daemon --no-keeper
log=$SCRATCH/daemon-$DAEMON_PORT.log
m=$SCRATCH/m
mount_source "http://user:hunter2-in-url@${FAULT_URL#http://}/repo.git" "$m" \
    >"$SCRATCH/out" 2>&1
cat "$m/file" >/dev/null

nowhere() { # WHAT <text
    local text s
    text=$(tr '\0' ' ')
    [ "$text" ] || fail "$1 is empty: this shows nothing"
    for s in $secrets; do
        case $text in *"$s"*) fail "$s is in $1" ;; esac
    done
}
# refused with and without a login: errors name the address
for source in "http://user:hunter2-in-url@127.0.0.1:1/x.git" \
    "$FAULT_URL/login/repo.git"; do
    within 60 scorpio_cli mount --ro "$source" "$SCRATCH/n" >>"$SCRATCH/out" 2>&1 ||
        true
done
nowhere "what the mount command says" <"$SCRATCH/out"
nowhere "the mount table" </proc/self/mountinfo
nowhere "the log" <"$log"
for path in status mounts config sources; do
    curl -sS --noproxy '*' -m 10 "$DAEMON_URL/api/v1/$path" >"$SCRATCH/answer"
    nowhere "/api/v1/$path" <"$SCRATCH/answer"
done
curl -sS --noproxy '*' -m 10 "$DAEMON_URL/metrics" >"$SCRATCH/answer"
nowhere "/metrics" <"$SCRATCH/answer"
for words in "status" "list" "info $m" "config show" "bugreport -o -" "doctor" \
    "top --once"; do
    # shellcheck disable=SC2086 # words
    within 60 scorpio_cli $words >"$SCRATCH/answer" 2>&1 || true
    nowhere "scorpio $words" <"$SCRATCH/answer"
done
for pid in $(pgrep -P "$DAEMON_PID" || true) "$DAEMON_PID"; do
    [ ! -r "/proc/$pid/cmdline" ] || nowhere "a command line" <"/proc/$pid/cmdline"
done
# what lies on the disk is for the owner alone
open=$(find "$DAEMON_STORE" -type f -perm /077 \
    -exec grep -lE "${secrets// /|}" {} + || true)
[ -z "$open" ] || fail "others can read $open, which has a secret"
scorpio_cli -q umount "$m"
