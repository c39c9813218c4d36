namespace Shop.Model;

/// <summary>An item of the <see cref="Shop"/>.</summary>
public class Item
{
    public void Show()
    {
        Helper.Help();
        Root.Help();
    }
}
