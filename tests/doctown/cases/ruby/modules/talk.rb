# Things that speak.
module Talk
  def self.quiet?(person)
    Person.known(person)
  end

  class Being
    def breathe; end
  end

  # A person.
  class Person < Being
    class << self
      def known(name) = name
    end

    def self.build(name)
      new(name)
    end

    def speak(word)
      shout(word)
      self.shout(word)
      breathe()
    end

    def shout(word)
      puts word
    end
  end
end

def start
  Talk::Person.build("a").speak("b")
  Talk.quiet?("x")
  Talk::Person.new
end
