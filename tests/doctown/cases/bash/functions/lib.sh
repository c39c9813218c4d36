list_files() {
  find "$1" -name '*.c'
}
