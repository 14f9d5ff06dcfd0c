"""What the shop sells, and what a visitor's session holds.

Sessions store instances of these classes, so the classes keep their names and this module for
as long as there are sessions that were made of them, whatever language the pages are in.
"""

import json
import pathlib

from session3.Session import Session

_FILE = pathlib.Path(__file__).parent.parent / "goods.json"
GOODS = {item["sku"]: item for item in json.loads(_FILE.read_text("utf-8"))}


class Line:
    def __init__(self, sku, count):
        self.sku = sku
        self.count = count


class Cart:
    def __init__(self):
        self.lines = []

    def set_count(self, sku, count):
        """Have `count` of one article in the cart; 0 takes it out."""
        line = self.find(sku)
        if line is None:
            line = Line(sku, 0)
            self.lines.append(line)
        line.count = count
        self.lines = [line for line in self.lines if line.count > 0]

    def find(self, sku):
        return next((line for line in self.lines if line.sku == sku), None)

    def count(self):
        return sum(line.count for line in self.lines)

    def cents(self):
        return sum(line.count * GOODS[line.sku]["cents"] for line in self.lines)


class Order:
    def __init__(self, number, name, street, cents):
        self.number = number
        self.name = name
        self.street = street
        self.cents = cents


class ShopSession(Session):
    def __init__(self, id):
        super().__init__(id)
        self.cart = Cart()
        self.orders = []

    def has_info(self):
        return bool(self.user or self.cart.lines or self.orders)
