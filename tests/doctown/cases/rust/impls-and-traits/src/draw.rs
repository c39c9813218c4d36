use super::Shape;

impl<T: Shape> Canvas<T> {
    pub fn draw(&self) {
        self.shape.area();
    }
}

pub struct Canvas<T: Shape> {
    shape: T,
}
