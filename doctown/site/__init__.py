"""A pack as a static site for people: its data in shards, and the viewer that reads them."""
