"""Archives that somebody made to do harm: each is refused, by verify and by unpack, and nothing is left behind."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from beeflow import codec
from beeflow.archive import reading, unpacking, verifying
from beeflow.archive.description import Description, Referenced
from beeflow.archive.limits import UNLIMITED, Limits
from beeflow.errors import ArchiveError, ArchiveVersionError, IncompleteArchiveError, SystemFileError
from beeflow.layout import DESCRIPTION, MANIFEST
from tests.archive import raw
from tests.archive.raw import DESCRIBED, END, ID, archive, file, folder, header, padded, pax, readers, vouching, write

TOP = ID.encode()


def refuse(tmp_path: Path, data: bytes, match: str, kind: type[Exception] = ArchiveError) -> None:
    """See that an archive is refused, with the same words by all who read it, and that there is no trace of it."""
    path = write(tmp_path / "hostile.tgz", data)
    into = tmp_path / "a/b/into"
    into.parent.mkdir(parents=True, exist_ok=True)
    for call in readers(path, into):
        with pytest.raises(kind, match=match) as caught:
            call()
        assert type(caught.value) is kind
        assert str(caught.value).startswith(str(path))
        assert str(caught.value).isprintable()
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["a", "b", "hostile.tgz"]


@pytest.mark.parametrize("kind", [*b"\x001234567gxKLNSVDMXAZ", 0xFF])
@pytest.mark.parametrize("link", [b"", b"/etc/passwd", TOP + b"/" + DESCRIPTION.encode()])
def test_only_files_and_folders(tmp_path: Path, kind: int, link: bytes) -> None:
    if (kind, link) == (ord("5"), b""):
        pytest.skip("that is a folder")
    refuse(tmp_path, archive(header(TOP + b"/x", bytes([kind]), link=link)), "unsafe|damaged")


@pytest.mark.parametrize("kind", [b"0", b"5"])
def test_a_file_with_a_link_in_its_header(tmp_path: Path, kind: bytes) -> None:
    refuse(tmp_path, archive(header(TOP + b"/x", kind, link=b"/etc/passwd")), "says more than it should")


PATHS = [
    b"/etc/passwd",
    b"/" + TOP + b"/x",
    b"..",
    b"../x",
    TOP + b"/..",
    TOP + b"/../x",
    TOP + b"/a/../../x",
    TOP + b"/./x",
    TOP + b"//x",
    TOP + b"/x/./",
    b"",
    b"/",
    b".",
    b"./" + TOP + b"/x",
    b"other/x",
    b"x",
    TOP + b".evil/x",
    TOP.upper() + b"/x",
    TOP + b"\\..\\x",
]


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("kind", [b"0", b"5"])
@pytest.mark.parametrize("by_pax", [False, True])
def test_paths_that_lead_elsewhere(tmp_path: Path, name: bytes, kind: bytes, by_pax: bool) -> None:
    member = pax(b"path=" + name) + header(TOP + b"/x", kind) if by_pax else header(name, kind)
    refuse(tmp_path, archive(member), "unsafe")


@pytest.mark.parametrize("name", [TOP + b"/a\0b", TOP + b"\0/../x", b"\0"])
def test_a_nul_in_a_name(tmp_path: Path, name: bytes) -> None:
    refuse(tmp_path, archive(header(name)), "unsafe")
    refuse(tmp_path, archive(pax(b"path=" + name) + header(TOP + b"/x")), "unsafe")


def test_a_prefix_that_leads_elsewhere(tmp_path: Path) -> None:
    refuse(tmp_path, archive(header(b"x", prefix=TOP + b"/..")), "unsafe")
    refuse(tmp_path, archive(header(b"x", prefix=b"/etc")), "unsafe")


@pytest.mark.parametrize("first", [b"x", b"..", b"a/b", TOP[:-1], TOP.upper(), TOP + b"0", b"3fc631bb\n"])
def test_a_top_directory_that_is_no_id(tmp_path: Path, first: bytes) -> None:
    data = raw.sealed(raw.compressed(header(first + b"/", b"5") + header(first + b"/x") + END))
    kind = ArchiveError if b".." in first else ArchiveVersionError
    refuse(tmp_path, data, "unsafe" if b".." in first else "not an archive of beeflow's: it begins with", kind)


def test_a_file_where_the_top_directory_should_be(tmp_path: Path) -> None:
    refuse(tmp_path, raw.sealed(raw.compressed(header(TOP) + END)), "begins with", ArchiveVersionError)


def test_another_workflow_than_expected(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tgz", raw.small())
    with pytest.raises(ArchiveError, match=r"is the archive of 3fc631bb-.*, not of ffff"):
        verifying.verify(path, "ffffffff" + ID[8:])


# -- twice, or in the wrong place -------------------------------------------------------------------------------------


def test_a_member_that_is_there_twice(tmp_path: Path) -> None:
    twice = [file("x", b"evil"), file("x", b"good")]
    refuse(tmp_path, archive(*twice, vouched={"x": b"good"}), "'x' is in it twice")
    refuse(tmp_path, archive(folder("x"), folder("x")), "'x' is in it twice")
    refuse(tmp_path, archive(folder("x"), file("x"), vouched={"x": b""}), "'x' is in it twice")
    refuse(tmp_path, archive(file("x"), folder("x"), vouched={"x": b""}), "'x' is in it twice")
    refuse(tmp_path, archive(file("x/y"), file("x"), vouched={"x/y": b"", "x": b""}), "'x' is in it twice")
    refuse(tmp_path, archive(folder()), "'' is in it twice")


def test_a_description_or_a_manifest_that_is_there_twice(tmp_path: Path) -> None:
    refuse(tmp_path, archive(file(DESCRIPTION, DESCRIBED)), "is in it twice")
    refuse(tmp_path, archive(after=vouching({DESCRIPTION: DESCRIBED})), "is in it twice|comes after the manifest")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("state.json", "State.json"),
        ("log/x", "log/X"),
        ("outputs/x", "Outputs/x"),
        ("cwl/graph.json", "cwl/GRAPH.json"),
        ("log/\u00e9", "log/e\u0301"),
        ("log/stra\u00dfe", "log/STRASSE"),
    ],
)
def test_names_that_differ_only_in_case(tmp_path: Path, one: str, two: str) -> None:
    data = archive(file(one), file(two), vouched={one: b"", two: b""})
    refuse(tmp_path, data, "differ only in the case of letters")


def test_what_tools_name_may_differ_in_case(tmp_path: Path) -> None:
    names = [
        "outputs/Makefile",
        "outputs/makefile",
        "tasks/001-a/X",
        "tasks/001-a/x",
        "inputs/0000/d/A",
        "inputs/0000/d/a",
    ]
    data = archive(*(file(name) for name in names), vouched=dict.fromkeys(names, b""))
    unpacking.unpack(write(tmp_path / "x.tgz", data), tmp_path / "into")
    assert (tmp_path / "into/outputs/makefile").exists()


def test_a_file_below_a_file(tmp_path: Path) -> None:
    refuse(tmp_path, archive(file("x"), file("x/y"), vouched={"x": b"", "x/y": b""}), "'x/y' is below a file")
    refuse(tmp_path, archive(file("x"), file("x/y/z"), vouched={"x": b"", "x/y/z": b""}), "'x/y/z' is below a file")


def test_a_member_after_the_manifest(tmp_path: Path) -> None:
    refuse(tmp_path, archive(after=file("x")), "'x' comes after the manifest")
    refuse(tmp_path, archive(after=folder("x")), "'x' comes after the manifest")


def test_a_description_that_is_not_first(tmp_path: Path) -> None:
    files = {"a": b"", DESCRIPTION: DESCRIBED}
    tar = folder() + file("a") + file(DESCRIPTION, DESCRIBED) + vouching(files) + END
    refuse(tmp_path, raw.sealed(raw.compressed(tar)), f"no {DESCRIPTION} at its beginning", ArchiveVersionError)


@pytest.mark.parametrize("before", [folder("a"), b"", file("manifest-sha256.txt")])
def test_no_description(tmp_path: Path, before: bytes) -> None:
    tar = folder() + before + vouching({}) + END
    refuse(tmp_path, raw.sealed(raw.compressed(tar)), f"no {DESCRIPTION} at its beginning", ArchiveVersionError)


def described(data: bytes) -> bytes:
    return raw.sealed(raw.compressed(folder() + file(DESCRIPTION, data) + vouching({DESCRIPTION: data}) + END))


@pytest.mark.parametrize("data", [b"{}", b"[]", b"1", b'{"format": 2}', b'{"format": "1"}', b'{"format": null}'])
def test_a_format_that_is_not_known(tmp_path: Path, data: bytes) -> None:
    refuse(tmp_path, described(data), "use a newer beeflow", ArchiveVersionError)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"format": 1}',
        DESCRIBED.replace(b'"Completed"', b'"Splendid"'),
        DESCRIBED.replace(b'"name": "n"', b'"name": ["n"]'),
        DESCRIBED.replace(ID.encode(), b"ffffffff" + TOP[8:]),
        DESCRIBED.replace(ID.encode(), b"../../etc"),
    ],
)
def test_a_description_that_makes_no_sense(tmp_path: Path, data: bytes) -> None:
    refuse(tmp_path, described(data), r"bee-archive\.json")


# -- tricks of tar ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size",
    [
        b"\xff" * 12,
        b"\x80" + bytes(10) + b"\5",
        b"-0000000001\0",
        b"          5 ",
        b"0000000005x\0",
        b"9" * 11 + b"\0",
        bytes(12),
        b"+5\0".ljust(12, b"\0"),
        b"0x5\0".ljust(12, b"\0"),
        b"5\0005".ljust(12, b"\0"),
    ],
)
def test_sizes_that_readers_would_read_differently(tmp_path: Path, size: bytes) -> None:
    refuse(tmp_path, archive(header(TOP + b"/x", size=size) + padded(b"12345")), "size is no octal number")


def test_a_size_beyond_the_end(tmp_path: Path) -> None:
    for size in (5000, 8**11 - 1):
        data = archive(header(TOP + b"/x", size=size))
        refuse(tmp_path, data, "incomplete: it ends too early.*'x'", IncompleteArchiveError)


@pytest.mark.parametrize("size", [b"5", b"-1", b"1e3", b"", b"99999999999999999999", b" 5", "²".encode()])
def test_pax_sizes(tmp_path: Path, size: bytes) -> None:
    refuse(
        tmp_path, archive(pax(b"size=" + size) + header(TOP + b"/x") + padded(b"12345")), "a pax record with the size"
    )


def test_a_size_that_is_given_twice(tmp_path: Path) -> None:
    member = pax(b"size=8589934592") + header(TOP + b"/x", size=5) + padded(b"12345")
    refuse(tmp_path, archive(member), "size is given twice")
    refuse(tmp_path, archive(pax(b"size=8589934592") + header(TOP + b"/x/", b"5")), "size is given twice")


@pytest.mark.parametrize(
    "record",
    [
        b"linkpath=/etc/passwd",
        b"hdrcharset=BINARY",
        b"hdrcharset=ISO-IR 10646 2000 UTF-8",
        b"GNU.sparse.major=1",
        b"GNU.sparse.name=x",
        b"SCHILY.xattr.security.capability=x",
        b"LIBARCHIVE.creationtime=1",
        b"uid=0",
        b"mtime=1.5",
        b"comment=x",
        b"=x",
    ],
)
def test_other_pax_records(tmp_path: Path, record: bytes) -> None:
    refuse(tmp_path, archive(pax(record) + header(TOP + b"/x")), "unsafe: a pax (record|header) that")


def test_a_character_set_that_is_not_needed(tmp_path: Path) -> None:
    member = pax(b"hdrcharset=BINARY", b"path=" + TOP + b"/x") + header(TOP + b"/x")
    refuse(tmp_path, archive(member), "another character set")


@pytest.mark.parametrize(
    "data", [b"x", b"0 path=x\n", b"9 path=x", b"99 path=x\n", b"-1 path=x\n", b"9 pathxxx\n", b"10 path=x\n\n"]
)
def test_pax_records_that_cannot_be_read(tmp_path: Path, data: bytes) -> None:
    member = header(b"p", b"x", len(data)) + padded(data) + header(TOP + b"/x")
    refuse(tmp_path, archive(member), "a pax record cannot be read")


def test_pax_headers_in_odd_places(tmp_path: Path) -> None:
    record = b"path=" + TOP + b"/x"
    refuse(tmp_path, archive(pax(record) + pax(record) + header(b"x")), "pax records of pax records")
    refuse(tmp_path, archive(pax(record, record) + header(b"x")), "that beeflow does not write")
    refuse(tmp_path, archive(after=pax(record)), "pax records of nothing")
    refuse(tmp_path, archive(header(b"p", b"x", 1 << 20)), "bytes of pax records")


def test_headers_of_other_kinds(tmp_path: Path) -> None:
    refuse(tmp_path, archive(header(TOP + b"/x", magic=b"ustar  \0")), "not of the kind")
    refuse(tmp_path, archive(header(TOP + b"/x", magic=bytes(8))), "not of the kind")
    refuse(tmp_path, archive(header(TOP + b"/x", end=b"tar\0".rjust(12, b"\0"))), "says more than it should")
    wrong = bytearray(header(TOP + b"/x"))
    wrong[50] ^= 1
    refuse(tmp_path, archive(bytes(wrong)), "checksum of a header")


def test_a_folder_with_contents(tmp_path: Path) -> None:
    refuse(tmp_path, archive(header(TOP + b"/x/", b"5", 512) + padded(b"1")), "folder .* has contents")


def test_what_is_hidden_between_members(tmp_path: Path) -> None:
    member = header(TOP + b"/x", size=1) + b"x" + b"hidden".ljust(511, b"\0")
    refuse(tmp_path, archive(member, vouched={"x": b"x"}), "something is hidden after the end of 'x'")


def test_what_follows_the_end(tmp_path: Path) -> None:
    refuse(tmp_path, archive(after=END + file("x")), "something follows the end of the archive")
    refuse(tmp_path, archive(after=bytes(512) + file("x")), "something follows the end mark")
    tar = folder() + file(DESCRIPTION, DESCRIBED) + vouching({DESCRIPTION: DESCRIBED}) + END
    whole = raw.compressed(tar)
    refuse(tmp_path, raw.sealed(whole + b"garbage"), "something follows the end of the compressed archive")
    refuse(tmp_path, raw.sealed(whole + raw.compressed(b"")), "something follows the end of the compressed archive")
    refuse(tmp_path, raw.sealed(whole + raw.compressed(file("x"))), "something follows the end of the compressed")
    refuse(tmp_path, raw.sealed(whole) + bytes(100), "something follows the end of the compressed archive")
    refuse(tmp_path, raw.sealed(whole) * 2, "something follows the end of the compressed archive")
    refuse(tmp_path, raw.sealed(raw.sealed(whole)), "something follows the end of the compressed archive")


def test_several_gzip_members(tmp_path: Path) -> None:
    tar = folder() + file(DESCRIPTION, DESCRIBED) + vouching({DESCRIPTION: DESCRIBED}) + END
    parts = raw.compressed(tar[:1024]) + raw.compressed(tar[1024:])
    refuse(tmp_path, raw.sealed(parts), "damaged|incomplete", IncompleteArchiveError)


def test_zeros_at_the_end_are_as_tar_writes_them(tmp_path: Path) -> None:
    verifying.verify(write(tmp_path / "x.tgz", archive(after=END * 9)))


# -- modes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [b"0004755\0", b"0006777\0", b"0001777\0", b"0177777\0", b"0000000\0", b"0000666\0"])
def test_of_modes_only_the_owners_right_to_run_is_kept(tmp_path: Path, mode: bytes) -> None:
    members = header(TOP + b"/x", mode=mode) + header(TOP + b"/d/", b"5", mode=mode)
    before = os.umask(0o022)
    try:
        unpacking.unpack(write(tmp_path / "x.tgz", archive(members, vouched={"x": b""})), tmp_path / "into")
    finally:
        os.umask(before)
    runs = int(mode[:-1], 8) & 0o100
    assert (tmp_path / "into/x").stat().st_mode & 0o7777 == (0o755 if runs else 0o644)
    assert (tmp_path / "into/d").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "into").stat().st_mode & 0o7777 == 0o700


# -- bombs ------------------------------------------------------------------------------------------------------------


def zeros(mib: int) -> bytes:
    size = mib << 20
    member = header(TOP + b"/x", size=size)
    return raw.sealed(raw.compressed(folder() + file(DESCRIPTION, DESCRIBED) + member, 9, mib))


def test_a_bomb_is_refused_before_it_is_all_unpacked(tmp_path: Path) -> None:
    path, into = write(tmp_path / "bomb.tgz", zeros(40)), tmp_path / "into"
    few = Limits(harmless=8 << 20)
    assert path.stat().st_size < 50_000
    calls: list[Callable[[], object]] = [
        lambda: verifying.verify(path, None, few),
        lambda: unpacking.unpack(path, into, None, few),
    ]
    for call in calls:
        with pytest.raises(ArchiveError, match="unsafe: more than 9 MiB come out of"):
            call()
    assert not into.exists()
    with pytest.raises(IncompleteArchiveError):
        verifying.verify(path, None, UNLIMITED)


@pytest.mark.parametrize(
    ("allowed", "match"),
    [(Limits(size=1 << 20), "more than 1048576 bytes come out"), (Limits(member_size=5), "a member of 6 bytes")],
)
def test_limits_on_sizes(tmp_path: Path, allowed: Limits, match: str) -> None:
    data = archive(file("x", b"123456"), file("y", bytes(2 << 20)))
    limited = Limits(size=allowed.size, member_size=max(allowed.member_size, 5))
    with pytest.raises(ArchiveError, match=match if allowed.member_size > 5 else "a member of"):
        verifying.verify(write(tmp_path / "x.tgz", data), None, limited)


def test_more_than_there_is_room_for(tmp_path: Path) -> None:
    member = pax(b"size=9000000000000000") + header(TOP + b"/x")
    path = write(tmp_path / "x.tgz", archive(member))
    with pytest.raises(SystemFileError, match="no room to unpack 'x'"):
        unpacking.unpack(path, tmp_path / "into", None, UNLIMITED)
    assert os.listdir(tmp_path) == ["x.tgz"]


def test_a_memory_bomb(tmp_path: Path) -> None:
    member = pax(b"size=9000000000000") + header(TOP + b"/" + MANIFEST.encode())
    tar = folder() + file(DESCRIPTION, DESCRIBED) + member
    path = write(tmp_path / "x.tgz", raw.sealed(raw.compressed(tar)))
    with pytest.raises(ArchiveError, match="bytes where a record should be"):
        verifying.verify(path, None, UNLIMITED)
    with pytest.raises(ArchiveError, match=r"bytes where a record should be|a member of"):
        reading.read_files(path, {MANIFEST})


def test_a_description_that_is_too_large(tmp_path: Path) -> None:
    tar = folder() + header(TOP + b"/" + DESCRIPTION.encode(), size=(256 << 20) + 1)
    match = f"unsafe: {DESCRIPTION} of {(256 << 20) + 1} bytes: more than 268435456"
    refuse(tmp_path, raw.sealed(raw.compressed(tar + END)), match)
    values = b'{"referenced":[' + b"[]," * 2_500_000 + b"[]]}"
    refuse(tmp_path, described(values), f"unsafe: {DESCRIPTION} has more than 5000000 values; .*--trust")


@pytest.mark.parametrize("few", [Limits(description_size=1000), Limits(description_values=50)])
def test_our_own_may_refer_to_any_number(tmp_path: Path, few: Limits) -> None:
    made = Referenced("outputs/o", "/o", "File", 1, "0" * 64, "outputs = reference")
    described = codec.dumps(replace(raw.description(), referenced=(made,) * 20)).encode()
    tar = folder() + raw.file(DESCRIPTION, described) + raw.vouching({DESCRIPTION: described}) + END
    path = write(tmp_path / "x.tgz", raw.sealed(raw.compressed(tar)))
    with pytest.raises(ArchiveError, match=r"unsafe: bee-archive.json .*if it is no trap, say so: .*--large"):
        verifying.verify(path, None, few)
    assert verifying.verify(path, None, UNLIMITED).size == path.stat().st_size
    read: list[Callable[[Limits], object]] = [
        lambda allowed: reading.read_record(Description, path, DESCRIPTION, allowed),
        lambda allowed: reading.description_of(path, allowed),
        lambda allowed: verifying.examine_quickly(path, allowed),
    ]
    for call in read:
        with pytest.raises(ArchiveError, match="if it is no trap"):
            call(few)
        assert call(UNLIMITED)


def test_too_deep_and_too_long(tmp_path: Path) -> None:
    refuse(tmp_path, archive(pax(b"path=" + TOP + b"/d" * 600) + header(b"x")), "601 folders above each other")
    refuse(tmp_path, archive(pax(b"path=" + TOP + b"/" + b"n" * 256) + header(b"x")), "a name of 293 bytes")
    long = b"/".join([TOP, *[b"n" * 200] * 25])
    refuse(tmp_path, archive(pax(b"path=" + long) + header(b"x")), "a name of")


# -- odd names that are allowed ---------------------------------------------------------------------------------------

ODD = [
    b"a\nb",
    b"\x1b[31mred",
    b"a\\b",
    b"..x",
    b"x..",
    b"...",
    b"-n",
    b" ",
    b"\xff\xfe",
    "\u202e".encode(),
    b"n" * 255,
]


def test_odd_names_come_back(tmp_path: Path) -> None:
    members, files = [], {}
    for name in ODD:
        full = TOP + b"/outputs/" + name
        records = [b"path=" + full]
        if not _is_utf8(name):
            records.insert(0, b"hdrcharset=BINARY")
        members.append(pax(*records) + header(b"x", size=len(name)) + padded(name))
        files[os.fsdecode(b"outputs/" + name)] = name
    path = write(tmp_path / "x.tgz", archive(*members, vouched=files))
    unpacking.unpack(path, tmp_path / "into")
    assert {os.fsencode(each.name): each.read_bytes() for each in (tmp_path / "into/outputs").iterdir()} == {
        name: name for name in ODD
    }


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("name", ODD)
def test_odd_names_in_messages_are_escaped(tmp_path: Path, name: bytes) -> None:
    # The manifest does not vouch for it, so it is named.
    records = [b"path=" + TOP + b"/" + name]
    if not _is_utf8(name):
        records.insert(0, b"hdrcharset=BINARY")
    refuse(tmp_path, archive(pax(*records) + header(b"x")), "is not in the manifest")


# -- while it is unpacked ---------------------------------------------------------------------------------------------


def test_links_that_are_there_meanwhile_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into/d").symlink_to(outside)
    (tmp_path / "into/x").symlink_to(outside / "x")
    descriptor = os.open(tmp_path / "into", os.O_RDONLY)
    tree = unpacking.Tree(tmp_path / "into", descriptor)
    for name in ("d/y", "x"):
        with pytest.raises(ArchiveError, match="another name are the same"):
            tree.put(reading.Member(name, False, 0, False, 0), iter(()))
    os.close(descriptor)
    assert os.listdir(outside) == []


def test_deep_trees_and_many_folders_need_few_descriptors(tmp_path: Path) -> None:
    names = [f"outputs/{a}/{b}/" + "d/" * 25 + "x" for a, b in itertools.product(range(5), range(5))]
    path = write(tmp_path / "x.tgz", archive(*(file(each) for each in names), vouched=dict.fromkeys(names, b"")))
    before = len(os.listdir("/proc/self/fd"))
    unpacking.unpack(path, tmp_path / "into")
    assert len(os.listdir("/proc/self/fd")) == before
    assert sum(each.is_file() for each in (tmp_path / "into").rglob("*")) == 25 + 2
