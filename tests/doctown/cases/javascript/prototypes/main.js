function Animal(name) {
	this.name = name;
}
Animal.prototype.speak = function () {
	this.breathe();
};
Animal.prototype.breathe = function () {};
Animal.create = function () {
	return new Animal('x');
};
function Dog() {}
Dog.prototype = Object.create(Animal.prototype);
Object.assign(Dog.prototype, {
	bark() {
		this.wag();
	},
	wag: function () {},
});
function run() {
	new Dog().bark();
	new Animal('y').speak();
	Animal.create().speak();
	new Dog().speak();
}
