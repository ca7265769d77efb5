"""README transcripts: every `$ command` of a ```console block is run, and its output must be what stands below it.

    python tests/transcripts.py --check [BIN]    compare; exit 1 and show the difference
    python tests/transcripts.py --write [BIN]    write what the commands print into README.md

Commands run one after the other in one scratch folder that sees recordings/, scenarios/ and tests/ of the checkout.
Only stdout and stderr together count; a line `...` in README stands for any number of lines.
"""

import difflib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def run(command, folder, bin_folder):
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "110", "PYTHONHASHSEED": "0"}
    if bin_folder:
        environment["PATH"] = f"{bin_folder}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    text = done.stdout
    if done.returncode:
        text += f"[exit {done.returncode}]\n"
    return text


def parts(block):
    """(command, expected output) pairs of one block."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return [(command, "\n".join(lines) + ("\n" if lines else "")) for command, lines in found]


def fits(expected, got):
    """Is the output what is expected, `...` lines standing for anything?"""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line) + r"\n" for line in expected.splitlines()
    )
    return re.fullmatch(pattern, got) is not None


def elide(expected, got, most=40):
    """What --write puts down: keeps an elision that still fits, shortens what is very long."""
    if "..." in expected.splitlines() and fits(expected, got):
        return expected
    lines = got.splitlines()
    if len(lines) > most:
        lines = [*lines[: most - 6], "...", *lines[-5:]]
    return "\n".join(lines) + ("\n" if lines else "")


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else "--check"
    bin_folder = sys.argv[2] if len(sys.argv) > 2 else str(Path(sys.executable).parent)
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in ("recordings", "scenarios", "notebooks", "tests", "examples"):
            if (ROOT / name).exists():
                (Path(folder) / name).symlink_to(ROOT / name)

        def replace(match):
            nonlocal bad
            made = []
            for command, expected in parts(match[1]):
                got = run(command, folder, bin_folder)
                if not fits(expected, got):
                    bad += 1
                    if mode == "--check":
                        sys.stdout.writelines(
                            difflib.unified_diff(
                                expected.splitlines(True), got.splitlines(True), f"README: {command}", "now"
                            )
                        )
                made.append(f"$ {command}\n{elide(expected, got)}")
            return "```console\n" + "".join(made) + "```"

        fresh = BLOCK.sub(replace, text)
    if mode == "--write":
        readme.write_text(fresh, encoding="utf-8")
        print(f"{bad} transcript(s) rewritten")
        return 0
    print(f"transcripts: {len(BLOCK.findall(text))} blocks, {bad} differ")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
