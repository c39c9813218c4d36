package com.shop;

class Helper {
    static void help() {}
}

class Base {
    void greet() {}

    static void common() {}
}
