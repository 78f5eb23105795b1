"""What films take is told as ratios of one run."""

import json

import films
import pytest

from bench import film_speed


def test_the_speed_of_films_is_told_as_ratios(tmp_path, monkeypatch, capsys):
    film = films.make(tmp_path / "film.mp4", size=(320, 180), ticks=12)
    monkeypatch.setattr("sys.argv", ["film_speed", str(film), "--rounds", "1"])
    film_speed.main()
    told = capsys.readouterr().out
    seconds = json.loads(told.splitlines()[-1])["seconds"]
    ratio = seconds["transcode and mark"][0] / seconds["transcode"][0]
    assert f"{ratio:.2f} ×" in told
    assert seconds["length"][0] == pytest.approx(0.5, abs=0.05)
