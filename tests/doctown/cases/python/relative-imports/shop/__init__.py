from .orders import place
from .orders.model import Order as PublicOrder
