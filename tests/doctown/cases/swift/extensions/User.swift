/// A user.
class User: Base, Named {
    init(name: String) {
        super.init()
        self.check()
    }

    func check() { helper(x: 1) }

    static func make() -> User { return User(name: "x") }
}

protocol Named {
    func title() -> String
}

extension User {
    func rename() {
        self.check()
        User.make()
    }
}

struct Point {
    func move() { other.shift(1) }
}

enum Mode { case fast }

func helper(x: Int) {}
