"""What scanning takes is told beside what decoding takes."""

import json

import pytest
from studio import picture

from bench import scan_speed
from watermark.stills import Still, write


@pytest.mark.slow
def test_scanning_is_told_beside_decoding(tmp_path, monkeypatch, capsys):
    for seed in range(2):
        write(Still(picture(seed, 600, 700)), tmp_path / "pictures" / f"{seed}.png")
    for name in scan_speed._THREADS:
        monkeypatch.setenv(name, "1")
    small = ("--pictures", "4", "--shards", "2", "--few", "1", "--rounds", "1", "--marks", "50")
    out = tmp_path / "out.jsonl"
    words = ["scan_speed", str(tmp_path / "pictures"), *small, "--out", str(out)]
    monkeypatch.setattr("sys.argv", words)
    scan_speed.main()
    told = capsys.readouterr().out
    line = json.loads(out.read_text())
    spent = line["seconds"]
    assert list(spent) == [
        "decode",
        *("scan, fast", "scan, fast, evidence kept", "recheck, fast"),
        *("scan, full", "scan, full, evidence kept", "recheck, full"),
    ]
    ratio = spent["scan, full"][0] / spent["decode"][0]
    (row,) = (each for each in told.splitlines() if "scan, full  " in each)
    assert f"{ratio:.1f}" in row
    assert 1e9 * spent["scan, full"][0] / 3600 == pytest.approx(
        float(row.split("|")[-2].strip().replace(",", "")), abs=0.5
    )
    assert list(line["clock"]) == ["1", "2"]
