class Store {
	get() {}
	push() {}
	map() {}
	then() {}
}
export function run(unknown, list, text) {
	unknown.get();
	list.push(1);
	[1, 2].map(String);
	fetch('x').then(() => {});
	new Map().get('x');
	'a'.get();
	text.trim().push();
	const store = new Store();
	store.get();
}
