# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# git_server.sh - `git http-backend` behind lighttpd, for functions.sh:
# start_git_server ROOT [ADDRESS]. Repositories below ROOT appear at
# $GIT_URL/<name>.git; filters and wants of any object are allowed; every
# request is a line in $GIT_ACCESS_LOG. GIT_SERVER_EXTRA: lines for lighttpd.

git_server_config() { # ROOT ADDRESS PORT DIR
    local backend
    backend=$(git --exec-path)/git-http-backend
    [ -x "$backend" ] || skip "this git has no http-backend"
    cat >"$4/gitconfig" <<END
[http]
	uploadpack = true
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
[safe]
	directory = *
END
    cat >"$4/lighttpd.conf" <<END
server.document-root = "$1"
server.bind = "$2"
server.port = $3
server.modules = ( "mod_alias", "mod_setenv", "mod_cgi", "mod_accesslog" )
server.errorlog = "$4/lighttpd.error"
server.upload-dirs = ( "$4" )
server.stream-response-body = 2
server.max-keep-alive-requests = 100000
server.max-keep-alive-idle = 60
server.max-read-idle = 120
accesslog.filename = "$4/lighttpd.access"
accesslog.format = "%r %s %O"
alias.url = ( "/git" => "$backend" )
cgi.assign = ( "" => "" )
setenv.add-environment = (
    "GIT_PROJECT_ROOT" => "$1",
    "GIT_HTTP_EXPORT_ALL" => "1",
    "GIT_CONFIG_NOSYSTEM" => "1",
    "GIT_CONFIG_GLOBAL" => "$4/gitconfig",
    "PATH" => "$PATH"
)
${GIT_SERVER_EXTRA:-}
END
}

git_server_answers() {
    [ "$(curl -s --noproxy '*' -o /dev/null -m 2 -w '%{http_code}' \
        "$GIT_URL/")" != 000 ]
}

git_server_start() { # ROOT [ADDRESS]
    local root address=${2:-127.0.0.1} port dir
    root=$(realpath "$1")
    port=${GIT_PORT:-$(free_port)}
    dir=$SCRATCH/gitserver
    mkdir -p "$dir"
    GIT_URL=http://$address:$port/git
    GIT_PORT=$port
    GIT_ACCESS_LOG=$dir/lighttpd.access
    git_server_config "$root" "$address" "$port" "$dir"
    PATH=$PATH:/usr/sbin start lighttpd "${GIT_SERVER_WRAP[@]}" \
        lighttpd -D -f "$dir/lighttpd.conf"
    GIT_SERVER_PID=$PID
    wait_until 10 git_server_answers
}

# The log is buffered: a marker is asked for and waited for.
git_server_flush() {
    GIT_MARKER=$((${GIT_MARKER:-0} + 1))
    curl -s --noproxy '*' -o /dev/null "${GIT_URL%/git}/mark-$GIT_MARKER"
    kill -HUP "$GIT_SERVER_PID"
    wait_until 10 grep -q "/mark-$GIT_MARKER " "$GIT_ACCESS_LOG"
}

# requests for repositories answered since the start or git_server_reset
git_server_requests() {
    git_server_flush
    tail -n +$((${GIT_LOG_FROM:-0} + 1)) "$GIT_ACCESS_LOG" |
        grep -c ' /git/.*git' || true
}

# bytes sent with them, headers included
git_server_bytes() {
    git_server_flush
    tail -n +$((${GIT_LOG_FROM:-0} + 1)) "$GIT_ACCESS_LOG" |
        awk '/ \/git\/.*git/ { s += $NF } END { print s + 0 }'
}

git_server_reset() { # count from here
    git_server_flush
    GIT_LOG_FROM=$(wc -l <"$GIT_ACCESS_LOG")
}

# -- the server with faults (git_http_server.py) --------------------------------

# start_fault_server ROOT [OPTIONS...] - sets FAULT_URL, FAULT_PID, FAULT_PORT
start_fault_server() {
    requires python3 curl
    FAULT_ROOT=$1
    shift
    FAULT_OPTIONS=("$@")
    FAULT_PORT=$(free_port)
    FAULT_URL=http://127.0.0.1:$FAULT_PORT
    fault_server_again
}

fault_server_again() { # the same server at the same port
    start faultserver python3 "$TESTLIB/git_http_server.py" \
        --port "$FAULT_PORT" "${FAULT_OPTIONS[@]}" "$FAULT_ROOT"
    FAULT_PID=$PID
    wait_until 10 fault_control stats
}

fault_control() { # stats | reset | fault JSON | delay JSON
    curl -fsS --noproxy '*' -m 10 ${2:+-X POST -d "$2"} \
        "$FAULT_URL/-/$1"
}

fault_add() { fault_control fault "$1" >/dev/null; }
fault_clear() { fault_control reset '{}' >/dev/null; }
fault_requests() { fault_control stats | jq .requests; }
