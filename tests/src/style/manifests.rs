//! Checks of the `Cargo.toml` files: who may depend on whom.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{Complaint, TextFile};

/// The arrows between our own packages. A normal dependency must be one of these, and each of these must be there
/// unless the row says "any of".
const ARROWS: [(&str, &[&str], Exactness); 14] = [
    ("quorate-raft", &[], Exactness::Exactly),
    ("quorate-kv", &[], Exactness::Exactly),
    ("quorate-wire", &["quorate-raft", "quorate-kv"], Exactness::Exactly),
    ("quorate-storage", &["quorate-raft", "quorate-wire"], Exactness::Exactly),
    ("quorate-node", &["quorate-raft", "quorate-kv", "quorate-wire"], Exactness::Exactly),
    ("quorate-client", &[], Exactness::Exactly),
    ("quorate-server", &["quorate-node", "quorate-storage", "quorate-client"], Exactness::Exactly),
    ("quorate-threads", &["quorate-node", "quorate-storage"], Exactness::Exactly),
    ("quorate-sim", &["quorate-node", "quorate-storage", "quorate-server"], Exactness::Exactly),
    (
        "quorate-fuzz",
        &["quorate-raft", "quorate-kv", "quorate-wire", "quorate-storage", "quorate-node", "quorate-server"],
        Exactness::AnyOf,
    ),
    (
        "quorate-tests",
        &[
            "quorate-raft",
            "quorate-kv",
            "quorate-wire",
            "quorate-storage",
            "quorate-node",
            "quorate-sim",
            "quorate-server",
            "quorate-client",
            "quorate-fuzz",
        ],
        Exactness::AnyOf,
    ),
    (
        "quorate-speed",
        &["quorate-raft", "quorate-kv", "quorate-wire", "quorate-storage", "quorate-server"],
        Exactness::AnyOf,
    ),
    // Not a part of the workspace: it proves that the core needs no std.
    ("quorate-raft-without-std", &["quorate-raft"], Exactness::Exactly),
    // Nor is this: it runs the core beside those of others.
    ("quorate-peers", &["quorate-raft", "quorate-speed"], Exactness::AnyOf),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Exactness {
    Exactly,
    AnyOf,
}

/// Other people's packages that only these of ours may depend on, and why.
const RESERVED: [(&str, &[&str], &str); 3] = [
    ("madsim", &["quorate-sim"], "production runs on the real tokio"),
    ("bincode", &["quorate-wire"], "the codec can be replaced only while one package knows it"),
    (
        "tokio",
        &["quorate-server", "quorate-client", "quorate-sim", "quorate-tests", "quorate-peers"],
        "the engine has no async",
    ),
];

/// Packages whose only dependency outside of the workspace may be `serde`, since they are pure.
const ONLY_SERDE: [&str; 1] = ["quorate-raft"];

/// Checks all manifests together.
pub fn check(manifests: &[TextFile]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut seen = BTreeSet::new();
    for file in manifests {
        match file.text.parse::<Table>() {
            Ok(manifest) => {
                if let Some(name) = package_name(&manifest) {
                    seen.insert(name.to_owned());
                    complaints.extend(check_package(file, name, &manifest));
                }
            }
            Err(error) => complaints.push(Complaint::new(&file.path, 0, format!("not TOML: {error}"))),
        }
    }
    let required = ARROWS.iter().map(|(name, ..)| *name).filter(|name| *name != "quorate-fuzz");
    complaints.extend(
        required
            .filter(|name| !seen.contains(*name))
            .map(|name| Complaint::new("Cargo.toml", 0, format!("there is no package `{name}`"))),
    );
    complaints
}

fn package_name(manifest: &Table) -> Option<&str> {
    manifest.get("package")?.get("name")?.as_str()
}

fn check_package(file: &TextFile, name: &str, manifest: &Table) -> Vec<Complaint> {
    let complain = |what: String| Complaint::new(&file.path, 0, what);
    let Some((_, allowed, exactness)) = ARROWS.iter().find(|(package, ..)| *package == name) else {
        return vec![complain(format!("`{name}` is not a package of the design: give it a row in ARROWS"))];
    };
    let normal = dependencies(manifest, &["dependencies", "build-dependencies"]);
    let development = dependencies(manifest, &["dev-dependencies"]);
    let mut complaints = Vec::new();
    for ours in normal.union(&development).filter(|dependency| dependency.starts_with("quorate-")) {
        if !allowed.contains(&ours.as_str()) {
            complaints.push(complain(format!("`{name}` must not depend on `{ours}`")));
        }
    }
    if *exactness == Exactness::Exactly {
        let missing = allowed.iter().filter(|dependency| !normal.contains(**dependency));
        complaints.extend(missing.map(|ours| complain(format!("`{name}` should depend on `{ours}`"))));
    }
    for (reserved, users, reason) in RESERVED {
        if normal.union(&development).any(|dependency| dependency == reserved) && !users.contains(&name) {
            complaints.push(complain(format!("`{name}` must not depend on `{reserved}`: {reason}")));
        }
    }
    if ONLY_SERDE.contains(&name) {
        let foreign = normal.iter().filter(|dependency| *dependency != "serde");
        complaints.extend(
            foreign.map(|found| complain(format!("`{name}` must not depend on `{found}`, only on serde"))),
        );
    }
    complaints.extend(unshared_settings(manifest).map(complain));
    complaints
}

/// The names of the packages (not of their local aliases) in these tables, also in `[target.….dependencies]`.
fn dependencies(manifest: &Table, tables: &[&str]) -> BTreeSet<String> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let places = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    let declared =
        places.flat_map(|place| tables.iter().filter_map(|table| place.get(*table)?.as_table())).flatten();
    declared
        .map(|(name, details)| details.get("package").and_then(Value::as_str).unwrap_or(name).to_owned())
        .collect()
}

/// A member of the workspace takes versions, lints and the like from it; a package with a `[workspace]` of its own
/// can't.
fn unshared_settings(manifest: &Table) -> impl Iterator<Item = String> {
    let is_member = !manifest.contains_key("workspace");
    let inherits =
        |value: Option<&Value>| value.and_then(|value| value.get("workspace")) == Some(&Value::Boolean(true));
    let mut complaints = Vec::new();
    if is_member && !inherits(manifest.get("lints")) {
        complaints.push("no `[lints] workspace = true`".to_owned());
    }
    let tables = ["dependencies", "build-dependencies", "dev-dependencies"];
    for (name, details) in tables.iter().filter_map(|table| manifest.get(*table)?.as_table()).flatten() {
        if is_member && !inherits(Some(details)) {
            complaints.push(format!("`{name}` must take its version from the workspace"));
        }
    }
    complaints.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints_about(manifest: &str) -> Vec<String> {
        let text = format!("{manifest}\n[lints]\nworkspace = true\n");
        let file = TextFile { path: "Cargo.toml".to_owned(), text };
        let all = check(std::slice::from_ref(&file)).into_iter().map(|complaint| complaint.what);
        all.filter(|what| !what.starts_with("there is no package")).collect()
    }

    #[test]
    fn an_arrow_that_the_design_does_not_have_is_found() {
        for table in
            ["dependencies", "build-dependencies", "dev-dependencies", "target.'cfg(unix)'.dependencies"]
        {
            let manifest =
                format!("[package]\nname = \"quorate-kv\"\n[{table}]\nquorate-raft.workspace = true");
            assert_eq!(
                complaints_about(&manifest),
                ["`quorate-kv` must not depend on `quorate-raft`"],
                "{table}"
            );
        }
    }

    #[test]
    fn a_renamed_dependency_is_still_found() {
        let manifest = "[package]\nname = \"quorate-tests\"\n\
                        [dependencies]\nharmless = { package = \"madsim\", workspace = true }";
        let expected = "`quorate-tests` must not depend on `madsim`: production runs on the real tokio";
        assert_eq!(complaints_about(manifest), [expected]);
    }

    #[test]
    fn a_missing_arrow_is_found() {
        let manifest = "[package]\nname = \"quorate-storage\"\n[dependencies]\nquorate-raft.workspace = true";
        assert_eq!(complaints_about(manifest), ["`quorate-storage` should depend on `quorate-wire`"]);
    }

    #[test]
    fn the_core_depends_on_serde_only() {
        let manifest = "[package]\nname = \"quorate-raft\"\n\
                        [dependencies]\nserde.workspace = true\nthiserror.workspace = true";
        assert_eq!(
            complaints_about(manifest),
            ["`quorate-raft` must not depend on `thiserror`, only on serde"]
        );
        let tools = "[package]\nname = \"quorate-raft\"\n[dev-dependencies]\nproptest.workspace = true";
        assert_eq!(complaints_about(tools), Vec::<String>::new());
    }

    #[test]
    fn a_version_of_its_own_is_found() {
        let manifest = "[package]\nname = \"quorate-kv\"\n[dependencies]\nserde = \"1\"";
        assert_eq!(complaints_about(manifest), ["`serde` must take its version from the workspace"]);
    }

    #[test]
    fn an_unknown_package_and_a_missing_one_are_found() {
        let unknown = complaints_about("[package]\nname = \"quorate-extra\"");
        assert!(unknown[0].contains("not a package of the design"), "{unknown:?}");
        assert!(check(&[]).iter().any(|complaint| complaint.what == "there is no package `quorate-raft`"));
    }
}
