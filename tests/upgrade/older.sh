# An older build beside this one. Sourced at the root of the repository by the scripts that upgrade a cluster.

# Builds the program as it was at a commit, and prints where it is. This build's own has to be made after it.
build_older() {
    local commit builds place
    commit="$(git rev-parse --verify "$1^{commit}")"
    builds="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
    place="$builds/upgrade/$commit"
    if [[ ! -x "$place/quorate" ]]; then
        mkdir -p "$place/source"
        git archive "$commit" | tar -x -C "$place/source"
        # Beside this build, as most dependencies are the same. Its program takes the name of this one's.
        CARGO_TARGET_DIR="$builds" \
            cargo build --manifest-path "$place/source/Cargo.toml" --locked --package quorate-server --bin quorate
        mv "$builds/debug/quorate" "$place/quorate"
        rm -r "$place/source"
    fi
    printf '%s\n' "$place/quorate"
}
