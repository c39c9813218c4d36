function perimeter() {}
export { perimeter };
