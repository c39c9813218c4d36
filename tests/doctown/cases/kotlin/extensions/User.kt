package app.users

/** A user. */
class User(val name: String) : Base(name), Named {
    fun greet(): String {
        check()
        return this.title()
    }

    private fun check() {}

    companion object {
        fun make(): User = User("x")
    }
}

interface Named

object Registry {
    fun fill() {
        User.make()
        add(1)
    }

    fun add(n: Int) {}
}

fun User.title(): String = name.uppercase()

enum class Mode { FAST }
