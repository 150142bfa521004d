#!/usr/bin/env python3
"""Prints the licences of everything that is linked into the binary, with their texts, each text once.

A crate without a licence expression is an error. A crate without a text of its own is named with its expression.
"""
import hashlib
import json
import pathlib
import subprocess
import sys

PREFIXES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")


def linked(metadata: dict) -> list[dict]:
    """The packages that a normal build links, but not our own and not what only builds or tests."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    seen, todo = set(), [root]
    while todo:
        for dependency in nodes[todo.pop()]["deps"]:
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if normal and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                todo.append(dependency["pkg"])
    packages = [package for package in metadata["packages"] if package["id"] in seen]
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def texts(package: dict) -> list[str]:
    """Of the package, and of C sources in folders of it."""
    folder = pathlib.Path(package["manifest_path"]).parent
    found = [path for depth in ("*", "*/*", "*/*/*") for path in sorted(folder.glob(depth))]
    files = [path for path in found if path.is_file() and path.name.upper().startswith(PREFIXES)]
    return [path.read_text(encoding="utf-8", errors="replace").strip() for path in files]


def main() -> None:
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
    packages = linked(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    users: dict[str, list[str]] = {}
    wording: dict[str, str] = {}
    for package in packages:
        title = f"{package['name']} {package['version']}"
        if not package["license"] and not package["license_file"]:
            sys.exit(f"licences.py: {title} names no licence")
        print(f"{title}: {package['license'] or package['license_file']}")
        for text in texts(package):
            key = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
            wording.setdefault(key, text)
            users.setdefault(key, []).append(title)
    for key, text in wording.items():
        print("\n" + "=" * 100 + "\n" + ", ".join(users[key]) + "\n\n" + text)


main()
