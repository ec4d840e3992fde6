"""Format and lint the JavaScript of the runtime with the Deno that the package depends on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import deno

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "src/moltler/sandbox/js"


def main() -> None:
    """Check, or with ``--fix`` rewrite; exits with the number of failed steps."""
    fix = "--fix" in sys.argv[1:]
    files = sorted(str(p) for p in FOLDER.glob("*.js"))
    steps = [
        ["fmt", "--line-width", "100", *([] if fix else ["--check"]), *files],
        ["lint", *files],
    ]
    failed = 0
    for step in steps:
        done = subprocess.run([deno.find_deno_bin(), *step], cwd=ROOT, check=False)
        failed += done.returncode != 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
