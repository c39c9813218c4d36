import { walk } from 'walker';
import * as builders from './builders.js';

const visitors = {
	Program(node) {
		visitors.Block(node);
		this.Block(node);
	},
	Block: (node) => inner(node),
	inner,
};
function inner() {}

export function run() {
	walk({ Leaf() { inner(); } });
	visitors.Program();
	visitors['Block']();
	visitors.inner();
	const api = create();
	api.open();
	const all = { ...builders, extra() {} };
	all.call();
	all.extra();
	const frozen = Object.freeze({ cold() {} });
	frozen.cold();
	const { call: renamed } = builders;
	renamed();
}
function create() {
	return {
		open() {
			close();
		},
	};
	function close() {}
}
