using System;
using Shop.Model;
using static Shop.Util.Tools;
using Alias = Shop.Util.Other;

var item = new Item();
item.Show();
Hammer();
Alias.Run();
Everywhere.Go();
Shop.Util.Other.Run();
global::Shop.Util.Other.Run();
Local();
Console.WriteLine("a");

void Local()
{
    Hammer();
}
