package app.users

/** A user. */
class User(name: String) extends Base(name) with Named {
  def greet(): String = {
    check()
    this.check()
  }
  def check(): String = User.make("a").title
}

object User {
  def make(name: String): User = new User(name)
}

trait Named {
  def title: String
}

object Main {
  def main(): Unit = {
    User.make("b")
    println("c")
  }
}
