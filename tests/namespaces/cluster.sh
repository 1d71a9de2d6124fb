# The cluster on the machines: its nodes, who operates it, who writes to it, and waits for what they do. Sourced by the
# steps.
# shellcheck shell=bash disable=SC2154

readonly urls=https://10.0.0.1:8080,https://10.0.0.2:8080,https://10.0.0.3:8080
# Process ids of nodes.
declare -A running=()

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
show_logs() { (($? == 0)) || tail -n 15 "$place"/*/*.log >&2; }

wait_for() {
    local what=$1 deadline=$((SECONDS + patience_seconds))
    shift
    until "$@" 2>/dev/null; do
        ((SECONDS < deadline)) || { "$@" || true; fail "waited for $patience_seconds s, and not: $what"; }
        sleep 0.1
    done
}

# --- asking it

operator() {
    on client env QUORATE_ENDPOINTS="$urls" QUORATE_CACERT=pki/ca.pem QUORATE_CERT=pki/operator.pem \
        QUORATE_KEY=pki/operator.key QUORATE_TOKEN_FILE=operator.token quorate "$@"
}

# Asks a node from a machine, with a client's certificate: ask MACHINE NODE TARGET [OPTION OF CURL…].
ask() {
    on "$1" curl --silent --max-time 90 --cacert "$place/client/pki/ca.pem" \
        --cert "$place/client/pki/operator.pem" --key "$place/client/pki/operator.key" \
        "${@:4}" "https://${address[$2]}:8080$3"
}
code_of() { ask "$@" --output /dev/null --write-out '%{http_code}' || true; }
bearer() { printf 'Authorization: Bearer %s' "$(<"$place/client/$1.token")"; }

# Demands a status code: expect CODE, and what `ask` is told.
expect() {
    local code
    code=$(code_of "${@:2}")
    [[ $code == "$1" ]] || fail "$3 answers $4 with $code and not $1"
}

# Demands that a node that is cut off answers no linearizable read: refuses_to_read NODE MACHINE.
refuses_to_read() {
    local code
    code=$(code_of "$2" "$1" '/key/ledger/0?timeout=500ms' --header "$(bearer operator)")
    [[ $code == 503 || $code == 504 ]] || fail "$1, which is cut off, answers a linearizable read with $code"
}

history_of() {
    ask client "$1" /livez --dump-header - --output /dev/null | sed -n 's/^quorate-history: \([0-9a-f]*\).*/\1/p'
}
ids_of() { for node in "$@"; do status "$node" | awk '{print $2}'; done; }
revision_of() { status "$1" | awk '{print $NF}'; }
status() { operator status --endpoints "https://${address[$1]}:8080" | tail -n 1; }

shows_certificate() {
    on client python3 -c 'import ssl, sys; print(ssl.get_server_certificate((sys.argv[1], 8080)))' "${address[$1]}" \
        | diff --ignore-blank-lines - "$place/$1/$2" >/dev/null
}

# --- its nodes

give_program() { ln --symbolic --force "$2" "$place/$1/quorate"; }

# Brings a machine what its node needs.
prepare() {
    mkdir "$place/$1/pki"
    for file in "pki/$1.pem" "pki/$1.key" pki/ca.pem tokens.toml; do bring client "$file" "$1"; done
    cat >"$place/$1/quorate.toml" <<END
name = "$1"
data-dir = "data"
listen = "${address[$1]}:8080"
tls-cert = "pki/$1.pem"
tls-key = "pki/$1.key"
tls-client-ca = "pki/ca.pem"
peer-tls-cert = "pki/$1.pem"
peer-tls-key = "pki/$1.key"
peer-tls-ca = "pki/ca.pem"
tokens = "tokens.toml"
END
    on "$1" quorate config check --config quorate.toml
}

start() {
    (become "$1" quorate serve --config quorate.toml "${@:2}" 2>>"$place/$1/node.log") &
    running[$1]=$!
}

# With a join token that is made for it.
join() {
    wait_for "there is a join token" make_join_token
    bring client join.token "$1"
    start "$1" --join https://10.0.0.1:8080 --join-token-file join.token
    wait_ready "$1"
}
# Where a disk stands still too long, nobody knows whether one was made: then another one is.
make_join_token() { operator token join --ttl 1h >"$place/client/join.token"; }

stop() {
    kill -TERM "${running[$1]}"
    ends_with "$1" 0
}

# Quietly: else the shell tells of it.
cut_power() { { kill -KILL "${running[$1]}" && wait "${running[$1]}" || true; } 2>/dev/null; }

# Waits until a node ends, and demands this exit code.
ends_with() {
    local code=0
    wait_for "$1 has ended" has_ended "$1"
    wait "${running[$1]}" || code=$?
    [[ $code == "$2" ]] || fail "$1 ended with $code and not $2"
}
has_ended() { ! kill -0 "${running[$1]}"; }

wait_ready() { wait_for "$1 is ready" is_ready "$1"; }
is_ready() { [[ $(code_of client "$1" /readyz) == 200 ]]; }

# Until these nodes, and nobody else, are members, and vote.
wait_voters() { wait_for "$* vote" members_are "$@"; }
members_are() {
    local members ids
    members=$(operator members | awk 'NR > 1 {print $1, $5}' | sort) && ids=$(ids_of "$@" | sort | sed 's/$/ voter/') \
        && [[ -n $members && $members == "$ids" ]]
}

# Sets `leader`.
wait_leader() { wait_for "there is a leader" find_leader; }
find_leader() {
    leader=$(operator members | awk '$NF == "yes" {print $2}')
    [[ -n $leader ]]
}

# --- who writes to it

start_writer() {
    rm -f "$place/client/ledger"
    (become client python3 -B "$here/writer.py" --endpoints "$urls" --cacert pki/ca.pem --cert pki/writer.pem \
        --key pki/writer.key --token-file writer.token --prefix "$1" --ledger ledger \
        >"$place/client/writer.out" 2>"$place/client/writer.log") &
    writer=$!
    wait_for "there is a ledger" test -e "$place/client/ledger"
    wait_writes
}

acknowledged() { wc -l <"$place/client/ledger"; }
is_written_beyond() { (($(acknowledged) > $1)) && kill -0 "$writer"; }
# More than were under way.
wait_writes() { wait_for "writes go on" is_written_beyond "$(($(acknowledged) + 20))"; }

stop_writer() {
    kill -TERM "$writer"
    wait "$writer" || fail "the writer has found something wrong"
    seen "$(<"$place/client/writer.out"); each of them is there, once"
}
