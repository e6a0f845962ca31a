"""Run the CWL conformance suite on Slurm and say what passed, by tag.

SUITE_FOLDER is a checkout of one version of the suite, such as github.com/common-workflow-language/cwl-v1.2. The tests
run by cwltest with bee-cwl-runner, on the Slurm and with the bee.conf that all bee-* commands find. Name a bee.conf of
its own by $BEE_CONFIG: the workflows and archives of the tests stay where that says. Tests that need an image find it
in Charliecloud's storage ($CH_IMAGE_STORAGE); tests/conformance/images builds stand-ins.

examples:
  python -m tests.conformance ~/cwl-v1.2 -j 4 --json results.json
  python -m tests.conformance ~/cwl-v1.2 --only 107,226 --verbose
  python -m tests.conformance ~/cwl-v1.2 --tags docker,resource

exit codes: 0 when nothing failed but what tests/conformance/expected.yml names, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from cwltest import utils

from tests.conformance import summary
from tests.conformance.summary import Case, Outcome

EXPECTED = Path(__file__).with_name("expected.yml")
_TIMEOUT_S = 300


def _numbers(text: str) -> frozenset[int]:
    """Read 1,4-6 as cwltest writes it."""
    made: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        made.update(range(int(first), int(last or first) + 1))
    return frozenset(made)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    what, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "python -m tests.conformance",
        description=what,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suite", type=Path, metavar="SUITE_FOLDER")
    parser.add_argument("--only", type=_numbers, metavar="N,M-O", help="only these tests, by number")
    parser.add_argument("--tags", metavar="A,B", help="only tests with one of these tags")
    parser.add_argument("-j", type=int, default=2, metavar="N", help="how many at once (default: 2)")
    parser.add_argument("--timeout", type=int, default=_TIMEOUT_S, metavar="S", help="of one test (default: 300)")
    parser.add_argument("--tool", default="bee-cwl-runner", metavar="PROGRAM", help="run this instead")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results here")
    parser.add_argument("--verbose", action="store_true", help="let the runner write to the terminal")
    return parser.parse_args(argv)


def _suite_file(folder: Path) -> Path:
    found = sorted(folder.glob("conformance_test*.y*ml"))
    if not found:
        raise SystemExit(f"{folder}: no conformance_tests.yaml in it; give a checkout of the suite")
    return found[0].resolve()


def _select(tests: list[dict[str, Any]], arguments: argparse.Namespace) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Number all tests of the suite and yield those that are asked for."""
    tags = set(arguments.tags.split(",")) if arguments.tags else None
    for number, test in enumerate(tests, 1):
        case = Case(number, utils.shortname(str(test.get("id", number))), tuple(test.get("tags", ["required"])))
        if (arguments.only is None or number in arguments.only) and (tags is None or tags & set(case.tags)):
            yield case, test


def _run(suite: Path, arguments: argparse.Namespace) -> list[Outcome]:
    """Run the tests in the suite's folder. What they leave there is removed."""
    tests, _ = utils.load_and_validate_tests(str(suite))
    os.chdir(suite.parent)

    def run(selected: tuple[Case, dict[str, Any]]) -> Outcome:
        case, test = selected
        config = utils.CWLTestConfig(
            entry=str(suite),
            entry_line=test["line"],
            tool=arguments.tool,
            timeout=arguments.timeout,
            verbose=arguments.verbose,
        )
        # Not cwltest's JUnit file: it tells tests chosen by number under wrong names, and one that ought to have failed
        # and did not as passed (seen on cwltest 2.7.20260814150058).
        outcome = summary.judge(case, utils.run_test_plain(config, test, case.number))
        print(f"[{case.number}/{len(tests)}] {case.id}: {outcome.state}", file=sys.stderr)
        return outcome

    with tempfile.TemporaryDirectory(prefix="conformance-") as folder, ThreadPoolExecutor(arguments.j) as pool:
        # cwltest makes the tests' output folders by tempfile, and leaves them.
        tempfile.tempdir = folder
        return list(pool.map(run, _select(tests, arguments)))


def main(argv: Sequence[str]) -> int:
    """Run, print the summary, write the JSON file."""
    arguments = _parse(argv)
    target = arguments.json.absolute() if arguments.json else None
    expected = yaml.safe_load(EXPECTED.read_text(encoding="utf-8"))
    outcomes = _run(_suite_file(arguments.suite), arguments)
    print(summary.render(outcomes, expected))
    if target:
        target.write_text(json.dumps(summary.to_json(outcomes, expected), indent=1) + "\n", encoding="utf-8")
    return 1 if summary.unexpected(outcomes, expected) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
