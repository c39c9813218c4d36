namespace Zoo;

public interface IWalker
{
    void Walk();

    void Stroll()
    {
        Walk();
    }
}

public abstract partial class Animal : IWalker
{
    public Tail Tail { get; set; } = new();

    public Color Color { get; }

    public static Animal Instance => null;

    protected Animal(int legs) : this(legs, "none")
    {
        Rest();
    }

    protected Animal(int legs, string name) { }

    public abstract void Walk();

    public void Rest() => Sleep();

    public static Animal operator +(Animal a, Animal b)
    {
        a.Rest();
        return b;
    }

    public int this[int index] => Tail.Wag();

    public class Tail2 { }
}

public enum Color { Red, Green }

public class Tail
{
    public int Wag() => 1;
}
