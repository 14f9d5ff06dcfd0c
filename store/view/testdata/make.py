"""Writes the sessions beside this file, as session3's directory store pickles them.

python3 store/view/testdata/make.py
"""

import pathlib
import pickle
import pickletools
import sys
import types

import quixote.session
import session3.DictSession
import session3.Session

HERE = pathlib.Path(__file__).resolve().parent

shop = types.ModuleType("shop")
sys.modules["shop"] = shop
exec(  # in a module that the pickles can name
    """
from session3.Session import Session

class Line:
    def __init__(self, sku, n):
        self.sku, self.n = sku, n

class Cart:
    def __init__(self):
        self.lines = [Line("helmet", 1), Line("lance", 2)]
        self.seen = {frozenset({"a"})}

class ShopSession(Session):
    __slots__ = ("theme",)

    def has_info(self):
        return bool(self.cart) or super().has_info()
""",
    shop.__dict__,
)


def made(cls, **attributes):
    session = cls.__new__(cls)
    session.__dict__ = {
        "id": "own",
        "user": "quijote",
        "_remote_address": "192.0.2.7",
        "_creation_time": 1700000000.25,
        "_access_time": 1700000001.5,
        "_form_tokens": ["first", "second"],
        **attributes,
    }
    return session


cart = shop.Cart()
own = made(shop.ShopSession, counter=0, cart=cart, favourite=cart.lines[0], big=1 << 70)
own.theme = "dark"
sessions = {
    "session": made(session3.Session.Session, counter=7),
    "dict": made(session3.DictSession.DictSession, data={"name": "Sancho", 5: None}),
    "quixote": made(quixote.session.Session, _csrf_token=None),
    "shop": own,
}
plain = made(shop.ShopSession, counter=0, cart=cart, favourite=cart.lines[0])
sessions["shop-without-slots"] = plain
for name, session in sessions.items():
    for protocol in (2, 4, 5):
        (HERE / f"{name}-{protocol}.pickle").write_bytes(pickle.dumps(session, protocol))
(HERE / "optimized").mkdir(exist_ok=True)
for name in ("session", "shop-without-slots"):
    optimized = pickletools.optimize(pickle.dumps(sessions[name], 4))
    (HERE / "optimized" / f"{name}-4.pickle").write_bytes(optimized)
