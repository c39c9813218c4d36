namespace Zoo;

public partial class Animal
{
    private void Sleep()
    {
        Tail.Wag();
        this.Tail.Wag();
    }

    private void Unused() => Rest();
}

public class Dog : Animal
{
    public Dog() : base(4) { }

    public override void Walk()
    {
        base.Rest();
        Rest();
        this.Bark(2);
        Instance.Rest();
        Color.Paint();
        int Local(int n) => Twice(n);
        Local(1);
        string.IsNullOrEmpty("a");
    }

    private static int Twice(int n) => n;
}

public static class Extensions
{
    public static void Bark(this Dog dog, int times) => dog.Walk();

    public static void Paint(this Color color) { }
}

public record Pair(Dog First, Dog Second)
{
    public void Both()
    {
        First.Walk();
        Second.Bark(1);
        Extensions.Bark(First, 1);
    }
}

public class Wrapped(Dog inner) : Base(inner)
{
    public void Go() => inner.Walk();
}

public class Base(Dog dog) { }
