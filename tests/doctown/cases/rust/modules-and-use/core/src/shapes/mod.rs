pub mod circle;

pub fn area() {
    circle::round();
}
