mod draw;
mod more;

pub trait Shape: Named {
    const SIDES: u32;
    fn area(&self) -> f64;
    fn describe(&self) {
        self.area();
        self.name();
    }
    fn unit() -> Self;
}

pub trait Named {
    fn name(&self) -> String;
}

#[derive(Clone)]
pub struct Square {
    side: f64,
}

impl Square {
    pub fn new(side: f64) -> Self {
        Self::check(side);
        Square { side }
    }
    fn check(_side: f64) {}
}

impl Shape for Square {
    const SIDES: u32 = 4;
    fn area(&self) -> f64 {
        self.double()
    }
    fn unit() -> Self {
        Self::new(1.0)
    }
}

pub fn dynamic(shape: &dyn Shape, boxed: Box<dyn Named>) {
    shape.area();
    boxed.name();
}

pub fn generic<T: Shape>(shape: T, other: impl Named) {
    shape.describe();
    T::unit();
    other.name();
}

pub fn bounded<T>(shape: &T)
where
    T: Named,
{
    shape.name();
}

pub fn concrete() {
    let square = Square::new(2.0);
    square.describe();
    square.area();
    square.name();
    square.clone().double();
    Shape::area(&square);
    <Square as Shape>::unit();
}
