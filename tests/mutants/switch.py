"""Builds all mutants of a crate at once, each behind a switch.

cargo-mutants builds and tests once for each mutant. Here every mutant stands in the code as one branch of
`if crate::mutant::is(N) { mutant } else { code }`, so that one build serves them all. What cargo-mutants lists is
taken as it is: the place and the text that replaces what is there.
"""

import json
import pathlib
import re
import subprocess
from dataclasses import dataclass

import tree_sitter
import tree_sitter_rust

LANGUAGE = tree_sitter.Language(tree_sitter_rust.language())
HERE = pathlib.Path(__file__).parent

# What is computed at compile time can't ask a switch.
CONSTANT = {"const_item", "static_item", "array_type", "enum_variant", "attribute_item"}
OPERATIONS = {"binary_expression", "compound_assignment_expr"}


@dataclass
class Mutant:
    number: int
    name: str
    file: str
    genre: str
    replacement: str
    start: int
    end: int
    # Why it stands behind no switch: "does not compile" or "one by one".
    apart: str | None = None


class Source:
    """One file, with the mutants in it."""

    def __init__(self, text, mutants):
        self.text = text
        self.mutants = mutants
        self.tree = tree_sitter.Parser(LANGUAGE).parse(text)
        self.inserts = []
        self.units = {}

    def switched(self):
        self.inserts, self.units = [], {}
        for mutant in self.mutants:
            if mutant.apart is None and not self.place(mutant):
                mutant.apart = "one by one"
        for (start, end), (is_statement, alternatives) in self.units.items():
            before = b"".join(
                b"if crate::mutant::is(%d) { %s } else " % (number, marked(number, text))
                for number, text in alternatives
            )
            if is_statement:
                self.around(start, end, before + b"{ ", b" }")
            else:
                self.around(start, end, b"(" + before + b"{ ", b" })")
        return self.emit()

    def around(self, start, end, before, after):
        # Of texts at one place the outer begins first and ends last. The longer is the outer one; of two around the
        # same, the earlier.
        turn = len(self.inserts)
        self.inserts.append((start, 1, start - end, turn, before))
        self.inserts.append((end, 0, end - start, -turn, after))

    def insert(self, position, text):
        self.around(position, position, b"", text)

    def emit(self):
        out, at = [], 0
        for position, *_, text in sorted(self.inserts):
            out += [self.text[at:position], text]
            at = position
        return b"".join([*out, self.text[at:]])

    def place(self, mutant):
        node = self.tree.root_node.descendant_for_byte_range(mutant.start, mutant.end)
        if any(above.type in CONSTANT for above in ancestors(node)) or is_constant_function(node):
            return False
        return {
            "FnValue": self.place_body,
            "BinaryOperator": self.place_operation,
            "UnaryOperator": self.place_negation,
            "MatchArm": self.place_in_match,
            "MatchArmGuard": self.place_in_match,
            "StructField": self.place_field,
        }[mutant.genre](mutant, node)

    def place_body(self, mutant, node):
        function = next((above for above in ancestors(node) if above.type == "function_item"), None)
        returned = function.child_by_field_name("return_type")
        if returned is not None and b"impl " in returned.text:
            return False
        body = function.child_by_field_name("body").start_byte + 1
        value = b"return " + mutant.replacement.encode() + b";"
        self.insert(body, b" if crate::mutant::is(%d) { %s }" % (mutant.number, marked(mutant.number, value)))
        return True

    def place_operation(self, mutant, node):
        if node.parent.type == "let_chain":
            mutant.apart = "does not compile"
            return True
        # As text: an operator that binds otherwise takes other operands, so the whole chain is one unit.
        unit = node.parent
        if unit.type not in OPERATIONS:
            return False
        while unit.parent.type in OPERATIONS and unit.parent.type == "binary_expression":
            unit = unit.parent
        return self.instead(unit, mutant)

    def place_negation(self, mutant, node):
        unit = node if node.type == "unary_expression" else node.parent
        return unit.type == "unary_expression" and self.instead(unit, mutant)

    def place_field(self, mutant, node):
        unit = next((above for above in ancestors(node) if above.type == "struct_expression"), None)
        if unit is None:
            return False
        while self.text[mutant.end : mutant.end + 1] in (b",", b" "):
            mutant.end += 1
        return self.instead(unit, mutant)

    def instead(self, unit, mutant):
        before, after = self.text[unit.start_byte : mutant.start], self.text[mutant.end : unit.end_byte]
        text = before + mutant.replacement.encode() + after
        # A match that stands alone is followed by no semicolon, which one in brackets would need.
        is_statement = unit.type == "match_expression" and unit.parent.type in ("expression_statement", "block")
        _, alternatives = self.units.setdefault((unit.start_byte, unit.end_byte), (is_statement, []))
        alternatives.append((mutant.number, text))
        return True

    def place_in_match(self, mutant, node):
        # Not by a guard: an arm that has one does not count as covering what it matches.
        unit = next((above for above in ancestors(node) if above.type == "match_expression"), None)
        return unit is not None and self.instead(unit, mutant)


def ancestors(node):
    while (node := node.parent) is not None:
        yield node


def is_constant_function(node):
    function = next((above for above in ancestors(node) if above.type == "function_item"), None)
    modifiers = [] if function is None else [child for child in function.children if child.type == "function_modifiers"]
    return any(b"const" in child.text for child in modifiers)


def marked(number, text):
    """So that an error of the compiler can be laid at the mutant's door."""
    return b"/*<%d*/%s/*%d>*/" % (number, text, number)


def blamed(source, at):
    """The innermost mutant around a byte of a switched file."""
    around = []
    for mark in re.finditer(rb"/\*(<?)(\d+)(>?)\*/", source):
        if mark.start() > at:
            break
        if mark[1]:
            around.append(int(mark[2]))
        elif mark[3]:
            around.remove(int(mark[2]))
    return around[-1] if around else None


def listed(root, package):
    """What cargo-mutants lists, with offsets in bytes."""
    command = ["cargo", "mutants", "--list", "--json", "--package", package]
    found = json.loads(subprocess.run(command, cwd=root, check=True, capture_output=True).stdout)
    lines = {}

    def offset(file, place):
        if file not in lines:
            lines[file] = (root / file).read_text().splitlines(keepends=True)
        before, line = lines[file][: place["line"] - 1], lines[file][place["line"] - 1]
        return len(("".join(before) + line[: place["column"] - 1]).encode())

    return [
        Mutant(
            number,
            entry["name"],
            entry["file"],
            entry["genre"],
            entry["replacement"],
            offset(entry["file"], entry["span"]["start"]),
            offset(entry["file"], entry["span"]["end"]),
        )
        for number, entry in enumerate(found)
    ]


def errors_of(tree, package, environment):
    """Of each error of the compiler: file and byte."""
    command = ["cargo", "test", "--no-run", "--locked", "--package", package, "--message-format", "json"]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    errors, programs = [], []
    for message in messages:
        if message["reason"] == "compiler-artifact" and message.get("executable"):
            programs.append(message["executable"])
        if message["reason"] == "compiler-message" and message["message"]["level"] == "error":
            spans = [span for span in message["message"]["spans"] if span["is_primary"]]
            errors += [(span["file_name"], span["byte_start"], message["message"]["rendered"]) for span in spans]
    if done.returncode != 0 and not errors:
        raise SystemExit(done.stderr)
    return errors, programs


def build(root, tree, package, environment):
    """Writes the switched crate into `tree` until it compiles; returns the mutants and the test programs."""
    mutants = listed(root, package)
    library = mutants[0].file.split("/src/")[0] + "/src/lib.rs"
    files = {}
    for mutant in mutants:
        files.setdefault(mutant.file, []).append(mutant)
    while True:
        for file, inside in files.items():
            (tree / file).write_bytes(Source((root / file).read_bytes(), inside).switched())
        lib = tree / library
        text = lib.read_bytes() if library in files else (root / library).read_bytes()
        # A crate that does without the standard library does not here.
        standard = b"extern crate std;\n" if b"no_std" in text else b""
        lib.write_bytes(text + b"\n" + standard + b"#[allow(missing_docs)]\npub mod mutant;\n")
        (lib.parent / "mutant.rs").write_bytes((HERE / "mutant.rs").read_bytes())
        errors, programs = errors_of(tree, package, environment)
        if not errors:
            return mutants, programs
        before = sum(mutant.apart is None for mutant in mutants)
        for file, at, rendered in errors:
            number = blamed((tree / file).read_bytes(), at)
            if number is None:
                raise SystemExit(f"an error that belongs to no mutant:\n{rendered}")
            mutants[number].apart = "does not compile"
        print(f"{before - sum(mutant.apart is None for mutant in mutants)} mutants do not compile", flush=True)
