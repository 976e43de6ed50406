"""``qa-fetch dumps move``: the info CSVs leave the data folder, all of them or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Ran, failed

from qa_fetch.batch.dumps import move_dumps
from qa_fetch.errors import ConfigError, NotFound

DUMPS = ("sub-1/ses-20250101/00001-T1.csv", "sub-1/ses-20250102/00002-T2.csv", "sub-2/ses-20250101/00001-T1.csv")
STAYS = ("sub-1/ses-20250101/00001-T1/a.dcm", "sub-1/ses-20250101/00001-T1/inside.csv", "query.csv", "logs/run.csv")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder as a batch with --info leaves it."""
    return filled(tmp_path / "data", *DUMPS, *STAYS)


def filled(folder: Path, *names: str, text: str = "") -> Path:
    """A folder with these files, each holding its own name unless a text is given."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or name)
    return folder


def files(folder: Path) -> dict[str, str]:
    """Every file below a folder with what is in it."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def test_the_files_beside_the_series_go_to_the_same_places_elsewhere(data, tmp_path):
    """A folder that is absent is made; what lies elsewhere in the data stays."""
    moved = move_dumps(data, tmp_path / "new" / "info")
    assert moved == [tmp_path / "new" / "info" / name for name in DUMPS]
    assert files(tmp_path / "new" / "info") == {name: name for name in DUMPS}
    assert set(files(data)) == set(STAYS)


def test_another_file_in_the_way_stops_the_move_before_it_begins(data, tmp_path):
    """Nothing is overwritten, and nothing was moved, not even what came before it."""
    info = filled(tmp_path / "info", DUMPS[2], text="other")
    with pytest.raises(ConfigError) as caught:
        move_dumps(data, info)
    assert str(caught.value) == (
        f"{info / DUMPS[2]} is there already and differs from the file that would go there, so nothing was moved. "
        "Remove or rename one of the two."
    )
    assert files(info) == {DUMPS[2]: "other"}
    assert set(files(data)) == {*DUMPS, *STAYS}


def test_a_move_that_was_interrupted_is_finished_by_the_next_one(data, tmp_path):
    """What was copied and not yet removed has the same content, and counts as moved."""
    info = filled(tmp_path / "info", DUMPS[0])
    assert len(move_dumps(data, info)) == 3
    assert files(info) == {name: name for name in DUMPS}
    assert set(files(data)) == set(STAYS)


def test_a_move_that_fails_half_way_leaves_both_folders_as_they_were(data, tmp_path):
    """A file stands where the last one needs a folder."""
    info = filled(tmp_path / "info", "sub-2")
    with pytest.raises(OSError):
        move_dumps(data, info)
    assert files(info) == {"sub-2": "sub-2"}
    assert [path.name for path in info.iterdir()] == ["sub-2"]
    assert set(files(data)) == {*DUMPS, *STAYS}


@pytest.mark.parametrize("info", ["data", "data/info", "."])
def test_the_info_folder_lies_outside_of_the_data(data, tmp_path, info):
    """The data folder itself would lose its files to themselves."""
    with pytest.raises(ConfigError) as caught:
        move_dumps(data, tmp_path / info)
    assert str(caught.value) == (
        f"{data} and {tmp_path / info} lie one within the other, so what is moved would not leave the data. "
        "Name a folder outside of it."
    )
    assert set(files(data)) == {*DUMPS, *STAYS}


def test_a_link_in_the_data_that_leads_to_the_info_loses_nothing(data, tmp_path):
    """A file would be moved onto itself, and then removed."""
    info = filled(tmp_path / "info", "sub-3/ses-1/a.csv")
    (data / "sub-3").symlink_to(info / "sub-3")
    with pytest.raises(ConfigError, match="lie one within the other"):
        move_dumps(data, info)
    assert files(info) == {"sub-3/ses-1/a.csv": "sub-3/ses-1/a.csv"}


def test_a_folder_without_info_files_says_where_they_are_looked_for(tmp_path):
    """The seed says nothing, and does nothing."""
    folder = filled(tmp_path / "data", *STAYS)
    with pytest.raises(NotFound) as caught:
        move_dumps(folder, tmp_path / "info")
    assert str(caught.value) == (
        f"{folder} has no CSV file beside its series (sub-*/ses-*/*.csv), so nothing was moved. "
        "Name the folder that holds the sub-* folders."
    )
    assert not (tmp_path / "info").exists()


def test_the_command_says_how_many_it_moved(data, tmp_path, capsys):
    """One line."""
    ran = Ran(capsys, ("dumps", "move", data, "--to", tmp_path / "info"))
    assert (ran.out, ran.err, ran.code) == (f"3 CSV files moved to {tmp_path / 'info'}\n", "", 0)


def test_the_command_names_the_files_for_machines(data, tmp_path, capsys):
    """Where they are now."""
    ran = Ran(capsys, ("dumps", "move", data, "--to", tmp_path / "info", "--json"))
    assert ran.json == {"moved": [str(tmp_path / "info" / name) for name in DUMPS]}


@pytest.mark.parametrize(("data", "to", "wrong"), [("none", "info", "none"), (".", "file", "file")])
def test_the_command_wants_folders(tmp_path, capsys, data, to, wrong):
    """A data folder that is absent, a target that is a file: wrong use."""
    (tmp_path / "file").touch()
    ran = Ran(capsys, ("dumps", "move", tmp_path / data, "--to", tmp_path / to))
    does = "Name the folder that holds the sub-* folders." if wrong == "none" else "Name another one for the CSV files."
    failed(ran, 2, f"{tmp_path / wrong} is not a folder. {does}")
