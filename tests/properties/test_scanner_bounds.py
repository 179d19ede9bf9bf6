"""The part of the parser that copies whole blocks: no byte beyond its buffers, and only lines beyond doubt."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("processor", [[], ["-U__SSE2__"]], ids=["as built", "without SSE2"])
def test_blocks_end_where_buffers_end(processor: list[str], tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "fastsmtp is built with a C compiler"
    written = re.search(
        r'cdef extern from \*:\n    (""".*?""")', (ROOT / "fastsmtp/_parser_data.pxi").read_text(), re.DOTALL
    )
    assert written is not None
    scanner = tmp_path / "scanner.h"
    scanner.write_text(ast.literal_eval(written[1]))
    program = tmp_path / "scanner"
    options = ["-O2", "-Wall", "-Werror", "-Wno-unused-function", *processor, f'-DSCANNER="{scanner}"']
    subprocess.run([compiler, *options, "-o", program, Path(__file__).with_name("scanner.c")], check=True)
    done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
