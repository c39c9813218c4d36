pub mod shapes;
mod util;
#[path = "odd/place.rs"]
mod placed;
pub mod inline {
    pub fn deep() {
        super::util::help();
        inner::leaf();
        self::inner::leaf();
    }
    pub mod inner {
        pub fn leaf() {
            super::deep();
            crate::util::help();
        }
    }
}
pub use shapes::{circle::Circle, *};
pub use util::help as assist;

pub fn start() {
    placed::here();
    inline::deep();
}
