#[macro_use]
mod helpers;
mod user;

macro_rules! local {
    ($x:expr) => {
        $x
    };
}

pub struct Item;

impl Item {
    fn new() -> Item {
        Item
    }
    fn size(&self) -> usize {
        1
    }
}

fn size() -> usize {
    2
}

fn main() {
    let item = Item::new();
    println!("{} {}", item.size(), size());
    assert_eq!(Item::new().size(), crate::size(), "message {}", item.size());
    let items = vec![Item::new(), Item::new()];
    items[0].size();
    local!(item.size());
    shout!("a");
    format!("{}", local!(size()));
}
