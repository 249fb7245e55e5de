#!/usr/bin/env python3
"""Texts into C strings: embed.py OUTPUT NAME FILE [NAME FILE]..."""
import sys

out, pairs = sys.argv[1], sys.argv[2:]
with open(out, "w") as f:
    f.write("#pragma once\n")
    for name, path in zip(pairs[::2], pairs[1::2]):
        f.write(f"static const char {name}[] =\n")
        for line in open(path):
            text = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"')
            f.write(f'        "{text}\\n"\n')
        f.write(";\n")
