"""The shop in Quixote: all of its pages, in step 1 of the move to Go.

alforja serve --http :8080 --store directory:sessions --static /static=../static -- \
    python3 -m alforja.worker --factory app.create_publisher
"""

from quixote import (
    enable_ptl,
    get_field,
    get_request,
    get_session,
    get_session_manager,
    redirect,
)
from quixote.directory import Directory
from quixote.errors import RequestError
from quixote.form import Form, StringWidget
from quixote.publish import Publisher
from session3.SessionManager import SessionManager
from shop import GOODS, Cart, Order, ShopSession

import alforja

enable_ptl()
import pages  # noqa: E402


def is_post():
    return get_request().get_method() == "POST"


class CatalogueDirectory(Directory):
    _q_exports = [""]

    def _q_index(self):
        return pages.page("Catalogue", pages.catalogue())


class CartDirectory(Directory):
    _q_exports = [""]

    def _q_index(self):
        cart = get_session().cart
        if not is_post():
            return pages.page("Cart", pages.cart(cart) if cart.lines else pages.empty_cart())
        sku, count = get_field("sku"), get_field("count")
        added = get_field("add")
        if added:
            line = cart.find(added)
            sku, count = added, line.count + 1 if line else 1
        try:
            count = int(count)
        except (TypeError, ValueError):
            raise RequestError("that is no number") from None
        if sku not in GOODS or not 0 <= count <= 99:
            raise RequestError("we do not have that")
        cart.set_count(sku, count)
        return redirect("/cart/")


class CheckoutDirectory(Directory):
    _q_exports = ["", "thanks"]

    def _q_index(self):
        session = get_session()
        if not session.cart.lines:
            return redirect("/cart/")
        form = Form(action="/checkout/")
        form.add(StringWidget, "name", title="Name", required=True, value=session.user)
        form.add(StringWidget, "street", title="Street and town", required=True)
        form.add_submit("order", "Order")
        if not form.is_submitted() or form.has_errors():
            return pages.page("Checkout", form.render())
        number = len(session.orders) + 1
        order = Order(number, form["name"], form["street"], session.cart.cents())
        session.orders.append(order)
        session.cart = Cart()
        return redirect("/checkout/thanks")

    def thanks(self):
        orders = get_session().orders
        if not orders:
            return redirect("/cart/")
        return pages.page("Thank you", pages.thanks(orders[-1]))


class RootDirectory(Directory):
    _q_exports = ["", "cart", "catalogue", "checkout", "login", "logout"]

    cart = CartDirectory()
    catalogue = CatalogueDirectory()
    checkout = CheckoutDirectory()

    def _q_index(self):
        return redirect("/catalogue/")

    def login(self):
        # Without a token: nobody has a session yet that could hold one.
        form = Form(action="/login", use_tokens=False)
        form.add(StringWidget, "name", title="Name", required=True)
        form.add_submit("login", "Log in")
        if not form.is_submitted() or form.has_errors():
            return pages.page("Log in", form.render())
        alforja.renew_session()
        get_session().set_user(form["name"])
        return redirect("/catalogue/")

    def logout(self):
        if is_post():
            get_session_manager().expire_session()
        return redirect("/catalogue/")


def create_publisher():
    manager = SessionManager(alforja.SessionStore(), session_class=ShopSession)
    return Publisher(RootDirectory(), session_manager=manager, form_tokens=True)
