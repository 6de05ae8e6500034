"""Prints the licences of the crates in the program for a target, each text once, from the crates' own files."""

import json, pathlib, subprocess, sys


def cargo(*arguments):
    return subprocess.run(["cargo", *arguments, "--locked"], check=True, capture_output=True, text=True).stdout


# Crates that only take part in the build are not in the program.
tree = cargo("tree", "--target", sys.argv[1], "--edges", "no-dev,no-build,no-proc-macro", "--prefix", "none", "--format", "{p}")
in_program = {tuple(line.split()[:2]) for line in tree.splitlines()}

crates_of = {}
for package in json.loads(cargo("metadata", "--format-version", "1"))["packages"]:
    if package["source"] and (package["name"], "v" + package["version"]) in in_program:
        folder = pathlib.Path(package["manifest_path"]).parent
        files = [file for file in folder.iterdir() if file.name.upper().startswith(("LICEN", "COPY", "NOTICE", "UNLICENSE"))]
        texts = [file.read_text().strip() for file in sorted(files) if file.is_file()]
        if not texts:
            sys.exit(f"{package['name']} has no text of its licence")
        for text in texts:
            crates_of.setdefault(text, []).append(f"{package['name']} {package['version']}: {package['license']}")

print("roomkey contains SQLite, which is in the public domain, musl (MIT), and these crates.")
for text, crates in sorted(crates_of.items(), key=lambda item: item[1]):
    print("\n" + "=" * 80, *sorted(crates), "-" * 80, text, sep="\n")
