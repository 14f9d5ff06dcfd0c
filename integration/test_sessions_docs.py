"""Every command in docs/sessions.md, run in the order of the page with a gateway at work."""

import re
import shlex

import pytest

from harness import TREE, Client, Gateway, managed, wait_until
from stored_sessions import CLASSES, contents, lines, make, sessions
from terminal import Terminal

ID = "4x1QZb2iXh8mXeT0a9cKqw"  # of the page


def page():
    """The commands of each section, with the comments behind them."""
    found = {}
    for section in re.split("^## ", (TREE / "docs" / "sessions.md").read_text(), flags=re.M)[1:]:
        title, text = section.split("\n", 1)
        commands = re.findall(r"^    ((?:alforja|systemctl) .*)$", text, re.M)
        if commands:
            found[title] = commands
    return found


PAGE = page()


class Site:
    """What the page speaks of: a gateway, its configuration, and directories."""

    def __init__(self, tmp, run):
        self.tmp, self.run_server = tmp, run
        self.store, self.other = tmp / "sessions", tmp / "srv"
        self.config = tmp / "alforja.toml"
        self.places = {
            "/var/lib/app/sessions": self.store,
            "/srv/sessions": self.other,
            "/etc/alforja.toml": self.config,
        }
        self.serving, self.fan_out, self.starts = self.store, False, 0
        make(self.store, ID, user="alonso", age=7200, idle=60)
        for i, cls in enumerate(CLASSES):
            make(self.store, f"session-{i}", user="sancho", cls=cls, age=7200 * i, idle=60)
        rename = ["edit-class", "--yes", "--undo", tmp / "first", "testapp.*", "shop.*"]
        sessions(*rename, "--store", f"directory:{self.store}")
        self.before = contents(self.store)
        self.start()
        self.browser = Client(self.gateway.http)
        self.counted = 0
        self.count()

    def start(self):
        self.starts += 1
        self.config.write_text(
            f'store = "directory:{self.serving}"\nstore_fan_out = {str(self.fan_out).lower()}\n'
        )
        gateway = Gateway(
            self.tmp,
            *("--workers", "2", "--config", self.config),
            command=managed(),
            store=self.serving,
            name=f"gateway{self.starts}",
        )
        self.gateway = self.run_server(gateway)

    def count(self):
        """A user counts on: nobody is logged out."""
        self.browser.address = self.gateway.http
        self.counted += 1
        assert int(self.browser.get("/counter").text) == self.counted
        self.browser.close()

    def carry_out(self, line):
        command, _, comment = line.partition(" # ")
        for place, real in self.places.items():
            command, comment = (x.replace(place, str(real)) for x in (command, comment))
        words = shlex.split(command)
        if words[0] == "systemctl":
            return self.systemctl(words[1], comment)
        assert words[:2] == ["alforja", "sessions"]
        terminal = Terminal(*words[2:], cwd=self.tmp)
        wait_until(
            lambda: "[y/N]" in terminal.read() or terminal.process.poll() is not None, command
        )
        if "[y/N]" in terminal.text:
            terminal.send("y\n")
        assert terminal.wait() == 0, f"{command}\n{terminal.text}"
        return terminal.text

    def systemctl(self, verb, comment):
        if verb == "stop":
            self.gateway.stop()
            return
        if match := re.search("--store directory:(.*)", comment):
            self.serving = self.tmp / match[1]
        self.fan_out = "store_fan_out = true" in comment
        self.start()


@pytest.fixture
def site(tmp_path, run):
    return Site(tmp_path, run)


def test_the_page_has_commands_for_these():
    assert set(PAGE) == {"Every day", "Fan-out", "Moving a running site", "Renaming a class"}


@pytest.mark.parametrize("section", PAGE)
def test_section(section, site):
    said = [site.carry_out(line) for line in PAGE[section]]
    if section == "Every day":
        newest, old, tree, opcodes, broken, opinion = said[:6]
        assert newest.count("\n") == 7
        assert ID in newest
        assert f'"id":"{ID}"' not in old, "it is two hours old"
        assert "shop.ShopSession" in tree
        assert "STOP" in opcodes
        assert broken.count("\n") == 1
        assert "6 sessions, 0 failed" in opinion
        assert "1 deleted" in said[6]
        assert '"shop.ShopSession",' in said[9]
        assert "unchanged" in said[11]
        assert set(contents(site.store)) == set(contents(site.other))
    if section == "Fan-out":
        assert len(list(site.store.glob("*/*/*"))) == 6
    if section == "Moving a running site":
        assert site.gateway.sessions == site.other
    if section == "Renaming a class":
        assert '-  "$class": "shop.ShopSession"' in said[0]
        assert {k: v for k, v in contents(site.store).items() if k in site.before} == site.before
    site.count()
    store = ["--store", f"directory:{site.gateway.sessions}"]
    assert not lines("list", *store, "--json", "--broken")
