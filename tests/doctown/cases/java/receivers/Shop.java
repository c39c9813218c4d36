import java.util.*;
import java.util.function.*;

class Shop {
    private final List<Item> items = new ArrayList<>();
    private Map<String, Item> byName;
    private Item[] shelf;
    private Item item;
    private int size;

    Item item() {
        return item;
    }

    int size() {
        return items.size();
    }

    Optional<Item> find(String name) {
        return Optional.empty();
    }

    void run(Object any, Supplier<Item> supplier) throws Failure {
        var first = new Item();
        first.sell().sell();
        item().sell();
        item.sell();
        for (Item each : items) {
            each.sell();
        }
        for (var each : items) {
            each.sell();
        }
        for (Map.Entry<String, Item> entry : byName.entrySet()) {
            entry.getValue().sell();
        }
        byName.get("a").sell();
        byName.values().forEach(value -> value.sell());
        shelf[0].sell();
        items.stream().filter(i -> i.sell() != null).map(Item::sell).forEach(i -> i.sell());
        find("a").orElseThrow().sell();
        find("a").ifPresent(found -> found.sell());
        supplier.get().sell();
        if (any instanceof Item matched && matched.sell() != null) {
            matched.sell();
        }
        switch (any) {
            case Item chosen -> chosen.sell();
            default -> size();
        }
        ((Item) any).sell();
        (size > 1 ? first : item).sell();
        try (Item opened = first.sell()) {
            opened.sell();
        } catch (Failure failure) {
            failure.report();
        }
        List<? extends Item> wild = items;
        wild.get(0).sell();
        any.sell();
        "text".length();
    }

    <T extends Item> void generic(T thing) {
        thing.sell();
    }
}

class Item {
    Item sell() {
        return this;
    }

    void length() {}
}

class Failure extends Exception {
    void report() {}
}
