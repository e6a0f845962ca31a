"""What looks like a credential, and what does not."""

from __future__ import annotations

import errno
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from beeflow import codec
from beeflow.archive import hiding
from beeflow.archive.contents import Source
from beeflow.masking import mask, masked, may_be_hidden
from beeflow.secret_values import SecretValues

S = "S3nt1nel"


@pytest.mark.parametrize(
    "text",
    [
        f"tool --password={S} x",
        f"tool --password {S} x",
        f"tool --db-password '{S} and more' x",
        f'tool --passwd="{S} and more" x',
        f"-access-key {S}",
        f"AWS_SECRET_ACCESS_KEY={S}",
        f"export GITHUB_TOKEN={S}",
        f"password: {S}",
        f"--api_key={S}",
        f"curl https://me:{S}@example.org/x",
        f"postgresql+psycopg://me:{S}@db:5432/x",
        f"Authorization: Bearer {S}{S}",
        f"curl -H 'Authorization: basic {S}' x",
        f"sent Bearer {S}{S} to it",
        f"basic {S}AbCdEfGhIjKl==",
        f"SECRET_KEY={S}",
        f"--password2 {S}",
        f"error: wrong password: {S} of me",
        f"https://example.org/?token={S}&x=1",
        f"ghp_{S}012345678901234567890",
        "AKIA0123456789S3NT1X",
        f"-----BEGIN RSA PRIVATE KEY-----\n{S}\n-----END RSA PRIVATE KEY-----\nafter",
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{S}\n-----END PGP PRIVATE KEY BLOCK-----\nafter",
        f"clone https://me:p@{S}@example.org/x",
        f"hf_{S}abcdefghijABCDEFGHIJ012345",
        f"used sk-proj-{S}ABCDEF0123456789",
        f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3.{S}SflKxwRJSMeK",
    ],
)
def test_credentials_are_hidden(text: str) -> None:
    made = mask(text)
    assert S not in made
    assert "S3NT1" not in made
    assert "***" in made
    assert mask(made) == made


@pytest.mark.parametrize(
    "text",
    [
        "tool --pass 2 --tokens 512 --token-file here --secretary x",
        "https://example.org:8080/a@b",
        "error: invalid token at line 3",
        "keyboard=us monkey=1 --key-count 3",
        "step token COMPLETED",
        "--password --verbose",
        "file:///home/me/x:y@z",
        "Basic statistics of proteins",
        "bearer instruments",
        "a basic electroencephalography of /home/Me/data",
        "basic training.txt",
        "token: the smallest unit",
        "api_key: see the manual",
        "--pad-token <pad> --max-token 512 --eos_token=</s>",
        "max_token_len=5 token_id=7 secret_santa=me",
        "task-SK-learn and sk-learn-with-a-very-long-name-1",
        "see http://example.org:80/a and me@example.org",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert mask(text) == text
    assert masked({"title": text}) == {"title": text}


# What tools of other trades call their inputs, and what is said in them.
HONEST: dict[str, Any] = {
    **{f"{what}_token": "<pad>" for what in ("pad", "eos", "bos", "sep", "cls", "mask", "unk")},
    **dict.fromkeys(("max_token_len", "token_id", "token_count", "token-type", "secret_santa", "secretary"), "many"),
    "title": "Basic statistics of proteins",
    "note": "token: the smallest unit of bearer instruments",
    "f": {"class": "File", "basename": "basic training.txt", "location": "file:///data/basic%20training.txt"},
    "words": ["--pad_token", "<pad>", "--token-id", "7"],
}


@pytest.mark.parametrize(
    ("text", "may_be"),
    [
        ("***", True),
        ("TOKEN=*** x", True),
        ("https://me:***@host", True),
        ("tool --password *** x", True),
        ("machine x ***\n", True),
        ("*** ***", True),
        ("x\n***\ny", True),
        ("*** DONE ***", False),
        ("one\n  *** all is well ***\ntwo", False),
        ("**** DONE ****", False),
        ("p < 0.001***", False),
        ("a **b** c", False),
    ],
)
def test_what_may_have_been_hidden(text: str, may_be: bool) -> None:
    assert may_be_hidden(text) is may_be


@pytest.mark.parametrize("name", HONEST)
def test_honest_inputs_stay(name: str) -> None:
    given = {name: HONEST[name]}
    assert masked(given) == given
    assert masked({name: {"known": HONEST[name]}}) == {name: {"known": HONEST[name]}}


def test_no_text_takes_long() -> None:
    for text in ("password " + "a-" * 50_000, "token" * 20_000, "basic " + "a" * 100_000, "secret: " + "x" * 100_000):
        begun = time.process_time()
        mask(text)
        assert time.process_time() - begun < 5


def test_words_and_records() -> None:
    given: dict[str, Any] = {
        "argv": ["tool", "--password", S, f"--db-password=a {S}", f"TOKEN={S} b", "password=$(cat f); x"],
        "n": 1,
        "password": S,
        "token": "",
        "db_password": {"known": S},
        "api_token": [S, f"{S}2"],
        "credentials": {
            "user": S,
            "keys": [S, {"x": S}],
            "n": 7,
            "f": {"class": "File", "location": "a", "contents": S},
        },
        "my_token": {"items": [{"known": S}, {"output": ["001-a", "0", "o"], "element": 0}]},
        "deep": [[f"p={S}"]],
    }
    made = masked(given)
    assert made == {
        "argv": ["tool", "--password", "***", "--db-password=***", "TOKEN=***", "password=*** f); x"],
        "n": 1,
        "password": "***",
        "token": "",
        "db_password": {"known": "***"},
        "api_token": ["***"],
        "credentials": {
            "user": "***",
            "keys": ["***", {"x": "***"}],
            "n": 7,
            "f": {"class": "File", "location": "a", "contents": "***"},
        },
        "my_token": {"items": [{"known": "***"}, {"output": ["001-a", "0", "o"], "element": 0}]},
        "deep": [[f"p={S}"]],
    }


def test_what_was_given_is_known_wherever_it_is_repeated() -> None:
    known = SecretValues.of({"password": "a bc", "token": ["hunter22", "word", "no"], "credentials": {"x": "s:1\n"}})
    assert known.texts == {"a bc", "hunter22", "word", "s:1\n"}
    assert known.words(["a bc", "no", "-phunter22", "a,b", "s:1\n", "word", "words", "--x=word"]) == [
        *("***", "no", "-p***", "a,b", "***", "***", "words", "--x=***"),
    ]
    assert known.words(["my/word", "word.txt", "-pword", "-xpword", "a,word:b", "a-word"]) == [
        *("my/word", "word.txt", "-p***", "-xpword", "a,***:b", "a-word"),
    ]
    assert known.mask("mysql -pword x") == "mysql -p*** x"
    record = {
        "state": "word",
        "command": ["tool", "a bc"],
        "tasks": [{"label": "word", "inputs": {"other": {"known": ["hunter22"]}}}],
        "outputs": {"f": {"class": "File", "location": "tasks/hunter22", "contents": "hunter22"}},
    }
    assert known.masked(record) == {
        "state": "word",
        "command": ["tool", "***"],
        "tasks": [{"label": "word", "inputs": {"other": {"known": ["***"]}}}],
        "outputs": {"f": {"class": "File", "location": "tasks/hunter22", "contents": "***"}},
    }
    assert known.may_be_in(json.dumps("s:1\n"))
    assert known.masked_setting("token=[x, y]") == "token=***"
    assert known.masked_setting("x={a: hunter22}") == "x={a: ***}"


def test_what_is_named_so_at_every_depth_takes_no_time() -> None:
    deep: Any = S
    for _ in range(100):
        deep = {"token": deep}
    begun = time.process_time()
    assert S not in str(masked(deep))
    assert time.process_time() - begun < 5


def test_any_number_of_them_takes_no_time() -> None:
    known = SecretValues.of({"token": [f"S3nt1nel{number}" for number in range(100_000)]})
    begun = time.process_time()
    made = [known.words(["tool", f"S3nt1nel{number}"]) for number in range(10_000)]
    assert time.process_time() - begun < 5
    assert all(each == ["tool", "***"] for each in made)


OURS = ["workflow.json", "jobs/a.json", "log/passes.log", "metadata/001-a.json", "tasks/g/000/000000/result.json"]
OURS += ["tasks/g/000/000000/7.0/started.json", "tasks/g/slurm/7.out", "control/retry.json", "tasks/g/moved.json"]
OURS += ["tasks/g/000/000000/7.0/tasks.jsonl", "tasks/g/000/000000/7.0/tasks.retry-1.jsonl"]
OURS += ["tasks/g/elements.jsonl", "tasks/g/shared.json", "tasks/g/run.json", "provenance/job.json"]
USERS = ["job.json", "cwl/a.json", "outputs/workflow.json", "tasks/g/000/000000/7.0/0/out/result.json", "inputs/0/a"]
USERS += ["tasks/g/000/000000/7.0/0/stderr", "tasks/g/000/000000/7.0/0/out/log/started.json"]
USERS += ["tasks/g/000/000000/7.0/0/out/tasks.jsonl", "tasks/g/taken/000/000000/0/tasks.jsonl"]


@pytest.mark.parametrize("name", OURS + USERS)
def test_of_records_that_are_ours(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text(json.dumps({"command": f"tool --token={S}\nline", "é": "\udcff"}, ensure_ascii=True))
    made = hiding.without_credentials(Source(name, str(path), size=path.stat().st_size), SecretValues(), io.BytesIO)
    if name in USERS:
        assert made.path == str(path)
        return
    assert made.data is not None
    assert S.encode() not in made.data
    if name.endswith(".json"):
        assert json.loads(made.data)["command"] == "tool --token=***\nline"


def test_what_has_none_is_packed_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text('{"version": 1, "key": "pass.1", "job_name": "bee-0-pass"}')
    given = Source("jobs/pass.1.json", str(path), size=path.stat().st_size)
    status = path.stat()
    as_looked_at = given._replace(most=status.st_size, inode=status.st_ino)
    assert hiding.without_credentials(given, SecretValues(), io.BytesIO) == as_looked_at


def test_a_log_of_tasks_is_read_line_by_line(tmp_path: Path) -> None:
    words = ["tool", "--password", S, "\u2028"]
    plain = '{"begin":"0","at":"now"}'
    ended = json.dumps({"end": "0", "result": {"command": words}}, ensure_ascii=False)
    path = tmp_path / "x"
    path.write_text(f"{plain}\n{ended}\n{ended[: ended.index(S) + 4]}")
    name = "tasks/g/000/000000/7.0/tasks.jsonl"
    made = hiding.without_credentials(Source(name, str(path), size=path.stat().st_size), SecretValues(), io.BytesIO)
    assert made.data is not None
    first, second, cut = made.data.decode().split("\n")
    assert first == plain
    assert json.loads(second)["result"]["command"] == ["tool", "--password", "***", "\u2028"]
    assert cut == "***"


@pytest.mark.parametrize("secret", ["x", "a longer one"])
def test_lines_keep_their_length_for_an_index_has_their_offsets(tmp_path: Path, secret: str) -> None:
    lines = [json.dumps({"tasks": [{"label": "0", "inputs": {"password": {"known": secret}}}]}) + "\n" for _ in "ab"]
    path = tmp_path / "elements.jsonl"
    path.write_text("".join(lines))
    made = hiding.without_credentials(
        Source("tasks/001-s/elements.jsonl", str(path), size=path.stat().st_size), SecretValues(), io.BytesIO
    )
    assert made.data is not None
    assert [len(line) + 1 for line in made.data.decode().splitlines()] == [len(line) for line in lines]
    assert f'"{secret}"'.encode() not in made.data


@pytest.mark.parametrize("name", ["tasks.json", "log/passes.log", "tasks/g/elements.jsonl"])
def test_what_is_too_large_for_the_memory_is_read_line_by_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hiding, "_MOST", 10)
    items = [{"name": f"a[{number}]", "command": f'tool --password "{S} x" {S}2 é'} for number in range(200)]
    text = {
        "tasks.json": codec.dumps({"version": 1, "tasks": items, "reason": f'--token "{S}"'}),
        "log/passes.log": f"one\nGITHUB_TOKEN={S} \udcff\n{S}2\n",
        "tasks/g/elements.jsonl": "".join(json.dumps(each) + "\n" for each in items),
    }[name]
    path = tmp_path / "x"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with tempfile.TemporaryFile() as file:
        source = Source(name, str(path), size=path.stat().st_size)
        made = hiding.without_credentials(source, SecretValues(frozenset({f"{S}2"})), lambda: file)
        assert made.path is not None
        data = Path(made.path).read_bytes()
    assert made.size == len(data)
    assert S.encode() not in data
    if name == "tasks.json":
        assert json.loads(data)["tasks"][7] == {"name": "a[7]", "command": "tool --password *** *** é"}
    elif name == "log/passes.log":
        assert data == b"one\nGITHUB_TOKEN=*** \xff\n***\n"
    else:
        assert [len(line) for line in data.splitlines()] == [len(line) for line in text.splitlines()]


def test_what_is_large_and_has_none_is_packed_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hiding, "_MOST", 1)
    path = tmp_path / "x"
    path.write_text("nothing\n")
    given = Source("log/passes.log", str(path), size=8)
    status = path.stat()
    as_looked_at = given._replace(most=status.st_size, inode=status.st_ino)
    assert hiding.without_credentials(given, SecretValues(), io.BytesIO) == as_looked_at


def test_what_cannot_be_hidden_is_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_text(f"TOKEN={S}\n")
    gone = Source("log/passes.log", str(tmp_path / "gone"), size=8)
    assert hiding.without_credentials(gone, SecretValues(), io.BytesIO) is gone
    monkeypatch.setattr(hiding, "_MOST", 1)

    def full() -> io.BytesIO:
        raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(OSError, match="no space"):
        hiding.without_credentials(Source("log/passes.log", str(path), size=8), SecretValues(), full)
    with pytest.raises(OSError, match="Is a directory"):
        hiding.without_credentials(Source("log/passes.log", str(tmp_path), size=8), SecretValues(), full)
