"""The test kit for plugins: a site in memory and clients that talk to it, without sockets.

Everything but the network, the disk and the clock is the real thing. Tests are plain functions; what has to be awaited
is awaited inside.

>>> from fastsmtp.plugin import Address, Plugin, Reply, Transaction, reject
>>> class NoTests(Plugin):
...     def on_mail(self, txn: Transaction, sender: Address) -> Reply | None:
...         if sender.folded_local != "test":
...             return None
...         self.record(txn, "fail", "it is only a test")
...         return reject("5.7.1", "no tests, please")
>>> with Site(plugins=[NoTests], users=["ann@example.test"]) as site:
...     client = site.connect(ip="192.0.2.1")
...     print(client.hello("mx.example.net").lines[0])
...     print(client.mail("test@example.net"))
...     print(client.send("bob@example.net", "ann@example.test", b"Subject: hello\\n\\nHello, Ann!\\n"))
mx.example.test
550 5.7.1 no tests, please
250 2.0.0 kept as T2
>>> site.delivered
{'ann@example.test': [b'Subject: hello\\n\\nHello, Ann!\\n']}
>>> [transaction.outcome for transaction in site.transactions]
['refused', 'stored']
>>> site.transactions[0].results
[Result(plugin='NoTests', outcome='fail', evidence='it is only a test')]
>>> site.count("fastsmtp_plugin_answers_total", plugin="NoTests", stage="mail", answer="reject")
1
"""

from fastsmtp.state.memory import MemoryBuckets, MemoryRecords
from fastsmtp.testing.client import Client, Heard
from fastsmtp.testing.resolver import MemoryResolver
from fastsmtp.testing.site import PluginSpec, Site
from fastsmtp.testing.world import MemoryLists, MemoryStore, SettableClock

__all__ = [
    "Client",
    "Heard",
    "MemoryBuckets",
    "MemoryLists",
    "MemoryRecords",
    "MemoryResolver",
    "MemoryStore",
    "PluginSpec",
    "SettableClock",
    "Site",
]
