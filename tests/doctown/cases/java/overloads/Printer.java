class Printer {
    void print(String text) {}

    void print(int number) {}

    void print(Object any) {}

    void print(Shape shape) {}

    void print(String text, int times) {}

    void print(String format, Object... rest) {}

    void take(char c) {}

    void take(Character c) {}

    void pick(Shape shape) {}

    void pick(Round round) {}

    void several(int[] values) {}

    void several(String[] values) {}

    void all(Shape shape, Round round, char c, int[] numbers, Object thing) {
        print("a");
        print(1);
        print(shape);
        print(round);
        print("a", 2);
        print("a", shape);
        print(thing);
        print(unknown());
        print(null);
        take('c');
        take(c);
        pick(shape);
        pick(round);
        several(numbers);
        several(new String[0]);
        print("a" + 1);
        print(numbers.length);
    }
}

class Shape {}

class Round extends Shape {}

class Wide extends Printer {
    void print(String text) {
        super.print(text);
        super.print(1);
        print(2);
    }
}
