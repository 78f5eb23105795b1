"""Piles for the tests of scanning: pictures in every kind of shard, made anew and small."""

import io
import json
import tarfile
import zipfile

import cv2
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from studio import picture


def jpeg(seed, height=270, width=480):
    """Encode a picture."""
    return cv2.imencode(".jpg", picture(seed, height, width))[1].tobytes()


def tar(path, members, mode="w"):
    """Write a tar file of (name, bytes)."""
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def shard(path, pictures, mode="w"):
    """Write a tar shard as WebDataset does: each picture with a caption and a label."""
    members = []
    for number, data in enumerate(pictures):
        members += [(f"a/{number:05d}.jpg", data), (f"a/{number:05d}.txt", b"a caption")]
        members.append((f"a/{number:05d}.cls", b"7"))
    return tar(path, members, mode)


def zipped(path, pictures):
    """Write a zip file with pictures in a folder, and something else."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "pictures")
        for number, data in enumerate(pictures):
            archive.writestr(f"d/{number}.jpg", data)
    return path


def table(pictures):
    """Give a table as Hugging Face keeps pictures, behind columns that hold other bytes."""
    rows = [{"bytes": data, "path": f"{number}.jpg"} for number, data in enumerate(pictures)]
    return pa.table({"hash": [b"\0\1"] * len(rows), "text": ["x"] * len(rows), "image": rows})


def parquet(path, pictures, rows=2):
    """Write Parquet with a few rows to a group."""
    pq.write_table(table(pictures), path, row_group_size=rows)
    return path


def feather(path, pictures):
    """Write Feather with a plain column of bytes."""
    pyarrow.feather.write_feather(pa.table({"jpg": pa.array(pictures, pa.binary())}), path)
    return path


def saved(folder, pictures):
    """Write a data set as `datasets.Dataset.save_to_disk` does, with a cache beside it."""
    folder.mkdir()
    rows = table(pictures)
    with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", rows.schema) as stream:
        stream.write_table(rows, max_chunksize=2)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    (folder / "cache-123.arrow").write_bytes(b"not a part of it")
    return folder
