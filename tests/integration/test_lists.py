"""Lists that an operator edits while the server runs: no reload, no restart."""

from pathlib import Path

from integration.server import ServerProcess, running_server, wait_until
from lists import rewrite

PLUGINS = """
[[plugin]]
use = "access"
options = { file = "lists/access" }
"""


def greeting(server: ServerProcess) -> str:
    with server.connect() as client, client.makefile("rb") as replies:
        return replies.readline().decode().strip()


def test_what_is_saved_counts_for_the_next_client_of_every_worker(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    access = folder / "lists" / "access"
    access.parent.mkdir(parents=True)
    access.write_text("# nobody yet\n")
    with running_server(folder, {"listen.workers": 2}, plugins=PLUGINS) as server:
        workers = server.workers()
        assert greeting(server).startswith("220 ")
        rewrite(access, "deny 127.0.0.0/8  Closed for today\n")
        wait_until(lambda: all(greeting(server).startswith("554 5.7.1 Closed for today") for _ in range(20)))
        rewrite(access, "deny 127.0.0.0/8\nnonsense\n")
        wait_until(lambda: len([line for line in server.troubles() if "list not read" in line["message"]]) == 2)
        (told, _) = [line for line in server.troubles() if "list not read" in line["message"]]
        assert told["error"] == f"{access}:2: an entry begins with one of allow, deny, trust, not with 'nonsense'"
        assert greeting(server).startswith("554 5.7.1 Closed for today")
        rewrite(access, "allow 127.0.0.0/8\n")
        wait_until(lambda: all(greeting(server).startswith("220 ") for _ in range(20)))
        assert server.workers() == workers
