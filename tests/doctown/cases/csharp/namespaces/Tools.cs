namespace Shop.Util
{
    public static class Tools
    {
        public static void Hammer() { }
    }

    public class Other
    {
        public static void Run() { }
    }
}

namespace Shop.Shared
{
    public static class Everywhere
    {
        public static void Go() { }
    }
}
