fn loud() {
    shout!("b");
    crate::size();
}
