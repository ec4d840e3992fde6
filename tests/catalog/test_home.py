from __future__ import annotations

from pathlib import Path

import pytest

from moltler.catalog.home import create_home, find_home
from moltler.errors import LookupFailed


def test_the_flag_comes_first_then_the_variable(tmp_path: Path) -> None:
    environ = {"MOLTLER_HOME": "/from/variable", "HOME": "/me"}
    (tmp_path / ".moltler").mkdir()
    assert find_home("here", environ, tmp_path) == tmp_path / "here"
    assert find_home(None, environ, tmp_path) == Path("/from/variable")


def test_the_nearest_folder_above_comes_before_that_of_the_user(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "a" / ".moltler").mkdir()
    (tmp_path / "a" / "b" / ".moltler").touch()
    assert find_home(None, {"HOME": "/me"}, deep) == tmp_path / "a" / ".moltler"


def test_without_any_of_them_it_is_the_users(tmp_path: Path) -> None:
    assert find_home(None, {"HOME": "/me"}, tmp_path) == Path("/me/.moltler")
    assert find_home("~/x", {"HOME": "/me"}, tmp_path) == Path("/me/x")


def test_a_home_is_made_once_for_its_owner(tmp_path: Path) -> None:
    home = tmp_path / "a" / "home"
    assert create_home(home) == create_home(home) == home
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_home_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(LookupFailed) as caught:
        create_home(tmp_path / "a" / "home")
    assert (caught.value.code, "--home DIR" in str(caught.value.hint)) == ("CAT010", True)
