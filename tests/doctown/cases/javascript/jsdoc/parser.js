/** @import { Node as TreeNode } from './types.js' */
/** @typedef {import('./types.js').Node} Node */
/**
 * @typedef {Object} Options
 * @property {Parser} parser how to parse
 * @property {(node: Node) => void} [visit]
 */
/**
 * @callback Visit
 * @param {Node} node
 * @returns {Parser}
 */

export class Parser {
	/** @type {Node[]} */
	stack = [];

	/** @param {string} text */
	constructor(text) {
		/** @type {Node | null} */
		this.root = null;
	}

	/** @returns {Node} */
	current() {
		return this.stack[0];
	}

	run() {
		this.current().close();
		this.root?.close();
		this.stack.map((node) => node.close());
	}
}

/**
 * Parses.
 * @param {Options} options
 * @param {TreeNode} node
 * @param {Object} extra
 * @param {Parser} extra.parser
 */
export function parse(options, node, extra) {
	options.parser.run();
	node.close();
	extra.parser.run();
	const last = /** @type {Parser} */ (globalThis.last);
	last.run();
	/** @type {Map<string, Parser>} */
	const parsers = new Map();
	parsers.get('x')?.run();
}

/** @type {Visit} */
export const visit = (node) => {
	node.close();
	return make();
};

/** @this {Parser} */
function bound() {
	this.run();
}
