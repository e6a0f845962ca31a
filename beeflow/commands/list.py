"""List the workflows: name, id and status, oldest first.

With --host those of other systems, too, each with its host; "here" is this one. A workflow that has the same status in
several places, for its archive was copied, is one line. In the JSON each place has an item; here the host is null.
A host that does not answer is said, the others are listed, and the exit code is 76.

examples:
  bee-list
  bee-list --json
  bee-list --host user@cluster.example.org      also the workflows of another system, over ssh
  bee-list --host cluster --host other          of several
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import NoReturn

from beeflow import cli, codec, listing, tables
from beeflow.errors import RemoteError
from beeflow.models import Summary


def main(argv: Sequence[str]) -> int:
    """List; returns RemoteError's exit code when a host did not answer."""
    parser = cli.parser("bee-list", __doc__)
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    parser.add_argument(
        "--host", metavar="[USER@]HOST", action="append", default=[], help="ask this system, too, over ssh; repeatable"
    )
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    if arguments.host:
        return list_places(arguments.host, as_json=arguments.json)
    summaries = listing.list_all(cli.load_config(), os.environ)
    if arguments.json:
        print(json.dumps([codec.to_json(summary) for summary in summaries], indent=1))
    else:
        print(tables.render_workflows(summaries))
    return 0


def list_places(hosts: Sequence[str], *, as_json: bool) -> int:
    """List the workflows here and on other systems."""
    # One after the other: ssh may ask for a password.
    from beeflow.remote import listing as remote
    from beeflow.remote import ssh

    hosts = list(dict.fromkeys(hosts))
    for host in hosts:
        ssh.check_host(host)
    found: list[tuple[Summary, str | None]] = [(each, None) for each in listing.list_all(cli.load_config(), os.environ)]
    worst = 0
    for host in hosts:
        try:
            found += [(each, host) for each in remote.list_all(host, os.environ)]
        except RemoteError as error:
            cli.error(str(error))
            worst = error.exit_code
    found.sort(key=lambda each: (each[0].created, each[0].id))
    print(as_text(found) if as_json else tables.render_places(found))
    return worst


def as_text(found: Sequence[tuple[Summary, str | None]]) -> str:
    """Write what scripts read."""
    items = [{**codec.to_json(each), "host": host} for each, host in found]
    return json.dumps(items, indent=1)


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
