from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from benchmarks.made import result, scenario, side

from bench.results import Result
from bench.split import PARTS

pytest.importorskip("matplotlib", reason="only `make bench` installs it")

from bench.plots import draw

PNG = b"\x89PNG\r\n\x1a\n"


def everything() -> Result:
    sides = {"floor": side(50, 60), "fastsmtp": side(70, 80), "fastsmtp none": side(60), "a stranger": side(700)}
    made = result(
        scenario("standard", sides),
        *(
            scenario(f"{x} {curve}", {"floor": side(50), "fastsmtp": side(60, 70)}, curve=curve, x=x)
            for curve in ("connections", "size", "recipients", "users")
            for x in (1, 1000)
        ),
        splits={"fastsmtp": dict.fromkeys(PARTS, 10.0), "fastsmtp plugins": dict.fromkeys(PARTS, 12.0)},
    )
    made.promises["a stranger"] = "nothing: it forgets"
    return made


def test_pictures_are_pictures(tmp_path: Path) -> None:
    written = draw(everything(), tmp_path / "pictures")
    names = {"peers", "latency", "split", "connections", "size", "recipients", "users"}
    assert {path.name for path in written} == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    for path in written:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(PNG)
        else:
            texts = [element.text or "" for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 - ours
            assert any("commit 0123456789ab" in text for text in texts)
            assert any("fastsmtp" in text for text in texts) or path.stem == "latency"


def test_the_same_figures_give_the_same_file(tmp_path: Path) -> None:
    first, second = (draw(everything(), tmp_path / name) for name in ("a", "b"))
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    assert draw(result(), tmp_path) == []
    one_point = scenario("1 users", {"fastsmtp": side(60)}, curve="users", x=1)
    assert draw(result(one_point), tmp_path) == []
