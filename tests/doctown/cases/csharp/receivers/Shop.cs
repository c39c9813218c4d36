using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;

class Shop
{
    private readonly List<Item> items = new();
    private Dictionary<string, Item> byName;
    private Item item;

    Item Make() => new Item();

    async Task<Item> MakeLater() => new Item();

    bool TryGet(string name, out Item found) { found = null; return true; }

    void Print(string text) { }

    void Print(int number) { }

    void Print(Item item, int times = 1) { }

    async Task Run(object any)
    {
        var first = new Item();
        first.Sell().Sell();
        Item second = new(1);
        second.Sell();
        (await MakeLater()).Sell();
        var later = await MakeLater();
        later.Sell();
        foreach (var each in items) each.Sell();
        items.Where(i => i.Sell() != null).ToList().ForEach(i => i.Sell());
        items.First().Sell();
        items[0].Sell();
        byName["a"].Sell();
        item?.Sell()?.Sell();
        item!.Sell();
        if (any is Item matched && matched.Sell() != null) matched.Sell();
        switch (any)
        {
            case Item chosen: chosen.Sell(); break;
        }
        var picked = any switch { Item arm => arm.Sell(), _ => null };
        if (TryGet("a", out var unknown)) unknown.Sell();
        if (TryGet("a", out Item typed)) typed.Sell();
        (any as Item).Sell();
        ((Item)any).Sell();
        (item ?? first).Sell();
        using (var opened = Make()) { opened.Sell(); }
        try { } catch (Failure failure) { failure.Report(); }
        Print("a");
        Print(1);
        Print(item);
        Print(any.ToString());
        any.Sell();
    }
}

class Item : System.IDisposable
{
    public Item() { }

    public Item(int n) { }

    public Item Sell() => this;

    public void Dispose() { }
}

class Failure : System.Exception
{
    public void Report() { }
}
