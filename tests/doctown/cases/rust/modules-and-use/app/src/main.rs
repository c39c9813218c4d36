use my_core::inline::inner as renamed;
use my_core::{area, assist, Circle};

fn main() {
    my_core::start();
    area();
    assist();
    renamed::leaf();
    let _ = Circle;
    rand::random();
    fn help() {}
    help();
}
