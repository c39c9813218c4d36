import Base, { Child } from './base.js';

class Derived extends Base {
	#child = new Child();
	handle = () => this.stop();
	constructor() {
		super();
		this.later = () => this.#private();
		this.self = this;
	}
	stop() {
		super.stop();
		this.#child.grow();
		this.child.grow();
	}
	#private() {
		this.handle();
		this.later();
		this.self.start();
		const that = this;
		return function () {
			this.stop();
			that.stop();
		};
	}
	static {
		this.make();
	}
}
Base.make().start();
Derived.make();
new Derived().stop.bind(null)();
