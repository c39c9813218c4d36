use super::area;
use crate::util::{self, help};

pub struct Circle;

pub fn round() {
    area();
    help();
    util::help();
    std::mem::drop(1);
}
