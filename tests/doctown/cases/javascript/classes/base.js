export default class Base {
	static make() {
		return new this();
	}
	start() {
		this.stop();
	}
	stop() {}
	get child() {
		return new Child();
	}
}
export class Child {
	grow() {}
}
