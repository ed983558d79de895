"""Content named by its sha256."""

import errno
import hashlib
import threading
from pathlib import Path

import pytest

from stream.content import INLINE_BYTES, ContentStore
from stream.errors import Broken, NotReadableError, OutOfSpace, Temporary


def test_small_content_travels_with_the_commit_and_no_file_is_made(tmp_path: Path):
    content = ContentStore(tmp_path / "store").put(b"small")
    assert (content.data, content.size) == (b"small", 5)
    assert not (tmp_path / "store").exists()


def test_large_content_is_a_file_named_by_its_digest(tmp_path: Path):
    store = ContentStore(tmp_path)
    large = b"x" * (INLINE_BYTES + 1)
    content = store.put(large)
    assert content.data is None
    assert content.digest == hashlib.sha256(large).hexdigest()
    assert store.get(content.digest) == large


def test_the_same_content_from_many_threads_is_one_whole_file(tmp_path: Path):
    store, large = ContentStore(tmp_path), b"y" * 300_000
    threads = [threading.Thread(target=store.put, args=(large,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [large]


def test_a_disk_below_its_watermark_refuses_and_leaves_nothing(tmp_path: Path):
    with pytest.raises(OutOfSpace):
        ContentStore(tmp_path, watermark=2**62).put(b"z" * 100_000)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_store_that_cannot_be_written_is_a_temporary_fault(tmp_path: Path):
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(Temporary):
        ContentStore(tmp_path / "store").put(b"z" * 100_000)


def test_content_that_is_gone_is_broken(tmp_path: Path):
    store = ContentStore(tmp_path)
    store.put(b"x" * (INLINE_BYTES + 1))
    with pytest.raises(Broken):
        store.get("0" * 64)


@pytest.mark.parametrize("folder", [".", "nowhere"])
def test_a_store_whose_disk_is_not_mounted_is_away_and_its_content_is_not_gone(tmp_path: Path, folder: str):
    with pytest.raises(Temporary):
        ContentStore(tmp_path / folder).get("0" * 64)


def test_content_that_is_gone_from_a_store_that_never_held_any_is_broken(tmp_path: Path):
    store = ContentStore(tmp_path)
    store.make()
    with pytest.raises(Broken):
        store.get("0" * 64)


def bad_sector(store: ContentStore, digest: str) -> None:
    """A file that is there and whose bytes the system refuses: EIO, as of a bad sector."""
    store.path(digest).parent.mkdir(parents=True, exist_ok=True)
    store.path(digest).symlink_to("/proc/self/mem")


def test_one_file_that_the_disk_cannot_read_is_told_from_a_store_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = ContentStore(tmp_path)
    bad_sector(store, "0" * 64)
    with pytest.raises(NotReadableError):
        store.get("0" * 64)
    assert [path.name for path in tmp_path.iterdir()] == ["00"]
    monkeypatch.setattr("stream.content.write_durably", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(Temporary) as away:
        store.get("0" * 64)
    assert not isinstance(away.value, NotReadableError)


@pytest.mark.parametrize("why", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_one_file_that_cannot_be_read_is_found_out_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: int
):
    store = ContentStore(tmp_path)
    bad_sector(store, "0" * 64)
    monkeypatch.setattr("stream.content.write_durably", lambda *_: (_ for _ in ()).throw(OSError(why, "no")))
    with pytest.raises(NotReadableError):
        store.get("0" * 64)


def test_a_file_that_is_no_file_holds_up_nobody(tmp_path: Path):
    store = ContentStore(tmp_path)
    store.path("0" * 64).mkdir(parents=True)
    with pytest.raises(NotReadableError):
        store.get("0" * 64)
