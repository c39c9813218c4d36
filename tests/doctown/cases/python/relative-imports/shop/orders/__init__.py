from .api import place
