class Parser {
	parse() {}
}
module.exports = Parser;
module.exports.once = function () {};
