# Machines on one network: namespaces with an address each, on a bridge. Sourced by the steps, in a network namespace of
# their own, where no address and no name is taken.
# shellcheck shell=bash disable=SC2154

# Those of docs/OPERATING.md.
readonly -A address=([n1]=10.0.0.1 [n2]=10.0.0.2 [n3]=10.0.0.3 [client]=10.0.0.9)
# Of no machine: what is sent there arrives nowhere, and the sender is not told.
readonly nowhere=02:00:00:00:00:00

make_network() {
    # Names of namespaces are files in there, and these go with the steps.
    mount -t tmpfs tmpfs /run
    ip link set lo up
    ip link add network type bridge
    ip link set network up
}

plug_in() {
    ip netns add "$1"
    ip link add "$1" type veth peer name eth0 netns "$1"
    ip link set "$1" master network up
    ip -n "$1" link set lo up
    ip -n "$1" address add "${address[$1]}/24" dev eth0
    ip -n "$1" link set eth0 up
    mkdir "$place/$1"
}

# With all that is on it.
scrap() {
    ip link delete "$1"
    ip netns delete "$1"
    rm -r "${place:?}/$1"
}

# This shell becomes a command on a machine, in its folder, where its own program is.
become() {
    cd "$place/$1"
    PATH="$place/$1:$PATH" exec ip netns exec "$1" "${@:2}"
}
# What such a command has to say is kept.
on() { (become "$@" 2>>"$place/$1/commands.log"); }

# A copy of a file of one machine, on another.
bring() { cp "$place/$1/$2" "$place/$3/${4:-$2}"; }

pull_cable() { ip link set "$1" down; }
plug_cable() { ip link set "$1" up; }

others() { for node in n1 n2 n3; do [[ $node == "$1" ]] || echo "$node"; done; }

# What one machine sends to another is lost.
lose() { ip -n "$1" neighbour replace "${address[$2]}" lladdr "$nowhere" dev eth0 nud permanent; }
find_again() { ip -n "$1" neighbour delete "${address[$2]}" dev eth0; }

# What a node says to the other nodes is lost, or what they say to it; clients reach it all the same.
silence() { for other in $(others "$1"); do lose "$1" "$other"; done; }
let_speak() { for other in $(others "$1"); do find_again "$1" "$other"; done; }
deafen() { for other in $(others "$1"); do lose "$other" "$1"; done; }
let_hear() { for other in $(others "$1"); do find_again "$other" "$1"; done; }
