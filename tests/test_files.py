"""Inputs are found in order, outputs mirror them, and nothing half-written gets a name."""

import contextlib
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from watermark.errors import MediaError, MediaTooLarge, OutputError, UnreadableMedia
from watermark.files import Found, atomic_write, find_media, plan_outputs, read_bytes, shown


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


@pytest.fixture
def tree(tmp_path):
    """Make a folder with pictures, other files, hidden names and a link to a folder."""
    root = tmp_path / "in"
    names = [
        "b.png",
        "a.JPG",
        "notes.txt",
        ".hidden.png",
        ".cache/c.png",
        "sub/d.webp",
        "sub/e.tif",
    ]
    touch(*(root / name for name in names))
    (root / "loop").symlink_to(root)
    return root


@pytest.fixture
def as_nobody():
    """Make a folder whose rights count: root may do anything, so the test steps down."""
    folder = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def relative(found):
    return [item.relative.as_posix() for item in found]


class TestFindStills:
    def test_folders_are_walked_in_sorted_order(self, tree):
        """Hidden names, other endings and links to folders are passed over."""
        assert relative(find_media([tree])) == ["a.JPG", "b.png", "sub/d.webp", "sub/e.tif"]

    def test_named_files_are_always_tried(self, tree):
        """A named file is yielded whatever its ending, and even if there is none."""
        named = [tree / "notes.txt", tree / ".hidden.png", tree / "missing.png"]
        assert [item.path for item in find_media(named)] == named
        assert list(find_media([named[0]])) == [Found(named[0], Path("notes.txt"))]

    def test_several_folders_keep_their_names(self, tree, monkeypatch):
        """Folders with frames of the same names do not meet in the output."""
        touch(tree.parent / "other" / "a.JPG")
        assert relative(find_media([tree / "sub", tree.parent / "other"])) == [
            "sub/d.webp",
            "sub/e.tif",
            "other/a.JPG",
        ]
        monkeypatch.chdir(tree / "sub")
        assert relative(find_media([".", "../b.png"])) == ["sub/d.webp", "sub/e.tif", "b.png"]

    def test_the_output_folder_is_not_read_again(self, tree):
        touch(tree / "out" / "a.JPG")
        assert "out/a.JPG" in relative(find_media([tree]))
        assert "out/a.JPG" not in relative(find_media([tree], leave_out=tree / "sub" / "../out"))

    def test_strange_names(self, tmp_path):
        """Spaces, Japanese, line breaks and bytes that are not UTF-8 are names like others."""
        names = ["two words.png", "透かし.png", "line\nbreak.png", os.fsdecode(b"\xff\xfe.png")]
        touch(*(tmp_path / name for name in names))
        found = relative(find_media([tmp_path]))
        assert sorted(found) == sorted(names)
        assert [shown(name) for name in names] == [
            "two words.png",
            "透かし.png",
            r"line\nbreak.png",
            r"\xff\xfe.png",
        ]

    def test_a_folder_that_may_not_be_listed(self, as_nobody):
        """It is one error that names it; the rest goes on."""
        touch(as_nobody / "a.png", as_nobody / "closed" / "b.png", as_nobody / "d.png")
        (as_nobody / "closed").chmod(0)
        errors = []
        assert relative(find_media([as_nobody], on_error=errors.append)) == ["a.png", "d.png"]
        (error,) = errors
        assert isinstance(error, UnreadableMedia)
        assert "closed" in str(error)
        with pytest.raises(UnreadableMedia, match="cannot list this folder"):
            list(find_media([as_nobody]))
        assert relative(find_media([as_nobody / "closed" / "b.png"])) == ["b.png"]
        (as_nobody / "closed").chmod(0o700)


class TestPlanOutputs:
    def test_one_file(self, tree, tmp_path):
        """It goes to OUT, or into OUT if that is a folder or ends with a slash."""
        source = tree / "b.png"
        assert plan_outputs([source], tmp_path / "o.jpg") == [(source, tmp_path / "o.jpg")]
        assert plan_outputs([source], tmp_path) == [(source, tmp_path / "b.png")]
        assert plan_outputs([source], f"{tmp_path}/new/") == [(source, tmp_path / "new" / "b.png")]

    def test_a_folder_is_mirrored(self, tree, tmp_path):
        out = tmp_path / "out"
        pairs = plan_outputs([tree], out)
        assert [to.relative_to(out) for _, to in pairs] == [
            source.relative_to(tree) for source, _ in pairs
        ]
        assert len(pairs) == 4
        assert not out.exists()

    def test_an_output_inside_the_input_is_not_an_input(self, tree):
        touch(tree / "sub" / "out" / "a.JPG")
        pairs = plan_outputs([tree], tree / "sub" / "out")
        assert all("out" not in source.relative_to(tree).parts for source, _ in pairs)
        assert len(pairs) == 4

    def test_several_results_need_a_folder(self, tree):
        for inputs in ([tree], [tree / "a.JPG", tree / "sub/d.webp"]):
            with pytest.raises(OutputError, match="name a folder"):
                plan_outputs(inputs, tree / "b.png")

    def test_an_input_is_never_an_output(self, tree, tmp_path):
        """Not by its name, nor by a symbolic link or a hard link, nor by a linked folder."""
        source = tree / "b.png"
        (tmp_path / "symbolic.png").symlink_to(source)
        (tmp_path / "hard.png").hardlink_to(source)
        (tmp_path / "linked").symlink_to(tree)
        for output in ("in/b.png", "in/sub/../b.png", "symbolic.png", "hard.png", "linked/"):
            with pytest.raises(OutputError, match="the output is an input"):
                plan_outputs([source], f"{tmp_path}/{output}")
        with pytest.raises(OutputError, match="the output is an input"):
            plan_outputs([tree], tmp_path / "linked")

    def test_an_input_that_is_another_ones_output_is_refused(self, tmp_path):
        touch(tmp_path / "x" / "a.png", tmp_path / "a.png")
        errors = []
        pairs = plan_outputs(
            [tmp_path / "x" / "a.png", tmp_path / "a.png"], tmp_path, on_error=errors.append
        )
        assert pairs == []
        assert len(errors) == 2

    def test_two_inputs_with_one_output(self, tmp_path):
        """The second is refused and named together with the first, which goes on."""
        first, second = tmp_path / "1" / "a.png", tmp_path / "2" / "a.png"
        touch(first, second)
        out = tmp_path / "out"
        with pytest.raises(OutputError, match="same output"):
            plan_outputs([first, second], out)
        errors: list[MediaError] = []
        assert plan_outputs([first, second], out, on_error=errors.append) == [
            (first, out / "a.png")
        ]
        assert str(first) in str(errors[0])
        assert str(second) in str(errors[0])


class TestReadBytes:
    def test_what_cannot_be_read(self, tmp_path):
        """Each error is one line that names the file and what to do."""
        os.mkfifo(tmp_path / "pipe")
        for name, reason in [("", "folder"), ("missing", "No such file"), ("pipe", "pipe")]:
            with pytest.raises(UnreadableMedia, match=reason) as caught:
                read_bytes(tmp_path / name, limit=10)
            assert str(tmp_path / name) in str(caught.value)
        touch(tmp_path / "long")
        assert read_bytes(tmp_path / "long", limit=1) == b"x"
        with pytest.raises(MediaTooLarge, match="--max-pixels"):
            read_bytes(tmp_path / "long", limit=0)

    def test_a_file_that_may_not_be_read(self, as_nobody):
        touch(as_nobody / "closed.png")
        (as_nobody / "closed.png").chmod(0)
        with pytest.raises(UnreadableMedia, match="Permission denied"):
            read_bytes(as_nobody / "closed.png", limit=10)


class TestAtomicWrite:
    def test_the_name_appears_with_the_whole_content(self, tmp_path):
        """Until the block ends the old file stands; folders on the way are made."""
        final = tmp_path / "new" / "a.png"
        touch(final)
        with atomic_write(final) as temporary:
            temporary.write_bytes(b"whole")
            assert temporary.parent == final.parent
            assert temporary.suffix == ".png"
            assert temporary.name.startswith(".")
            assert final.read_bytes() == b"x"
        assert final.read_bytes() == b"whole"
        assert names_in(final.parent) == ["a.png"]

    @pytest.mark.parametrize("links", [True, False])
    def test_what_came_meanwhile_is_replaced_only_if_it_may_be(self, tmp_path, monkeypatch, links):
        """Of two who write one name at once, one succeeds; also where there are no links."""

        def refused(*_):
            raise PermissionError(1, "Operation not permitted")

        if not links:
            monkeypatch.setattr(os, "link", refused)
        final = tmp_path / "a.png"

        def two_at_once():
            with atomic_write(final, replace=False) as slow:
                slow.write_bytes(b"slow")
                with atomic_write(final, replace=False) as quick:
                    quick.write_bytes(b"quick")

        with pytest.raises(OutputError, match="--force"):
            two_at_once()
        assert final.read_bytes() == b"quick"
        assert names_in(tmp_path) == ["a.png"]

    def test_a_folder_that_cannot_be_synchronised_is_no_failure(self, tmp_path, monkeypatch):
        """The result has its name by then."""

        def sync(descriptor):
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(22, "Invalid argument")

        monkeypatch.setattr(os, "fsync", sync)
        with atomic_write(tmp_path / "a.png") as temporary:
            temporary.write_bytes(b"whole")
        assert names_in(tmp_path) == ["a.png"]

    def test_the_usual_rights_are_given(self, tmp_path):
        """A result may be read by whoever may read any new file here."""
        touch(tmp_path / "usual")
        with atomic_write(tmp_path / "a.png") as temporary:
            temporary.write_bytes(b"whole")
        assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "usual").stat().st_mode

    @pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError, SystemExit])
    def test_an_interrupted_write_leaves_nothing(self, tmp_path, failure):
        touch(tmp_path / "a.png")

        def interrupted():
            with atomic_write(tmp_path / "a.png") as temporary:
                temporary.write_bytes(b"hal")
                raise failure

        with pytest.raises(failure):
            interrupted()
        assert names_in(tmp_path) == ["a.png"]
        assert (tmp_path / "a.png").read_bytes() == b"x"

    @pytest.mark.parametrize(
        "name", ["透 かし\n.png", "x" * 251 + ".png", os.fsdecode(b"\xff.png")]
    )
    def test_strange_and_long_names(self, tmp_path, name):
        with atomic_write(tmp_path / name) as temporary:
            temporary.write_bytes(b"whole")
        assert names_in(tmp_path) == [name]

    def test_a_folder_in_the_way(self, tmp_path):
        touch(tmp_path / "file")
        (tmp_path / "a.png").mkdir()
        for final in (tmp_path / "file" / "b.png", tmp_path / "a.png"):
            with pytest.raises(OutputError, match="cannot be written"), atomic_write(final) as path:
                path.write_bytes(b"whole")

    def test_a_folder_that_may_not_be_written_to(self, as_nobody):
        as_nobody.chmod(0o500)
        with (
            pytest.raises(OutputError, match="Permission denied"),
            atomic_write(as_nobody / "a.png") as path,
        ):
            path.write_bytes(b"whole")

    def test_a_limit_on_file_size(self, tmp_path):
        """The part that was written is gone, and one line says why."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        with contextlib.ExitStack() as stack:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
            stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
            with (
                pytest.raises(OutputError, match="File too large"),
                atomic_write(tmp_path / "a.png") as path,
            ):
                path.write_bytes(bytes(100_000))
        assert names_in(tmp_path) == []

    def test_a_full_disk(self, tmp_path):
        """On a file system of 64 KiB: one line, and nothing is left."""
        code = (
            "import os, sys\n"
            "from watermark.errors import OutputError\n"
            "from watermark.files import atomic_write\n"
            "try:\n"
            "    with atomic_write(sys.argv[1] + '/a.png') as path:\n"
            "        path.write_bytes(bytes(1_000_000))\n"
            "except OutputError as error:\n"
            "    print(error, os.listdir(sys.argv[1]))\n"
        )
        # A mount of its own namespace: no other process sees it, and it ends with the shell.
        script = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" -c "$3" "$1" || exit 99'
        unshare = shutil.which("unshare")
        if unshare is None:
            pytest.skip("a full disk is not tested: no 'unshare' to mount a small one with")
        done = subprocess.run(
            [unshare, "-rm", "sh", "-c", script, "sh", tmp_path, sys.executable, code],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[1],
        )
        if done.returncode != 0 and "Traceback" not in done.stderr:
            pytest.skip(f"a full disk is not tested: cannot mount a small one ({done.stderr!r})")
        assert "No space left on device" in done.stdout
        assert "a.png: cannot be written" in done.stdout
        assert done.stdout.rstrip().endswith("[]")
