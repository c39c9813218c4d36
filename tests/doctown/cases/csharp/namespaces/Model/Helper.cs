namespace Shop
{
    namespace Model
    {
        internal static class Helper
        {
            public static void Help() { }
        }
    }

    static class Root
    {
        public static void Help() { }
    }
}
