global using Shop.Shared;
