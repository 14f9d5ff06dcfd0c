"""The demo's pages. What visitors have typed is escaped by htmltext."""

from __future__ import annotations

import os
from typing import Any

from quixote.html import htmltext

_STYLE = """
:root { color-scheme: light dark; --page: #f6f1e7; --card: #fffdf8; --ink: #2b2117;
  --soft: #7a6a58; --line: #e5dac8; --accent: #a8481f; --on-accent: #fff; --well: #f3eadb; }
@media (prefers-color-scheme: dark) { :root { --page: #1b1611; --card: #262019; --ink: #f1e7d8;
  --soft: #ad9c87; --line: #3c3227; --accent: #e08a4f; --on-accent: #1b1611; --well: #1f1913; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 ui-sans-serif, system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
header { display: flex; gap: 1rem; align-items: center; margin-bottom: 1.75rem; }
header svg { width: 3.5rem; height: 3.5rem; color: var(--accent); flex: none; }
h1 { margin: 0; font-size: 1.7rem; letter-spacing: -.02em; line-height: 1.2; }
h2 { margin: 0 0 .75rem; font-size: .8rem; letter-spacing: .08em; text-transform: uppercase;
  color: var(--soft); font-weight: 600; }
p { margin: 0 0 .75rem; } .soft { color: var(--soft); } header p { margin: .15rem 0 0; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  padding: 1.25rem; }
.wide { grid-column: 1 / -1; }
.count { font-size: 4.5rem; font-weight: 700; line-height: 1; letter-spacing: -.04em;
  font-variant-numeric: tabular-nums; margin-bottom: 1rem; }
.name { font-size: 1.5rem; font-weight: 650; overflow-wrap: anywhere; }
form { display: flex; flex-wrap: wrap; gap: .5rem; margin: 0; }
form + form { margin-top: .5rem; }
.row { display: flex; flex-wrap: wrap; gap: .5rem; } .row form { margin: 0; }
input { flex: 1 1 7rem; min-width: 0; font: inherit; color: inherit; background: var(--well);
  border: 1px solid var(--line); border-radius: 9px; padding: .45rem .7rem; }
button { font: inherit; font-weight: 600; cursor: pointer; border-radius: 9px;
  padding: .45rem .9rem; border: 1px solid var(--line); background: transparent;
  color: var(--ink); }
button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button:hover { filter: brightness(1.08); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .35rem 1.25rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code { font: .92em ui-monospace, "DejaVu Sans Mono", monospace; background: var(--well);
  padding: .1em .35em; border-radius: 5px; }
table { border-collapse: collapse; width: 100%; margin-bottom: .9rem; }
td { padding: .3rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
td:first-child { color: var(--soft); padding-right: 1rem; width: 40%; }
"""

_SADDLEBAG = """<svg viewBox="0 0 48 48" fill="none" stroke="currentColor" stroke-width="2.5"
 stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M5 14c6-6 32-6 38 0"/>
<path d="M5 14h16v18a6 6 0 0 1-6 6h-4a6 6 0 0 1-6-6z"/><path d="M27 14h16v18a6 6 0 0 1-6 6h-4a6 6 0
 0 1-6-6z"/><path d="M5 23h16M27 23h16M13 21v5M35 21v5"/></svg>"""

_PAGE = htmltext("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<link rel="icon" href="data:,">
<style>%s</style>
</head>
<body><main>%s</main></body>
</html>
""")

_INDEX = htmltext("""
<header>%(saddlebag)s<div><h1>What is in the saddlebag?</h1>
<p class="soft">A Quixote application whose sessions travel with alforja.</p></div></header>
<div class="cards">
<section><h2>You</h2>%(you)s</section>
<section><h2>Counter</h2><div class="count" id="counter">%(counter)d</div><div class="row">
<form method="post" action="%(base)s/increment"><button class="main">Count</button></form>
<form method="post" action="%(base)s/incrementfail"><button>Count, then fail</button></form>
</div></section>
<section><h2>Own attributes</h2>%(attributes)s
<form method="post" action="%(base)s/attributes">%(fields)s</form></section>
<section><h2>Items of the DictSession</h2>%(items)s
<form method="post" action="%(base)s/dict">%(fields)s</form></section>
<section class="wide"><h2>This session</h2><dl>
<dt>Id</dt><dd>%(id)s</dd>
<dt>Its file</dt><dd>%(file)s</dd>
<dt>Answered by</dt><dd>worker process <code>%(pid)d</code></dd></dl></section>
<section class="wide"><h2>What goes on</h2><p>%(story)s</p>
<p class="soft">A request that fails changes nothing: try &ldquo;Count, then fail&rdquo;, and
come back. Whichever worker answers has your session.</p>%(keep)s
</section>
</div>""")

_VISITOR = htmltext("""<p class="name">a passer-by</p>
<form method="post" action="%(base)s/login"><input name="name" placeholder="Your name"
 aria-label="Your name" maxlength="60" required><button class="main">Log in</button></form>""")

_USER = htmltext("""<p class="name">%(user)s</p><div class="row">
<form method="post" action="%(base)s/logout"><button class="main">Log out</button></form>
<form method="post" action="%(base)s/logoutfail"><button>Log out, then fail</button></form>
</div>""")

_KEEP = htmltext(
    """<form method="post" action="%s/keep"><button>Keep a session for me</button></form>"""
)

_FIELDS = htmltext("""<input name="name" placeholder="name" aria-label="name" required>
<input name="value" placeholder="value" aria-label="value"><button>Set</button>""")

_FAILURE = htmltext("""<header>%s<div><h1>The request failed</h1>
<p class="soft">Nothing that it did to your session was stored.</p></div></header>
<p><a href="%s/">Back to the saddlebag</a></p>""")


def index_page(session: Any, base: str) -> Any:
    """The page that shows `session`; `base` is the path of the application's root."""
    if session.id is None:
        id = file = htmltext('<span class="soft">none yet</span>')
        story = "You have no session: nobody stores one for those who only look around."
    else:
        # The whole id is as good as the cookie that holds it, and session3's has 11 characters.
        short = session.id[:4]
        id = htmltext("<code>%s&hellip;</code>") % short
        file = htmltext("<code>%s*</code> in the store's directory, a Python pickle") % short
        story = (
            "The gateway read your cookie, locked and loaded this session, and gave it to the "
            "worker along with the request. What the page changes is stored before you see it."
        )
    body = _INDEX % {
        "attributes": _table(session.attributes),
        "base": base,
        "counter": session.counter,
        "fields": _FIELDS,
        "file": file,
        "id": id,
        "items": _table(session.data),
        "keep": _KEEP % base if session.id is None else "",
        "pid": os.getpid(),
        "saddlebag": htmltext(_SADDLEBAG),
        "story": story,
        "you": (_USER if session.user else _VISITOR) % {"user": session.user, "base": base},
    }
    return _page("alforja demo", body)


def failure_page(base: str) -> Any:
    return _page("Failed", _FAILURE % (htmltext(_SADDLEBAG), base))


def _page(title: str, body: Any) -> Any:
    return _PAGE % (title, htmltext(_STYLE), body)


def _table(values: Any) -> Any:
    if not values:
        return htmltext('<p class="soft">none</p>')
    row = htmltext("<tr><td>%s</td><td>%s</td></tr>")
    return htmltext("<table>%s</table>") % htmltext("").join(
        row % item for item in sorted(values.items())
    )
