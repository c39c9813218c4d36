from store import Row, Store, open_store


class App:
    fallback = Store()

    def __init__(self, store: Store):
        self.store = store
        self.rows = {}
        self.first: "Row" = None

    def run(self):
        self.store.save(Row())
        self.fallback.load("a").show()
        self.rows.update(x=1)
        self.first.show()

    @classmethod
    def make(cls):
        app = cls(open_store())
        app.run()
        return app

    @staticmethod
    def help():
        return App.make()


def main(app: App | None = None, name: str = ""):
    (app or App.make()).run()
    App.help().store.load(name.strip())
    unknown = name.split()
    unknown.get()
    unknown.show()
    unknown.save(1)
