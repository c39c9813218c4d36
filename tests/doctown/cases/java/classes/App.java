interface Walker {
    void walk();

    default void stroll() {
        walk();
        pace(1);
    }

    static void pace(int speed) {}
}

abstract class Animal implements Walker {
    protected Tail tail = new Tail();

    Animal(int legs) {}

    public abstract void walk();

    void rest() {}

    class Tail {
        void wag() {
            rest();
            Animal.this.rest();
        }
    }

    static class Nest {
        void build() {}
    }
}

class Dog extends Animal {
    Dog() {
        super(4);
    }

    @Override
    public void walk() {
        super.rest();
        tail.wag();
        stroll();
        new Nest().build();
        Walker.pace(2);
        Walker other = new Walker() {
            @Override
            public void walk() {
                rest();
                run();
            }

            void run() {}
        };
        other.walk();
        class Local {
            void go() {
                rest();
            }
        }
        new Local().go();
        Runnable later = () -> rest();
        later.run();
    }
}

enum Color {
    RED(1) {
        @Override
        int code() {
            return base();
        }
    },
    GREEN(2);

    Color(int value) {}

    int code() {
        return base();
    }

    int base() {
        return 0;
    }

    static Color first() {
        return RED;
    }
}

record Point(int x, Dog dog) {
    Point {
        check(x);
    }

    static void check(int x) {}

    void show() {
        dog.walk();
        Color.GREEN.code();
        Color.first().base();
    }
}
