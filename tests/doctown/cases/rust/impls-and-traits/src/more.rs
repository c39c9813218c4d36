use crate::{Named, Square};

impl Square {
    pub fn double(&self) -> f64 {
        self.side * 2.0
    }
}

impl Named for Square {
    fn name(&self) -> String {
        String::new()
    }
}

impl std::fmt::Display for Square {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        Ok(())
    }
}

impl std::fmt::Debug for Square {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        Ok(())
    }
}

fn both(square: &Square, f: &mut std::fmt::Formatter) {
    square.fmt(f);
}
