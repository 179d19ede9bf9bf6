"""The status page of a real server with two workers, of which one has died."""

import os
import re
from pathlib import Path
from signal import SIGKILL

from integration.letters import Client, Letter
from integration.server import running_server, wait_until


def test_the_status_page(tmp_path: Path) -> None:
    with running_server(tmp_path / "site", {"listen.workers": 2}) as server:
        client = Client(server)
        client.send(Letter(f"letter-{number}", 200, ("alice@example.test",)) for number in range(3))
        client.close()
        page = server.http("/")
        assert "<strong>3</strong>" in page
        assert re.search(rf"<td>{server.host}:{server.port}</td><td>smtp</td><td>\d+</td><td>0</td><td>3</td>", page)
        assert page.count("<td>serves</td>") == 2
        assert '<b class="good">ready</b>' in page
        assert "died" not in page
        os.kill(server.workers()[0], SIGKILL)
        wait_until(lambda: "<td>workers that died</td><td>1</td>" in server.http("/"), "it tells of the death")
        wait_until(lambda: server.http("/").count("<td>serves</td>") == 2, "the worker has a successor")
        assert "<strong>3</strong>" in server.http("/")  # what the dead one has stored still counts
