# An older build beside this one. Sourced at the root of the repository by the scripts that upgrade a cluster.

# Builds the program as it was at a commit, in a folder of its own, and prints where it is. That takes minutes, once.
build_older() {
    local commit folder place
    commit="$(git rev-parse --verify "$1^{commit}")"
    folder="$(realpath -m "${CARGO_TARGET_DIR:-target}")/upgrade"
    place="$folder/$commit"
    if [[ ! -x "$place/quorate" ]]; then
        mkdir -p "$place/source"
        git archive "$commit" | tar -x -C "$place/source"
        CARGO_TARGET_DIR="$folder/target" \
            cargo build --manifest-path "$place/source/Cargo.toml" --locked --package quorate-server --bin quorate
        cp "$folder/target/debug/quorate" "$place/quorate"
        rm -r "$place/source"
    fi
    printf '%s\n' "$place/quorate"
}
