package com.shop;

import static com.shop.util.Tools.*;
import static com.shop.util.Tools.hammer;

import com.shop.model.*;
import com.shop.util.Tools;
import com.shop.util.Tools.Box;
import java.util.List;

public class Main extends Base {
    public static void main(String[] args) {
        Item item = new Item("a");
        item.show();
        hammer();
        saw();
        Tools.saw();
        new Box().open();
        new Tools.Box();
        Helper.help();
        List.of(1);
        missing();
    }

    void run() {
        greet();
        this.greet();
        super.greet();
        common();
    }

    void greet() {}
}
