pub struct Stack {
    len: usize,
    items: Vec<u8>,
    name: String,
}

impl Stack {
    pub fn len(&self) -> usize {
        self.items.len() + self.len
    }
    pub fn push(&mut self, item: u8) {
        self.items.push(item);
    }
    pub fn name(&self) -> &str {
        self.name.trim();
        &self.name
    }
}

fn total(stack: &Stack) -> usize {
    let len = stack.len();
    let name = stack.name();
    name.len();
    len
}

fn unknown(thing: impl Fn() -> Mystery) {
    thing().push(1);
    thing().rename_all(2);
}

impl Stack {
    fn rename_all(&self, _count: u8) {}
}
