import shop
import shop.orders.api as orders_api


def reserve(name):
    return name


def restock():
    shop.place("a")
    orders_api.place("b")
    shop.orders.model.check(shop.PublicOrder("c"))
