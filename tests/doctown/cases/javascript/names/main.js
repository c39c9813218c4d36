import { outer } from './outer.js';

hoisted();
function hoisted() {}

export function shadow(outer) {
	outer();
}
export function blocks(flag) {
	let call = first;
	if (flag) {
		const call = second;
		call();
	}
	call();
	for (const run of [first, second]) run();
	try {
		outer();
	} catch (outer) {
		outer();
	}
	{
		function hoisted() {}
		hoisted();
	}
	const picked = flag ? first : second;
	picked();
	const { helper = first } = {};
	helper();
	(function () {
		first();
	})();
	(() => second())();
	const recursive = function again(n) {
		again(n - 1);
	};
}
function first() {}
function second() {}
