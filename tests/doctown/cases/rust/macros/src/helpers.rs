/// Shouts.
#[macro_export]
macro_rules! shout {
    ($text:expr) => {
        $text
    };
}
