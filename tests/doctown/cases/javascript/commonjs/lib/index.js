const store = require('./store');
const { read, write: put } = require('./files');
const Parser = require('./parser');
const once = require('./parser').once;
const path = require('path');

exports.run = function () {
	store.open();
	read();
	put();
	new Parser().parse();
	once();
	path.join('a');
	helper();
	require('./late').late();
};
module.exports.stop = () => store.close();
function helper() {}
