package com.shop.util;

public final class Tools {
    public static void hammer() {}

    public static void saw() {}

    public static class Box {
        public void open() {}
    }
}
