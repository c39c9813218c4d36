class Row:
    def show(self):
        return 1


class Store:
    def save(self, row):
        return row

    def load(self, key) -> Row:
        return self.cache[key]

    def update(self):
        return 1


class Other:
    def save(self):
        return 1


def open_store():
    return Store()
