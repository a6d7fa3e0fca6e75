#!/usr/bin/env bash
# run.sh - starts pawl with the quickstart: a pipeline that says hello, and a webhook that runs it. `./dev run` calls it.
#
#     run.sh ADDR:PORT DATA-DIRECTORY
#
# The first start creates both over the HTTP API, as anybody would. The webhook's token is shown only when its trigger is created, so
# it is kept in DATA/quickstart.json (mode 0600) for the next start. Needs bash, curl and build/pawl.
set -euo pipefail
umask 077
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
readonly PAWL=${PAWL_BIN:-$HERE/../../build/pawl}
readonly LISTEN=$1 DATA=$2
readonly SECRET=$DATA/quickstart.json
readonly PIPELINE=/api/v1/pipelines/default/bronze/hello
url="" pid="" asked_to_stop=""

say() { printf '%s\n' "$*"; }

# ---- pawl itself: in a session of its own, so that Ctrl-C reaches it once, through stop() ----
start() {
    exec 3< <(exec setsid "$PAWL" serve --listen "$LISTEN" --data "$DATA")
    pid=$!
    trap stop INT TERM HUP
    local line=
    read -r line <&3 || true
    url=${line#ready }
    [ -n "$url" ] || {
        wait "$pid" || true
        say "pawl did not start on $LISTEN with the data in $DATA: the reason stands above."
        say "If the port is taken, choose another one: ./dev run 127.0.0.1:8081"
        exit 1
    }
}

stop() {
    asked_to_stop=yes
    kill -TERM "$pid" 2>/dev/null || true
}

# Until pawl has ended; a signal only interrupts the waiting.
wait_for_pawl() {
    local status=0
    while wait "$pid" && status=0 || status=$?; kill -0 "$pid" 2>/dev/null; do :; done
    [ -z "$asked_to_stop" ] || say "pawl has stopped; the data stays in $DATA"
    exit "$status"
}

# ---- the quickstart over the HTTP API ----

# api METHOD PATH [BODY]: sets $status and $answer.
api() {
    local out
    out=$(curl --silent --show-error --noproxy '*' --max-time 10 -X "$1" -w '\n%{http_code}' ${3+-H 'Content-Type: application/json' --data-binary "$3"} "$url$2")
    status=${out##*$'\n'} answer=${out%$'\n'*}
}

# The value of a text member of a JSON object on stdin that holds no escapes.
member() { tr -d '\n' | sed -n "s/.*\"$1\" *: *\"\\([^\"]*\\)\".*/\\1/p"; }

# A file with the places of the scripts and the data filled in.
filled_in() {
    local text quickstart data
    text=$(<"$HERE/$1")
    quickstart=$(json_text "$HERE") data=$(json_text "$(cd "$DATA" && pwd)")
    text=${text//@QUICKSTART@/"$quickstart"}
    printf '%s' "${text//@DATA@/"$data"}"
}
json_text() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }

load() {
    api POST /api/v1/pipelines "$(filled_in pipeline.json)"
    case $status in
    201) say "The pipeline default.bronze.hello was created from examples/quickstart/pipeline.json." ;;
    409) say "The pipeline default.bronze.hello is there already and stays as it is." ;;
    401 | 403)
        say "API keys are configured here, so the quickstart is left alone."
        return 1
        ;;
    *) fail "creating the pipeline" ;;
    esac
    if known_trigger; then
        return
    fi
    api POST "$PIPELINE/triggers" "$(<"$HERE/trigger.json")"
    [ "$status" = 201 ] || fail "creating the trigger"
    printf '%s\n' "$answer" >"$SECRET.new"
    mv "$SECRET.new" "$SECRET"
    say "A webhook trigger for it was created from examples/quickstart/trigger.json."
}

# Whether the trigger whose token we kept still exists.
known_trigger() {
    local id
    [ -s "$SECRET" ] || return 1
    id=$(member id <"$SECRET")
    [ -n "$id" ] || return 1
    api GET "$PIPELINE/triggers/$id"
    [ "$status" = 200 ]
}

fail() {
    say "$1 failed with status $status: $answer"
    stop
    wait_for_pawl
}

explain() {
    local token
    token=$(member webhook_token <"$SECRET")
    cat <<TXT

Fire it:

    curl -X POST '$url/api/v1/webhooks' -H 'X-Webhook-Token: $token' -d '{"who": "Ada"}'

The answer came after the event and its run were on disk. See what the newest run wrote:

    curl '$url/api/v1/runs?limit=1'
    cat '$DATA/greetings.txt'

Or fire it and wait for the output in one go:

    curl -X POST '$url/api/v1/webhooks?mode=sync&timeout=30s' -H 'X-Webhook-Token: $token' -d '{"who": "Grace"}'

Ctrl-C stops pawl. The token is kept in $SECRET, readable by you only.
TXT
}

main() {
    local before=new
    mkdir -p "$DATA"
    [ ! -e "$DATA/pawl.db" ] || before=kept
    start
    if [ $before = kept ]; then
        say "pawl serves on $url and has kept its data: everything from before is still in $DATA."
    else
        say "pawl serves on $url with new data in $DATA."
    fi
    ! load || explain
    wait_for_pawl
}
main
