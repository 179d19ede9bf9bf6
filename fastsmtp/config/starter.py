"""What `fastsmtp init` starts a site with: the plugins of a careful operator's first day, and lists for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["LISTS", "starter_plugins", "write_lists"]

LISTS: Final[Mapping[str, str]] = {
    "access": """\
# Who may come in: one entry a line, read again as soon as this file is saved.
#   trust 192.0.2.0/24                  spared the checks: your other hosts, forwarders that your users have
#   deny  198.51.100.0/22  Go away      kept out, and what they hear
#   allow 198.51.100.17                 let in, though the line above denies it
#   deny  .dynamic.example.net          by the name of the host, as the DNS confirms it
#   deny  helo .local                   by what it says in HELO

# What this machine sends itself is spared the checks. Take these out to see what the plugins do to you, and where
# clients come through a program on this machine that does not say who they are.
trust 127.0.0.0/8
trust ::1
""",
    "senders": """\
# Whose mail is not taken: one entry a line, read again as soon as this file is saved.
#   spam@example.org                    an address
#   example.net  No more, please        a domain and what is below it, and what they hear
#   news-*@*                            any characters
#   !news-of-ours@example.org           but not this one
""",
    "recipients": """\
# For whom no mail is taken, whether they exist or not: one entry a line, read again as soon as this file is saved.
#   ann@example.org  Ann has left us    an address, and what is heard
#   sales@                              this name, in every domain
""",
}
"""Files below `lists/` of a new site, and what stands in them."""

_ASK_THE_DNS: Final = ("fcrdns", "resolvable_sender", "spf")

_PLUGINS: Final = """\
# One plugin each. They are asked in this order, and the first opinion wins; docs/plugins/ has every
# option. With mode = "shadow" a plugin runs and records what it would say, and does nothing: see it
# for a week (fastsmtp explain, /metrics) before you take that line away.

# --- Who comes

[[plugin]]
use = "fcrdns"             # the name of the client's address; refuses nobody, others read it

[[plugin]]
use = "access"             # lists/access: whom to trust, deny, allow
options = { file = "lists/access" }

[[plugin]]
use = "karma"              # who has sent nothing but junk has to stay away for a while
mode = "shadow"

[[plugin]]
use = "early_talker"       # strangers wait for the greeting, which spam cannot
options = { delay = "3s" }

# Lists of addresses that send spam. Whoever runs one sees who connects to you, and has terms: Spamhaus
# (zen.spamhaus.org) is free for small sites that ask through a resolver of their own, never through a
# public one; all others have to register. So none is asked until you say which.
# [[plugin]]
# use = "dnsbl"
# mode = "shadow"
# options = { lists = ["zen.spamhaus.org"] }

[[plugin]]
use = "rate_limit"         # far above what a good server sends to a small site: look at what yours get
options = { limits = [{ by = "address", rate = "1000/hour" }] }

# --- What it calls itself

[[plugin]]
use = "helo"               # our own name, somebody's address: no server that works says that

# --- Who sends

[[plugin]]
use = "block_sender"       # lists/senders
options = { file = "lists/senders" }

[[plugin]]
use = "resolvable_sender"  # a domain that is not there cannot be answered

[[plugin]]
use = "spf"                # the domain says who may send its mail; forwarders: trust them in lists/access

# --- Who is to get it

[[plugin]]
use = "block_recipient"    # lists/recipients
options = { file = "lists/recipients" }

[[plugin]]
use = "bogus_bounce"       # a bounce goes to one recipient

[[plugin]]
use = "harvest_guard"      # who tries one name after the other is slowed down, and then hung up on
options = { delay = "1s" }

# Strangers are asked to come again in some minutes. Most spam does not; good mail of strangers is late.
# [[plugin]]
# use = "greylist"
# mode = "shadow"
# options = { trust = ["karma"] }

# --- The message

[[plugin]]
use = "loop"               # it has been here before

[[plugin]]
use = "headers"            # From and Date are there, no field too often; not all good mail is so
mode = "shadow"

[[plugin]]
use = "authentication_results"  # what was found out about the sender is written into the message
"""


def starter_plugins(*, dns_in_shadow: bool = False) -> str:
    """The end of the file: entries of plugins, with comments. `dns_in_shadow` is for a site that plays."""
    text = _PLUGINS
    for name in _ASK_THE_DNS if dns_in_shadow else ():
        line = next(line for line in text.splitlines() if line.startswith(f'use = "{name}"'))
        text = text.replace(line, f'{line}\nmode = "shadow"')
    return text


def write_lists(folder: Path) -> None:
    """The files that the plugins read; what is there already stays. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in LISTS.items():
        if not (folder / name).exists():
            (folder / name).write_text(text, encoding="utf-8")
