package com.shop.model;

/** An {@code item} of the <b>shop</b>. */
public class Item {
    private final String name;

    public Item(String name) {
        this.name = name;
    }

    public Item() {
        this("none");
    }

    public void show() {
        name.trim();
    }
}
